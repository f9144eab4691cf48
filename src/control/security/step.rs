//! The second step of a log-in by password: a code of an authenticator, or one of the recovery codes.
//!
//! A code is taken once, and guessing is throttled apart from passwords, so that who knows the password cannot start
//! anew. Where an account demands a second factor of administrators, one who has none sets it up here, before there
//! is a session.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::Response;

use super::pending::{Sealed, Step, keep, open, take};
use super::spent;
use super::view::{Code, Codes, SetUp};
use crate::control::browser::login::{Way, destination, enter, event, keep_aside, opened, sent};
use crate::control::browser::{LOGIN, Shown, csrf};
use crate::control::page::stop::Stopped;
use crate::control::page::{Label, respond};
use crate::control::{Control, Problem};
use crate::model::account::{Principal, PrincipalKey};
use crate::store::{Actor, By, KeptTotp};
use crate::token::factor::recovery;
use crate::token::random::{Secret, equal, sha256};

/// Where a code is posted to.
pub(super) const CODE: &str = "/login/code";
/// Where the first code of an authenticator that is demanded is posted to.
pub(super) const SET_UP: &str = "/login/authenticator";

/// Goes on after the right password; `proof` stands for it.
pub(in crate::control) async fn after_password(
    control: &Control,
    way: Way,
    whom: Principal,
    proof: [u8; 32],
) -> Result<Response, Shown> {
    let has = control.store().second_factors(&whom.key).await?;
    if has.totp {
        return ask(control, &way, whom.key, proof, false).await;
    }
    let demanded = whom.is_administrator()
        && control.store().rules(&whom.key.account).await?.administrators_need_second_factor;
    match (demanded, has.passkeys) {
        (false, _) => enter(control, &way, &whom, "password").await,
        (true, 0) => {
            let sealed = Sealed::fresh(control, &whom.key)?;
            ask_set_up(control, &way, &whom, proof, sealed, false).await
        }
        (true, _) => Ok(respond(&only_by_passkey(control))),
    }
}

/// Takes a code.
pub(super) async fn code(State(control): State<Arc<Control>>, request: Request) -> Result<Response, Shown> {
    let (way, form) = sent(&control, request).await?;
    let one = |name: &str| form.one(name).ok().flatten();
    let step = take(&control, &way.form_cookie.hash(), one("transaction")).await?;
    let Step::Code { whom: key, proof } = step else { return Err(spent().into()) };
    let whom = still(&control, &key, &proof).await?;
    let counted = format!("second step of {}", whom.login);
    if let Err(seconds) = control.throttle().begin(&counted, way.address, control.clock().seconds()) {
        return Ok(respond(&Stopped::throttled(seconds)));
    }
    match proven(&control, &whom, one("code").unwrap_or_default()).await? {
        Some(by) => {
            control.throttle().succeeded(&counted, way.address);
            enter(&control, &way, &whom, by).await
        }
        None => {
            keep_aside(&control, event(&control, &whom, "login.failed", "code", way.address));
            ask(&control, &way, key, proof, true).await
        }
    }
}

/// Takes the first code of an authenticator that is demanded, shows the recovery codes, and logs in.
pub(super) async fn set_up(State(control): State<Arc<Control>>, request: Request) -> Result<Response, Shown> {
    let (way, form) = sent(&control, request).await?;
    let one = |name: &str| form.one(name).ok().flatten();
    let step = take(&control, &way.form_cookie.hash(), one("transaction")).await?;
    let Step::SetUp { whom: key, proof, sealed } = step else { return Err(spent().into()) };
    let whom = still(&control, &key, &proof).await?;
    let Some(codes) = begin(&control, &whom, &sealed, one("code").unwrap_or_default()).await? else {
        return ask_set_up(&control, &way, &whom, proof, sealed, true).await;
    };
    let cookies = opened(&control, &way, &whom, "password and code").await?;
    let mut response = respond(&Codes { visitor: None, codes, onward: way.onward });
    for line in cookies {
        response.headers_mut().append(SET_COOKIE, line);
    }
    Ok(response)
}

