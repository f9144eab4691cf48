//! A control plane's settings: `deploy/control.toml` is an example of all of them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::Url;

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
        file::parse(path, &file::text(path)?)
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
    fn a_setting_that_nobody_knows_is_refused_where_it_stands() {
        let error = parse(&EXAMPLE.replace("\nstore", "\nstor")).unwrap_err().to_string();
        assert!(error.starts_with("control.toml:6:1: unknown field `stor`"), "{error}");
    }
}
