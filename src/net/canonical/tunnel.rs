//! Where a tunnel leads (RFC 9110 section 9.3.6), and whether what comes through it is meant for there.
//!
//! In: a CONNECT, later the requests that came through the tunnel. Out: host and port, in their one spelling; or a
//! [`Malformed`]. It resolves no name and opens nothing.

use std::net::IpAddr;

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE};
use http::{Request, Version};
use hyper::body::Body as _;
use rustls::pki_types::ServerName;

use super::host::split;
use super::{Candidate, MOST_HEADERS, Malformed};
use crate::net::body::Inbound;

/// Host, in lower case, and port of a tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    host: Box<str>,
    port: u16,
}

impl Destination {
    /// What a CONNECT names: a host and a port, and nothing that could be meant for anything else.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn read(request: &Request<Inbound>) -> Result<Self, Malformed> {
        let (headers, target) = (request.headers(), request.uri());
        if headers.len() > MOST_HEADERS {
            return Err(Malformed::TooManyHeaders);
        }
        let framed =
            [CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE].iter().any(|name| headers.contains_key(name));
        // Over HTTP/2 the tunnel would be one stream among others.
        let plain = target.scheme().is_none() && target.path_and_query().is_none();
        if framed || !request.body().is_end_stream() || !plain || request.version() >= Version::HTTP_2 {
            return Err(Malformed::TunnelForm);
        }
        let authority = target.authority().ok_or(Malformed::TunnelForm)?.as_str();
        let (host, port) = named(authority).ok_or(Malformed::BadHost)?;
        let destination =
            Self { host: host.to_ascii_lowercase().into(), port: port.ok_or(Malformed::TunnelForm)? };
        let named_well = matches!(ServerName::try_from(destination.host()), Ok(ServerName::DnsName(_)));
        if !named_well && !destination.is_address() {
            return Err(Malformed::BadHost);
        }
        // HTTP/1.0 needs none (Python's before 3.12), and some clients leave the usual port out of it.
        let mut hosts = headers.get_all(HOST).iter();
        match (hosts.next().map(|host| host.to_str()), hosts.next()) {
            (None, _) if request.version() < Version::HTTP_11 => Ok(destination),
            (None, _) => Err(Malformed::NoHost),
            (Some(Ok(host)), None) => match named(host) {
                Some((host, port)) if destination.is(&host.to_ascii_lowercase(), port) => Ok(destination),
                Some(_) => Err(Malformed::TwoHosts),
                None => Err(Malformed::BadHost),
            },
            (Some(Err(_)), None) => Err(Malformed::BadHost),
            (Some(_), Some(_)) => Err(Malformed::TwoHosts),
        }
    }

    /// The host, in lower case.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the host is an address, in whichever way one can be written: whatever ends in a number (WHATWG URL,
    /// "ends in a number checker").
    #[must_use]
    pub fn is_address(&self) -> bool {
        let last = self.host.rsplit('.').next().unwrap_or_default();
        let hexadecimal =
            last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let numeric = hexadecimal || last.bytes().all(|byte| byte.is_ascii_digit());
        numeric || self.host.starts_with('[') || self.host.parse::<IpAddr>().is_ok()
    }

    /// Whether a request that came through the tunnel is meant for where it leads.
    ///
    /// # Errors
    /// [`Malformed::OtherHost`].
    pub fn admits(&self, request: &Request<Inbound>, candidate: &Candidate) -> Result<(), Malformed> {
        let canonical = &candidate.canonical;
        // A target may spell out what it is for (RFC 9112 section 3.2.2); HTTP/2 always does.
        let scheme = request.uri().scheme_str();
        let fits =
            scheme.is_none_or(|scheme| scheme == "https") && self.is(canonical.host(), canonical.port());
        if fits { Ok(()) } else { Err(Malformed::OtherHost) }
    }

    fn is(&self, host: &str, port: Option<u16>) -> bool {
        *self.host == *host && self.port == port.unwrap_or(HTTPS)
    }
}

/// Name and port of an authority without user information.
fn named(authority: &str) -> Option<(&str, Option<u16>)> {
    let (name, port) = split(authority)?;
    Some((authority.get(..name)?, port))
}

