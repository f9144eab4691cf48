//! Single flight: many callers that miss the same fact at once cause one read of it.
//!
//! Flights are told apart by the fact's key *and* the slot clock's generation, so that who asks after a change
//! never joins a read that began before it.

use std::collections::HashMap;
use std::hash::Hash;

use tokio::sync::OnceCell;

use super::sync::{Arc, Mutex};

/// The reads under way.
#[derive(Debug)]
pub(super) struct Flights<K, V> {
    under_way: Mutex<HashMap<(K, u64), Flight<V>>>,
}

/// One read, and what it brought.
type Flight<V> = Arc<OnceCell<V>>;

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self { under_way: Mutex::default() }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Flights<K, V> {
    /// Joins the read of `key` in `generation`, or begins it. A read that fails or is given up fails for who began
    /// it; who waits begins anew.
    pub(super) async fn join<E, F>(&self, key: &K, generation: u64, read: impl FnOnce() -> F) -> Result<V, E>
    where
        F: Future<Output = Result<V, E>>,
    {
        let flight = (key.clone(), generation);
        let cell = Arc::clone(self.under_way.lock().entry(flight.clone()).or_default());
        let _landing = Landing { flights: self, flight };
        cell.get_or_try_init(read).await.cloned()
    }

    /// How many reads are under way.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.under_way.lock().len()
    }
}

/// Removes a flight once the last who takes part in it is done, also when that one is cancelled.
struct Landing<'a, K: Hash + Eq, V> {
    flights: &'a Flights<K, V>,
    flight: (K, u64),
}

impl<K: Hash + Eq, V> Drop for Landing<'_, K, V> {
    fn drop(&mut self) {
        let mut under_way = self.flights.under_way.lock();
        // Two: the map's own and this participant's.
        if under_way.get(&self.flight).is_some_and(|cell| cell.initialized() || Arc::strong_count(cell) <= 2)
        {
            under_way.remove(&self.flight);
        }
    }
}
