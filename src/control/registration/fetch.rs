//! Reading one description: one request, one small answer, and never from a place that only this machine can reach.
//!
//! Comes in: an address that was found fit. Goes out: the bytes of a 200 of JSON. Names are resolved here and checked
//! after that, for a name can lead anywhere; what was checked is what is connected to. Redirects are not followed.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use tower::Service;
use url::Url;

use crate::config::registration::Registration;
use crate::net::tls::{TlsError, client_with};

/// Reads descriptions.
pub(super) struct Fetch {
    client: Client<HttpsConnector<HttpConnector<Resolve>>, Empty<Bytes>>,
}

/// Why there is no description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unread {
    /// No connection, or it broke off. What exactly is not said: it would tell a stranger about this network.
    #[error("what stands there cannot be read")]
    Unreachable,
    /// It took too long.
    #[error("it has not come in time")]
    Late,
    /// Another status than 200; redirects are not followed.
    #[error("its server answered {0}")]
    Status(u16),
    /// Another type.
    #[error("it is not JSON")]
    Type,
    /// The answer is too long.
    #[error("it is longer than {LARGEST} bytes")]
    TooLarge,
}

impl Fetch {
    pub(super) fn new(settings: &Registration) -> Result<Self, TlsError> {
        let mut http = HttpConnector::new_with_resolver(Resolve { private: settings.allow_private });
        http.enforce_http(false);
        http.set_connect_timeout(Some(PATIENCE));
        let config = client_with(settings.ca.as_deref(), None)?;
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only()
            .enable_http1()
            .wrap_connector(http);
        Ok(Self { client: Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector) })
    }

    pub(super) async fn get(&self, url: &Url) -> Result<Bytes, Unread> {
        tokio::time::timeout(PATIENCE, self.exchange(url)).await.unwrap_or(Err(Unread::Late))
    }

    async fn exchange(&self, url: &Url) -> Result<Bytes, Unread> {
        let request = Request::get(url.as_str()).header(ACCEPT, "application/json").body(Empty::new());
        let answer = self.client.request(request.map_err(|_| Unread::Unreachable)?).await;
        let (head, body) = answer.map_err(|_| Unread::Unreachable)?.into_parts();
        if head.status != StatusCode::OK {
            return Err(Unread::Status(head.status.as_u16()));
        }
        let kind = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if essence != "application/json" && !essence.ends_with("+json") {
            return Err(Unread::Type);
        }
        let read = Limited::new(body, LARGEST).collect().await;
        read.map(|body| body.to_bytes()).map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() {
                Unread::TooLarge
            } else {
                Unread::Unreachable
            }
        })
    }
}

/// Resolves names to addresses that may be asked.
#[derive(Clone)]
struct Resolve {
    private: bool,
}

impl Service<Name> for Resolve {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let private = self.private;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            // One that is not public is enough to distrust the name.
            if !private && !found.iter().all(|address| is_public(address.ip())) {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, "not a public address"));
            }
            Ok(found.into_iter())
        })
    }
}

/// Whether an address is one of the internet at large (IANA's special-purpose registries).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 168, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    // A metadata service that is not on a link-local address is in 100.64.0.0/10.
    !special
}

/// Of the global unicast addresses, those that stand for nothing else: no IPv4 address and no tunnel inside.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let global = a & 0xe000 == 0x2000;
    let special = a == 0x2002 || (a == 0x2001 && (b < 0x200 || b == 0xdb8)) || (a == 0x3fff && b < 0x1000);
    global && !special
}

/// For all of it, from connecting to the last byte.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of a description, in bytes.
const LARGEST: usize = 32 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_leads_into_a_network_of_ones_own_is_asked_only_where_that_is_allowed() {
        let resolve = async |private: bool| Resolve { private }.call("localhost".parse().unwrap()).await;
        let refused = resolve(false).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{refused}");
        assert!(resolve(true).await.unwrap().next().is_some());
    }

    #[tokio::test]
    async fn nothing_is_even_connected_to_in_a_network_of_ones_own_unless_that_is_allowed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/c", listener.local_addr().unwrap().port()).parse().unwrap();
        for allow_private in [false, true] {
            let fetch = Fetch::new(&Registration { allow_private, ..Registration::default() }).unwrap();
            let come = async {
                let (connection, _) = listener.accept().await.unwrap();
                drop(connection);
            };
            // Whoever listens hangs up: either way there is no description, and only one way is anybody asked.
            tokio::select! {
                biased;
                () = come => assert!(allow_private, "it was connected to"),
                read = fetch.get(&url) => {
                    assert_eq!((read, allow_private), (Err(Unread::Unreachable), false));
                }
            }
        }
    }

    #[test]
    fn addresses_of_the_internet_are_public() {
        for address in ["1.1.1.1", "93.184.216.34", "100.63.0.1", "172.32.0.1", "2606:4700::1111", "2a00::1"]
        {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn addresses_of_a_network_of_ones_own_are_not() {
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "127.0.0.1",
            "100.100.100.200",
            "169.254.169.254",
            "172.16.0.1",
            "192.168.1.1",
            "192.0.2.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:8.8.8.8",
            "fe80::1",
            "fd00:ec2::254",
            "fc00::1",
            "ff02::1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }
}
