//! Whose description is read now: a few at once, one of a host, and always some room for applications that somebody has
//! authorized.
//!
//! Whoever opens the authorization endpoint can have something read, before anybody has logged in. A site that answers
//! slowly holds one turn at most, and strangers together never hold those that are kept back. Nobody waits for long.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Mutex as Queue, OwnedMutexGuard, Semaphore, SemaphorePermit};

pub(super) struct Turns {
    open: Semaphore,
    kept: Semaphore,
    places: Mutex<HashMap<String, Arc<Queue<()>>>>,
}

/// The right to read one; another may once it is dropped.
pub(super) struct Turn<'a> {
    _alone: OwnedMutexGuard<()>,
    _permit: SemaphorePermit<'a>,
    // The last, so that it finds nobody waiting who has just gone.
    _place: Place<'a>,
}

/// Where one waits with others for the same.
struct Place<'a> {
    turns: &'a Turns,
    name: String,
}

impl Default for Turns {
    fn default() -> Self {
        Self { open: Semaphore::new(STRANGERS), kept: Semaphore::new(KEPT), places: Mutex::default() }
    }
}

impl Turns {
    /// Waits for a turn at `host`; at the address alone, and in the room that is kept back, where the application is one
    /// that somebody has authorized. Nothing when none comes in time.
    pub(super) async fn take(&self, address: &str, host: &str, authorized: bool) -> Option<Turn<'_>> {
        let name = if authorized { address } else { host };
        let queue = Arc::clone(self.places.lock().entry(name.to_owned()).or_default());
        let place = Place { turns: self, name: name.to_owned() };
        let permits = if authorized { &self.kept } else { &self.open };
        let both = async move {
            let alone = queue.lock_owned().await;
            permits.acquire().await.ok().map(|permit| (alone, permit))
        };
        let (alone, permit) = tokio::time::timeout(PATIENCE, both).await.ok()??;
        Some(Turn { _alone: alone, _permit: permit, _place: place })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut places = self.turns.places.lock();
        if places.get(&self.name).is_some_and(|queue| Arc::strong_count(queue) == 1) {
            places.remove(&self.name);
        }
    }
}

/// How many strangers' descriptions are read at once.
const STRANGERS: usize = 4;
/// And how many, beside those, of applications that somebody has authorized.
const KEPT: usize = 2;
/// For how long somebody waits for a turn.
const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn strangers_take_turns_and_none_of_those_that_are_kept_back() {
        let turns = Turns::default();
        let mut held = Vec::new();
        for host in ["a", "b", "c", "d"] {
            held.push(turns.take("x", host, false).await.unwrap());
        }
        assert!(turns.take("x", "e", false).await.is_none(), "no more at once");
        let known = turns.take("https://a/client", "a", true).await;
        assert!(known.is_some(), "one that is authorized waits for no stranger, not even of its own host");
        let waits = turns.take("x", "e", false);
        let frees = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            held.pop();
        };
        let (turn, ()) = tokio::join!(waits, frees);
        assert!(turn.is_some(), "one that becomes free soon is waited for");
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_is_asked_one_thing_at_a_time_and_forgotten_after_it() {
        let turns = Turns::default();
        let first = turns.take("x", "a", false).await.unwrap();
        assert!(turns.take("y", "a", false).await.is_none());
        assert!(turns.take("y", "b", false).await.is_some());
        drop(first);
        assert!(turns.take("y", "a", false).await.is_some());
        assert!(turns.places.lock().is_empty());
    }
}
