//! A sidecar's settings: `deploy/sidecar.toml` is an example of all of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;
use url::Url;

use super::exchange::Exchange;
use super::file::{self, ConfigError};
use super::interception::Interception;
use super::is_this_machine;
use super::redis::Redis;
use super::route::{Adapter, Answers, Assume, Dialect, Route};
use super::sts::Sts;
use crate::model::id::{AccountId, SidecarId};

/// A sidecar's settings.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sidecar {
    /// Where applications reach it.
    pub listen: SocketAddr,
    /// Where operators reach `/livez`, `/readyz` and `/metrics`.
    pub admin: SocketAddr,
    /// Its address as applications know it, for challenges and metadata; `http://` and the listening address
    /// unless set.
    #[serde(default)]
    pub public_url: Option<Url>,
    /// The control plane's issuer URL, to the letter as tokens carry it.
    pub issuer: String,
    /// The folder of the policy authors' files; what the program was built with unless set.
    #[serde(default)]
    pub policies: Option<PathBuf>,
    /// Worker threads; as many as there are processors unless set.
    #[serde(default)]
    pub workers: Option<usize>,
    /// Where decision records go: a file, or `-` for standard output.
    #[serde(default = "standard_output")]
    pub records: String,
    /// The lease in seconds, 2 to 30: how long it serves without hearing from the control plane.
    #[serde(default = "five")]
    pub lease_seconds: u64,
    /// How long a graceful end may take, in seconds.
    #[serde(default = "thirty")]
    pub drain_seconds: u64,
    /// The certificate for TLS, if it is to be spoken.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// The authority for tunnels; without one they are refused.
    #[serde(default)]
    pub interception: Option<Interception>,
    /// The control plane's internal API: where grants come from.
    #[serde(default)]
    pub control: Option<ControlPlane>,
    /// The shared tier, read before the control plane is asked.
    #[serde(default)]
    pub redis: Option<Redis>,
    /// How much is taken in.
    #[serde(default)]
    pub limits: Limits,
    /// Where credentials of a cloud's roles come from.
    #[serde(default)]
    pub sts: BTreeMap<String, Sts>,
    /// Token services of the platform's own, by which a sidecar gets the tokens that upstreams take.
    #[serde(default)]
    pub exchange: BTreeMap<String, Exchange>,
    /// The number that an account has at its cloud, where that is another one than here.
    #[serde(default)]
    pub cloud_accounts: BTreeMap<AccountId, AccountId>,
    /// Where permitted calls may go.
    pub upstreams: BTreeMap<String, Upstream>,
    /// What is taken, how it is read, and where it goes.
    #[serde(default, rename = "route")]
    pub routes: Vec<Route>,
}

/// A certificate and its key, as PEM files; read again when they change.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// How a sidecar reaches its control plane, and what it is there.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlPlane {
    /// The internal API of each control node; the next is tried when one does not answer.
    pub urls: Vec<Url>,
    /// Its name at the control plane, unique there: in receipts, records and keys. `CONSENTRY_SIDECAR_NAME` in the
    /// environment goes before it.
    pub name: SidecarId,
    /// The folder for its own key; made for its owner's eyes only.
    pub state: PathBuf,
    /// The file that holds the one-time token of its enrolment, needed once; `CONSENTRY_ENROLMENT_TOKEN` in the
    /// environment goes before it. Not needed with a certificate.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// A certificate authority to trust instead of the system's, PEM.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Whether it may be reached in the clear on another machine: only where another layer keeps the network to
    /// itself. The enrolment token can be read on the way, and used first.
    #[serde(default)]
    pub allow_clear: bool,
    /// The certificate that it shows (mutual TLS), PEM.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// The certificate's private key, PEM.
    #[serde(default)]
    pub key: Option<PathBuf>,
}

/// An upstream.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Scheme, host and port; `http` or `https`. A path is not allowed: what the application asks for is what the
    /// upstream gets.
    pub url: Url,
    /// Speak HTTP/2 to it from the first byte (over TLS it is agreed upon anyway).
    #[serde(default)]
    pub http2: bool,
    /// A certificate authority to trust instead of the system's, as a PEM file.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Whether a host *name* may resolve to this machine or a link-local address. An address that is written out
    /// is always taken.
    #[serde(default)]
    pub allow_local: bool,
    /// How long connecting may take, in milliseconds.
    #[serde(default = "one_second")]
    pub connect_timeout_ms: u64,
    /// How long the answer's head may take, in milliseconds.
    #[serde(default = "thirty_seconds")]
    pub head_timeout_ms: u64,
    /// How long a body may stand still, in milliseconds.
    #[serde(default = "sixty_seconds")]
    pub idle_timeout_ms: u64,
}