/// Begins to ask for codes if `code` is right; answers the recovery codes, to be shown once.
pub(super) async fn begin(
    control: &Control,
    whom: &Principal,
    sealed: &Sealed,
    code: &str,
) -> Result<Option<Vec<Secret>>, Problem> {
    let Some(step) = sealed.open(control, whom)?.check(code, control.clock().seconds()) else {
        return Ok(None);
    };
    let codes = recovery::fresh().map_err(|why| Problem::internal("recovery codes", &why))?;
    let hashes: Vec<_> = codes.iter().map(|code| recovery::hash(code.expose())).collect();
    let (totp, by) = (KeptTotp { sealed: sealed.bytes()?, step }, Actor::from(whom));
    let now = control.clock().now();
    control.store().add_totp(&whom.key, &totp, &hashes, By::Person(&by), now).await?;
    Ok(Some(codes))
}

/// How a code proves somebody, if it does. It is taken with that.
async fn proven(control: &Control, whom: &Principal, code: &str) -> Result<Option<&'static str>, Problem> {
    let store = control.store();
    if recovery::is_one(code) {
        let taken = store.take_recovery_code(&whom.key, &recovery::hash(code), control.clock().now()).await?;
        return Ok(taken.then_some("password and recovery code"));
    }
    let Some(kept) = store.totp(&whom.key).await? else { return Ok(None) };
    let step = open(control, whom, &kept.sealed)?.check(code, control.clock().seconds());
    let Some(step) = step else { return Ok(None) };
    Ok(store.take_step(&whom.key, step).await?.then_some("password and code"))
}

/// Whoever has proven the password before, if that is still theirs.
async fn still(control: &Control, key: &PrincipalKey, proof: &[u8; 32]) -> Result<Principal, Problem> {
    let whom = control.store().principal(key).await?.ok_or_else(spent)?;
    let kept = control.store().credential(&whom.login).await?.ok_or_else(spent)?;
    let same = sha256(kept.password_hash.as_deref().unwrap_or_default().as_bytes());
    let stands = kept.principal.key == *key && kept.principal.enabled && equal(&same, proof);
    if stands { Ok(kept.principal) } else { Err(spent()) }
}

async fn ask(
    control: &Control,
    way: &Way,
    whom: PrincipalKey,
    proof: [u8; 32],
    failed: bool,
) -> Result<Response, Shown> {
    let transaction = keep(control, &way.form_cookie.hash(), &Step::Code { whom, proof }).await?;
    let (_, form_target) = destination(control, &way.onward).await?;
    Ok(respond(&Code {
        visitor: None,
        action: format!("{}{CODE}", control.issuer().path()),
        csrf: csrf::token(&way.form_cookie),
        transaction: transaction.expose().to_owned(),
        continue_to: way.onward.clone(),
        failed,
        form_target,
    }))
}

async fn ask_set_up(
    control: &Control,
    way: &Way,
    whom: &Principal,
    proof: [u8; 32],
    sealed: Sealed,
    failed: bool,
) -> Result<Response, Shown> {
    let authenticator = sealed.open(control, whom)?;
    let step = Step::SetUp { whom: whom.key.clone(), proof, sealed };
    let transaction = keep(control, &way.form_cookie.hash(), &step).await?;
    let picture = authenticator.picture().map_err(|why| Problem::internal("a QR code", &why))?;
    Ok(respond(&SetUp {
        visitor: None,
        action: format!("{}{SET_UP}", control.issuer().path()),
        csrf: csrf::token(&way.form_cookie),
        transaction: transaction.expose().to_owned(),
        continue_to: way.onward.clone(),
        login: Label::new(&whom.login),
        picture,
        text: authenticator.text(),
        demanded: true,
        failed,
    }))
}

fn only_by_passkey(control: &Control) -> Stopped {
    Stopped {
        title: "Use your passkey".to_owned(),
        ..Stopped::refused(
            StatusCode::FORBIDDEN,
            "second_factor_needed",
            "Your account demands more than a password of administrators, and you have registered a passkey. \
             Nobody is signed in.",
            format!(
                "Go back to {} and use the passkey. If it is lost, another administrator can reset it.",
                control.issuer().at(LOGIN)
            ),
        )
    }
}
