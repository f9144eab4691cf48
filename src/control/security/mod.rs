//! What people prove themselves by: their password, their passkeys, their authenticator, at `/me/security` and at the
//! log-in; and the one-time link that sets a first password.
//!
//! Comes in: forms, of a session or of the log-in. Goes out: pages, and changes of what the store keeps. A session
//! changes nothing here when its log-in is long ago: who finds an open browser does not settle in it. Only passkeys
//! need a script; everything else works without one.

mod authenticator;
mod by_passkey;
mod link;
mod me;
mod passkeys;
pub(in crate::control) mod password;
mod pending;
pub(in crate::control) mod step;
pub mod view;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
pub(in crate::control) use link::{Offered, offer};

use super::browser::LOGIN;
use super::browser::session::{SignedIn, later};
use super::console::{Turned, anybody, form_of};
use super::form::Parameters;
use super::page::stop::Stopped;
use super::{Control, Problem};

/// The routes.
pub(in crate::control) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route(HOME, get(me::show))
        .route("/me/security/password", post(me::change_password))
        .route("/me/security/passkeys", post(passkeys::ask))
        .route("/me/security/passkeys/answer", post(passkeys::answer))
        .route("/me/security/passkeys/remove", post(passkeys::remove))
        .route("/me/security/authenticator", post(authenticator::begin))
        .route("/me/security/authenticator/confirm", post(authenticator::confirm))
        .route("/me/security/authenticator/remove", post(authenticator::remove))
        .route("/me/security/recovery", post(authenticator::renew_codes))
        .route(link::PATH, get(link::show).post(link::set))
        .route(step::CODE, post(step::code))
        .route(step::SET_UP, post(step::set_up))
        .route(by_passkey::ASK, post(by_passkey::ask))
        .route(by_passkey::ANSWER, post(by_passkey::answer))
}

/// A form of ours, from somebody who has logged in not long ago and has a password here.
async fn posted(
    control: &Control,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<(SignedIn, Parameters), Turned> {
    let person = anybody(control, headers, HOME).await?;
    let form = form_of(control, headers, body, &person)?;
    if !is_recent(control, &person) {
        return Err(Turned::Elsewhere(Box::new(long_ago(control, &person))));
    }
    // Who came in by another's word has proved nothing here, and must not make something that outlasts it.
    if person.session.vouched.is_some() {
        return Err(elsewhere().into());
    }
    let kept = control.store().person(&person.principal.key).await?;
    if !kept.is_some_and(|kept| kept.has_password) {
        return Err(elsewhere().into());
    }
    Ok((person, form))
}

/// Whether a session may still change what its owner logs in with.
fn is_recent(control: &Control, person: &SignedIn) -> bool {
    control.clock().now() < later(person.session.authenticated_at, RECENT_SECONDS)
}

fn long_ago(control: &Control, person: &SignedIn) -> Stopped {
    let page = format!("{}{LOGIN}?continue={}{HOME}", control.issuer().origin(), control.issuer().path());
    Stopped {
        title: "Sign in once more".to_owned(),
        visitor: Some(person.visitor()),
        ..Stopped::refused(
            StatusCode::FORBIDDEN,
            "not_recent",
            "What you sign in with is changed only shortly after signing in, so that nobody else can do it at a \
             browser that you left open. Nothing was changed.",
            format!("Open {page}, sign in again, and repeat it."),
        )
    }
}

fn elsewhere() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "no_password",
        "Somebody else has signed you in here, and what you prove yourself by is theirs.",
    )
    .next("Change it where you sign in; or sign in here with a password, for which an administrator gives you a link.")
}

/// The words for a page of another time, or of somebody else.
fn spent() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "already_answered",
        "This page has been answered already, is too old, or was shown to somebody else.",
    )
    .next("Start again from the page before it.")
}

const HOME: &str = "/me/security";
const RECENT_SECONDS: i64 = 15 * 60;
