//! Which signed requests were seen of late, so that none counts twice.
//!
//! Comes in: what tells a request from every other of its key, whose key that is, and until when the request's own time
//! lets it be taken. Memory is bounded: where there is no room for another, the request is refused; nothing is forgotten
//! before its time. Nobody can take all of the room: an application has half of it at most, an account two thirds, and
//! the more others hold, the less ([`Shard::has_room`]), so that there is always some left for who has had none.
//!
//! It is this process's alone, and knows nothing of what was signed before the process began: whatever counts once, and
//! was signed then, is refused; but for the last 3 seconds before it, by which clocks that are kept right may differ. What
//! was signed in those counts once more, and some SDKs would not try again what they signed after the start.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use parking_lot::Mutex;

use super::NotProven;
use crate::model::caller::Caller;
use crate::model::time::Moment;

/// The memory.
pub(in crate::sidecar) struct Nonces {
    shards: Box<[Mutex<Shard>]>,
    /// Of each shard.
    room: usize,
    hasher: RandomState,
    began: Moment,
}

/// What tells a signed request from every other, and when it counts.
#[derive(Debug, Clone, Copy)]
pub(in crate::sidecar) struct Mark<'a> {
    /// Of its key.
    pub(super) access_key_id: &'a str,
    /// What its sender made another for each request.
    pub(super) nonce: &'a str,
    /// When it was signed, in seconds since 1970.
    pub(super) signed_at: i64,
    /// Until when it may be taken, in seconds since 1970.
    pub(super) until: i64,
}

#[derive(Default)]
struct Shard {
    /// By the hash of key and nonce: until when, and whose.
    seen: HashMap<u64, Seen>,
    /// How many there are of each application of an account, and of each account.
    held: HashMap<u32, usize>,
    /// Not tidied before.
    tidy_at: i64,
}

#[derive(Clone, Copy)]
struct Seen {
    until: u32,
    holder: Holder,
}

/// Who holds room, by numbers. Two with the same number share their part.
#[derive(Clone, Copy)]
struct Holder {
    application: u32,
    account: u32,
}

impl Nonces {
    /// With room for so many. What was signed before `began` is not known to it.
    pub(in crate::sidecar) fn new(room: usize, began: Moment) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, room: (room / SHARDS).max(2), hasher: RandomState::new(), began }
    }

    /// Whether a request can count still. It is not noted by this. `now`, in seconds since 1970.
    ///
    /// # Errors
    /// It was noted before, or it cannot be known whether it was.
    pub(super) fn look(&self, mark: &Mark<'_>, now: i64) -> Result<(), NotProven> {
        self.look_at(mark, now, Moment::now())
    }

    fn look_at(&self, mark: &Mark<'_>, now: i64, at: Moment) -> Result<(), NotProven> {
        // By how long it has run and not by when it began: the time of day may have been set meanwhile.
        let ran = i64::from(at.microseconds_since(self.began) / 1_000_000);
        // A process that has run longer than a request may be old has seen all that could come again.
        if mark.signed_at < now.saturating_sub(ran).saturating_sub(CLOCKS_DIFFER) {
            return Err(NotProven::Unremembered);
        }
        let (place, shard) = self.place(mark)?;
        if shard.lock().has(place, now) { Err(NotProven::Replayed) } else { Ok(()) }
    }

    /// Notes a request of a caller who has been proved and has a standing. `now`, in seconds since 1970.
    ///
    /// # Errors
    /// As for [`Nonces::look`]; or there is no room to note it.
    pub(super) fn once(&self, caller: &Caller, mark: &Mark<'_>, now: i64) -> Result<(), NotProven> {
        self.look(mark, now)?;
        let (account, application) = (&caller.principal.account, &caller.application);
        let holder = Holder {
            application: short(self.hasher.hash_one((account, application))),
            account: short(self.hasher.hash_one(account)),
        };
        let (place, shard) = self.place(mark)?;
        let mut shard = shard.lock();
        // Another may have come between.
        if shard.has(place, now) {
            return Err(NotProven::Replayed);
        }
        let has_room = shard.has_room(holder, self.room);
        if now >= shard.tidy_at && (!has_room || now >= shard.tidy_at.saturating_add(SELDOM)) {
            shard.tidy(now);
        }
        if !has_room && !shard.has_room(holder, self.room) {
            return Err(NotProven::Full);
        }
        let until = u32::try_from(mark.until).map_err(|_| NotProven::Skewed)?;
        let earlier = shard.seen.insert(place, Seen { until, holder });
        if let Some(Seen { holder, .. }) = earlier {
            shard.count(holder, |held| held.saturating_sub(1));
        }
        shard.count(holder, |held| held.saturating_add(1));
        Ok(())
    }

    fn place(&self, mark: &Mark<'_>) -> Result<(u64, &Mutex<Shard>), NotProven> {
        // With keys of its own that nobody knows: nobody can choose two that are the same.
        let place = self.hasher.hash_one((mark.access_key_id, mark.nonce));
        let shard = usize::try_from(place >> 60).unwrap_or_default() % SHARDS;
        Ok((place, self.shards.get(shard).ok_or(NotProven::Full)?))
    }
}

