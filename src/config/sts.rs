//! A cloud's security token service, by which a sidecar gets credentials of a role: `[sts.<name>]` in `sidecar.toml`.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use url::Url;

use super::file::ConfigError;
use super::{is_this_machine, three_seconds};

/// A security token service, and what is asked of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sts {
    /// Whose it is.
    pub cloud: Cloud,
    /// Where it is: scheme, host and port.
    pub endpoint: Url,
    /// The region that it and the upstreams of its routes are in; calls are signed for it. Needed for `aws`.
    #[serde(default)]
    pub region: Option<String>,
    /// The role to assume, with the caller's account in it: `arn:aws:iam::{account}:role/consentry`, or
    /// `acs:ram::{account}:role/consentry`. A role that names its account itself serves that account's callers alone.
    pub role: String,
    /// The file that holds the credentials which may assume the role, as JSON (`access_key_id`, `secret_access_key`
    /// and perhaps `session_token`); read at each use. The usual variables of the environment unless set.
    #[serde(default)]
    pub credentials_file: Option<PathBuf>,
    /// How long the role's credentials live, in seconds, 900 to 43,200.
    #[serde(default = "fifteen_minutes")]
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
    /// What clients are given who ask for a role themselves, where a route says `answers = "sts"`.
    #[serde(default)]
    pub clients: Option<Clients>,
}

/// What leaves a sidecar: credentials that work at the cloud itself, until they end.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clients {
    /// The cloud's services that they may be for: `["s3", "dynamodb"]`. Their session policy allows what was granted of
    /// these, and nothing of others.
    pub services: Vec<String>,
    /// The roles that may be asked for, written as `role` is; that one alone unless set.
    #[serde(default)]
    pub roles: Vec<String>,
    /// How long they live at most, in seconds, 900 to 43,200. Nothing ends them before: neither we nor a revocation.
    #[serde(default = "fifteen_minutes")]
    pub seconds: u32,
    /// That they may end after the token that they were asked for with, by less than 900 seconds. Who signs with an
    /// exchanged key needs it: such a key lasts 900 seconds at most, and no cloud gives a role for less.
    #[serde(default)]
    pub outlive_token: bool,
}

/// Which cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cloud {
    /// Alibaba Cloud: upstream calls are signed with `ACS3-HMAC-SHA256`.
    Alibaba,
    /// AWS: upstream calls are signed with Signature Version 4.
    Aws,
}

impl Sts {
    pub(super) fn check(&self, path: &Path, name: &str) -> Result<(), ConfigError> {
        let complain = |why: String| Err(ConfigError::whole(path, format!("[sts.{name}]: {why}")));
        let url = &self.endpoint;
        let plain = matches!(url.path(), "" | "/") && url.query().is_none() && url.host().is_some();
        if !matches!(url.scheme(), "http" | "https") || !plain || !url.username().is_empty() {
            return complain(format!("endpoint is {url}, but only scheme, host and port are allowed"));
        }
        if url.scheme() == "http" && !is_this_machine(url) {
            return complain(format!(
                "{url} would carry credentials over the network in the clear; use https"
            ));
        }
        let begin = match self.cloud {
            Cloud::Alibaba => "acs:ram::",
            Cloud::Aws => "arn:aws",
        };
        if !self.role.starts_with(begin) || self.account_of(&self.role).is_none() {
            return complain(format!("role is {:?}, which is not the ARN of a role ({begin}…)", self.role));
        }
        if self.cloud == Cloud::Aws && self.region.is_none() {
            return complain("region is missing; calls to AWS are signed for one".to_owned());
        }
        if !LIVES.contains(&self.seconds) {
            return complain(format!("seconds is {}, but 900 to 43200 are allowed", self.seconds));
        }
        self.clients.as_ref().map_or(Ok(()), |clients| clients.check(self)).or_else(complain)
    }

    /// The roles that clients may ask for, as the settings write them.
    #[must_use]
    pub fn roles(&self) -> &[String] {
        let roles = self.clients.as_ref().map(|clients| &*clients.roles);
        roles.filter(|roles| !roles.is_empty()).unwrap_or(std::slice::from_ref(&self.role))
    }

