//! Header cleaning: what is left can be believed to come from the caller, and to mean the same upstream.
//!
//! In: the headers of a request (before anyone reads them for a decision, and before identity headers are
//! added) or of a response. Out: the same map without hop-by-hop fields (RFC 9110 section 7.6.1), without
//! fields that could be mistaken for ours, and with an allow-list of trailers. It knows no credential but by
//! name and adds no identity.

use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};

use super::canonical::{Canonical, Malformed};

/// The beginning of every header name that is ours.
pub const OURS: &str = "x-consentry-";

/// What is among the headers of a request, found in one pass, so that what is absent is not looked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Census {
    pub(super) hosts: usize,
    pub(super) upgrade: bool,
    connection: bool,
    te: bool,
    trailer: bool,
    cookies: usize,
    pub(super) authorizations: usize,
    token: bool,
    dropped: bool,
}

impl Census {
    /// Counts; also gives the first `Host`.
    pub(super) fn take(headers: &HeaderMap) -> (Self, Option<&HeaderValue>) {
        let mut census = Self::default();
        let mut host = None;
        for (name, value) in headers {
            // Names that everybody knows are compared by number: what most requests carry need not be spelled.
            if *name == HOST {
                host = host.or(Some(value));
                census.hosts += 1;
            } else if *name == AUTHORIZATION {
                census.authorizations += 1;
            } else if !USUAL.contains(name) {
                census.count(name.as_str());
            }
        }
        (census, host)
    }

    fn count(&mut self, name: &str) {
        match name {
            BEARER_TOKEN | SECURITY_TOKEN | AWS_TOKEN => self.token = true,
            "cookie" => self.cookies += 1,
            "upgrade" => (self.upgrade, self.dropped) = (true, true),
            "connection" => (self.connection, self.dropped) = (true, true),
            "te" => (self.te, self.dropped) = (true, true),
            "trailer" => self.trailer = true,
            _ => self.dropped |= is_dropped_from_request(name),
        }
    }
}

/// Cleans the headers of a request. Run it right after the canonicaliser, so that adapters read what the
/// upstream will read; no header may be added in between.
///
/// # Errors
/// [`Malformed::ConnectionOption`] when `Connection` names a field that must reach the decision.
pub fn clean_request(
    headers: &mut HeaderMap,
    canonical: &Canonical,
    version: Version,
) -> Result<(), Malformed> {
    let census = canonical.census();
    if census.dropped {
        let options = if census.connection { connection_options(headers, true)? } else { Vec::new() };
        // RFC 9110 section 10.1.4: the only thing `TE` may still say is that trailers are understood.
        let understood = |te: &HeaderValue| te.as_bytes().eq_ignore_ascii_case(b"trailers");
        let trailers = census.te && headers.get(TE).is_some_and(understood);
        remove(headers, options, is_dropped_from_request);
        if trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        if canonical.is_websocket() {
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        }
    }
    if version == Version::HTTP_2 {
        if census.cookies > 1 {
            join_cookies(headers);
        }
        // HTTP/2 names the host in `:authority`; upstreams that are sent the caller's host find it here.
        if let Ok(host) = HeaderValue::from_str(canonical.authority()) {
            headers.insert(HOST, host);
        }
    }
    if census.trailer {
        keep_listed_trailer_names(headers);
    }
    Ok(())
}

/// Puts `authorization` in the place of what carried the application's credential, or nothing. The credential never
/// reaches an upstream.
pub fn replace_credentials(
    headers: &mut HeaderMap,
    canonical: &Canonical,
    authorization: Option<HeaderValue>,
) {
    let census = canonical.census();
    match authorization {
        Some(authorization) if census.authorizations < 2 => put(headers, AUTHORIZATION, authorization),
        Some(authorization) => drop(headers.insert(AUTHORIZATION, authorization)),
        None if census.authorizations > 0 => drop(headers.remove(AUTHORIZATION)),
        None => {}
    }
    if census.token {
        headers.remove(BEARER_TOKEN);
        headers.remove(SECURITY_TOKEN);
        headers.remove(AWS_TOKEN);
    }
}

