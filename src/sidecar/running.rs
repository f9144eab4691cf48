//! A sidecar that runs: what it answers about itself, how it follows changes, and how it ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::SignedDuration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::admin::Status;
use crate::grants::Grants;
use crate::grants::follow::news::ChangeLog;
use crate::grants::follow::{CutStreams, Follower, Following, Refresh};
use crate::grants::lease::Lease;
use crate::grants::origin::{Origin, OriginError, OwnKey};
use crate::grants::shared::{Tier, Watch};
use crate::grants::slots::SlotClock;
use crate::model::id::SidecarId;
use crate::model::time::Clock;
use crate::net::listener::Workers;
use crate::observe::records::Writer;
use crate::token::session::SessionKey;
use crate::token::verify::KeySet;

/// A running sidecar. It refuses everything until a follower has given it a lease and keys.
pub struct Running {
    pub(super) workers: Arc<Workers>,
    pub(super) status: Arc<Status>,
    pub(super) grants: Arc<Grants>,
    pub(super) shared: Option<Arc<Tier>>,
    pub(super) slots: Arc<SlotClock>,
    pub(super) lease: Arc<Lease>,
    pub(super) key: OwnKey,
    pub(super) origin: Arc<dyn Origin>,
    pub(super) clock: Clock,
    pub(super) writer: Writer,
    pub(super) following: watch::Sender<Following>,
}

/// By which ways a sidecar hears of changes, besides its shared tier.
pub struct Ways {
    /// Where it asks: the control plane.
    pub log: Arc<dyn ChangeLog>,
    /// Reads the policy authors' files anew, where they come from the control plane.
    pub refresh_policies: Refresh,
}

impl Ways {
    /// The control plane alone.
    #[must_use]
    pub fn only(log: Arc<dyn ChangeLog>) -> Self {
        let refresh_policies: Refresh = Arc::new(|| Box::pin(async { Ok(()) }));
        Self { log, refresh_policies }
    }
}

