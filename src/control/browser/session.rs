//! Browser sessions: one cookie of 256 random bits, of which the store keeps the hash.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use jiff::{SignedDuration, Timestamp};

use super::super::{Control, Problem, page};
use super::csrf;
use crate::model::account::Principal;
use crate::store::{BrowserSession, StoreError};
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
    Ok(found.map(|(session, principal)| SignedIn { cookie, session, principal }))
}

/// Opens a session; the answer carries the header that sets its cookie.
pub(super) async fn open(control: &Control, principal: &Principal) -> Result<HeaderValue, Problem> {
    let cookie = Secret::random().map_err(|why| Problem::internal("a session cookie", &why))?;
    let now = control.clock().now();
    let session = BrowserSession {
        hash: cookie.hash(),
        principal: principal.key.clone(),
        authenticated_at: now,
        expires_at: later(now, control.settings().session_seconds),
    };
    control.store().open_session(&session).await?;
    set_cookie(control, Cookie::Session, Some(&cookie))
}

/// Our two cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::control) enum Cookie {
    /// Of somebody who is logged in.
    Session,
    /// Of a browser at the login form, only to know the form again.
    LoginForm,
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
