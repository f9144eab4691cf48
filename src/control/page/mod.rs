//! The pages that people see: plain HTML that works without JavaScript, one view struct and one template each.
//!
//! Comes in: a view, filled by an endpoint. Goes out: a response with the template rendered, and the headers that
//! keep it from being framed, cached, sniffed or made to load anything foreign. It knows no store, no policy and
//! no session; what a name from outside may do to a page is settled here ([`Label`]).
//!
//! To add a page: a struct with `visitor: Option<Visitor>` among its fields, deriving [`askama::Template`] with a
//! template that extends `page/layout.html`, and `impl Page` for it.

pub mod consent;
pub mod nav;
pub mod script;
pub mod sign_in;
pub mod stop;
pub mod style;

use std::fmt;

use askama::Template;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use url::{Host, Url};

/// A page: a template, the status it goes out with, and where its forms may lead.
pub trait Page: Template {
    /// The status of the answer.
    fn status(&self) -> StatusCode {
        StatusCode::OK
    }

    /// Where a form of the page may lead besides our own origin, redirects included (CSP 3, `form-action`).
    fn form_target(&self) -> Option<&FormTarget> {
        None
    }

    /// Whether it needs our one script, which only asks the browser for a passkey.
    fn script(&self) -> bool {
        false
    }

    /// Where it stands among the pages that the navigation leads to.
    fn here(&self) -> nav::Here {
        nav::Here::Beside
    }

    /// The links at its head.
    fn links(&self, visitor: &Visitor) -> Vec<nav::Link> {
        nav::links(visitor, self.here())
    }

    /// After how many seconds it is worth coming back (RFC 9110 section 10.2.3).
    fn retry_after(&self) -> Option<u32> {
        None
    }
}

/// Renders a page and adds its headers.
pub fn respond(page: &impl Page) -> Response {
    let Ok(html) = page.render() else { return unrendered() };
    with_headers(page, html)
}

/// The same for a page that goes on being written after its head has been sent: `live` is given what stands before
/// and after [`LIVE`] in it, and makes the body.
pub fn respond_live(page: &impl Page, live: impl FnOnce(&str, &str) -> Body) -> Response {
    let Ok(html) = page.render() else { return unrendered() };
    let (before, after) = html.split_once(LIVE).unwrap_or((&html, ""));
    let mut response = with_headers(page, live(before, after));
    // For proxies that would gather it up first.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Where a page goes on being written. What comes from outside is escaped, so it cannot hold this.
pub const LIVE: &str = "<!--live-->";

fn unrendered() -> Response {
    tracing::error!("a page could not be rendered");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

fn with_headers(page: &impl Page, body: impl IntoResponse) -> Response {
    let mut response = (page.status(), body).into_response();
    let headers = response.headers_mut();
    for (name, value) in FIXED_HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .insert(header::CONTENT_SECURITY_POLICY, content_security_policy(page.form_target(), page.script()));
    if let Some(seconds) = page.retry_after() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Who looks at a page, for its head. The sign-out button posts `csrf` to [`SIGN_OUT`].
#[derive(Debug, Clone)]
pub struct Visitor {
    /// Their login.
    pub login: Label,
    /// The CSRF field of their session.
    pub csrf: String,
    /// Whether the console is for them.
    pub administrator: bool,
}

/// Where the sign-out button posts to.
pub const SIGN_OUT: &str = "/logout";

/// A text from outside, fit to be shown: cut at 80 characters, and every character that could reorder, hide or
/// break the text around it shown as U+FFFD. Templates escape it and put it into `<bdi>`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Label(String);

impl Label {
    /// The text, made harmless.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self::cut(text, 80)
    }

    /// A longer text: a sentence from a publisher, an address; cut at 400 characters.
    #[must_use]
    pub fn long(text: &str) -> Self {
        Self::cut(text, 400)
    }

    /// Whether there is nothing to show.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.trim().is_empty()
    }

    fn cut(text: &str, limit: usize) -> Self {
        let mut shown: String =
            text.chars().take(limit).map(|c| if misleads(c) { '\u{fffd}' } else { c }).collect();
        if text.chars().nth(limit).is_some() {
            shown.push('…');
        }
        Self(shown)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Label {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

/// Controls, line breaks, bidirectional controls, zero-width and other invisible characters.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
                | '\u{180b}'..='\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
                | '\u{fff0}'..='\u{fff8}' | '\u{e0000}'..='\u{e0fff}'
        )
}

/// One scope as a page explains it.
#[derive(Debug, Clone)]
pub struct ScopeLine {
    /// The scope itself, `/acs/ecs:read`.
    pub scope: String,
    /// What it is called.
    pub title: String,
    /// What it lets the application do, in a plain sentence.
    pub text: String,
    /// How much could go wrong.
    pub risk: Risk,
}

/// How much could go wrong with a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Risk {
    /// Tells who somebody is, or reads little.
    Low,
    /// Reads what could be confidential.
    Medium,
    /// Changes or deletes.
    High,
}

impl Risk {
    /// The word on the page, and the class that styles it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// A CSP source for `form-action`: the origin or the scheme of a redirect URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormTarget(String);

impl FormTarget {
    /// The source that allows a redirect to `redirect_uri`; none when it is no address. CSP knows no IPv6
    /// addresses and no hosts for private schemes, so that for those the scheme is all that can be said.
    #[must_use]
    pub fn of(redirect_uri: &str) -> Option<Self> {
        let url = Url::parse(redirect_uri).ok()?;
        let scheme = url.scheme();
        Some(Self(match (scheme, url.host()) {
            ("http" | "https", Some(Host::Domain(name))) if !is_name(name) => return None,
            ("http" | "https", Some(Host::Domain(_) | Host::Ipv4(_))) => url.origin().ascii_serialization(),
            _ => format!("{scheme}:"),
        }))
    }
}

/// Whether a host is a plain name. What browsers take besides (`;` for one) would say something else in a policy.
#[must_use]
pub fn is_name(host: &str) -> bool {
    host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

fn content_security_policy(target: Option<&FormTarget>, script: bool) -> HeaderValue {
    let (space, target) = target.map_or(("", ""), |target| (" ", target.0.as_str()));
    let script = if script { "script-src 'self'; " } else { "" };
    let policy = format!(
        "default-src 'none'; {script}style-src 'self'; img-src 'self' data:; form-action 'self'{space}{target}; \
         frame-ancestors 'none'; base-uri 'none'"
    );
    HeaderValue::from_str(&policy)
        .unwrap_or(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"))
}

/// A time for people: `22 Nov 2026, 03:24 UTC`.
#[must_use]
pub fn moment(at: &Timestamp) -> String {
    at.strftime("%-d %b %Y, %H:%M UTC").to_string()
}

/// `Referrer-Policy` is `same-origin`, not `no-referrer`: under the latter browsers post forms with `Origin: null`
/// (Fetch section 3.2), which the check against forged posts must refuse. Nothing is told to other sites by either.
const FIXED_HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_TYPE, "text/html; charset=utf-8"),
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (header::X_FRAME_OPTIONS, "DENY"),
];

#[cfg(test)]
mod tests;