/// Puts a value in the place of the one of this name, or beside the others. There must not be two. (Looking through a few
/// headers is quicker than working out where one would be.)
pub(super) fn put(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    match headers.iter_mut().find(|(known, _)| **known == name) {
        Some((_, known)) => *known = value,
        None => drop(headers.insert(name, value)),
    }
}

/// Cleans the headers of an upstream's response.
pub fn clean_response(headers: &mut HeaderMap, status: StatusCode) {
    let mut trailer = false;
    let mut dropped = false;
    for name in headers.keys() {
        let name = name.as_str();
        trailer |= name == "trailer";
        dropped |= is_dropped_from_response(name);
    }
    if dropped {
        // An upstream's list is believed: removing one of its own fields harms nobody.
        let options = connection_options(headers, false).unwrap_or_default();
        let upgrade = headers.get(UPGRADE).cloned().filter(|_| status == StatusCode::SWITCHING_PROTOCOLS);
        remove(headers, options, is_dropped_from_response);
        if let Some(upgrade) = upgrade {
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(UPGRADE, upgrade);
        }
    }
    if trailer {
        keep_listed_trailer_names(headers);
    }
}

/// Keeps the trailers that are listed; says whether any is left.
///
/// A trailer that a server merges into the headers would arrive after every check (RFC 9110 section 6.5.1),
/// so only those pass whose whole meaning is a trailer: the end of a gRPC call, timing, and digests.
pub fn keep_listed_trailers(trailers: &mut HeaderMap) -> bool {
    if trailers.keys().any(|name| !is_listed_trailer(name.as_str())) {
        let unlisted: Vec<HeaderName> =
            trailers.keys().filter(|name| !is_listed_trailer(name.as_str())).cloned().collect();
        for name in unlisted {
            trailers.remove(name);
        }
    }
    !trailers.is_empty()
}

fn is_listed_trailer(name: &str) -> bool {
    TRAILERS.contains(&name)
}

/// The fields that `Connection` names, other than the usual options.
fn connection_options(headers: &HeaderMap, from_caller: bool) -> Result<Vec<HeaderName>, Malformed> {
    let mut named = Vec::new();
    for value in headers.get_all(CONNECTION) {
        if value.as_bytes().eq_ignore_ascii_case(b"keep-alive")
            || value.as_bytes().eq_ignore_ascii_case(b"close")
        {
            continue;
        }
        let Ok(options) = value.to_str() else { return Err(Malformed::ConnectionOption) };
        for option in options.split(',').map(str::trim).filter(|option| !option.is_empty()) {
            let name = HeaderName::try_from(option).map_err(|_| Malformed::ConnectionOption)?;
            if from_caller && must_stay(&name) {
                return Err(Malformed::ConnectionOption);
            }
            if !must_stay(&name) {
                named.push(name);
            }
        }
    }
    Ok(named)
}

fn must_stay(name: &HeaderName) -> bool {
    [HOST, AUTHORIZATION, CONTENT_LENGTH, TRANSFER_ENCODING, COOKIE].contains(name)
        || dashed(name.as_str()).starts_with(OURS)
}

fn dashed(name: &str) -> String {
    name.replace('_', "-")
}

fn remove(headers: &mut HeaderMap, mut names: Vec<HeaderName>, dropped: fn(&str) -> bool) {
    for name in headers.keys() {
        if dropped(name.as_str()) {
            names.push(name.clone());
        }
    }
    for name in names {
        headers.remove(name);
    }
}

/// Names are in lower case. The first letter decides for most.
fn is_dropped_from_request(name: &str) -> bool {
    // CGI and WSGI make `-` and `_` the same (RFC 3875 section 4.1.18), so a name with `_` can stand for any
    // other one: for ours, for the action's, for the length.
    // (Names are short: comparing each byte is cheaper than calling a search.)
    if name.bytes().fold(false, |found, byte| found | (byte == b'_')) {
        return true;
    }
    match name.as_bytes().first() {
        Some(b'c') => name == "connection",
        Some(b'e') => name == "expect",
        Some(b'f') => name == "forwarded",
        Some(b'h') => name == "http2-settings",
        Some(b'k') => name == "keep-alive",
        // CGI makes `Proxy` the variable that says through whom to go out (httpoxy).
        Some(b'p') => name == "proxy" || name.starts_with("proxy-"),
        Some(b't') => name == "te" || name == "transfer-encoding",
        Some(b'u') => name == "upgrade",
        Some(b'x') => name.starts_with(OURS) || name.starts_with("x-forwarded") || REWRITING.contains(&name),
        Some(_) | None => false,
    }
}

