//! The tokens at hand, each by whom it speaks for, and with the standing that it was fetched on.
//!
//! What is fetched for one call serves all that come at the same time, and later ones, while that standing has not ended:
//! whatever ends it, a revocation, a suspension, the end of a session, ends the use of the token too.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderValue;
use parking_lot::{Mutex, RwLock};
use tokio::sync::MutexGuard;

use crate::grants::Standing;
use crate::model::account::PrincipalKey;
use crate::model::caller::Caller;
use crate::model::id::{FamilyId, GrantKey, Revision};
use crate::model::scope::ScopeSet;

/// The places of all who have called.
#[derive(Default)]
pub(super) struct Kept(Mutex<Places>);

#[derive(Default)]
struct Places {
    places: HashMap<Whose, Arc<Place>>,
    /// How many there may be before those that nobody needs any more are looked for.
    sweep_at: usize,
}

/// For whom, through which application and with what a token is.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Whose {
    grant: GrantKey,
    revision: Revision,
    principal: PrincipalKey,
    family: FamilyId,
    scopes: Arc<ScopeSet>,
}

/// The token of one of them.
pub(super) struct Place {
    ready: RwLock<Option<Ready>>,
    /// When, in seconds since 1970, and why.
    failed: Mutex<Option<(i64, String)>>,
    turn: tokio::sync::Mutex<()>,
}

struct Ready {
    token: HeaderValue,
    use_until: i64,
    standing: Arc<Standing>,
}

impl Kept {
    /// A caller's place. `now` in seconds since 1970.
    pub(super) fn place(&self, caller: &Caller, standing: &Standing, now: i64) -> Arc<Place> {
        let whose = Whose {
            grant: caller.grant(),
            revision: standing.installed().grant.revision,
            principal: caller.principal.clone(),
            family: caller.family.clone(),
            scopes: Arc::clone(standing.session().scopes()),
        };
        let mut kept = self.0.lock();
        if let Some(place) = kept.places.get(&whose) {
            return Arc::clone(place);
        }
        if kept.places.len() >= kept.sweep_at {
            // Whoever fetches or waits holds the place too.
            kept.places.retain(|_, place| Arc::strong_count(place) > 1 || place.ready(now).is_some());
            kept.sweep_at = kept.places.len().saturating_mul(2).max(LEAST);
        }
        let place = Arc::new(Place::empty());
        kept.places.insert(whose, Arc::clone(&place));
        place
    }
}

impl Place {
    fn empty() -> Self {
        Self { ready: RwLock::default(), failed: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    /// The token, while it may be used.
    pub(super) fn ready(&self, now: i64) -> Option<HeaderValue> {
        let ready = self.ready.read();
        let Ready { token, use_until, standing } = ready.as_ref()?;
        (now < *use_until && !standing.has_ended()).then(|| token.clone())
    }

    /// Waits until nobody else fetches one.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    pub(super) fn put(&self, token: HeaderValue, use_until: i64, standing: Arc<Standing>) {
        *self.ready.write() = Some(Ready { token, use_until, standing });
    }

    pub(super) fn failed(&self, why: &str, now: i64) {
        *self.failed.lock() = Some((now, why.to_owned()));
    }

    /// Why it has failed in this second or the one before, if it has; a clock that was set back since lengthens no
    /// pause.
    pub(super) fn just_failed(&self, now: i64) -> Option<String> {
        let failed = self.failed.lock();
        let (_, why) = failed.as_ref().filter(|(at, _)| (0..=1).contains(&now.saturating_sub(*at)))?;
        Some(why.clone())
    }
}

/// Fewer than so many are never swept.
const LEAST: usize = 256;
