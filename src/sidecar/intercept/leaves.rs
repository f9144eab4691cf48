//! The certificates that are in use, each for the first half of its life.
//!
//! In: a host that a route has let pass. Out: the server side of TLS for it. There are only so many at once, whatever
//! hosts are asked for; the least wanted are forgotten. Whoever asks has proven nothing, and to make one is work: only so
//! many are made in a second, and what could not be made is not tried again at once.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use moka::sync::Cache;
use parking_lot::Mutex;
use rustls::ServerConfig;

use super::authority::{Authority, AuthorityError};
use crate::net::tls;

/// Certificates by their host.
pub(super) struct Leaves {
    authority: Authority,
    kept: Cache<Box<str>, Kept>,
    /// Hosts for which none could be made, and since when.
    failed: Cache<Box<str>, Timestamp>,
    pace: Mutex<Pace>,
}

/// Why there is none for a host.
#[derive(Debug)]
pub(super) enum NoLeaf {
    /// It could not be made.
    Failed(AuthorityError),
    /// That was found a moment ago.
    JustFailed,
    /// Too many were made in this second. Whether it was said a moment ago.
    TooMany { again: bool },
}

#[derive(Clone)]
struct Kept {
    tls: Arc<ServerConfig>,
    from: Timestamp,
    /// From then on it is made anew.
    until: Timestamp,
    /// From then on it is good no more.
    ends: Timestamp,
}

/// How many were made in one second.
#[derive(Default)]
struct Pace {
    second: i64,
    made: u32,
    /// When it was last said that they are too many.
    told: Option<Timestamp>,
}

impl Leaves {
    pub(super) fn new(authority: Authority) -> Self {
        let (kept, failed) = (Cache::new(MOST), Cache::new(MOST));
        Self { authority, kept, failed, pace: Mutex::default() }
    }

    /// What a client that wants to speak with `host` is answered with.
    ///
    /// # Errors
    /// [`NoLeaf`].
    pub(super) fn of(&self, host: &str, now: Timestamp) -> Result<Arc<ServerConfig>, NoLeaf> {
        let kept = self.kept.get(host).filter(|kept| (kept.from..kept.ends).contains(&now));
        if let Some(kept) = kept.as_ref().filter(|kept| now < kept.until) {
            return Ok(Arc::clone(&kept.tls));
        }
        if self.failed.get(host).is_some_and(|since| is_within(PAUSE, since, now)) {
            return Err(NoLeaf::JustFailed);
        }
        if let Err(too_many) = self.pace.lock().step(now) {
            // Who is served already goes on to be, whatever others ask for.
            return kept.map(|kept| kept.tls).ok_or(too_many);
        }
        let kept = self.make(host, now).map_err(|why| {
            self.failed.insert(host.into(), now);
            NoLeaf::Failed(why)
        })?;
        let tls = Arc::clone(&kept.tls);
        self.kept.insert(host.into(), kept);
        Ok(tls)
    }

    fn make(&self, host: &str, now: Timestamp) -> Result<Kept, AuthorityError> {
        let leaf = self.authority.issue(host, now)?;
        let not_made =
            |why: rustls::Error| AuthorityError::NotMade { host: host.to_owned(), why: why.to_string() };
        let tls = tls::server_with(leaf.chain, leaf.key).map_err(not_made)?;
        let half = leaf.until.duration_since(now) / 2;
        let until = now.checked_add(half).unwrap_or(now);
        Ok(Kept { tls, from: leaf.from, until, ends: leaf.until })
    }
}

impl Pace {
    /// One more.
    fn step(&mut self, now: Timestamp) -> Result<(), NoLeaf> {
        let second = now.as_second();
        if self.second != second {
            (self.second, self.made) = (second, 0);
        }
        if self.made < A_SECOND {
            self.made += 1;
            return Ok(());
        }
        let again = self.told.is_some_and(|told| is_within(PAUSE, told, now));
        if !again {
            self.told = Some(now);
        }
        Err(NoLeaf::TooMany { again })
    }
}

/// Whether `now` is less than `time` after `since`. A clock that was set back counts as long ago.
fn is_within(time: SignedDuration, since: Timestamp, now: Timestamp) -> bool {
    (SignedDuration::ZERO..time).contains(&now.duration_since(since))
}

/// Hosts whose certificates are kept, and hosts whose failures are.
const MOST: u64 = 1_000;

/// Certificates that are made in a second, each with a key of its own. One takes some 0.2 ms, and some 5 ms where the
/// authority has a long RSA key: so many take a quarter of one processor at worst. Clients ask for one for each host that
/// they speak with, twice a day: a whole deployment that starts at once is through within seconds.
const A_SECOND: u32 = 50;

/// For so long what failed is not tried again, and not said again.
const PAUSE: SignedDuration = SignedDuration::from_mins(1);
