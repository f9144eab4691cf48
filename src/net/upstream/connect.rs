//! Opening a connection to an upstream: resolve, connect, TLS.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use super::UpstreamSettings;
use crate::net::stream::Stream;

/// Why a connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The configured host is not a name or an address.
    #[error("the configured host is not a name or an address")]
    BadHost,
    /// The name has no address.
    #[error("the name cannot be resolved: {0}")]
    Unresolved(io::Error),
    /// The name has only addresses that a name may not have.
    #[error(
        "the name resolves to a loopback, link-local or metadata address; allow it in the route if it is meant"
    )]
    Forbidden,
    /// The connection was refused or failed.
    #[error("{0}")]
    Refused(io::Error),
    /// It was not open in time.
    #[error("the connection was not open in time")]
    Late,
    /// The HTTP handshake failed.
    #[error("{0}")]
    Handshake(hyper::Error),
}

/// Opens a connection within the configured time.
pub(super) async fn dial(settings: &UpstreamSettings) -> Result<Stream, DialError> {
    tokio::time::timeout(settings.connect_timeout, open(settings)).await.unwrap_or(Err(DialError::Late))
}

async fn open(settings: &UpstreamSettings) -> Result<Stream, DialError> {
    let tcp = connect(settings).await?;
    let Some(tls) = &settings.tls else { return Ok(Stream::Plain(tcp)) };
    let name = ServerName::try_from(settings.host.clone()).map_err(|_| DialError::BadHost)?;
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::clone(tls));
    let tls = connector.connect(name, tcp).await.map_err(DialError::Refused)?;
    Ok(Stream::Opened(Box::new(tls)))
}

async fn connect(settings: &UpstreamSettings) -> Result<TcpStream, DialError> {
    let mut failed = DialError::Forbidden;
    for address in resolve(settings).await? {
        match TcpStream::connect(address).await {
            Ok(tcp) => {
                tcp.set_nodelay(true).map_err(DialError::Refused)?;
                return Ok(tcp);
            }
            Err(error) => failed = DialError::Refused(error),
        }
    }
    Err(failed)
}

async fn resolve(settings: &UpstreamSettings) -> Result<Vec<SocketAddr>, DialError> {
    // An address was configured as such, and so was `localhost`; only a name can be turned elsewhere.
    if let Ok(address) = settings.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, settings.port)]);
    }
    let named = settings.allow_local || settings.host == "localhost";
    let found = tokio::net::lookup_host((settings.host.as_str(), settings.port))
        .await
        .map_err(DialError::Unresolved)?;
    Ok(found.filter(|address| named || !is_local(address.ip())).collect())
}

/// Addresses that a name on the network has no business pointing to.
pub(in crate::net) fn is_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || v4 == ALIBABA_METADATA
        }
        IpAddr::V6(v6) => {
            v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified() || v6 == AWS_METADATA
        }
    }
}

/// The instance metadata services that are not on a link-local address.
const ALIBABA_METADATA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
const AWS_METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_not_lead_to_this_machine_or_its_metadata() {
        let local =
            ["127.0.0.1", "169.254.169.254", "0.0.0.0", "100.100.100.200", "::1", "fe80::1", "fd00:ec2::254"];
        for address in local.into_iter().chain(["::ffff:127.0.0.1", "::ffff:169.254.169.254"]) {
            assert!(is_local(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_name_may_lead_to_the_network() {
        for address in ["10.0.0.1", "100.100.100.201", "192.0.2.1", "2001:db8::1", "fd00::1"] {
            assert!(!is_local(address.parse().unwrap()), "{address}");
        }
    }
}
