//! Browser sessions: one cookie of 256 random bits, of which the store keeps the hash.

use std::net::IpAddr;

use axum::http::header::{COOKIE, SET_COOKIE, USER_AGENT};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::{SignedDuration, Timestamp};

use super::super::{Control, Problem, page};
use super::csrf;
use crate::model::account::Principal;
use crate::store::{AuditEvent, BrowserSession, Entry, Factor, Grounds, StoreError, Vouched};
use crate::token::random::Secret;

/// A person who is logged in at the browser that sent a request.
pub struct SignedIn {
    cookie: Secret,
    /// Since when, and until when.
    pub session: BrowserSession,
    /// Who. Enabled when the session was looked up.
    pub principal: Principal,
}

impl SignedIn {
    /// The CSRF field that forms of this session carry.
    #[must_use]
    pub fn csrf(&self) -> String {
        csrf::token(&self.cookie)
    }

    pub(super) fn cookie(&self) -> &Secret {
        &self.cookie
    }

    /// The person, for the head of a page.
    #[must_use]
    pub fn visitor(&self) -> page::Visitor {
        page::Visitor {
            login: page::Label::new(&self.principal.login),
            csrf: self.csrf(),
            administrator: self.principal.is_administrator(),
        }
    }
}

/// Who is logged in at the browser that sent these headers, if anybody.
///
/// # Errors
/// The store's own.
pub async fn signed_in(control: &Control, headers: &HeaderMap) -> Result<Option<SignedIn>, StoreError> {
    let Some(cookie) = cookie(headers, Cookie::Session.name(control)) else { return Ok(None) };
    let found = control.store().session(&cookie.hash(), control.clock().now()).await?;
    let Some((session, principal)) = found else { return Ok(None) };
    if let Some(vouched) = &session.vouched
        && !control.still_vouched(vouched, &principal.key.account).await?
    {
        return Ok(None);
    }
    Ok(Some(SignedIn { cookie, session, principal }))
}

/// How somebody came in: what a session keeps beside who it is.
pub(crate) struct Opening {
    /// How they proved who they are, in order.
    pub(crate) factors: Vec<Factor>,
    /// When, where that was elsewhere; just now unless said.
    pub(crate) authenticated_at: Option<Timestamp>,
    /// The provider that vouches for them, if one does.
    pub(crate) vouched: Option<Vouched>,
    /// What the audit keeps of it, where nothing has told it before.
    pub(crate) event: Option<AuditEvent>,
    /// When it ends at the latest, if that is before a session ends by itself.
    pub(crate) at_most_seconds: Option<i64>,
    grounds: Grounds,
    instead_of: Option<[u8; 32]>,
    address: Option<IpAddr>,
    user_agent: String,
}

impl Opening {
    /// By these means, which must still hold when it is opened, with a browser that sent these headers from this address.
    /// It takes the place of whatever was there before, so that a planted cookie is worth nothing.
    pub(crate) fn new(
        control: &Control,
        (factors, grounds): (Vec<Factor>, Grounds),
        headers: &HeaderMap,
        address: Option<IpAddr>,
    ) -> Self {
        let instead_of = cookie_hash(control, headers);
        let user_agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let user_agent = user_agent.chars().take(LONGEST_USER_AGENT).collect();
        Self {
            factors,
            authenticated_at: None,
            vouched: None,
            event: None,
            at_most_seconds: None,
            grounds,
            instead_of,
            address,
            user_agent,
        }
    }
}

/// The hash of the session's cookie that these headers carry, whether there is such a session or not.
pub(in crate::control) fn cookie_hash(control: &Control, headers: &HeaderMap) -> Option<[u8; 32]> {
    cookie(headers, Cookie::Session.name(control)).map(|cookie| cookie.hash())
}

