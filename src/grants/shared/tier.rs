//! The shared tier as a sidecar sees it: records that control has left in Redis, each judged before it counts.
//!
//! Comes in: which grant, which principal. Goes out: the fact, or nothing, upon which the origin is asked: nothing is
//! answered for whatever is absent, late, not signed for that very place, or older than a change that it rests on.
//! It never writes.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use redis::cmd;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use super::breaker::Breaker;
use super::connection::Reach;
use super::record::{self, Bad};
use crate::grants::changed::ChangedAt;
use crate::grants::origin::{Origin, OriginError};
use crate::model::account::PrincipalKey;
use crate::model::change::Subject;
use crate::model::grant::Installed;
use crate::model::id::GrantKey;
use crate::model::member::Member;
use crate::observe::shared::SharedCounts;
use crate::token::verify::KeySet;

/// The tier.
pub struct Tier {
    reach: Arc<Reach>,
    breaker: Arc<Breaker>,
    known: ArcSwap<Known>,
    changed: Arc<ChangedAt>,
    counts: SharedCounts,
    state: watch::Sender<Link>,
}

/// How the connection stands by which changes are heard of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// There is none; why.
    Lost(String),
    /// There is one, and what it tells cannot be counted on yet; why.
    Syncing(String),
    /// Changes come by it, and it renews the lease.
    Synced,
}

/// Control's keys for records.
#[derive(Default)]
struct Known {
    keys: Arc<KeySet>,
    names: Vec<String>,
}

impl Tier {
    /// A tier that believes nothing yet: it has to be told control's keys, and when what changed. Connections are kept
    /// by the runtime that this is called on.
    #[must_use]
    pub fn new(reach: Arc<Reach>, counts: SharedCounts) -> Arc<Self> {
        let state = watch::Sender::new(Link::Lost("it has not been reached yet".to_owned()));
        Arc::new(Self {
            breaker: Breaker::new(Arc::clone(&reach), counts.clone()),
            reach,
            known: ArcSwap::default(),
            changed: Arc::default(),
            counts,
            state,
        })
    }

    /// The grant's record, if it can be believed; a revoked grant's is a tombstone.
    pub async fn grant(&self, key: &GrantKey, subjects: &[Subject]) -> Option<Installed> {
        self.read(&self.reach.names().grant(key), subjects).await
    }

    /// What the principal is to the grant, if it can be believed.
    pub async fn member(
        &self,
        key: &GrantKey,
        principal: &PrincipalKey,
        subjects: &[Subject],
    ) -> Option<Member> {
        self.read(&self.reach.names().member(key, principal), subjects).await
    }

    /// Reads control's keys anew. Answers whether one is gone: then what rests on its signature must go too.
    ///
    /// # Errors
    /// They could not be read; the ones from before stay.
    pub async fn refresh_keys(&self, origin: &dyn Origin) -> Result<bool, OriginError> {
        let text = origin.record_keys().await?;
        let keys = KeySet::parse(&text).map_err(|error| OriginError(error.to_string()))?;
        let names = names(&text).into_iter().filter(|name| keys.contains(name)).collect();
        let before = self.known.swap(Arc::new(Known { keys: Arc::new(keys), names }));
        let now = self.known.load();
        Ok(before.names.iter().any(|name| !now.names.contains(name)))
    }

    /// When what changed; a follower keeps it.
    #[must_use]
    pub fn changed(&self) -> &Arc<ChangedAt> {
        &self.changed
    }

    /// How the connection stands by which changes are heard of.
    #[must_use]
    pub fn link(&self) -> watch::Receiver<Link> {
        self.state.subscribe()
    }

    /// What it counts into.
    #[must_use]
    pub fn counts(&self) -> &SharedCounts {
        &self.counts
    }

    pub(super) fn reach(&self) -> &Arc<Reach> {
        &self.reach
    }

    pub(super) fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.known.load().keys)
    }

    pub(super) fn note(&self, link: Link) {
        self.counts.show_synced(link == Link::Synced);
        self.state.send_if_modified(|state| {
            let other = *state != link;
            *state = link;
            other
        });
    }

    async fn read<T: DeserializeOwned>(&self, name: &str, subjects: &[Subject]) -> Option<T> {
        let (found, result) = match self.fetch(name).await {
            Err(why) => (None, why),
            Ok(None) => (None, "absent"),
            Ok(Some(found)) => match self.judge(name, subjects, &found) {
                Ok(body) => (Some(body), "hit"),
                Err(bad) => (None, bad.as_str()),
            },
        };
        self.counts.read(result);
        found
    }

    async fn fetch(&self, name: &str) -> Result<Option<Vec<u8>>, &'static str> {
        let mut commands = self.breaker.commands().ok_or("not_asked")?;
        // No more than this: a record may have been put there by anybody, of any size.
        let command = cmd("GETRANGE").arg(name).arg(0).arg(record::LONGEST).to_owned();
        match tokio::time::timeout(DEADLINE, commands.query::<Vec<u8>>(&command)).await {
            Ok(Ok(found)) => {
                self.breaker.went_well();
                Ok(Some(found).filter(|found| !found.is_empty()))
            }
            // Somebody has put something else than a text there; Redis is well.
            Ok(Err(error)) if error.code() == Some("WRONGTYPE") => Err(Bad::Unsigned.as_str()),
            Ok(Err(_)) => {
                self.breaker.went_wrong();
                Err("failed")
            }
            Err(_) => {
                self.breaker.went_wrong();
                Err("late")
            }
        }
    }

    fn judge<T: DeserializeOwned>(&self, name: &str, subjects: &[Subject], found: &[u8]) -> Result<T, Bad> {
        let record = record::read(&self.keys(), name, record::stamped(found))?;
        if !self.changed.believes(subjects, &record.epoch, record.as_of) {
            return Err(Bad::Stale);
        }
        Ok(record.body)
    }
}

/// The names of the keys in a key set.
fn names(jwks: &str) -> Vec<String> {
    #[derive(Deserialize)]
    struct Keys {
        keys: Vec<Key>,
    }
    #[derive(Deserialize)]
    struct Key {
        #[serde(default)]
        kid: String,
    }
    serde_json::from_str(jwks)
        .map_or_else(|_| Vec::new(), |read: Keys| read.keys.into_iter().map(|key| key.kid).collect())
}

/// A command that takes longer is as good as one that fails: the origin is asked.
const DEADLINE: Duration = Duration::from_millis(50);
