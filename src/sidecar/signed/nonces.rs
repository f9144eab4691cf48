//! Which signed requests were seen of late, so that none counts twice.
//!
//! Comes in: what tells a request from every other of its key, whose key that is, and until when the request's own time
//! lets it be taken. Memory is bounded: where there is no room for another, the request is refused, and no account can
//! take more than half of the room. It is this process's alone: a request that another sidecar has seen, or this one
//! before it was started anew, is not known here.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use parking_lot::Mutex;

use super::NotProven;
use crate::model::id::AccountId;

/// The memory.
pub(in crate::sidecar) struct Nonces {
    shards: Box<[Mutex<Shard>]>,
    /// Of each shard.
    room: usize,
    hasher: RandomState,
}

#[derive(Default)]
struct Shard {
    /// By the hash of key and nonce: until when, and whose.
    seen: HashMap<u64, Seen>,
    /// How many there are of each account.
    held: HashMap<u32, usize>,
    /// Not tidied before.
    tidy_at: i64,
}

#[derive(Clone, Copy)]
struct Seen {
    until: u32,
    account: u32,
}

impl Nonces {
    /// With room for so many.
    pub(in crate::sidecar) fn new(room: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, room: (room / SHARDS).max(2), hasher: RandomState::new() }
    }

    /// Notes a request. `until`, and `now`, in seconds since 1970.
    ///
    /// # Errors
    /// It was noted before, or there is no room to note it.
    pub(in crate::sidecar) fn once(
        &self,
        (account, access_key_id, nonce): (&AccountId, &str, &str),
        until: i64,
        now: i64,
    ) -> Result<(), NotProven> {
        // With keys of its own that nobody knows: nobody can choose two that are the same.
        let place = self.hasher.hash_one((access_key_id, nonce));
        // Two accounts with the same number here share their half.
        let account = u32::try_from(self.hasher.hash_one(account) & 0xffff_ffff).unwrap_or_default();
        let shard = usize::try_from(place >> 60).unwrap_or_default() % SHARDS;
        let mut shard = self.shards.get(shard).ok_or(NotProven::Full)?.lock();
        if shard.seen.get(&place).is_some_and(|seen| i64::from(seen.until) > now) {
            return Err(NotProven::Replayed);
        }
        let full = |shard: &Shard| {
            let held = shard.held.get(&account).copied().unwrap_or_default();
            shard.seen.len() >= self.room || held >= self.room / 2
        };
        if now >= shard.tidy_at && (full(&shard) || now >= shard.tidy_at.saturating_add(SELDOM)) {
            shard.tidy(now);
        }
        if full(&shard) {
            return Err(NotProven::Full);
        }
        let seen = Seen { until: u32::try_from(until).map_err(|_| NotProven::Skewed)?, account };
        if shard.seen.insert(place, seen).is_none() {
            *shard.held.entry(account).or_default() += 1;
        }
        Ok(())
    }
}

impl Shard {
    /// Forgets what could not be taken any more anyway. Not more often than each second, however full it is.
    fn tidy(&mut self, now: i64) {
        self.seen.retain(|_, seen| i64::from(seen.until) > now);
        self.held.clear();
        for seen in self.seen.values() {
            *self.held.entry(seen.account).or_default() += 1;
        }
        if self.seen.capacity() > 4 * self.seen.len().max(64) {
            self.seen.shrink_to_fit();
        }
        self.tidy_at = now.saturating_add(1);
    }
}

const SHARDS: usize = 16;

/// Seconds after which it is tidied though there is room.
const SELDOM: i64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn account(number: &str) -> AccountId {
        number.parse().unwrap()
    }

    #[test]
    fn a_request_counts_once_while_its_time_lasts() {
        let (nonces, a) = (Nonces::new(1600), account("1"));
        assert_eq!(nonces.once((&a, "STS.k", "n"), 100, 10), Ok(()));
        assert_eq!(nonces.once((&a, "STS.k", "n"), 100, 99), Err(NotProven::Replayed));
        assert_eq!(nonces.once((&a, "STS.k", "m"), 100, 99), Ok(()));
        assert_eq!(nonces.once((&a, "STS.l", "n"), 100, 99), Ok(()));
        // What a signature's own time refuses from then on need not be known any more.
        assert_eq!(nonces.once((&a, "STS.k", "n"), 200, 100), Ok(()));
    }

    #[test]
    fn without_room_it_is_refused_and_there_is_room_again_when_time_has_passed() {
        let nonces = Nonces::new(160);
        let (a, b) = (account("1"), account("2"));
        let mut taken = 0;
        for number in 0..2000 {
            match nonces.once((&a, "STS.k", &number.to_string()), 100, 10) {
                Ok(()) => taken += 1,
                other => assert_eq!(other, Err(NotProven::Full)),
            }
        }
        assert_eq!(taken, 80, "an account has half of the room");
        let others =
            (0..2000).filter(|n| nonces.once((&b, "STS.k2", &n.to_string()), 100, 11).is_ok()).count();
        assert_eq!(others, 80, "the other half is for others");
        assert_eq!(nonces.once((&a, "STS.k", "later"), 300, 200), Ok(()));
    }
}