impl Running {
    /// Where applications reach it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.workers.address()
    }

    /// Its name in records and receipts.
    #[must_use]
    pub fn name(&self) -> &SidecarId {
        &self.key.sidecar
    }

    /// What the operators' port tells.
    #[must_use]
    pub fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// Follows changes until `stop`: run it as a task of its own. Without it every call is refused.
    pub fn follow(&self, ways: Ways, stop: CancellationToken) -> impl Future<Output = ()> + Send + use<> {
        let Ways { log, refresh_policies } = ways;
        let (tell, told) = mpsc::channel(WAITING);
        let policies = Arc::clone(&self.status.policies);
        let follower = Follower {
            sidecar: self.name().clone(),
            log,
            told,
            slots: Arc::clone(&self.slots),
            changed: self.shared.as_ref().map(|tier| Arc::clone(tier.changed())),
            lease: Arc::clone(&self.lease),
            refresh_keys: self.refresh_keys(),
            refresh_policies,
            cut: self.cut(),
            policies: Arc::new(move || policies.policies().version().to_string()),
            state: self.following.clone(),
        };
        let watch = self.shared.clone().map(|tier| {
            Watch::new(tier, self.following.subscribe(), tell, self.lease.length()).run(stop.clone())
        });
        async move {
            let watching = async {
                if let Some(watch) = watch {
                    watch.await;
                }
            };
            tokio::join!(follower.run(stop), watching);
        }
    }

    /// Struck by a follower.
    #[cfg(test)]
    pub(super) fn slots(&self) -> &Arc<SlotClock> {
        &self.slots
    }

    /// How it stands with the control plane.
    #[must_use]
    pub fn following(&self) -> watch::Receiver<Following> {
        self.following.subscribe()
    }

    /// Renewed by a follower.
    #[must_use]
    pub fn lease(&self) -> &Arc<Lease> {
        &self.lease
    }

    /// Cuts what no longer rests on anything, for a follower.
    #[must_use]
    pub fn cut(&self) -> CutStreams {
        let (grants, workers) = (Arc::clone(&self.grants), Arc::clone(&self.workers));
        let sidecar = Arc::clone(&self.status.sidecar);
        let total = Arc::clone(&self.status.streams_cut);
        Arc::new(move || {
            let (grants, workers, total) = (Arc::clone(&grants), Arc::clone(&workers), Arc::clone(&total));
            let sidecar = Arc::clone(&sidecar);
            Box::pin(async move {
                if grants.end_stale() {
                    sidecar.sts.iter().for_each(|sts| sts.drop_ended());
                    let cut = u64::try_from(workers.sever().await).unwrap_or(u64::MAX);
                    total.fetch_add(cut, Ordering::SeqCst);
                }
                total.load(Ordering::SeqCst)
            })
        })
    }

    /// Reads the issuer's keys anew, for a follower; before that it makes sure that this sidecar's own is among those
    /// that upstreams know.
    #[must_use]
    pub fn refresh_keys(&self) -> Refresh {
        let (sidecar, origin) = (Arc::clone(&self.status.sidecar), Arc::clone(&self.origin));
        let (key, clock) = (self.key.clone(), self.clock.clone());
        let (shared, slots) = (self.shared.clone(), Arc::clone(&self.slots));
        Arc::new(move || {
            let (sidecar, origin) = (Arc::clone(&sidecar), Arc::clone(&origin));
            let (key, clock) = (key.clone(), clock.clone());
            let (shared, slots) = (shared.clone(), Arc::clone(&slots));
            Box::pin(async move {
                let known = KeySet::parse(&origin.keys().await?);
                if !known.is_ok_and(|keys| keys.contains(&key.kid)) {
                    publish(&*origin, &key, &clock).await?;
                }
                // At once: what fails after it is tried again, and then no key is gone any more.
                if sidecar.tokens.refresh_keys().await? {
                    // What was allowed to a token that the withdrawn key has signed may be a forger's, streams too.
                    slots.strike_all();
                }
                if let Some(secret) = origin.session_secret().await? {
                    let key = SessionKey::new(secret.expose().as_bytes());
                    sidecar.sessions.store(Some(Arc::new(key)));
                }
                if let Some(tier) = shared
                    && tier.refresh_keys(&*origin).await?
                {
                    // What rests on the signature of a key that was withdrawn may be forged.
                    slots.strike_all();
                }
                Ok(())
            })
        })
    }

    /// Publishes the key that assumed identities are signed with, for a day.
    ///
    /// # Errors
    /// The control plane did not take it.
    pub async fn publish_key(&self) -> Result<(), OriginError> {
        publish(&*self.origin, &self.key, &self.clock).await
    }

    /// Publishes the key again and again, in time. Never ends: run it as a task of its own.
    pub fn keep_published(&self) -> impl Future<Output = ()> + Send + use<> {
        let (origin, key, clock) = (Arc::clone(&self.origin), self.key.clone(), self.clock.clone());
        async move {
            loop {
                tokio::time::sleep(PUBLISH_EVERY).await;
                if let Err(error) = publish(&*origin, &key, &clock).await {
                    tracing::warn!(%error, "this sidecar's key could not be published again; it will be tried later");
                }
            }
        }
    }

    /// Ends it: takes no new connection, lets what is under way finish within `limit`, writes the last records.
    /// Answers whether all could finish.
    pub async fn drain(self, limit: Duration) -> bool {
        self.status.drain();
        let finished = self.workers.drain(limit).await;
        drop(self.writer);
        finished
    }
}

async fn publish(origin: &dyn Origin, key: &OwnKey, clock: &Clock) -> Result<(), OriginError> {
    let published_until = clock.now() + SignedDuration::from_hours(24);
    origin.publish_key(&OwnKey { published_until, ..key.clone() }).await
}

/// News by other ways that wait to be taken in.
const WAITING: usize = 4;
/// Several tries fit into the day that a key is published for.
const PUBLISH_EVERY: Duration = Duration::from_secs(4 * 3600);
