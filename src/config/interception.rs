//! Interception: a certificate authority of the platform team's own, in whose name a sidecar answers for the hosts of
//! routes that say `intercept = true`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::file::ConfigError;

/// `[interception]`: what a sidecar needs to look into tunnels that clients ask it for (`CONNECT`).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interception {
    /// The authority's certificate, PEM. Certificates that follow it in the file are shown to clients with it.
    pub certificate: PathBuf,
    /// Its private key, PEM. Who has it can speak for any host to those who trust the authority: it is to be used for
    /// nothing else, and trusted by the routed applications alone.
    pub key: PathBuf,
    /// How long the certificates that it issues are good, in hours, 1 to 168.
    #[serde(default = "a_day")]
    pub leaf_hours: u16,
    /// The ports that a tunnel may lead to.
    #[serde(default = "https")]
    pub ports: Vec<u16>,
    /// Tunnels at once; one peer, by its address, can have an eighth of them. Each is a connection too, and counts as one.
    #[serde(default = "two_thousand")]
    pub tunnels: usize,
}

impl Interception {
    pub(super) fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let complain = |why: String| Err(ConfigError::whole(path, format!("[interception]: {why}")));
        if !(1..=168).contains(&self.leaf_hours) {
            return complain(format!("leaf_hours is {}, but 1 to 168 are allowed", self.leaf_hours));
        }
        if self.ports.is_empty() || self.ports.contains(&0) {
            return complain("ports names no port; leave it away for 443 alone".to_owned());
        }
        if self.tunnels == 0 {
            return complain("tunnels is 0; leave [interception] away to refuse all tunnels".to_owned());
        }
        Ok(())
    }
}

fn a_day() -> u16 {
    24
}

fn https() -> Vec<u16> {
    vec![443]
}

fn two_thousand() -> usize {
    2_000
}

#[cfg(test)]
mod tests {
    use crate::config::sidecar::Sidecar;
    use crate::config::sidecar::tests::{GOOD, parse};

    const INTERCEPTED: &str = r#"
        [interception]
        certificate = "ca.crt"
        key = "ca.key"
        [[route]]
        path = "/"
        host = "ecs*.aliyuncs.com"
        intercept = true
        upstream = "cloud"
        adapter = "acs"
        product = "ecs"
    "#;

    /// The settings with `to` in place of `from`.
    fn with(from: &str, to: &str) -> Result<Sidecar, String> {
        parse(&format!("{GOOD}{}", INTERCEPTED.replace(from, to))).map_err(|error| error.to_string())
    }

    #[test]
    fn a_route_that_is_intercepted_has_a_host_and_an_authority() {
        let settings = with("", "").unwrap();
        let interception = settings.interception.unwrap();
        assert_eq!((interception.ports.as_slice(), interception.leaf_hours), ([443].as_slice(), 24));
        for host in ["sts.aliyuncs.com", "*.amazonaws.com", "gateway"] {
            with("ecs*.aliyuncs.com", host).unwrap();
        }
    }

    #[test]
    fn what_would_intercept_nothing_or_too_much_is_refused() {
        for (from, to, what) in [
            ("intercept = true", "", "no route says intercept = true"),
            ("host = \"ecs*.aliyuncs.com\"", "", "intercept = true needs a host"),
            ("ecs*.aliyuncs.com", "*", "hosts of others"),
            ("ecs*.aliyuncs.com", "*.com", "hosts of others"),
            ("ecs*.aliyuncs.com", "*aliyuncs.com", "hosts of others"),
            ("ecs*.aliyuncs.com", "ecs.*", "hosts of others"),
            ("[interception]", "[interception]\nleaf_hours = 0", "leaf_hours is 0"),
            ("[interception]", "[interception]\nleaf_hours = 169", "leaf_hours is 169"),
            ("[interception]", "[interception]\nports = []", "names no port"),
            ("[interception]", "[interception]\ntunnels = 0", "tunnels is 0"),
            ("key = \"ca.key\"", "", "missing field `key`"),
            ("key = \"ca.key\"", "key = \"ca.key\"\npassword = \"x\"", "unknown field"),
            (
                "[interception]\n        certificate = \"ca.crt\"\n        key = \"ca.key\"",
                "",
                "there is no [interception]",
            ),
        ] {
            let error = with(from, to).unwrap_err();
            assert!(error.contains(what), "{to:?}: {error}");
        }
    }
}