/// Opens a session, if what it rests on still stands; the answer carries the header that sets its cookie.
pub(crate) async fn open(
    control: &Control,
    principal: &Principal,
    opening: Opening,
) -> Result<HeaderValue, Problem> {
    let cookie = Secret::random().map_err(|why| Problem::internal("a session cookie", &why))?;
    let now = control.clock().now();
    let session = BrowserSession {
        hash: cookie.hash(),
        principal: principal.key.clone(),
        authenticated_at: opening.authenticated_at.unwrap_or(now),
        opened_at: now,
        expires_at: later(
            now,
            opening.at_most_seconds.unwrap_or(i64::MAX).min(control.settings().session_seconds),
        ),
        factors: opening.factors,
        address: opening.address.map(|address| address.to_canonical().to_string()).unwrap_or_default(),
        user_agent: opening.user_agent,
        vouched: opening.vouched,
    };
    let Opening { grounds, instead_of, event, .. } = opening;
    control.store().enter(&Entry { session, grounds, instead_of, event }).await?;
    set_cookie(control, Cookie::Session, Some(&cookie))
}

/// Logs in, and sends on.
pub(crate) async fn enter(
    control: &Control,
    principal: &Principal,
    opening: Opening,
    onward: &str,
) -> Result<Response, Problem> {
    let session = open(control, principal, opening).await?;
    let mut response = Redirect::to(onward).into_response();
    response.headers_mut().append(SET_COOKIE, session);
    response.headers_mut().append(SET_COOKIE, set_cookie(control, Cookie::LoginForm, None)?);
    Ok(response)
}

/// Our cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::control) enum Cookie {
    /// Of somebody who is logged in.
    Session,
    /// Of a browser at the login form, only to know the form again.
    LoginForm,
    /// Of a browser that was sent to a provider, only to know it again when it comes back.
    Provider,
}

impl Cookie {
    /// With `__Host-` a browser takes it only over https, from this very host, for every path (RFC 6265bis
    /// §4.1.3.2). A loopback address is served over http, where that prefix is not to be had.
    pub(in crate::control) fn name(self, control: &Control) -> &'static str {
        match (self, control.issuer().is_secure()) {
            (Self::Session, true) => "__Host-consentry",
            (Self::Session, false) => "consentry_session",
            (Self::LoginForm, true) => "__Host-consentry-login",
            (Self::LoginForm, false) => "consentry_login",
            (Self::Provider, true) => "__Host-consentry-provider",
            (Self::Provider, false) => "consentry_provider",
        }
    }
}

/// The header that sets a cookie, or takes it away.
pub(in crate::control) fn set_cookie(
    control: &Control,
    cookie: Cookie,
    value: Option<&Secret>,
) -> Result<HeaderValue, Problem> {
    let secure = if control.issuer().is_secure() { "; Secure" } else { "" };
    let age = if value.is_some() { "" } else { "; Max-Age=0" };
    let text = value.map_or("", Secret::expose);
    let name = cookie.name(control);
    let line = format!("{name}={text}; Path=/; HttpOnly; SameSite=Lax{secure}{age}");
    let mut header = HeaderValue::from_str(&line).map_err(|why| Problem::internal("a cookie", &why))?;
    header.set_sensitive(true);
    Ok(header)
}

/// The value of a cookie. Two of one name are none: one of them would be somebody else's.
pub(in crate::control) fn cookie(headers: &HeaderMap, name: &str) -> Option<Secret> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value);
    let first = values.next()?;
    let well_formed =
        first.len() == 43 && first.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    (well_formed && values.next().is_none()).then(|| Secret::new(first.to_owned()))
}

/// `seconds` after `at`.
pub(crate) fn later(at: Timestamp, seconds: i64) -> Timestamp {
    at.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// In characters. What says more than that says nothing more.
const LONGEST_USER_AGENT: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (COOKIE, line.parse().unwrap())).collect()
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let value = "a".repeat(43);
        let found =
            cookie(&headers(&["x=1; consentry_session2=2", &format!("s={value}; y=3")]), "s").unwrap();
        assert_eq!(found.expose(), value);
    }

    #[test]
    fn a_cookie_given_twice_or_not_of_our_making_is_none() {
        let (a, b) = ("a".repeat(43), "b".repeat(43));
        assert!(cookie(&headers(&[&format!("s={a}"), &format!("s={b}")]), "s").is_none());
        assert!(cookie(&headers(&["s=short"]), "s").is_none());
        assert!(cookie(&headers(&[&format!("s={}", "é".repeat(43))]), "s").is_none());
    }
}
