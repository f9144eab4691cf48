//! A control plane's settings: `deploy/control.toml` is an example of all of them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::{Host, Url};

use super::file::{self, ConfigError};

/// A control plane's settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// Where browsers, applications and administrators reach it.
    pub listen: SocketAddr,
    /// Its issuer URL (RFC 8414 §2): `https`, or `http` on loopback; no trailing slash.
    pub issuer: Url,
    /// The store: `sqlite:PATH`.
    pub store: String,
    /// The file that holds the key under which signing keys are kept; `CONSENTRY_KEY` in the environment goes
    /// before it.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// The sidecars' public URLs: a token may be asked for one of them (RFC 8707); the issuer itself always is one.
    #[serde(default)]
    pub resources: Vec<Url>,
    /// The folder of the policy authors' files; what the program was built with unless set.
    #[serde(default)]
    pub policies: Option<PathBuf>,
}

impl Control {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// It cannot be read, or says something without meaning; the text names the place and the mend.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = file::text(path)?;
        let settings: Self = file::parse(path, &text)?;
        settings.check(path)?;
        Ok(settings)
    }

    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let complain = |why: String| Err(ConfigError::whole(path, why));
        if !self.store.starts_with("sqlite:") {
            return complain(format!("store is {:?}, but only sqlite:PATH is there yet", self.store));
        }
        let loopback = match self.issuer.host() {
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        let allowed = self.issuer.scheme() == "https" || (self.issuer.scheme() == "http" && loopback);
        if !allowed || self.issuer.query().is_some() || self.issuer.fragment().is_some() {
            let why =
                "it must be https (http on loopback only), without query and fragment (RFC 8414 section 2)";
            return complain(format!("issuer is {}, but {why}", self.issuer));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../deploy/control.toml");

    fn parse(text: &str) -> Result<Control, ConfigError> {
        file::parse(Path::new("control.toml"), text)
    }

    #[test]
    fn the_example_sets_all_that_can_be_set() {
        let settings = parse(EXAMPLE).unwrap();
        assert!(settings.key_file.is_some() && settings.policies.is_some() && settings.resources.len() == 1);
    }

    #[test]
    fn a_store_that_is_not_there_yet_and_an_issuer_in_the_clear_are_refused() {
        let path = Path::new("control.toml");
        for (from, to) in [("sqlite:", "postgres:"), ("http://127.0.0.1", "http://login.example")] {
            let settings = parse(&EXAMPLE.replace(from, to)).unwrap();
            assert!(settings.check(path).is_err(), "{to} was taken");
        }
        parse(EXAMPLE).unwrap().check(path).unwrap();
    }

    #[test]
    fn a_setting_that_nobody_knows_is_refused_where_it_stands() {
        let error = parse(&EXAMPLE.replace("\nstore", "\nstor")).unwrap_err().to_string();
        assert!(error.starts_with("control.toml:6:1: unknown field `stor`"), "{error}");
    }
}
