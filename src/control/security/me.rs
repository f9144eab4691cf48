//! `GET /me/security`, and changing one's password there.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::password::{complaint, hashed};
use super::view::{PasskeyRow, Security};
use super::{HOME, Turned, anybody, elsewhere, is_recent, posted};
use crate::control::Control;
use crate::control::browser::login::busy;
use crate::control::browser::session::SignedIn;
use crate::control::browser::throttle::Guess;
use crate::control::page::sign_in::Done;
use crate::control::page::stop::Stopped;
use crate::control::page::{Label, respond};
use crate::store::{Actor, By};
use crate::token::random::Secret;

/// Shows what somebody has.
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let person = anybody(&control, &headers, HOME).await?;
    page(&control, &person, None).await
}

/// The page, with what went wrong the last time.
pub(super) async fn page(
    control: &Control,
    person: &SignedIn,
    problem: Option<&'static str>,
) -> Result<Response, Turned> {
    let key = &person.principal.key;
    let has = control.store().second_factors(key).await?;
    let kept = control.store().person(key).await?;
    let passkeys = control.store().passkeys(key).await?;
    Ok(respond(&Security {
        visitor: Some(person.visitor()),
        csrf: person.csrf(),
        login: Label::new(&person.principal.login),
        has_password: kept.is_some_and(|kept| kept.has_password),
        recent: is_recent(control, person),
        passkeys: passkeys.iter().map(PasskeyRow::from).collect(),
        passkeys_possible: control.passkeys().is_some(),
        totp: has.totp,
        recovery_codes: has.recovery_codes,
        problem,
    }))
}

/// Changes the password: the old one is asked, and all other sessions end.
pub(super) async fn change_password(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let (person, form) = posted(&control, &headers, &body).await?;
    let one = |name: &str| form.one(name).ok().flatten().unwrap_or_default();
    let login = &person.principal.login;
    if let Some(why) = complaint(one("password"), Some(one("again")), login) {
        return page(&control, &person, Some(why)).await;
    }
    if let Err(seconds) = control.throttle().begin(Guess::OwnPassword(login), None, control.clock().seconds())
    {
        return Ok(respond(&Stopped::throttled(seconds)));
    }
    let kept = control.store().credential(login).await?.and_then(|found| found.password_hash);
    let expected = kept.ok_or_else(elsewhere)?;
    let old = Secret::new(one("current").to_owned());
    if !control.passwords().verify(old, Some(expected.clone())).await.map_err(busy)? {
        return page(&control, &person, Some("The current password is not right. Nothing was changed."))
            .await;
    }
    control.throttle().succeeded(Guess::OwnPassword(login), None);
    let hash = hashed(&control, one("password")).await?;
    let (by, now) = (Actor::from(&person.principal), control.clock().now());
    let (key, keep) = (&person.principal.key, &person.session.hash);
    control.store().set_password(key, &hash, Some(&expected), Some(keep), By::Person(&by), now).await?;
    Ok(respond(&Done {
        visitor: Some(person.visitor()),
        title: "Your password is changed".to_owned(),
        sentence: "You are signed out everywhere else. Applications go on as before.".to_owned(),
        onward: Some(("/me/security".to_owned(), "Back".to_owned())),
        also: None,
    }))
}

/// The status of the page: what was posted was not taken.
pub(super) const NOT_TAKEN: StatusCode = StatusCode::BAD_REQUEST;