/// RFC 9110 section 4.2.2.
const HTTPS: u16 = 443;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::canonical::read;

    fn connect(target: &str, headers: &[(&str, &str)]) -> Result<Destination, Malformed> {
        let version =
            if headers.iter().any(|(name, _)| *name == "host") { Version::HTTP_11 } else { Version::HTTP_10 };
        let mut request = Request::builder().method("CONNECT").uri(target).version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Destination::read(&request.body(Inbound::empty()).unwrap())
    }

    #[test]
    fn a_tunnel_leads_to_the_host_and_port_that_are_named() {
        let to = Destination { host: "ecs.example".into(), port: 443 };
        assert_eq!(connect("ecs.example:443", &[]), Ok(to.clone()));
        assert_eq!(connect("ECS.example:443", &[("host", "ecs.EXAMPLE:443")]), Ok(to.clone()));
        assert_eq!(connect("ecs.example:443", &[("host", "ecs.example")]), Ok(to));
        assert_eq!(connect("ecs.example:8443", &[("host", "ecs.example:8443")]).unwrap().port(), 8443);
    }

    #[test]
    fn what_could_lead_elsewhere_is_refused() {
        for (target, headers, why) in [
            ("ecs.example", [].as_slice(), Malformed::TunnelForm),
            ("/", &[("host", "ecs.example")], Malformed::TunnelForm),
            ("https://ecs.example:443/", &[], Malformed::TunnelForm),
            ("user:password@ecs.example:443", &[], Malformed::BadHost),
            ("ecs.example.:443", &[], Malformed::BadHost),
            ("ecs.example:0443", &[], Malformed::BadHost),
            ("ecs..example:443", &[], Malformed::BadHost),
            ("-ecs.example:443", &[], Malformed::BadHost),
            ("ecs.example:443", &[("host", "rds.example:443")], Malformed::TwoHosts),
            ("ecs.example:443", &[("host", "ecs.example:444")], Malformed::TwoHosts),
            ("ecs.example:444", &[("host", "ecs.example")], Malformed::TwoHosts),
            ("ecs.example:443", &[("host", "ecs.example"), ("host", "ecs.example")], Malformed::TwoHosts),
            ("ecs.example:443", &[("host", "a b")], Malformed::BadHost),
            ("ecs.example:443", &[("content-length", "0")], Malformed::TunnelForm),
            ("ecs.example:443", &[("transfer-encoding", "chunked")], Malformed::TunnelForm),
            ("ecs.example:443", &[("upgrade", "h2c")], Malformed::TunnelForm),
        ] {
            assert_eq!(connect(target, headers), Err(why), "{target} {headers:?}");
        }
        for (version, why) in
            [(Version::HTTP_2, Malformed::TunnelForm), (Version::HTTP_11, Malformed::NoHost)]
        {
            let request = Request::builder().method("CONNECT").uri("ecs.example:443").version(version);
            assert_eq!(Destination::read(&request.body(Inbound::empty()).unwrap()), Err(why));
        }
    }

    #[test]
    fn an_address_is_known_however_it_is_written() {
        for host in ["127.0.0.1", "[::1]", "127.1", "2130706433", "0x7f000001", "10.0.0.0x1", "a.b.7", "0x"] {
            assert!(connect(&format!("{host}:443"), &[]).unwrap().is_address(), "{host}");
        }
        for host in ["ecs.example", "1.example", "a7", "0x.example", "x0x1"] {
            assert!(!connect(&format!("{host}:443"), &[]).unwrap().is_address(), "{host}");
        }
    }

    #[test]
    fn what_comes_through_a_tunnel_is_for_its_host_alone() {
        let tunnel = connect("ecs.example:443", &[]).unwrap();
        let through = |target: &str, host: &str| {
            let request = Request::get(target).header("host", host).body(Inbound::empty()).unwrap();
            tunnel.admits(&request, &read(&request).unwrap())
        };
        for (target, host) in
            [("/", "ecs.example"), ("/", "ECS.example:443"), ("https://ecs.example/", "ecs.example")]
        {
            assert_eq!(through(target, host), Ok(()), "{target} {host}");
        }
        for (target, host) in [
            ("/", "rds.example"),
            ("/", "ecs.example:80"),
            ("/", "a.ecs.example"),
            ("http://ecs.example/", "ecs.example"),
            ("https://rds.example/", "rds.example"),
            ("ftp://ecs.example/", "ecs.example"),
        ] {
            assert_eq!(through(target, host), Err(Malformed::OtherHost), "{target} {host}");
        }
    }
}
