//! Registering and removing passkeys.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::by_passkey::site;
use super::pending::{Step, keep, take};
use super::view::NewPasskey;
use super::{HOME, Turned, posted, spent};
use crate::control::browser::session::SignedIn;
use crate::control::page::{Label, respond};
use crate::control::{Control, Problem};
use crate::store::{Actor, By, KeptPasskey};

/// Shows the page on which the browser is asked to make a passkey.
pub(super) async fn ask(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let (person, form) = posted(&control, &headers, &body).await?;
    let whom = &person.principal;
    let named = form.one("name").ok().flatten().unwrap_or("Passkey");
    let name: String = named.trim().chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
    let there = control.store().passkeys(&whom.key).await?;
    let there = there.into_iter().map(|one| one.credential).collect();
    let asked = site(&control)?
        .ask_new(&whom.key, &whom.login, &whom.display_name, there)
        .map_err(|why| Problem::internal("a passkey", &why))?;
    let step = Step::NewPasskey { whom: whom.key.clone(), state: asked.state, name: name.clone() };
    let transaction = keep(&control, &person.session.hash, &step).await?;
    Ok(respond(&NewPasskey {
        visitor: Some(person.visitor()),
        action: format!("{}{HOME}/passkeys/answer", control.issuer().path()),
        csrf: person.csrf(),
        transaction: transaction.expose().to_owned(),
        name: Label::new(&name),
        options: asked.options,
    }))
}

/// Takes what the browser has made.
async fn take_made(
    control: &Control,
    person: &SignedIn,
    transaction: Option<&str>,
    answer: &str,
) -> Result<(), Turned> {
    let step = take(control, &person.session.hash, transaction).await?;
    let Step::NewPasskey { whom, state, name } = step else { return Err(spent().into()) };
    if whom != person.principal.key {
        return Err(spent().into());
    }
    let made = site(control)?.take_new(&state, answer).map_err(|why| {
        tracing::info!(error = %why, login = person.principal.login, "a new passkey was refused");
        Problem::new(
            StatusCode::BAD_REQUEST,
            "passkey_refused",
            "The browser's answer makes no passkey for this site. Nothing was changed.",
        )
        .next("Start again from the page of your security.")
    })?;
    let now = control.clock().now();
    let passkey = KeptPasskey {
        credential: made.credential,
        principal: whom,
        name,
        public: made.public,
        added_at: now,
        used_at: None,
    };
    control.store().add_passkey(&passkey, &person.session.hash, now).await?;
    Ok(())
}

/// `POST …/passkeys/answer`
pub(super) async fn answer(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let (person, form) = posted(&control, &headers, &body).await?;
    let one = |name: &str| form.one(name).ok().flatten();
    take_made(&control, &person, one("transaction"), one("answer").unwrap_or_default()).await?;
    Ok(back(&control))
}

/// `POST …/passkeys/remove`
pub(super) async fn remove(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let (person, form) = posted(&control, &headers, &body).await?;
    let credential = form.one("credential").ok().flatten().unwrap_or_default();
    let credential = URL_SAFE_NO_PAD.decode(credential).map_err(|_| spent())?;
    let (by, now) = (Actor::from(&person.principal), control.clock().now());
    control.store().remove_passkey(&person.principal.key, &credential, By::Person(&by), now).await?;
    Ok(back(&control))
}

fn back(control: &Control) -> Response {
    Redirect::to(&format!("{}{HOME}", control.issuer().path())).into_response()
}

const LONGEST_NAME: usize = 40;
