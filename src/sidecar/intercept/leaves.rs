//! The certificates that are in use, each for the first half of its life.
//!
//! In: a host that a route has let pass. Out: the server side of TLS for it. There are only so many at once, whatever
//! hosts are asked for; the least wanted are forgotten.

use std::sync::Arc;

use jiff::Timestamp;
use moka::sync::Cache;
use rustls::ServerConfig;

use super::authority::{Authority, AuthorityError};
use crate::net::tls;

/// Certificates by their host.
pub(super) struct Leaves {
    authority: Authority,
    kept: Cache<Box<str>, Kept>,
}

#[derive(Clone)]
struct Kept {
    tls: Arc<ServerConfig>,
    from: Timestamp,
    /// From then on it is made anew.
    until: Timestamp,
}

impl Leaves {
    pub(super) fn new(authority: Authority) -> Self {
        Self { authority, kept: Cache::new(MOST) }
    }

    /// What a client that wants to speak with `host` is answered with.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub(super) fn of(&self, host: &str, now: Timestamp) -> Result<Arc<ServerConfig>, AuthorityError> {
        if let Some(kept) = self.kept.get(host)
            && (kept.from..kept.until).contains(&now)
        {
            return Ok(kept.tls);
        }
        let leaf = self.authority.issue(host, now)?;
        let not_made =
            |why: rustls::Error| AuthorityError::NotMade { host: host.to_owned(), why: why.to_string() };
        let tls = tls::server_with(leaf.chain, leaf.key).map_err(not_made)?;
        let half = leaf.until.duration_since(now) / 2;
        let until = now.checked_add(half).unwrap_or(now);
        self.kept.insert(host.into(), Kept { tls: Arc::clone(&tls), from: leaf.from, until });
        Ok(tls)
    }
}

/// Hosts whose certificates are kept.
const MOST: u64 = 1_000;