/// How much is taken in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Verified tokens that are remembered.
    pub tokens: u64,
    /// Grants and members that are remembered.
    pub grants: u64,
    /// Decision records that may wait to be written.
    pub records: usize,
    /// Bytes of a body that an adapter must read to decide.
    pub body_to_decide: usize,
    /// Signed requests of the last quarter of an hour that are remembered, so that none counts twice. When there is no
    /// room for more, signed requests are refused; half of it is the most that one application can take.
    pub nonces: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            tokens: 20_000,
            grants: 100_000,
            records: 65_536,
            body_to_decide: 1 << 20,
            nonces: 500_000,
        }
    }
}

impl Sidecar {
    /// Reads and checks the file at `path`. Replicas share a file, but each needs a name of its own:
    /// `CONSENTRY_SIDECAR_NAME` in the environment goes before `control.name`.
    ///
    /// # Errors
    /// It cannot be read, or says something without meaning; the text names the place and the mend.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let settings = Self::parse(path, &file::text(path)?)?;
        match std::env::var("CONSENTRY_SIDECAR_NAME") {
            Ok(name) => settings.named(path, &name),
            Err(_) => Ok(settings),
        }
    }

    fn named(mut self, path: &Path, name: &str) -> Result<Self, ConfigError> {
        if let Some(control) = &mut self.control {
            control.name = name
                .parse()
                .map_err(|why| ConfigError::whole(path, format!("CONSENTRY_SIDECAR_NAME: {why}")))?;
        }
        Ok(self)
    }

    /// Reads and checks `text`, which stands in `path`.
    ///
    /// # Errors
    /// As [`Sidecar::read`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let settings: Self = file::parse(path, text)?;
        settings.check(path, text)?;
        Ok(settings)
    }

    /// The lease's length.
    #[must_use]
    pub fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds)
    }

    fn check(&self, path: &Path, text: &str) -> Result<(), ConfigError> {
        if !(2..=30).contains(&self.lease_seconds) {
            let why = format!("lease_seconds is {}, but 2 to 30 are allowed", self.lease_seconds);
            return Err(ConfigError::whole(path, why));
        }
        self.redis.as_ref().map_or(Ok(()), |redis| redis.check(path))?;
        self.control.as_ref().map_or(Ok(()), |control| control.check(path))?;
        if let Some(interception) = &self.interception {
            interception.check(path)?;
            if !self.routes.iter().any(|route| route.intercept) {
                let why = "there is an [interception], but no route says intercept = true";
                return Err(ConfigError::whole(path, why));
            }
        }
        for (name, upstream) in &self.upstreams {
            let plain = matches!(upstream.url.path(), "" | "/") && upstream.url.query().is_none();
            if !matches!(upstream.url.scheme(), "http" | "https") || !plain || upstream.url.host().is_none() {
                let why = format!(
                    "upstreams.{name}.url is {}, but only scheme, host and port are allowed",
                    upstream.url
                );
                return Err(ConfigError::whole(path, why));
            }
        }
        self.sts.iter().try_for_each(|(name, sts)| sts.check(path, name))?;
        self.exchange.iter().try_for_each(|(name, exchange)| exchange.check(path, name))?;
        let mut numbers = std::collections::HashSet::new();
        if let Some(twice) = self.cloud_accounts.values().find(|number| !numbers.insert(*number)) {
            let why = format!("cloud_accounts names {twice} for two accounts");
            return Err(ConfigError::whole(path, why));
        }
        self.routes.iter().try_for_each(|route| self.check_route(path, text, route))
    }

    fn check_route(&self, path: &Path, text: &str, route: &Route) -> Result<(), ConfigError> {
        let upstream = route.upstream.get_ref();
        let answering =
            route.answering().map_err(|why| ConfigError::at(path, text, route.path.span().start, why))?;
        if !(self.upstreams.contains_key(upstream) || upstream.is_empty() && answering.is_some()) {
            let known: Vec<_> = self.upstreams.keys().map(String::as_str).collect();
            let why = format!("there is no [upstreams.{upstream}]; known are: {}", known.join(", "));
            return Err(ConfigError::at(path, text, route.upstream.span().start, why));
        }
        self.check_intercepted(path, text, route)?;
        let template = route.path.get_ref();
        let adapter =
            route.reading().map_err(|why| ConfigError::at(path, text, route.adapter.span().start, why))?;
        let missing = match adapter {
            Adapter::Rest { resource, account, .. } => parameters(resource)
                .chain(account.into_iter().flat_map(parameters))
                .find(|name| !template.has(name))
                .map(str::to_owned),
            Adapter::Acs { .. } | Adapter::Aws { .. } => None,
            Adapter::Mcp { resource, account, .. } => resource
                .into_iter()
                .chain(account)
                .flat_map(parameters)
                .find(|name| !template.has(name))
                .map(str::to_owned),
        };
        if let Some(name) = missing {
            let why = format!(
                "the route {template} names {{{name}}} in its resource or account, but its path has no such part"
            );
            return Err(ConfigError::at(path, text, route.path.span().start, why));
        }
        let of_sts = [
            (route.assume == Assume::Sts).then_some("assume"),
            (route.answers == Some(Answers::Sts)).then_some("answers"),
        ];
        let own = |name: &str| self.sts.contains_key(name);
        named(path, text, route, ("sts", of_sts.into_iter().flatten().next(), route.sts.as_ref()), own)?;
        if route.answers == Some(Answers::Sts) {
            let why = |why| ConfigError::at(path, text, route.path.span().start, why);
            self.check_answers(route, answering).map_err(why)?;
        }
        let of_exchange = (route.assume == Assume::Exchange).then_some("assume");
        let own = |name: &str| self.exchange.contains_key(name);
        named(path, text, route, ("exchange", of_exchange, route.exchange.as_ref()), own)
    }

    /// Whether a route can answer with what its `[sts.*]` gives.
    fn check_answers(&self, route: &Route, answering: Option<Dialect>) -> Result<(), String> {
        let name = route.sts.as_ref().map_or("", |name| name.get_ref());
        let sts = self.sts.get(name).ok_or_else(|| format!("there is no [sts.{name}]"))?;
        if answering.is_none_or(|dialect| dialect.cloud() != sts.cloud) {
            return Err(format!("the route speaks of another cloud than that of [sts.{name}]"));
        }
        if sts.clients.is_none() {
            return Err(format!(
                "answers = \"sts\" needs [sts.{name}.clients] with services: what such credentials may be for"
            ));
        }
        Ok(())
    }

    /// Whether a route that is intercepted says for which hosts, and there is an authority for them.
    fn check_intercepted(&self, path: &Path, text: &str, route: &Route) -> Result<(), ConfigError> {
        if !route.intercept {
            return Ok(());
        }
        let (why, at) = match &route.host {
            None => (
                "intercept = true needs a host, so that it is clear which tunnels are meant",
                route.path.span().start,
            ),
            Some(host) if !host.get_ref().is_bounded() => (
                "intercept = true would answer for hosts of others: let the host end in a domain of its own, such as \
                  *.aliyuncs.com",
                host.span().start,
            ),
            Some(_) if self.interception.is_none() => (
                "intercept = true needs a certificate authority, and there is no [interception]",
                route.path.span().start,
            ),
            Some(_) => return Ok(()),
        };
        Err(ConfigError::at(path, text, at, why))
    }
}

