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
use crate::control::browser::throttle::Counted;
use crate::control::browser::{LOGIN, Shown, csrf};
use crate::control::page::stop::Stopped;
use crate::control::page::{Label, respond};
use crate::control::{Control, Problem};
use crate::model::account::{Principal, PrincipalKey};
use crate::store::{Grounds, KeptTotp, Within};
use crate::token::factor::recovery;
use crate::token::random::{Secret, equal, sha256};

/// Where a code is posted to.
pub(super) const CODE: &str = "/login/code";
/// Where the first code of an authenticator that is demanded is posted to.
pub(super) const SET_UP: &str = "/login/authenticator";

/// Goes on after the right password, which was checked against this hash.
pub(in crate::control) async fn after_password(
    control: &Control,
    way: Way,
    whom: Principal,
    hash: String,
) -> Result<Response, Shown> {
    let proof = sha256(hash.as_bytes());
    let has = control.store().second_factors(&whom.key).await?;
    if has.totp {
        return ask(control, &way, whom.key, proof, false).await;
    }
    let demanded = whom.is_administrator()
        && control.store().rules(&whom.key.account).await?.administrators_need_second_factor;
    match (demanded, has.passkeys) {
        (false, _) => {
            let grounds = Grounds::Password { hash, authenticator: None };
            enter(control, &way, &whom, ("password", grounds)).await
        }
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
    let (whom, hash) = still(&control, &key, &proof).await?;
    let counted = Counted::Code(&whom.login);
    if let Err(seconds) = control.throttle().begin(counted, way.address, control.clock().seconds()) {
        return Ok(respond(&Stopped::throttled(seconds)));
    }
    let code = one("code").unwrap_or_default();
    if !recovery::is_one(code) && !control.store().try_code(&key, control.clock().now()).await? {
        keep_aside(&control, event(&control, &whom, "login.failed", "locked", way.address));
        return Ok(respond(&locked(&control)));
    }
    match proven(&control, &whom, code).await? {
        Some((by, sealed)) => {
            control.throttle().succeeded(counted, way.address);
            let grounds = Grounds::Password { hash, authenticator: Some(sealed) };
            enter(&control, &way, &whom, (by, grounds)).await
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
    let (whom, hash) = still(&control, &key, &proof).await?;
    let counted = Counted::Code(&whom.login);
    if let Err(seconds) = control.throttle().begin(counted, way.address, control.clock().seconds()) {
        return Ok(respond(&Stopped::throttled(seconds)));
    }
    let (code, within) = (one("code").unwrap_or_default(), Within::LogIn(&hash));
    let Some(codes) = begin(&control, &whom, &sealed, code, within).await? else {
        keep_aside(&control, event(&control, &whom, "login.failed", "code", way.address));
        return ask_set_up(&control, &way, &whom, proof, sealed, true).await;
    };
    control.throttle().succeeded(counted, way.address);
    let grounds = Grounds::Password { authenticator: Some(sealed.bytes()?), hash };
    let cookies = opened(&control, &way, &whom, ("password and code", grounds)).await?;
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
    within: Within<'_>,
) -> Result<Option<Vec<Secret>>, Problem> {
    let Some(step) = sealed.open(control, whom)?.check(code, control.clock().seconds()) else {
        return Ok(None);
    };
    let codes = recovery::fresh().map_err(|why| Problem::internal("recovery codes", &why))?;
    let hashes: Vec<_> = codes.iter().map(|code| recovery::hash(code.expose())).collect();
    let (totp, now) = (KeptTotp { sealed: sealed.bytes()?, step }, control.clock().now());
    control.store().add_totp(&whom.key, &totp, &hashes, within, now).await?;
    Ok(Some(codes))
}

/// How a code proves somebody, if it does, with the authenticator by which it does. It is taken with that.
async fn proven(
    control: &Control,
    whom: &Principal,
    code: &str,
) -> Result<Option<(&'static str, Vec<u8>)>, Problem> {
    let store = control.store();
    let Some(kept) = store.totp(&whom.key).await? else { return Ok(None) };
    if recovery::is_one(code) {
        let taken = store.take_recovery_code(&whom.key, &recovery::hash(code), control.clock().now()).await?;
        return Ok(taken.then_some(("password and recovery code", kept.sealed)));
    }
    let step = open(control, whom, &kept.sealed)?.check(code, control.clock().seconds());
    let Some(step) = step else { return Ok(None) };
    Ok(store.take_step(&whom.key, step).await?.then_some(("password and code", kept.sealed)))
}

/// Whoever has proven the password before, if that is still theirs, and its hash.
async fn still(
    control: &Control,
    key: &PrincipalKey,
    proof: &[u8; 32],
) -> Result<(Principal, String), Problem> {
    let whom = control.store().principal(key).await?.ok_or_else(spent)?;
    let kept = control.store().credential(&whom.login).await?.ok_or_else(spent)?;
    let hash = kept.password_hash.ok_or_else(spent)?;
    let same = sha256(hash.as_bytes());
    let stands = kept.principal.key == *key && kept.principal.enabled && equal(&same, proof);
    if stands { Ok((kept.principal, hash)) } else { Err(spent()) }
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

fn locked(control: &Control) -> Stopped {
    Stopped {
        title: "No more codes".to_owned(),
        ..Stopped::refused(
            StatusCode::FORBIDDEN,
            "codes_locked",
            "Too many codes were wrong, one after the other, so that none is looked at any more. Somebody else may know \
             your password. Nobody is signed in.",
            format!(
                "Go back to {} and use a recovery code or a passkey, then change your password; or ask an administrator \
                 for a link that sets another.",
                control.issuer().at(LOGIN)
            ),
        )
    }
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
