//! Whose request it is: the address that log-ins are counted by and that refusals are told with.
//!
//! Comes in: the connection's other end, and what a proxy that is trusted says of who is behind it. Goes out: axum's
//! `ConnectInfo`. Nobody else is believed: a header that anybody can send says nothing of its sender.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::net::watch::Peer;

/// Tells the router whose request it is. `proxies` are those that stand between people and this server. Of one that
/// does not say who is behind it nothing is known: then all behind it are not counted as one.
pub fn with_peer(router: Router, proxies: &[IpNet]) -> Router {
    let proxies: Arc<[IpNet]> = proxies.into();
    router.layer(axum::middleware::map_request(move |mut request: Request| {
        let proxies = Arc::clone(&proxies);
        async move {
            let peer = request.extensions().get::<Peer>().map(|peer| peer.address);
            if let Some(address) = peer.and_then(|peer| of(peer, request.headers(), &proxies)) {
                request.extensions_mut().insert(ConnectInfo(address));
            }
            request
        }
    }))
}

/// Whose request it is, where that is known.
#[derive(Debug, Clone, Copy)]
pub(in crate::control) struct Address(pub(in crate::control) Option<IpAddr>);

impl Address {
    pub(in crate::control) fn of(extensions: &Extensions) -> Self {
        Self(extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Address {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.extensions))
    }
}

/// The nearest address that is no trusted proxy's, from the connection outwards.
fn of(peer: SocketAddr, headers: &HeaderMap, proxies: &[IpNet]) -> Option<SocketAddr> {
    let trusted = |address: &IpAddr| proxies.iter().any(|proxy| proxy.contains(&address.to_canonical()));
    if !trusted(&peer.ip()) {
        return Some(peer);
    }
    // The last hop stands last, and in the last of several headers.
    let values: Vec<&str> =
        headers.get_all(FORWARDED_FOR).iter().map(|value| value.to_str().unwrap_or("?")).collect();
    for hop in values.iter().rev().flat_map(|value| value.rsplit(',')) {
        let hop = address(hop.trim())?;
        if !trusted(&hop) {
            return Some(SocketAddr::new(hop, 0));
        }
    }
    None
}

/// An address as proxies write it: with brackets or a port, or without.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|with_port| with_port.ip()))
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn seen(peer: &str, forwarded: &[&'static str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, HeaderValue::from_static(value));
        }
        let proxies = ["127.0.0.0/8".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
        of(SocketAddr::new(peer.parse().unwrap(), 1), &headers, &proxies)
            .map(|address| address.ip().to_string())
    }

    #[test]
    fn a_trusted_proxy_says_who_is_behind_it() {
        assert_eq!(seen("127.0.0.1", &["203.0.113.7"]).as_deref(), Some("203.0.113.7"));
        assert_eq!(seen("::ffff:127.0.0.1", &["[2001:db8::1]:443"]).as_deref(), Some("2001:db8::1"));
        assert_eq!(seen("10.1.1.1", &["203.0.113.7, 10.2.2.2"]).as_deref(), Some("203.0.113.7"));
        assert_eq!(
            seen("10.1.1.1", &["198.51.100.1", "203.0.113.7, 127.0.0.1"]).as_deref(),
            Some("203.0.113.7")
        );
    }

    #[test]
    fn nobody_else_says_who_they_are_and_a_proxy_that_does_not_say_is_nobody() {
        assert_eq!(seen("203.0.113.7", &["198.51.100.1"]).as_deref(), Some("203.0.113.7"));
        assert_eq!(seen("10.1.1.1", &["198.51.100.1, 203.0.113.7"]).as_deref(), Some("203.0.113.7"));
        assert_eq!(seen("127.0.0.1", &[]), None);
        assert_eq!(seen("127.0.0.1", &["unknown"]), None);
        assert_eq!(
            seen("127.0.0.1", &["198.51.100.1, unknown"]),
            None,
            "what stands before nonsense is anybody's"
        );
    }
}
