//! How Redis is reached. The same keys for both roles; what each may do there is the ACL user's matter.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::Url;

use super::file::ConfigError;

/// The shared tier.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// `redis://host:port/db`, `rediss://` over TLS, or `redis+unix:///path`; without a password.
    #[serde(default)]
    pub url: Option<Url>,
    /// What stands behind the address.
    #[serde(default)]
    pub mode: Mode,
    /// Sentinels, or seeds of a cluster, instead of `url`.
    #[serde(default)]
    pub nodes: Vec<Url>,
    /// The name of the group that the sentinels watch.
    #[serde(default)]
    pub master: Option<String>,
    /// The ACL user (Redis 6 and later).
    #[serde(default)]
    pub username: Option<String>,
    /// The file that holds its password; `CONSENTRY_REDIS_PASSWORD` in the environment goes before it.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// A certificate authority to trust instead of the system's, as a PEM file.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// What every key begins with.
    #[serde(default = "prefix")]
    pub prefix: String,
}

/// How Redis is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// One server.
    #[default]
    Standalone,
    /// A primary that sentinels watch and replace.
    Sentinel,
    /// Redis Cluster.
    Cluster,
}

impl Redis {
    /// Standalone at `url`, with what else is usual.
    #[must_use]
    pub fn at(url: Url) -> Self {
        Self {
            url: Some(url),
            mode: Mode::Standalone,
            nodes: Vec::new(),
            master: None,
            username: None,
            password_file: None,
            ca: None,
            prefix: prefix(),
        }
    }

    /// Every address that is named.
    pub fn addresses(&self) -> impl Iterator<Item = &Url> {
        self.url.iter().chain(&self.nodes)
    }

    pub(super) fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let complain = |why: &str| Err(ConfigError::whole(path, format!("[redis]: {why}")));
        match self.mode {
            Mode::Standalone if self.url.is_none() || !self.nodes.is_empty() => {
                return complain(
                    "a standalone server has url and no nodes; set mode for sentinel or cluster",
                );
            }
            Mode::Sentinel if self.nodes.is_empty() || self.master.is_none() => {
                return complain("mode sentinel needs nodes (the sentinels' addresses) and master");
            }
            Mode::Cluster if self.nodes.is_empty() => {
                return complain("mode cluster needs nodes, some of its servers' addresses");
            }
            Mode::Standalone | Mode::Sentinel | Mode::Cluster => {}
        }
        for url in self.addresses() {
            if !matches!(url.scheme(), "redis" | "rediss" | "redis+unix" | "unix") {
                return complain(&format!("{} is not redis://, rediss:// or redis+unix://", url.scheme()));
            }
            if url.password().is_some() || url.query_pairs().any(|(name, _)| name == "pass") {
                // Not printed: it holds a secret.
                return complain("a password does not belong into an address; use password_file");
            }
        }
        if self.prefix.is_empty() || self.prefix.contains(['{', '}', '\r', '\n', ' ']) {
            return complain("prefix must not be empty, and holds neither braces nor spaces");
        }
        Ok(())
    }
}

fn prefix() -> String {
    "consentry:".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), ConfigError> {
        let path = Path::new("x.toml");
        super::super::file::parse::<Redis>(path, text)?.check(path)
    }

    #[test]
    fn each_way_that_redis_is_run_can_be_written_down() {
        check("url = \"redis://127.0.0.1:6379\"").unwrap();
        check("mode = \"sentinel\"\nnodes = [\"redis://a:26379\"]\nmaster = \"mymaster\"").unwrap();
        check("mode = \"cluster\"\nnodes = [\"rediss://a:6379\", \"rediss://b:6379\"]").unwrap();
    }

    #[test]
    fn what_cannot_be_reached_or_would_show_a_secret_is_refused() {
        for text in [
            "",
            "url = \"http://a\"",
            "mode = \"sentinel\"\nnodes = [\"redis://a\"]",
            "mode = \"cluster\"\nurl = \"redis://a\"",
            "url = \"redis://a\"\nprefix = \"a b\"",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
        for url in ["redis://user:hunter2@a", "redis+unix:///run/redis.sock?pass=hunter2"] {
            let error = check(&format!("url = \"{url}\"")).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
