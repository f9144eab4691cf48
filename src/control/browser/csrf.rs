//! That a posted form is one of ours: its CSRF field and where the browser says that it comes from.
//!
//! The field is a MAC under the session's own cookie, so that nothing has to be kept and no key shared: who does not
//! have the cookie cannot make it. Beside it counts what browsers say by themselves (`Sec-Fetch-Site`, `Origin`).

use aws_lc_rs::hmac;
use axum::http::header::ORIGIN;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::super::issuer::Issuer;
use super::super::{Control, Problem};
use super::session::SignedIn;
use crate::token::random::{Secret, equal};

/// The name of the field, and of the header that scripts may send instead, `x-csrf-token`.
pub const FIELD: &str = "csrf";

/// Checks a posted form of a person who is logged in.
///
/// # Errors
/// A 403 for a form that is not of this session or not of our origin.
pub fn check(
    control: &Control,
    headers: &HeaderMap,
    person: &SignedIn,
    field: Option<&str>,
) -> Result<(), Problem> {
    check_under(control, headers, person.cookie(), field)
}

/// The field that goes with a cookie.
pub(in crate::control) fn token(cookie: &Secret) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, cookie.expose().as_bytes());
    URL_SAFE_NO_PAD.encode(hmac::sign(&key, b"consentry csrf v1"))
}

/// Checks a posted form against the cookie that it must belong to.
pub(in crate::control) fn check_under(
    control: &Control,
    headers: &HeaderMap,
    cookie: &Secret,
    field: Option<&str>,
) -> Result<(), Problem> {
    let genuine = field.is_some_and(|field| equal(field.as_bytes(), token(cookie).as_bytes()));
    if genuine && comes_from_us(control.issuer(), headers) { Ok(()) } else { Err(forged()) }
}

/// The answer to a form that is not of this session.
pub(in crate::control) fn forged() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "form_not_yours",
        "This form was not sent from a page of ours in this session, or the session has ended.",
    )
    .next("Open the application or the page again, and answer the form there.")
}

/// A browser that says `Sec-Fetch-Site` is believed on it; an older one on `Origin`. Neither is sent by programs,
/// which cannot be led to post what they did not mean.
fn comes_from_us(issuer: &Issuer, headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    headers.get(ORIGIN).is_none_or(|origin| origin.as_bytes() == issuer.origin().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pairs: &[(&'static str, &str)]) -> bool {
        let issuer = Issuer::new(&"https://login.example".parse().unwrap()).unwrap();
        let headers: HeaderMap =
            pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        comes_from_us(&issuer, &headers)
    }

    #[test]
    fn a_form_of_our_origin_is_taken() {
        assert!(said(&[]));
        assert!(said(&[("origin", "https://login.example")]));
        assert!(said(&[("origin", "null"), ("sec-fetch-site", "same-origin")]));
    }

    #[test]
    fn a_form_of_another_origin_is_refused() {
        assert!(!said(&[("origin", "https://evil.example")]));
        assert!(!said(&[("origin", "null")]));
        assert!(!said(&[("origin", "https://login.example"), ("sec-fetch-site", "same-site")]));
        assert!(!said(&[("sec-fetch-site", "cross-site")]));
    }

    #[test]
    fn the_field_belongs_to_one_cookie() {
        let (a, b) = (Secret::random().unwrap(), Secret::random().unwrap());
        assert_eq!(token(&a), token(&a));
        assert_ne!(token(&a), token(&b));
    }
}
