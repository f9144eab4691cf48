//! `GET|POST /set-password?link=…`: the one-time link by which a person sets a password, the first or another.
//!
//! Who has the link is whom it was given to; opening it changes nothing, so that what looks into mail does not use it
//! up. It logs nobody in: what else is asked at the log-in is asked afterwards.

use std::sync::Arc;

use axum::extract::{RawQuery, Request, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jiff::Timestamp;

use super::password::{complaint, hashed};
use super::view::SetPassword;
use crate::control::browser::Shown;
use crate::control::browser::csrf;
use crate::control::browser::login::sent;
use crate::control::browser::session::{Cookie, cookie, later, set_cookie};
use crate::control::form::Parameters;
use crate::control::page::sign_in::Done;
use crate::control::page::{Label, respond};
use crate::control::{Control, Problem};
use crate::model::account::{Principal, PrincipalKey};
use crate::store::{By, PasswordLink};
use crate::token::random::{Secret, sha256};

/// Where links lead.
pub(super) const PATH: &str = "/set-password";

/// A link, as it is given to somebody once.
pub(in crate::control) struct Offered {
    /// The whole address.
    pub(in crate::control) address: Secret,
    /// When it ends.
    pub(in crate::control) expires_at: Timestamp,
    /// What is kept of it.
    pub(in crate::control) kept: PasswordLink,
}

/// Makes a link; it is worth nothing until it is kept.
pub(in crate::control) fn offer(control: &Control) -> Result<Offered, Problem> {
    let secret = Secret::random().map_err(|why| Problem::internal("a link", &why))?;
    let expires_at = later(control.clock().now(), LINK_SECONDS);
    let address = control.issuer().at(&format!("{PATH}?link={}", secret.expose()));
    let kept = PasswordLink { hash: secret.hash(), expires_at };
    Ok(Offered { address: Secret::new(address), expires_at, kept })
}

impl Offered {
    /// Gives it to somebody: one that was given before ends.
    pub(in crate::control) async fn give(
        &self,
        control: &Control,
        whom: &PrincipalKey,
        by: By<'_>,
    ) -> Result<(), Problem> {
        Ok(control.store().offer_password(whom, &self.kept, by, control.clock().now()).await?)
    }
}

/// Shows the form.
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Shown> {
    let parameters = Parameters::parse(query.unwrap_or_default().as_bytes());
    let link = parameters.one("link").ok().flatten().unwrap_or_default();
    let whom = owner(&control, link).await?;
    let known = cookie(&headers, Cookie::LoginForm.name(&control));
    let fresh = known.is_none();
    let form_cookie = match known {
        Some(known) => known,
        None => Secret::random().map_err(|why| Problem::internal("a form", &why))?,
    };
    let mut response = respond(&page(&control, &form_cookie, link, &whom, None));
    if fresh {
        let line = set_cookie(&control, Cookie::LoginForm, Some(&form_cookie))?;
        response.headers_mut().append(SET_COOKIE, line);
    }
    Ok(response)
}

/// Sets the password.
pub(super) async fn set(State(control): State<Arc<Control>>, request: Request) -> Result<Response, Shown> {
    let (way, form) = sent(&control, request).await?;
    let one = |name: &str| form.one(name).ok().flatten().unwrap_or_default();
    let (link, password) = (one("link"), one("password"));
    let whom = owner(&control, link).await?;
    if let Some(why) = complaint(password, Some(one("again")), &whom.login) {
        return Ok(respond(&page(&control, &way.form_cookie, link, &whom, Some(why))));
    }
    let hash = hashed(&control, password).await?;
    let used =
        control.store().use_password_link(&sha256(link.as_bytes()), &hash, control.clock().now()).await?;
    let whom = used.ok_or_else(over)?;
    Ok(respond(&Done {
        visitor: None,
        title: "Your password is set".to_owned(),
        sentence: format!("Sign in as {} with it. The link does not work any more.", Label::new(&whom.login)),
        onward: Some(("/me/security".to_owned(), "Sign in".to_owned())),
    }))
}

async fn owner(control: &Control, link: &str) -> Result<Principal, Problem> {
    let found = control.store().password_link(&sha256(link.as_bytes()), control.clock().now()).await?;
    found.ok_or_else(over)
}

fn page(
    control: &Control,
    form_cookie: &Secret,
    link: &str,
    whom: &Principal,
    problem: Option<&'static str>,
) -> SetPassword {
    SetPassword {
        visitor: None,
        action: format!("{}{PATH}", control.issuer().path()),
        csrf: csrf::token(form_cookie),
        link: link.to_owned(),
        login: Label::new(&whom.login),
        problem,
    }
}

fn over() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "link_over",
        "This link sets no password: it was used, has ended, or was followed by a newer one.",
    )
    .next("If you have set your password with it, sign in. Otherwise ask an administrator for another link.")
}

const LINK_SECONDS: i64 = 3 * 86_400;
