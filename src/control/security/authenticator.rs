//! Setting up an authenticator, taking it away, and new recovery codes.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};

use super::pending::{Sealed, Step, keep, take};
use super::view::{Codes, SetUp};
use super::{HOME, Turned, posted, spent, step};
use crate::control::browser::session::SignedIn;
use crate::control::browser::throttle::Counted;
use crate::control::page::stop::Stopped;
use crate::control::page::{Label, respond};
use crate::control::{Control, Problem};
use crate::store::{Actor, By, Within};
use crate::token::factor::recovery;

/// Shows the key of a new authenticator.
pub(super) async fn begin(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let (person, _) = posted(&control, &headers, &body).await?;
    let sealed = Sealed::fresh(&control, &person.principal.key)?;
    ask(&control, &person, sealed, false).await
}

/// Takes its first code, and shows the recovery codes.
pub(super) async fn confirm(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let (person, form) = posted(&control, &headers, &body).await?;
    let one = |name: &str| form.one(name).ok().flatten();
    let taken = take(&control, &person.session.hash, one("transaction")).await?;
    let Step::NewAuthenticator { whom, sealed } = taken else { return Err(spent().into()) };
    if whom != person.principal.key {
        return Err(spent().into());
    }
    // Apart from the log-in's: guessing there must not be what keeps somebody from this, nor a success here take it back.
    let counted = Counted::NewAuthenticator(&person.principal.login);
    if let Err(seconds) = control.throttle().begin(counted, None, control.clock().seconds()) {
        return Ok(respond(&Stopped::throttled(seconds)));
    }
    let (code, within) = (one("code").unwrap_or_default(), Within::Session(&person.session.hash));
    match step::begin(&control, &person.principal, &sealed, code, within).await? {
        None => ask(&control, &person, sealed, true).await,
        Some(codes) => {
            control.throttle().succeeded(counted, None);
            Ok(respond(&Codes { visitor: Some(person.visitor()), codes, onward: home(&control) }))
        }
    }
}

/// Takes the authenticator away.
pub(super) async fn remove(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let (person, _) = posted(&control, &headers, &body).await?;
    let (by, now) = (Actor::from(&person.principal), control.clock().now());
    control.store().remove_totp(&person.principal.key, By::Person(&by), now).await?;
    Ok(Redirect::to(&home(&control)).into_response())
}

/// Makes other recovery codes.
pub(super) async fn renew_codes(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let (person, _) = posted(&control, &headers, &body).await?;
    let codes = recovery::fresh().map_err(|why| Problem::internal("recovery codes", &why))?;
    let hashes: Vec<_> = codes.iter().map(|code| recovery::hash(code.expose())).collect();
    let now = control.clock().now();
    control.store().replace_recovery_codes(&person.principal.key, &hashes, &person.session.hash, now).await?;
    Ok(respond(&Codes { visitor: Some(person.visitor()), codes, onward: home(&control) }))
}

async fn ask(control: &Control, person: &SignedIn, sealed: Sealed, failed: bool) -> Result<Response, Turned> {
    let authenticator = sealed.open(control, &person.principal)?;
    let step = Step::NewAuthenticator { whom: person.principal.key.clone(), sealed };
    let transaction = keep(control, &person.session.hash, &step).await?;
    let picture = authenticator.picture().map_err(|why| Problem::internal("a QR code", &why))?;
    Ok(respond(&SetUp {
        visitor: Some(person.visitor()),
        action: format!("{}/authenticator/confirm", home(control)),
        csrf: person.csrf(),
        transaction: transaction.expose().to_owned(),
        continue_to: String::new(),
        login: Label::new(&person.principal.login),
        picture,
        text: authenticator.text(),
        demanded: false,
        failed,
    }))
}

fn home(control: &Control) -> String {
    format!("{}{HOME}", control.issuer().path())
}