impl ControlPlane {
    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let complain = |why: String| Err(ConfigError::whole(path, format!("[control]: {why}")));
        if self.urls.is_empty() {
            return complain("urls is empty; name the internal API of at least one control node".to_owned());
        }
        for url in &self.urls {
            let plain = matches!(url.path(), "" | "/") && url.query().is_none() && url.host().is_some();
            if !matches!(url.scheme(), "http" | "https") || !plain {
                return complain(format!("{url} is not just scheme, host and port (http or https)"));
            }
            if url.scheme() == "http" && !self.allow_clear && !is_this_machine(url) {
                return complain(format!(
                    "{url} would carry the enrolment token over the network in the clear; use https, or say \
                     allow_clear = true if another layer protects that network"
                ));
            }
        }
        if self.certificate.is_some() != self.key.is_some() {
            return complain("certificate and key belong together".to_owned());
        }
        Ok(())
    }
}

/// Whether a route that gets identities from a service names one that there is, and no other route does. `by` is the
/// setting by which it says so.
fn named(
    path: &Path,
    text: &str,
    route: &Route,
    (kind, by, named): (&str, Option<&str>, Option<&Spanned<String>>),
    is_known: impl Fn(&str) -> bool,
) -> Result<(), ConfigError> {
    let why = match (named, by) {
        (None, None) => return Ok(()),
        (None, Some(by)) => format!("{by} = \"{kind}\" needs {kind} = \"…\", the name of an [{kind}.*]"),
        (Some(_), None) => format!("{kind} is for assume = \"{kind}\""),
        (Some(name), Some(_)) if is_known(name.get_ref()) => return Ok(()),
        (Some(name), Some(_)) => format!("there is no [{kind}.{}]", name.get_ref()),
    };
    let at = named.map_or_else(|| route.path.span().start, |name| name.span().start);
    Err(ConfigError::at(path, text, at, why))
}