impl Shard {
    fn has(&self, place: u64, now: i64) -> bool {
        self.seen.get(&place).is_some_and(|seen| i64::from(seen.until) > now)
    }

    /// Whether a holder may have one more: while what its application and its account have together is less than twice
    /// what is free. Alone, an application comes to a half, and the next of another account to half of what is left:
    /// nobody who takes all that it can get leaves nothing. A little is there for each application of an account that has
    /// had its part.
    fn has_room(&self, holder: Holder, room: usize) -> bool {
        let held = |number: u32| self.held.get(&number).copied().unwrap_or_default();
        let (application, account) = (held(holder.application), held(holder.account));
        let free = room.saturating_sub(self.seen.len());
        let fair = application.saturating_add(account) < free.saturating_mul(2);
        fair || (application < room / 256 && free > room / 16)
    }

    fn count(&mut self, holder: Holder, change: impl Fn(usize) -> usize) {
        for number in [holder.application, holder.account] {
            let held = self.held.entry(number).or_default();
            *held = change(*held);
        }
    }

    /// Forgets what could not be taken any more anyway. Not more often than each second, however full it is.
    fn tidy(&mut self, now: i64) {
        self.seen.retain(|_, seen| i64::from(seen.until) > now);
        self.held.clear();
        for Seen { holder, .. } in self.seen.values() {
            for number in [holder.application, holder.account] {
                *self.held.entry(number).or_default() += 1;
            }
        }
        if self.seen.capacity() > 4 * self.seen.len().max(64) {
            self.seen.shrink_to_fit();
        }
        self.tidy_at = now.saturating_add(1);
    }
}

fn short(hash: u64) -> u32 {
    u32::try_from(hash & 0xffff_ffff).unwrap_or_default()
}

const SHARDS: usize = 16;

/// Seconds after which it is tidied though there is room.
const SELDOM: i64 = 60;