fn is_dropped_from_response(name: &str) -> bool {
    match name.as_bytes().first() {
        // It would lead the caller around the sidecar (RFC 7838).
        Some(b'a') => name == "alt-svc",
        Some(b'c') => name == "connection",
        Some(b'k') => name == "keep-alive",
        Some(b'p') => name.starts_with("proxy-"),
        Some(b't') => name == "te" || name == "transfer-encoding",
        Some(b'u') => name == "upgrade",
        Some(b'x') => name.starts_with(OURS),
        Some(_) | None => false,
    }
}

/// HTTP/2 may split a cookie over fields; HTTP/1 may not (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    if let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) {
        let mut joined = first.as_bytes().to_vec();
        for crumb in std::iter::once(second).chain(crumbs) {
            joined.extend_from_slice(b"; ");
            joined.extend_from_slice(crumb.as_bytes());
        }
        match HeaderValue::from_bytes(&joined) {
            Ok(cookie) => headers.insert(COOKIE, cookie),
            Err(_) => headers.remove(COOKIE),
        };
    }
}

/// `Trailer` stays only when every name in it does.
fn keep_listed_trailer_names(headers: &mut HeaderMap) {
    let listed = |value: &HeaderValue| {
        value.to_str().is_ok_and(|names| {
            names.split(',').all(|name| is_listed_trailer(&name.trim().to_ascii_lowercase()))
        })
    };
    if !headers.get_all(TRAILER).iter().all(listed) {
        headers.remove(TRAILER);
    }
}

/// What most requests carry, and what is left as it is.
static USUAL: [HeaderName; 5] = [USER_AGENT, ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, CONTENT_LENGTH];

const BEARER_TOKEN: &str = "x-acs-bearer-token";
const SECURITY_TOKEN: &str = "x-acs-security-token";
const AWS_TOKEN: &str = "x-amz-security-token";

/// Fields that make some server see another target, method or peer than we decided on.
const REWRITING: [&str; 6] = [
    "x-original-url",
    "x-rewrite-url",
    "x-http-method-override",
    "x-http-method",
    "x-method-override",
    "x-real-ip",
];

