//! How applications may register themselves at the authorization server.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::file::ConfigError;
use crate::model::scope::ScopeSet;

/// The `[registration]` of a control plane. Without it none can.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Registration {
    /// Whether a request is enough (RFC 7591, `POST /v1/register`). Without it those that came so before get neither codes
    /// nor tokens any more.
    pub dynamic: bool,
    /// Whether an `https` address is a client ID if what stands there describes the client.
    pub documents: bool,
    /// The most that such an application can be granted from now on, besides knowing who somebody is; every scope unless
    /// set. What was granted before stays granted.
    pub scopes: ScopeSet,
    /// After how many hours one is forgotten that nobody has authorized, 1 to 720.
    pub keep_hours: u32,
    /// How many of those there may be, by requests and by documents each.
    pub most: u64,
    /// How many may come from one address (one network of 64 bits) in an hour, by requests and by documents each; from
    /// the network around it, of 24 bits or of 48, twice as many.
    pub per_hour: u32,
    /// Whether descriptions may stand at addresses that are not public, or on other ports than 443: for networks of
    /// one's own. Whoever can open the log-in page can then make this machine ask there.
    pub allow_private: bool,
    /// A certificate authority to trust instead of the system's when descriptions are read, PEM.
    pub ca: Option<PathBuf>,
}

impl Default for Registration {
    fn default() -> Self {
        Self {
            dynamic: false,
            documents: false,
            scopes: ScopeSet::new(),
            keep_hours: 24,
            most: 2_000,
            per_hour: 30,
            allow_private: false,
            ca: None,
        }
    }
}

impl Registration {
    pub(super) fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let complain = |why: &str| Err(ConfigError::whole(path, format!("registration.{why}")));
        if !(1..=720).contains(&self.keep_hours) {
            return complain("keep_hours is a number from 1 to 720");
        }
        if self.most == 0 || self.per_hour == 0 {
            return complain(
                "most and per_hour are at least 1; to let none in, leave dynamic and documents out",
            );
        }
        Ok(())
    }
}