/// By how many seconds the clocks of clients that are kept right differ from this one's, with what is lost to whole
/// seconds.
const CLOCKS_DIFFER: i64 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(account: &str, application: &str) -> Caller {
        let principal = format!(r#"{{"account":"{account}","kind":"user","id":"2"}}"#);
        Caller {
            application: application.parse().unwrap(),
            principal: serde_json::from_str(&principal).unwrap(),
            subject: "s".to_owned(),
            scopes: "openid".parse().unwrap(),
            revision: serde_json::from_str("1").unwrap(),
            family: "f".parse().unwrap(),
            expires_at: 1_000_000,
        }
    }

    fn mark<'a>(access_key_id: &'a str, nonce: &'a str, until: i64) -> Mark<'a> {
        Mark { access_key_id, nonce, signed_at: 1_000_000, until }
    }

    /// How many of so many requests of a caller are noted; all others find no room.
    fn noted(nonces: &Nonces, caller: &Caller, name: &str, now: i64) -> usize {
        let note = |number: usize| match nonces.once(caller, &mark(name, &number.to_string(), 100), now) {
            Ok(()) => true,
            Err(why) => {
                assert_eq!(why, NotProven::Full);
                false
            }
        };
        (0..20_000).filter(|number| note(*number)).count()
    }

    #[test]
    fn a_request_counts_once_while_its_time_lasts() {
        let (nonces, a) = (Nonces::new(1600, Moment::now()), caller("1", "1"));
        assert_eq!(nonces.once(&a, &mark("STS.k", "n", 100), 10), Ok(()));
        assert_eq!(nonces.look(&mark("STS.k", "n", 100), 99), Err(NotProven::Replayed));
        assert_eq!(nonces.once(&a, &mark("STS.k", "n", 100), 99), Err(NotProven::Replayed));
        assert_eq!(nonces.once(&a, &mark("STS.k", "m", 100), 99), Ok(()));
        assert_eq!(nonces.once(&a, &mark("STS.l", "n", 100), 99), Ok(()));
        // What a signature's own time refuses from then on need not be known any more.
        assert_eq!(nonces.once(&a, &mark("STS.k", "n", 200), 100), Ok(()));
    }

    #[test]
    fn who_only_looks_notes_nothing() {
        let (nonces, a) = (Nonces::new(1600, Moment::now()), caller("1", "1"));
        for _ in 0..2 {
            assert_eq!(nonces.look(&mark("STS.k", "n", 100), 10), Ok(()));
        }
        assert_eq!(nonces.once(&a, &mark("STS.k", "n", 100), 10), Ok(()));
    }

    #[test]
    fn what_was_signed_before_the_process_began_is_not_known_and_refused() {
        let nonces = Nonces::new(1600, Moment::default());
        let at = |seconds: u64| Moment::after(std::time::Duration::from_secs(seconds));
        let look = |signed_at, now, ran| {
            nonces.look_at(&Mark { signed_at, ..mark("STS.k", "n", 9000) }, now, at(ran))
        };
        // It began at 4990.
        assert_eq!(look(4990, 5000, 10), Ok(()));
        assert_eq!(look(4990 - CLOCKS_DIFFER, 5000, 10), Ok(()));
        assert_eq!(look(4989 - CLOCKS_DIFFER, 5000, 10), Err(NotProven::Unremembered));
        assert_eq!(look(4100, 5000, 10), Err(NotProven::Unremembered));
        // The same once it has run for a quarter of an hour.
        assert_eq!(look(4100, 5000, 900), Ok(()));
        // The time of day was put back by an hour meanwhile: that alone refuses nobody.
        assert_eq!(look(1400, 1400, 10), Ok(()));
    }

    #[test]
    fn without_room_it_is_refused_and_there_is_room_again_when_time_has_passed() {
        let (nonces, a) = (Nonces::new(1600, Moment::now()), caller("1", "1"));
        assert_eq!(noted(&nonces, &a, "STS.k", 10), 800, "an application has half of the room");
        // Nothing was forgotten for it.
        assert_eq!(nonces.once(&a, &mark("STS.k", "0", 100), 11), Err(NotProven::Replayed));
        assert_eq!(nonces.once(&a, &mark("STS.k", "later", 300), 200), Ok(()));
    }

    #[test]
    fn there_is_room_for_others_however_much_some_take() {
        let nonces = Nonces::new(16_000, Moment::now());
        let taken: Vec<usize> = [("1", "1"), ("1", "2"), ("2", "1"), ("3", "1"), ("1", "3"), ("4", "4")]
            .into_iter()
            .map(|(account, application)| {
                noted(&nonces, &caller(account, application), &format!("STS.{account}{application}"), 10)
            })
            .collect();
        // A shard more or less full than others moves it a little.
        let near = |found: usize, expected: usize| found.abs_diff(expected) * 20 <= expected;
        assert!(near(taken[0], 8000) && near(taken[1], 2000), "{taken:?}");
        assert!(taken.iter().all(|count| *count > 0), "nobody finds nothing: {taken:?}");
        assert!(taken.iter().sum::<usize>() < 16_000, "there is some left: {taken:?}");
    }
}
