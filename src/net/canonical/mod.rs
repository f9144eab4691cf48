//! The one canonicaliser: it runs once per request, and what it says is what policy sees and what is forwarded.
//!
//! In: the head of a request, and what is known of its framing. Out: a [`Candidate`], on whose path and host a
//! route can be found, and from it with that route's [`Rules`] a [`Canonical`]; or a [`Malformed`] with a
//! stable code and a sentence. It refuses rather than repairs: the only thing it ever rewrites is a path with
//! dot segments or empty segments, and only where the route asks for it. RFC 9110, RFC 9112, RFC 3986.

mod host;
mod malformed;
mod path;
#[cfg(test)]
mod tests;
mod tunnel;

use std::borrow::Cow;

use http::header::{AUTHORIZATION, CONNECTION, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Version};
use hyper::body::Body as _;

use super::body::Inbound;
use super::headers::Census;
use host::Host;
pub use malformed::Malformed;
pub use tunnel::Destination;

/// What a route allows beyond the strict default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Resolve dot segments and empty segments instead of refusing them.
    pub normalise: bool,
    /// Let a WebSocket handshake through (RFC 6455).
    pub websocket: bool,
    /// Let GET, HEAD and DELETE carry a body.
    pub body_on_any_method: bool,
}

/// A well-formed request for which no route has spoken yet.
#[derive(Debug)]
pub struct Candidate {
    canonical: Canonical,
    has_body: bool,
    resolved: Option<path::Odd>,
}

/// The one spelling of a request.
#[derive(Debug)]
pub struct Canonical {
    method: Method,
    target: PathAndQuery,
    host: Host,
    websocket: bool,
    census: Census,
}

/// Reads the head of a request.
///
/// # Errors
/// [`Malformed`]: the request must be refused, and an HTTP/1 connection closed.
pub fn read(request: &Request<Inbound>) -> Result<Candidate, Malformed> {
    if let Some(fault) = request.body().fault() {
        return Err(Malformed::Framing(fault));
    }
    if request.method() == Method::CONNECT {
        return Err(Malformed::Connect);
    }
    if !is_listed(request.method()) {
        return Err(Malformed::Method);
    }
    if request.headers().len() > MOST_HEADERS {
        return Err(Malformed::TooManyHeaders);
    }
    let (census, host) = Census::take(request.headers());
    let host = Host::read(request, host, census.hosts)?;
    let websocket = census.upgrade && is_websocket(request)?;
    let target = request.uri().path_and_query().ok_or(Malformed::TargetForm)?;
    let (target, resolved) = path::read(target)?;
    let has_body = !request.body().is_end_stream();
    let canonical = Canonical { method: request.method().clone(), target, host, websocket, census };
    Ok(Candidate { canonical, has_body, resolved })
}

impl Candidate {
    /// The path, with dot segments and empty segments resolved: what a route is found by.
    #[must_use]
    pub fn path(&self) -> &str {
        self.canonical.path()
    }

    /// The host without its port, in lower case.
    #[must_use]
    pub fn host(&self) -> &str {
        self.canonical.host()
    }

    /// The method, one of the listed ones.
    #[must_use]
    pub fn method(&self) -> &Method {
        self.canonical.method()
    }

    /// What stands in `Authorization` among `headers`, the request's own, if that stands there once.
    #[must_use]
    pub fn authorization<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        if self.canonical.census.authorizations != 1 {
            return None;
        }
        headers.iter().find_map(|(name, value)| (*name == AUTHORIZATION).then_some(value))
    }

    /// Path and query, in the same spelling as the path.
    #[must_use]
    pub fn target(&self) -> &PathAndQuery {
        self.canonical.target()
    }

    /// Applies what the route allows.
    ///
    /// # Errors
    /// [`Malformed`] where the route does not allow what the request needs.
    pub fn admit(self, rules: Rules) -> Result<Canonical, Malformed> {
        let Self { canonical, has_body, resolved } = self;
        if let Some(odd) = resolved.filter(|_| !rules.normalise) {
            return Err(odd.into());
        }
        if canonical.websocket && !rules.websocket {
            return Err(Malformed::Upgrade);
        }
        let bodiless = matches!(canonical.method, Method::GET | Method::HEAD | Method::DELETE);
        if has_body && bodiless && !rules.body_on_any_method {
            return Err(Malformed::UnexpectedBody);
        }
        Ok(canonical)
    }
}