    /// The account in a role's ARN.
    #[must_use]
    pub fn account_of<'r>(&self, role: &'r str) -> Option<&'r str> {
        let parts: Vec<&str> = role.split(':').collect();
        let (account, rest) = match (self.cloud, parts.as_slice()) {
            (Cloud::Alibaba, ["acs", "ram", "", account, rest]) => (account, rest),
            (Cloud::Aws, ["arn", _, "iam", "", account, rest]) => (account, rest),
            (Cloud::Alibaba | Cloud::Aws, _) => return None,
        };
        rest.strip_prefix("role/").filter(|name| !name.is_empty()).map(|_| *account)
    }
}

impl Clients {
    fn check(&self, of: &Sts) -> Result<(), String> {
        let named = |service: &String| {
            !service.is_empty()
                && service.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        if self.services.is_empty() || !self.services.iter().all(named) {
            return Err("clients.services names no services, as [\"s3\", \"dynamodb\"] does".to_owned());
        }
        // Who has a role by it has left the session policy behind.
        if self.services.iter().any(|service| service == "sts") {
            return Err("clients.services names sts, by which nobody may get further roles".to_owned());
        }
        if let Some(role) = self.roles.iter().find(|role| of.account_of(role).is_none()) {
            return Err(format!("clients.roles has {role:?}, which is not the ARN of a role"));
        }
        if !LIVES.contains(&self.seconds) {
            return Err(format!("clients.seconds is {}, but 900 to 43200 are allowed", self.seconds));
        }
        Ok(())
    }
}

/// What clouds give, in seconds.
const LIVES: std::ops::RangeInclusive<u32> = SHORTEST..=43_200;

/// The shortest life of a role's credentials that either cloud gives, in seconds.
pub const SHORTEST: u32 = 900;

fn fifteen_minutes() -> u32 {
    900
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), String> {
        let sts: Sts = toml::from_str(text).map_err(|error| error.to_string())?;
        sts.check(Path::new("sidecar.toml"), "x").map_err(|error| error.to_string())
    }

    const AWS: &str = r#"
        cloud = "aws"
        endpoint = "https://sts.eu-central-1.amazonaws.com"
        region = "eu-central-1"
        role = "arn:aws:iam::{account}:role/consentry"
    "#;

    #[test]
    fn a_service_of_either_cloud_is_taken() {
        assert_eq!(check(AWS), Ok(()));
        assert_eq!(
            check(&AWS.replace("https://sts.eu-central-1.amazonaws.com", "http://127.0.0.1:9000")),
            Ok(())
        );
        let alibaba = AWS.replace("\"aws\"", "\"alibaba\"").replace("arn:aws:iam", "acs:ram");
        assert_eq!(check(&alibaba), Ok(()));
    }

    #[test]
    fn clients_are_given_the_one_role_for_a_quarter_of_an_hour_unless_the_settings_say_otherwise() {
        let sts: Sts = toml::from_str(&format!("{AWS}\nclients = {{ services = [\"s3\"] }}")).unwrap();
        assert!(sts.check(Path::new("sidecar.toml"), "x").is_ok());
        let clients = sts.clients.as_ref().unwrap();
        assert_eq!(
            (sts.roles(), clients.seconds, clients.outlive_token),
            (&[sts.role.clone()][..], 900, false)
        );
    }

    #[test]
    fn what_could_leak_or_mislead_is_refused() {
        for (from, to, what) in [
            ("https://sts", "http://sts", "in the clear"),
            ("amazonaws.com", "amazonaws.com/x", "only scheme, host and port"),
            ("arn:aws:iam", "acs:ram", "not the ARN of a role"),
            ("role/consentry", "user/consentry", "not the ARN of a role"),
            ("region = \"eu-central-1\"", "", "region is missing"),
            ("cloud = \"aws\"", "cloud = \"aws\"\nseconds = 60", "seconds is 60"),
            ("cloud = \"aws\"", "cloud = \"aws\"\nsecret = \"x\"", "unknown field"),
            ("cloud = \"aws\"", "cloud = \"aws\"\nclients = { services = [] }", "names no services"),
            ("cloud = \"aws\"", "cloud = \"aws\"\nclients = { services = [\"*\"] }", "names no services"),
            ("cloud = \"aws\"", "cloud = \"aws\"\nclients = { services = [\"s3\", \"sts\"] }", "names sts"),
            (
                "cloud = \"aws\"",
                "cloud = \"aws\"\nclients = { services = [\"s3\"], seconds = 60 }",
                "clients.seconds",
            ),
            (
                "cloud = \"aws\"",
                "cloud = \"aws\"\nclients = { services = [\"s3\"], roles = [\"x\"] }",
                "clients.roles",
            ),
        ] {
            let error = check(&AWS.replace(from, to)).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
    }
}