const TRAILERS: [&str; 6] = [
    "grpc-status",
    "grpc-message",
    "grpc-status-details-bin",
    "server-timing",
    "content-digest",
    "repr-digest",
];

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::net::body::Inbound;
    use crate::net::canonical::{Rules, read};

    fn cleaned(headers: &[(&str, &str)]) -> Result<Vec<(String, String)>, Malformed> {
        cleaned_as(Version::HTTP_11, headers)
    }

    fn cleaned_as(version: Version, headers: &[(&str, &str)]) -> Result<Vec<(String, String)>, Malformed> {
        let mut builder = Request::get("http://a.test/").version(version).header("host", "a.test");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let mut request = builder.body(Inbound::empty()).unwrap();
        let rules = Rules { websocket: true, ..Rules::default() };
        let canonical = read(&request)?.admit(rules)?;
        clean_request(request.headers_mut(), &canonical, version)?;
        Ok(pairs(request.headers()))
    }

    fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
        let mut pairs: Vec<_> = headers
            .iter()
            .filter(|(name, _)| *name != HOST)
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        pairs.sort();
        pairs
    }

    fn owned(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_the_caller_may_say_passes() {
        let kept = [
            ("accept", "*/*"),
            ("authorization", "Bearer x"),
            ("content-type", "a/b"),
            ("cookie", "a=1"),
            ("traceparent", "00-1"),
            ("x-acs-action", "X"),
            ("x-consentryish", "1"),
        ];
        assert_eq!(cleaned(&kept).unwrap(), owned(&kept));
    }

    #[test]
    fn hop_by_hop_and_spoofable_names_are_removed() {
        let removed = [
            ("connection", "close, X-Caller"),
            ("x-caller", "1"),
            ("keep-alive", "1"),
            ("te", "gzip"),
            ("expect", "100-continue"),
            ("proxy-authorization", "x"),
            ("proxy", "http://evil.test"),
            ("proxy-connection", "x"),
            ("http2-settings", "x"),
            ("forwarded", "for=1"),
            ("x-forwarded-for", "1"),
            ("x-forwarded-host", "1"),
            ("x-original-url", "/x"),
            ("x-rewrite-url", "/x"),
            ("x-http-method-override", "PUT"),
            ("x-consentry-account", "1"),
            ("x_consentry_account", "1"),
            ("x_consentry-account", "1"),
            ("x_forwarded_for", "1"),
            ("x_acs_action", "DeleteInstance"),
            ("content_length", "3"),
            ("trailer", "x-consentry-user"),
        ];
        assert_eq!(cleaned(&removed).unwrap(), []);
    }

    #[test]
    fn a_connection_list_may_not_name_what_the_decision_rests_on() {
        for named in
            ["Host", "authorization", "Content-Length", "x-consentry-user", "x_consentry_user", "cookie"]
        {
            let list = format!("close, {named}");
            assert_eq!(cleaned(&[("connection", &list)]), Err(Malformed::ConnectionOption), "{named}");
        }
        assert_eq!(cleaned(&[("connection", "a b")]), Err(Malformed::ConnectionOption));
        assert!(cleaned(&[("connection", "keep-alive, te, x-other")]).is_ok());
    }

    #[test]
    fn trailers_stay_understood_and_a_websocket_handshake_stays_one() {
        assert_eq!(
            cleaned(&[("te", "Trailers"), ("connection", "te")]).unwrap(),
            owned(&[("te", "trailers")])
        );
        let handshake = [("connection", "Upgrade"), ("sec-websocket-key", "k"), ("upgrade", "websocket")];
        assert_eq!(cleaned(&handshake).unwrap(), owned(&handshake));
    }

    #[test]
    fn cookie_crumbs_of_http2_become_one_cookie() {
        let crumbs = [("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "c=3")];
        assert_eq!(cleaned_as(Version::HTTP_2, &crumbs).unwrap(), owned(&[("cookie", "a=1; b=2; c=3")]));
    }

    #[test]
    fn credentials_are_replaced_and_nothing_else() {
        for name in ["authorization", "x-acs-bearer-token", "x-acs-security-token"] {
            for (assumed, expected) in [
                (None, owned(&[("x-acs-action", "1")])),
                (Some("2"), owned(&[("authorization", "2"), ("x-acs-action", "1")])),
            ] {
                let request = Request::get("/").header("host", "a").header(name, "1").header(name, "3");
                let mut request = request.header("x-acs-action", "1").body(Inbound::empty()).unwrap();
                let canonical = read(&request).unwrap().admit(Rules::default()).unwrap();
                let assumed = assumed.map(HeaderValue::from_static);
                replace_credentials(request.headers_mut(), &canonical, assumed);
                assert_eq!(pairs(request.headers()), expected);
            }
        }
    }

    #[test]
    fn a_response_cannot_speak_for_us_or_lead_around_us() {
        let mut headers = HeaderMap::new();
        for name in [
            "alt-svc",
            "x-consentry-decision",
            "keep-alive",
            "proxy-authenticate",
            "x-hop",
            "etag",
            "upgrade",
        ] {
            headers.insert(name, HeaderValue::from_static("1"));
        }
        headers.insert(CONNECTION, HeaderValue::from_static("x-hop, close"));
        clean_response(&mut headers, StatusCode::OK);
        assert_eq!(pairs(&headers), owned(&[("etag", "1")]));
    }

    #[test]
    fn only_listed_trailers_pass() {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        trailers.insert("x-consentry-user", HeaderValue::from_static("root"));
        trailers.insert(AUTHORIZATION, HeaderValue::from_static("x"));
        assert!(keep_listed_trailers(&mut trailers));
        assert_eq!(pairs(&trailers), owned(&[("grpc-status", "0")]));
        trailers.remove("grpc-status");
        assert!(!keep_listed_trailers(&mut trailers));
    }
}
