//! Credentials that are kept: by what they are for, as long as they live and the standing that they were got on does.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::{Credentials, NoCredentials, Purpose};
use crate::grants::Standing;

/// What was got, and what is being got.
#[derive(Default)]
pub(super) struct Kept {
    entries: Mutex<HashMap<Purpose, Entry>>,
    flights: Mutex<HashMap<Purpose, Flight>>,
    /// When it last failed, in seconds since 1970, and why.
    failures: Mutex<HashMap<Purpose, (i64, NoCredentials)>>,
}

struct Entry {
    credentials: Arc<Credentials>,
    /// They were got on it. Once it has ended they are of no use to anybody.
    standing: Arc<Standing>,
    renew_from: i64,
    /// Somebody has been told to renew them.
    is_renewed: bool,
}

type Got = Result<Arc<Credentials>, NoCredentials>;
type Flight = Arc<OnceCell<Got>>;

/// Credentials that were kept.
pub(super) struct Found {
    pub(super) credentials: Arc<Credentials>,
    /// Their end is near, and whoever is told so first is to renew them.
    pub(super) should_be_renewed: bool,
}

impl Kept {
    /// What is kept for `purpose` and good for a while.
    pub(super) fn get(&self, purpose: &Purpose, now: i64) -> Option<Found> {
        let mut entries = self.entries.lock();
        let entry = entries.get_mut(purpose)?;
        if entry.standing.has_ended() || now >= entry.credentials.expires_at.saturating_sub(SPARE_SECONDS) {
            entries.remove(purpose);
            return None;
        }
        let should_be_renewed = now >= entry.renew_from && !std::mem::replace(&mut entry.is_renewed, true);
        Some(Found { credentials: Arc::clone(&entry.credentials), should_be_renewed })
    }

    pub(super) fn put(
        &self,
        purpose: &Purpose,
        credentials: Arc<Credentials>,
        standing: &Arc<Standing>,
        now: i64,
    ) {
        if standing.has_ended() {
            return;
        }
        let mut entries = self.entries.lock();
        if entries.len() >= MOST {
            entries.retain(|_, entry| {
                !entry.standing.has_ended()
                    && now < entry.credentials.expires_at.saturating_sub(SPARE_SECONDS)
            });
        }
        if entries.len() >= MOST {
            // They are got again when they are needed.
            entries.clear();
        }
        let life = credentials.expires_at.saturating_sub(now);
        let renew_from = credentials.expires_at.saturating_sub(life / 3);
        let entry = Entry { credentials, standing: Arc::clone(standing), renew_from, is_renewed: false };
        entries.insert(purpose.clone(), entry);
    }

    /// Getting them failed. Whoever needs them has the failure too for a moment; where some are kept still, they are
    /// renewed after a while.
    pub(super) fn failed(&self, purpose: &Purpose, why: &NoCredentials, now: i64) {
        let mut failures = self.failures.lock();
        if failures.len() >= MOST_FAILURES {
            failures.retain(|_, (at, _)| is_just_now(*at, now));
        }
        // With more than that just now there is no pause for the others: the service takes so many at once and no more.
        if failures.len() < MOST_FAILURES {
            failures.insert(purpose.clone(), (now, why.clone()));
        }
        drop(failures);
        self.renew_later(purpose, now);
    }

    /// What is kept is not renewed just now, but after a while.
    pub(super) fn renew_later(&self, purpose: &Purpose, now: i64) {
        if let Some(entry) = self.entries.lock().get_mut(purpose) {
            (entry.is_renewed, entry.renew_from) = (false, now.saturating_add(TRY_AGAIN_SECONDS));
        }
    }

    /// Why getting them has failed in this second or the one before, if it has.
    pub(super) fn just_failed(&self, purpose: &Purpose, now: i64) -> Option<NoCredentials> {
        let mut failures = self.failures.lock();
        let (at, why) = failures.get(purpose)?;
        if is_just_now(*at, now) {
            return Some(why.clone());
        }
        failures.remove(purpose);
        None
    }

    /// Gets what `purpose` needs, once for all who need it now. Who waits shares a failure too: it is not tried as
    /// often as there are callers.
    pub(super) async fn once(&self, purpose: &Purpose, get: impl Future<Output = Got>) -> Got {
        let flight = Arc::clone(self.flights.lock().entry(purpose.clone()).or_default());
        let _landing = Landing { kept: self, purpose, flight: &flight };
        flight.get_or_init(|| get).await.clone()
    }

    /// Forgets what rests on a standing that has ended.
    pub(super) fn drop_ended(&self) {
        self.entries.lock().retain(|_, entry| !entry.standing.has_ended());
    }
}

/// In this second or the one before; a clock that was set back since lengthens no pause.
fn is_just_now(at: i64, now: i64) -> bool {
    (0..=1).contains(&now.saturating_sub(at))
}

/// Removes a flight, also when whoever began it is gone.
struct Landing<'a> {
    kept: &'a Kept,
    purpose: &'a Purpose,
    flight: &'a Flight,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        let mut flights = self.kept.flights.lock();
        let is_ours = flights.get(self.purpose).is_some_and(|flight| Arc::ptr_eq(flight, self.flight));
        // Two: the map's own and this participant's.
        if is_ours && (self.flight.initialized() || Arc::strong_count(self.flight) <= 2) {
            flights.remove(self.purpose);
        }
    }
}

/// Credentials with less than this left sign nothing any more.
const SPARE_SECONDS: i64 = 60;
/// After a failure, while what is kept still lives.
const TRY_AGAIN_SECONDS: i64 = 5;
const MOST: usize = 20_000;
const MOST_FAILURES: usize = 1000;
