//! The tokens at hand, each beside the standing that it was given for.
//!
//! A standing is told by what it is, not by what it says: one that was made anew, after whatever change, has nothing at
//! hand. A place goes when its standing has gone or ended.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Weak};

use http::HeaderValue;
use parking_lot::{Mutex, RwLock};
use tokio::sync::MutexGuard;

use crate::grants::Standing;

/// The places of all standings.
#[derive(Default)]
pub(super) struct Kept(Mutex<Places>);

#[derive(Default)]
struct Places {
    /// By the standing's address, which nobody else has while it is held weakly.
    places: HashMap<usize, (Weak<Standing>, Arc<Place>)>,
    /// How many there may be before those that have ended are looked for.
    sweep_at: usize,
}

/// The token of one standing.
pub(super) struct Place {
    ready: RwLock<Option<(HeaderValue, i64)>>,
    failed_at: AtomicI64,
    turn: tokio::sync::Mutex<()>,
}

impl Kept {
    /// A standing's place.
    pub(super) fn place(&self, standing: &Arc<Standing>) -> Arc<Place> {
        let mut kept = self.0.lock();
        let key = Arc::as_ptr(standing).addr();
        if let Some((_, place)) = kept.places.get(&key) {
            return Arc::clone(place);
        }
        if kept.places.len() >= kept.sweep_at {
            kept.places.retain(|_, (standing, _)| standing.upgrade().is_some_and(|one| !one.has_ended()));
            kept.sweep_at = kept.places.len().saturating_mul(2).max(LEAST);
        }
        let place = Arc::new(Place::empty());
        kept.places.insert(key, (Arc::downgrade(standing), Arc::clone(&place)));
        place
    }
}

impl Place {
    fn empty() -> Self {
        Self {
            ready: RwLock::default(),
            failed_at: AtomicI64::new(i64::MIN),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// The token, while it may be used.
    pub(super) fn ready(&self, now: i64) -> Option<HeaderValue> {
        let ready = self.ready.read();
        let (token, use_until) = ready.as_ref()?;
        (now < *use_until).then(|| token.clone())
    }

    /// Waits until nobody else fetches one.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    pub(super) fn put(&self, token: HeaderValue, use_until: i64) {
        *self.ready.write() = Some((token, use_until));
    }

    pub(super) fn failed(&self, now: i64) {
        self.failed_at.store(now, Ordering::Relaxed);
    }

    /// In this second or the one before.
    pub(super) fn has_just_failed(&self, now: i64) -> bool {
        now.saturating_sub(self.failed_at.load(Ordering::Relaxed)) <= 1
    }
}

/// Fewer than so many are never swept.
const LEAST: usize = 256;
