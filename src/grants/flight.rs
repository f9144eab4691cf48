//! Single flight: many callers that miss the same fact at once cause one read of it.
//!
//! Flights are told apart by the fact's key *and* the slot clock's generation, so that who asks after a change
//! never joins a read that began before it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OnceCell;

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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn callers_at_the_same_time_share_one_read() {
        let flights = Arc::new(Flights::<&str, usize>::default());
        let (reads, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let (flights, reads, gate) = (Arc::clone(&flights), Arc::clone(&reads), Arc::clone(&gate));
                tokio::spawn(async move {
                    flights
                        .join(&"k", 1, || async {
                            let _open = gate.acquire().await;
                            Ok::<_, ()>(reads.fetch_add(1, Ordering::SeqCst))
                        })
                        .await
                })
            })
            .collect();
        tokio::task::yield_now().await;
        gate.add_permits(100);
        for caller in callers {
            caller.await.unwrap().unwrap();
        }
        assert!(flights.under_way.lock().is_empty());
        assert!(reads.load(Ordering::SeqCst) < 8);
    }

    #[tokio::test]
    async fn a_caller_of_a_later_generation_does_not_join_an_older_read() {
        let flights = Arc::new(Flights::<&str, &str>::default());
        let gate = Arc::new(Semaphore::new(0));
        let old = tokio::spawn({
            let (flights, gate) = (Arc::clone(&flights), Arc::clone(&gate));
            async move {
                let read = || async {
                    let _open = gate.acquire().await;
                    Ok::<_, ()>("old")
                };
                flights.join(&"k", 1, read).await
            }
        });
        tokio::task::yield_now().await;
        assert_eq!(flights.join(&"k", 2, || async { Ok::<_, ()>("new") }).await, Ok("new"));
        gate.add_permits(1);
        assert_eq!(old.await.unwrap(), Ok("old"));
    }
}