impl Canonical {
    /// The method, one of the listed ones.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Path and query exactly as they are forwarded.
    #[must_use]
    pub fn target(&self) -> &PathAndQuery {
        &self.target
    }

    /// The path exactly as it is forwarded; it begins with a slash.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.path()
    }

    /// The query exactly as it is forwarded, without the question mark.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.target.query()
    }

    /// The segments of the path, percent-decoded. They contain no slash, no backslash and no control
    /// character, and none is a dot segment.
    pub fn segments(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.path().split('/').skip(1).map(path::decoded)
    }

    /// The host without its port, in lower case.
    #[must_use]
    pub fn host(&self) -> &str {
        self.host.name()
    }

    /// Host and port as they were sent, in lower case.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.host.as_str()
    }

    /// The port, where one was named.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.host.port()
    }

    /// The same request without the query's parameters for which `dropped` holds, each given as it is, still encoded.
    /// Nothing else about it changes.
    ///
    /// # Errors
    /// What is left is no target: not so for a part of a well-formed one.
    pub fn without_parameters(mut self, dropped: impl Fn(&str) -> bool) -> Result<Self, Malformed> {
        let Some(query) = self.target.query() else { return Ok(self) };
        if !query.split('&').any(&dropped) {
            return Ok(self);
        }
        let kept: Vec<&str> = query.split('&').filter(|piece| !dropped(piece)).collect();
        let path = self.target.path();
        let target = if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) };
        self.target = PathAndQuery::try_from(target).map_err(|_| Malformed::TargetCharacter)?;
        Ok(self)
    }

    pub(super) fn census(&self) -> Census {
        self.census
    }

    /// Whether this is a WebSocket handshake that the route lets through.
    #[must_use]
    pub fn is_websocket(&self) -> bool {
        self.websocket
    }
}

/// The segments, percent-decoded, of a path that does not come from a request: of a setting, or of a token. None of one
/// that is not the one spelling of a path, or has a query behind it.
#[must_use]
pub fn segments(path: &str) -> Option<Vec<String>> {
    let (read, odd) = path::read(&PathAndQuery::try_from(path).ok()?).ok()?;
    // What a URI's reader would drop, such as a fragment, is part of no path.
    let whole = odd.is_none() && read.as_str() == path && read.path() == path;
    whole.then(|| path.split('/').skip(1).map(|part| path::decoded(part).into_owned()).collect())
}

fn is_listed(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET
            | Method::HEAD
            | Method::POST
            | Method::PUT
            | Method::PATCH
            | Method::DELETE
            | Method::OPTIONS
    )
}

/// A WebSocket handshake, or no upgrade at all; every other upgrade (h2c too) is refused.
fn is_websocket(request: &Request<Inbound>) -> Result<bool, Malformed> {
    let mut protocols = request.headers().get_all(UPGRADE).iter();
    let Some(protocol) = protocols.next() else { return Ok(false) };
    let only = protocols.next().is_none() && protocol.as_bytes().eq_ignore_ascii_case(b"websocket");
    let asked = connection_names(request.headers(), "upgrade");
    let possible = request.version() == Version::HTTP_11 && request.method() == Method::GET;
    if only && asked && possible { Ok(true) } else { Err(Malformed::Upgrade) }
}

fn connection_names(headers: &HeaderMap, option: &str) -> bool {
    let values = headers.get_all(CONNECTION).into_iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|named| named.trim().eq_ignore_ascii_case(option))
}

const MOST_HEADERS: usize = 100;