/// The names in braces.
fn parameters(template: &str) -> impl Iterator<Item = &str> {
    template.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}

fn standard_output() -> String {
    "-".to_owned()
}

fn five() -> u64 {
    5
}

fn thirty() -> u64 {
    30
}

fn one_second() -> u64 {
    1_000
}

fn thirty_seconds() -> u64 {
    30_000
}

fn sixty_seconds() -> u64 {
    60_000
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::config) const GOOD: &str = r#"
        listen = "127.0.0.1:0"
        admin = "127.0.0.1:0"
        issuer = "http://127.0.0.1:8081"
        [upstreams.cloud]
        url = "http://127.0.0.1:8082"
        [[route]]
        path = "/oss/{bucket}"
        upstream = "cloud"
        adapter = "rest"
        actions = { GET = "oss:ListObjects" }
        resource = "{bucket}"
    "#;

    pub(in crate::config) fn parse(text: &str) -> Result<Sidecar, ConfigError> {
        Sidecar::parse(Path::new("sidecar.toml"), text)
    }

    #[test]
    fn settings_that_mean_something_are_taken() {
        assert_eq!(parse(GOOD).unwrap().routes.len(), 1);
    }

    #[test]
    fn replicas_that_share_a_file_have_names_of_their_own() {
        let text =
            format!("{GOOD}[control]\nurls = [\"http://127.0.0.1:8083\"]\nname = \"web\"\nstate = \"x\"\n");
        let path = Path::new("sidecar.toml");
        let named = |name: &str| parse(&text).unwrap().named(path, name);
        assert_eq!(named("web-7").unwrap().control.unwrap().name.as_str(), "web-7");
        assert!(named("web 7").unwrap_err().to_string().contains("CONSENTRY_SIDECAR_NAME"));
    }

    #[test]
    fn a_control_plane_in_the_clear_is_on_this_machine_unless_it_is_said_aloud() {
        let of = |url: &str, more: &str| {
            let control = format!("urls = [\"{url}\"]\nname = \"web\"\nstate = \"x\"\n{more}");
            parse(&format!("{GOOD}[control]\n{control}"))
        };
        for url in
            ["http://127.0.0.1:8083", "http://localhost:8083", "http://[::1]:8083", "https://control:8083"]
        {
            of(url, "").unwrap();
        }
        of("http://control:8083", "allow_clear = true").unwrap();
        for url in ["http://control:8083", "http://192.0.2.10:8083", "http://127.0.0.1.example:8083"] {
            assert!(of(url, "").unwrap_err().to_string().contains("allow_clear"), "{url}");
        }
    }

    #[test]
    fn settings_without_meaning_are_refused_where_they_stand() {
        for (from, to, what) in [
            (
                "upstream = \"cloud\"",
                "upstream = \"clout\"",
                "sidecar.toml:9:20: there is no [upstreams.clout]",
            ),
            (
                "resource = \"{bucket}\"",
                "resource = \"{basket}\"",
                "sidecar.toml:8:16: the route /oss/{bucket} names {basket}",
            ),
            ("/oss/{bucket}\"", "oss\"", "sidecar.toml:8:16: a route's path begins with /"),
            ("8082\"", "8082/x\"", "upstreams.cloud.url is"),
            ("issuer", "isuer", "sidecar.toml:4:9: unknown field `isuer`"),
        ] {
            let error = parse(&GOOD.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }
}
