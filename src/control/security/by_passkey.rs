//! Logging in by passkey: any that the browser finds, or one of the login that was typed. No password is asked, for a
//! passkey with user verification is something had and something known in one.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::pending::{Step, keep, take};
use super::spent;
use super::view::AskPasskey;
use crate::control::browser::login::{Way, destination, enter, event, keep_aside, sent};
use crate::control::browser::{Shown, csrf};
use crate::control::directory::is_text;
use crate::control::page::respond;
use crate::control::page::stop::Stopped;
use crate::control::{Control, Problem};
use crate::model::account::Principal;
use crate::store::{Grounds, KeptPasskey};
use crate::token::factor::passkey::{Passkeys, Presented};

/// Where a passkey is asked for.
pub(super) const ASK: &str = "/login/passkey";
/// Where the browser's answer is posted to.
pub(super) const ANSWER: &str = "/login/passkey/answer";

/// Shows the page on which the browser is asked.
pub(super) async fn ask(State(control): State<Arc<Control>>, request: Request) -> Result<Response, Shown> {
    let (way, form) = sent(&control, request).await?;
    let site = site(&control)?;
    // Each question is a row in the store.
    if let Err(seconds) = control.throttle().begin_unnamed(way.address, control.clock().seconds()) {
        return Ok(respond(&Stopped::throttled(seconds)));
    }
    let login = form.one("login").ok().flatten().filter(|login| is_text(login)).map(str::to_owned);
    let among = match &login {
        Some(login) => candidates(&control, site, login).await?,
        None => Vec::new(),
    };
    let asked = site.ask(&among).map_err(|why| Problem::internal("a passkey", &why))?;
    let step = Step::Passkey { state: asked.state, login };
    let transaction = keep(&control, &way.form_cookie.hash(), &step).await?;
    let (_, form_target) = destination(&control, &way.onward).await?;
    Ok(respond(&AskPasskey {
        visitor: None,
        action: format!("{}{ANSWER}", control.issuer().path()),
        csrf: csrf::token(&way.form_cookie),
        transaction: transaction.expose().to_owned(),
        continue_to: way.onward,
        options: asked.options,
        form_target,
    }))
}

/// Takes the browser's answer.
pub(super) async fn answer(State(control): State<Arc<Control>>, request: Request) -> Result<Response, Shown> {
    let (way, form) = sent(&control, request).await?;
    let one = |name: &str| form.one(name).ok().flatten();
    let step = take(&control, &way.form_cookie.hash(), one("transaction")).await?;
    let Step::Passkey { state, login } = step else { return Err(spent().into()) };
    let presented = Presented::read(one("answer").unwrap_or_default()).map_err(|_| refused())?;
    let kept = control.store().passkey(presented.credential()).await?.ok_or_else(refused)?;
    let owner = control.store().principal(&kept.principal).await?.ok_or_else(refused)?;
    match proven(&control, &state, login.as_deref(), &presented, &kept, &owner).await? {
        true => {
            control.throttle().succeeded_unnamed(way.address);
            let grounds = Grounds::Passkey { credential: kept.credential };
            enter(&control, &way, &owner, ("passkey", grounds)).await
        }
        false => Err(failed(&control, &way, &owner).into()),
    }
}

/// Whether it proves its owner: the key is theirs, they are who was named, and it is still registered.
async fn proven(
    control: &Control,
    state: &str,
    login: Option<&str>,
    presented: &Presented,
    kept: &KeptPasskey,
    owner: &Principal,
) -> Result<bool, Problem> {
    let site = site(control)?;
    let theirs = match (login, site.is_of(presented, &owner.key)) {
        (_, Some(theirs)) => theirs,
        (Some(_), None) => true,
        (None, None) => false,
    };
    let meant = login.is_none_or(|login| login.to_lowercase() == owner.login.to_lowercase());
    if !theirs || !meant || !owner.enabled {
        return Ok(false);
    }
    match site.check(state, presented, &kept.public) {
        Ok(after) => {
            let now = control.clock().now();
            Ok(control.store().used_passkey(presented.credential(), &kept.public, &after, now).await?)
        }
        Err(why) => {
            tracing::info!(error = %why, login = owner.login, "a passkey was refused");
            Ok(false)
        }
    }
}

/// The passkeys of a login, or what looks like one where there is none.
async fn candidates(control: &Control, site: &Passkeys, login: &str) -> Result<Vec<Vec<u8>>, Problem> {
    let found = control.store().credential(login).await?;
    let kept = match found.filter(|found| found.principal.enabled) {
        Some(found) => control.store().passkeys(&found.principal.key).await?,
        None => Vec::new(),
    };
    if kept.is_empty() {
        return Ok(vec![site.decoy(login)]);
    }
    Ok(kept.into_iter().map(|one| one.credential).collect())
}

fn failed(control: &Control, way: &Way, owner: &Principal) -> Problem {
    keep_aside(control, event(control, owner, "login.failed", "passkey", way.address));
    refused()
}

/// One answer for every way to be wrong.
fn refused() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "passkey_refused",
        "The passkey does not prove who you are, or is not registered here any more. Nobody is signed in.",
    )
    .next("Go back to the log-in and try again, or use your password.")
}

/// Where the issuer is an IP address, browsers give no passkeys.
pub(super) fn site(control: &Control) -> Result<&Passkeys, Problem> {
    control.passkeys().ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "no_passkeys",
            "There are no passkeys here: browsers give them only to addresses that are names.",
        )
        .next("Use your password, or open this site by its name if it has one.")
    })
}
