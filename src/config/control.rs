//! A control plane's settings: `deploy/control.toml` is an example of all of them.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::Deserialize;
use url::Url;

use super::file::{self, ConfigError};
use super::is_this_machine;
use super::provider::{self, Provider};
use super::redis::Redis;
use super::registration::Registration;

/// A control plane's settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// Where browsers, applications and administrators reach it.
    pub listen: SocketAddr,
    /// Its issuer URL (RFC 8414 §2): `https`, or `http` on loopback; no trailing slash.
    pub issuer: Url,
    /// The name of this node among those that share the store, by which it adds to the audit; the machine's unless set.
    #[serde(default)]
    pub node: Option<String>,
    /// The store: `sqlite:PATH`, or `postgres://user@host/database` without a password.
    pub store: String,
    /// The file that holds PostgreSQL's password; `CONSENTRY_STORE_PASSWORD` in the environment goes before it.
    #[serde(default)]
    pub store_password_file: Option<PathBuf>,
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
    /// The lease in seconds, 2 to 30: for how long a sidecar that hears nothing goes on, and so the longest that a
    /// revocation waits for it.
    #[serde(default = "five")]
    pub lease_seconds: u64,
    /// Where sidecars in other processes reach it; without it there are none.
    #[serde(default)]
    pub internal: Option<Internal>,
    /// Where operators and their probes reach `/livez` and `/readyz`; nowhere unless set.
    #[serde(default)]
    pub admin: Option<SocketAddr>,
    /// The shared tier that grants are published to.
    #[serde(default)]
    pub redis: Option<Redis>,
    /// How applications may register themselves; they cannot unless it is said.
    #[serde(default)]
    pub registration: Registration,
    /// The proxies between people and this server: their `X-Forwarded-For` is believed. This machine's own unless set.
    #[serde(default = "this_machine")]
    pub trusted_proxies: Vec<IpNet>,
    /// The organizations' own providers, by which their people log in.
    #[serde(default, rename = "provider")]
    pub providers: Vec<Provider>,
}

/// The internal API's own listener: never the public one.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Internal {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its certificate; in the clear without one.
    #[serde(default)]
    pub tls: Option<InternalTls>,
    /// Whether others than this machine may reach it in the clear: only where another layer keeps the network to
    /// itself. Enrolment tokens can be read on the way, and used first.
    #[serde(default)]
    pub allow_clear: bool,
}

/// The internal API's certificate, and whose certificates it asks sidecars for; read again when they change.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InternalTls {
    /// The certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The authority of the sidecars' certificates, PEM: a sidecar then must show one, and may enrol by it.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
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
        self.check_store(path)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if self
            .node
            .as_ref()
            .is_some_and(|node| node.is_empty() || node.len() > 64 || !node.chars().all(plain))
        {
            return complain("node is a name of 1 to 64 characters of A-Z a-z 0-9 . - _".to_owned());
        }
        if !(2..=30).contains(&self.lease_seconds) {
            return complain(format!("lease_seconds is {}, but 2 to 30 are allowed", self.lease_seconds));
        }
        self.redis.as_ref().map_or(Ok(()), |redis| redis.check(path))?;
        provider::check(&self.providers, path)?;
        self.registration.check(path)?;
        self.internal.as_ref().map_or(Ok(()), |internal| internal.check(path))?;
        let allowed = match self.issuer.scheme() {
            "https" => true,
            scheme => scheme == "http" && is_this_machine(&self.issuer),
        };
        if !allowed || self.issuer.query().is_some() || self.issuer.fragment().is_some() {
            let why =
                "it must be https (http on loopback only), without query and fragment (RFC 8414 section 2)";
            return complain(format!("issuer is {}, but {why}", self.issuer));
        }
        Ok(())
    }

    /// The file that holds the key under which secrets are kept, unless the environment holds it.
    #[must_use]
    pub fn key_place(&self) -> PathBuf {
        self.key_file.clone().unwrap_or_else(|| PathBuf::from("consentry.key"))
    }

    /// The lease's length.
    #[must_use]
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds)
    }

    fn check_store(&self, path: &Path) -> Result<(), ConfigError> {
        let complain = |why: &str| Err(ConfigError::whole(path, format!("store {why}")));
        if self.store.starts_with("sqlite:") {
            return Ok(());
        }
        match Url::parse(&self.store) {
            // Not printed: it holds a secret.
            Ok(url) if url.password().is_some() => {
                complain("holds a password, which does not belong there; use store_password_file")
            }
            Ok(url) if matches!(url.scheme(), "postgres" | "postgresql") => Ok(()),
            Ok(_) | Err(_) => {
                complain(&format!("is {:?}, but sqlite:PATH or postgres://… is known", self.store))
            }
        }
    }
}

impl Internal {
    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        if self.tls.is_some() || self.allow_clear || self.listen.ip().is_loopback() {
            return Ok(());
        }
        Err(ConfigError::whole(
            path,
            format!(
                "internal.listen is {}, where enrolment tokens cross the network in the clear; give [internal.tls], \
                 or say allow_clear = true if another layer protects that network",
                self.listen
            ),
        ))
    }
}

fn this_machine() -> Vec<IpNet> {
    let four = Ipv4Net::new(Ipv4Addr::new(127, 0, 0, 0), 8).map(IpNet::V4);
    let six = Ipv6Net::new(Ipv6Addr::LOCALHOST, 128).map(IpNet::V6);
    four.into_iter().chain(six).collect()
}

fn five() -> u64 {
    5
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
        assert!(
            settings.internal.is_some()
                && settings.admin.is_some()
                && settings.lease() == Duration::from_secs(5)
        );
    }

    #[test]
    fn an_unknown_store_a_password_in_the_open_a_long_lease_and_an_issuer_in_the_clear_are_refused() {
        let path = Path::new("control.toml");
        for (from, to) in [
            ("sqlite:", "mysql:"),
            ("sqlite:consentry.db", "postgres://consentry:hunter2@db/consentry"),
            ("lease_seconds = 5", "lease_seconds = 60"),
            ("http://127.0.0.1", "http://login.example"),
        ] {
            let settings = parse(&EXAMPLE.replace(from, to)).unwrap();
            let error = settings.check(path).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        parse(EXAMPLE).unwrap().check(path).unwrap();
    }

    #[test]
    fn an_internal_api_in_the_clear_is_for_this_machine_unless_it_is_said_aloud() {
        let of = |listen: &str, more: &str| {
            let there = "listen = \"127.0.0.1:8083\"";
            assert!(EXAMPLE.contains(there));
            let text = EXAMPLE.replace(there, &format!("listen = \"{listen}\"\n{more}"));
            parse(&text).unwrap().check(Path::new("control.toml"))
        };
        of("127.0.0.1:8083", "").unwrap();
        of("[::1]:8083", "").unwrap();
        of("0.0.0.0:8083", "allow_clear = true").unwrap();
        of("0.0.0.0:8083", "tls = { certificate = \"a\", key = \"b\" }").unwrap();
        for listen in ["0.0.0.0:8083", "192.0.2.10:8083", "[::]:8083"] {
            assert!(of(listen, "").unwrap_err().to_string().contains("allow_clear"));
        }
    }

    #[test]
    fn a_setting_that_nobody_knows_is_refused_where_it_stands() {
        let error = parse(&EXAMPLE.replace("\nstore", "\nstor")).unwrap_err().to_string();
        assert!(error.starts_with("control.toml:8:1: unknown field `stor`"), "{error}");
    }
}
