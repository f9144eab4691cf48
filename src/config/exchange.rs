//! A token service of the platform's own (RFC 8693), by which a sidecar gets the tokens that an upstream takes:
//! `[exchange.<name>]` in `sidecar.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::Url;

use super::file::ConfigError;
use super::{is_this_machine, three_seconds};
use crate::model::scope::{Scope, ScopeSet};

/// A token service, and what is asked of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// Its token endpoint: `https`, or `http` on this machine.
    pub url: Url,
    /// What it knows this sidecar as.
    pub client_id: String,
    /// The file that holds our secret there; read at each use.
    #[serde(default)]
    pub client_secret_file: Option<PathBuf>,
    /// The variable of the environment that holds it, instead of a file. With neither we are a public client.
    #[serde(default)]
    pub client_secret_env: Option<String>,
    /// For whom the assertion is meant that it is shown (`aud`); its URL unless set.
    #[serde(default)]
    pub assertion_audience: Option<String>,
    /// `audience`: what the upstream is called there.
    #[serde(default)]
    pub audience: Option<String>,
    /// `resource`: the upstream's address there.
    #[serde(default)]
    pub resource: Option<String>,
    /// What our scopes are called there. Only what stands here is asked for, and a token of more is not used. Without
    /// any, nothing is said of scopes: then the service goes by those in the assertion.
    #[serde(default)]
    pub scopes: BTreeMap<Scope, ScopeSet>,
    /// For how long one of its tokens is used at most, in seconds.
    #[serde(default = "five_minutes")]
    pub seconds: u32,
    /// How long an answer may take, in milliseconds.
    #[serde(default = "three_seconds")]
    pub timeout_ms: u64,
    /// A certificate authority to trust instead of the system's, as a PEM file.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Whether a host *name* may resolve to this machine or a link-local address. An address that is written out is
    /// always taken.
    #[serde(default)]
    pub allow_local: bool,
}

impl Exchange {
    /// For whom the assertion is meant.
    #[must_use]
    pub fn assertion_audience(&self) -> &str {
        self.assertion_audience.as_deref().unwrap_or_else(|| self.url.as_str())
    }

    pub(super) fn check(&self, path: &Path, name: &str) -> Result<(), ConfigError> {
        let complain = |why: String| Err(ConfigError::whole(path, format!("[exchange.{name}]: {why}")));
        let url = &self.url;
        let bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !bare {
            return complain(format!("url is {url}, but it must be the https address of a token endpoint"));
        }
        if url.scheme() == "http" && !is_this_machine(url) {
            return complain(format!("{url} would carry tokens over the network in the clear; use https"));
        }
        if self.client_id.is_empty() {
            return complain("client_id is empty".to_owned());
        }
        if self.client_secret_file.is_some() && self.client_secret_env.is_some() {
            return complain("give client_secret_file or client_secret_env, not both".to_owned());
        }
        if !(10..=3600).contains(&self.seconds) {
            return complain(format!("seconds is {}, but 10 to 3600 are allowed", self.seconds));
        }
        if !(100..=30_000).contains(&self.timeout_ms) {
            return complain(format!("timeout_ms is {}, but 100 to 30000 are allowed", self.timeout_ms));
        }
        match self.scopes.iter().find(|(_, theirs)| theirs.is_empty()) {
            Some((scope, _)) => complain(format!("scopes says nothing for {scope}; leave it out instead")),
            None => Ok(()),
        }
    }
}

fn five_minutes() -> u32 {
    300
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        url = "https://tokens.example/oauth2/token"
        client_id = "consentry"
        client_secret_env = "TOKENS_SECRET"
        audience = "files"
        [scopes]
        "/acs/oss:read" = ["files.read", "files.list"]
    "#;

    fn check(text: &str) -> Result<(), String> {
        let exchange: Exchange = toml::from_str(text).map_err(|error| error.to_string())?;
        exchange.check(Path::new("sidecar.toml"), "x").map_err(|error| error.to_string())
    }

    #[test]
    fn a_token_service_is_taken() {
        assert_eq!(check(GOOD), Ok(()));
        assert_eq!(check(&GOOD.replace("https://tokens.example", "http://127.0.0.1:9000")), Ok(()));
        let read: Exchange = toml::from_str(GOOD).unwrap();
        assert_eq!(read.assertion_audience(), "https://tokens.example/oauth2/token");
    }

    #[test]
    fn what_could_leak_or_mislead_is_refused() {
        for (from, to, what) in [
            ("https://", "http://", "in the clear"),
            ("https://", "https://user:hunter2@", "must be the https address"),
            ("token\"", "token#x\"", "must be the https address"),
            ("\"consentry\"", "\"\"", "client_id is empty"),
            ("client_secret_env", "client_secret_file = \"a\"\nclient_secret_env", "not both"),
            ("client_secret_env", "client_secret = \"hunter2\"\nclient_secret_env", "unknown field"),
            ("audience", "seconds = 5\naudience", "seconds is 5"),
            ("audience", "timeout_ms = 0\naudience", "timeout_ms is 0"),
            ("[\"files.read\", \"files.list\"]", "[]", "says nothing for /acs/oss:read"),
            ("/acs/oss:read", "/acs/oss read", "a scope is"),
        ] {
            assert!(check(&GOOD.replace(from, to)).unwrap_err().contains(what), "{to}");
        }
    }
}
