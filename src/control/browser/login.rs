//! `GET|POST /login` and `POST /logout`.
//!
//! The form carries on where the person came from, to a path of our own only. An unknown login and a wrong password
//! get the same answer after the same work, and guessing is throttled. Where a right password is not enough, and where
//! none is asked for, `security` goes on.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, Request, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use url::Url;

use super::super::directory::is_text;
use super::super::form::Parameters;
use super::super::issuer::Issuer;
use super::super::oauth::request;
use super::super::page::sign_in::{Done, Elsewhere, SignIn};
use super::super::page::stop::Stopped;
use super::super::page::{FormTarget, Label, respond};
use super::super::peer::Address;
use super::super::security::step;
use super::super::{Control, Problem, federation};
use super::session::{Cookie, Opening, cookie, open, set_cookie, signed_in};
use super::throttle::Guess;
use super::{LOGIN, Shown, csrf};
use crate::model::account::Principal;
use crate::store::{AuditEvent, Factor, Grounds};
use crate::token::password::PasswordError;
use crate::token::random::Secret;

/// Shows the form.
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Shown> {
    let parameters = Parameters::parse(query.unwrap_or_default().as_bytes());
    let onward = own_path(control.issuer(), parameters.one("continue").ok().flatten());
    let one = |name: &str| parameters.one(name).ok().flatten();
    let elsewhere = control.elsewhere(one("account"), &onward, one("fresh").is_some()).await?;
    form(&control, &headers, onward, "", false, elsewhere).await
}

/// Checks login and password.
pub(super) async fn answer(State(control): State<Arc<Control>>, request: Request) -> Result<Response, Shown> {
    let (way, form_sent) = sent(&control, request).await?;
    let one = |name: &str| form_sent.one(name).ok().flatten();
    let (login, password) = (one("login").unwrap_or_default(), one("password").unwrap_or_default());
    if let Err(seconds) =
        control.throttle().begin(Guess::Password(login), way.address, control.clock().seconds())
    {
        return Ok(respond(&Stopped::throttled(seconds)));
    }
    match verified(&control, login, password, way.address).await? {
        None => {
            let elsewhere = ways(&control, login, &way.onward, one("fresh").is_some()).await?;
            form(&control, &way.headers, way.onward, login, true, elsewhere).await
        }
        Some((principal, hash)) => {
            control.throttle().succeeded(Guess::Password(login), way.address);
            step::after_password(&control, way, principal, hash).await
        }
    }
}

/// How somebody comes in: what stays the same from the first form to the last.
pub(in crate::control) struct Way {
    pub(in crate::control) headers: HeaderMap,
    /// The cookie of the forms before anybody is logged in.
    pub(in crate::control) form_cookie: Secret,
    /// Where it leads: a path of ours.
    pub(in crate::control) onward: String,
    pub(in crate::control) address: Option<IpAddr>,
}

/// A form of those before anybody is logged in, checked to be ours.
pub(in crate::control) async fn sent(
    control: &Control,
    request: Request,
) -> Result<(Way, Parameters), Shown> {
    let Address(address) = Address::of(request.extensions());
    let headers = request.headers().clone();
    let body = read(request, control.settings().body_limit).await?;
    let form = Parameters::from_body(&headers, &body).map_err(|_| csrf::forged())?;
    let form_cookie = cookie(&headers, Cookie::LoginForm.name(control)).ok_or_else(csrf::forged)?;
    csrf::check_under(control, &headers, &form_cookie, form.one(csrf::FIELD).ok().flatten())?;
    let onward = own_path(control.issuer(), form.one("continue").ok().flatten());
    Ok((Way { headers, form_cookie, onward, address }, form))
}

/// The other ways in for somebody whose password was not right: their account's own, if it has one.
async fn ways(control: &Control, login: &str, onward: &str, fresh: bool) -> Result<Elsewhere, Shown> {
    if let Some((_, account)) = login.rsplit_once('@') {
        let own = control.elsewhere(Some(account), onward, fresh).await?;
        if !own.none {
            return Ok(own);
        }
    }
    Ok(control.elsewhere(None, onward, fresh).await?)
}

/// Ends the session.
pub(super) async fn leave(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Shown> {
    let mut page = Done::signed_out();
    if let Some(person) = signed_in(&control, &headers).await? {
        let form = Parameters::from_body(&headers, &body).unwrap_or_default();
        csrf::check(&control, &headers, &person, form.one(csrf::FIELD).ok().flatten())?;
        control.store().close_session(&person.session.hash).await?;
        if let Some(vouched) = &person.session.vouched {
            page.also = federation::farewell(&control, vouched).await;
        }
    }
    let mut response = respond(&page);
    response.headers_mut().append(SET_COOKIE, set_cookie(&control, Cookie::Session, None)?);
    Ok(response)
}

/// The form with a CSRF field of its own: nobody is logged in yet, and still nobody else may log a person in.
pub(in crate::control) async fn form(
    control: &Control,
    headers: &HeaderMap,
    onward: String,
    login: &str,
    failed: bool,
    elsewhere: Elsewhere,
) -> Result<Response, Shown> {
    let known = cookie(headers, Cookie::LoginForm.name(control));
    let (form_cookie, fresh) = match known {
        Some(known) => (known, false),
        None => (Secret::random().map_err(|why| Problem::internal("a login form", &why))?, true),
    };
    let (application, form_target) = destination(control, &onward).await?;
    let mut response = respond(&SignIn {
        visitor: None,
        action: format!("{}{LOGIN}", control.issuer().path()),
        csrf: csrf::token(&form_cookie),
        continue_to: onward,
        login: Label::new(login),
        failed,
        passkeys: control.passkeys().is_some(),
        application,
        form_target,
        elsewhere,
    });
    if fresh {
        let line = set_cookie(control, Cookie::LoginForm, Some(&form_cookie))?;
        response.headers_mut().append(SET_COOKIE, line);
    }
    Ok(response)
}

/// The application that the person is on the way to. Its redirect URI must be allowed as a target of the form,
/// for the login may lead there without another page.
pub(in crate::control) async fn destination(
    control: &Control,
    onward: &str,
) -> Result<(Option<Label>, Option<FormTarget>), Shown> {
    let own = onward.strip_prefix(control.issuer().path()).unwrap_or(onward);
    let Some(query) = own.strip_prefix(request::PATH).and_then(|rest| rest.strip_prefix('?')) else {
        return Ok((None, None));
    };
    let parameters = Parameters::parse(query.as_bytes());
    let Ok(id) = request::client_id(&parameters) else { return Ok((None, None)) };
    let Some(application) = control.store().application(&id).await? else { return Ok((None, None)) };
    let target = request::redirect_uri(&parameters, &application).ok();
    let target = target.and_then(|uri| FormTarget::of(&uri));
    Ok((Some(Label::new(&application.display_name)), target))
}

/// Whoever the login and password prove, and the hash that did it. One answer for every way to be wrong.
async fn verified(
    control: &Control,
    login: &str,
    password: &str,
    address: Option<IpAddr>,
) -> Result<Option<(Principal, String)>, Shown> {
    let found = if is_text(login) { control.store().credential(login).await? } else { None };
    let (principal, kept) = match found {
        Some(credential) => (Some(credential.principal), credential.password_hash),
        None => (None, None),
    };
    let hash = kept.clone().unwrap_or_default();
    let right = control.passwords().verify(Secret::new(password.to_owned()), kept).await.map_err(busy)?;
    let proven = principal.as_ref().filter(|principal| right && principal.enabled).is_some();
    if let Some(principal) = principal.as_ref().filter(|_| !proven) {
        keep_aside(control, event(control, principal, "login.failed", "password", address));
    }
    Ok(principal.filter(|_| proven).map(|principal| (principal, hash)))
}

/// What the audit keeps of somebody coming in, or failing to.
pub(in crate::control) fn event(
    control: &Control,
    principal: &Principal,
    what: &str,
    by: &str,
    address: Option<IpAddr>,
) -> AuditEvent {
    AuditEvent {
        at: control.clock().now(),
        account: principal.key.account.clone(),
        actor: principal.login.clone(),
        event: what.to_owned(),
        subject: principal.login.clone(),
        detail: serde_json::json!({ "address": address, "by": by }).to_string(),
    }
}

/// Keeps a failure without being waited for: only logins that exist have one, and a disk's time would tell which.
pub(in crate::control) fn keep_aside(control: &Control, event: AuditEvent) {
    let store = Arc::clone(control.store());
    tokio::spawn(async move {
        if let Err(error) = store.keep_audit(&event).await {
            tracing::error!(%error, "a failed login could not be audited");
        }
    });
}

/// Logs in, and sends on.
pub(in crate::control) async fn enter(
    control: &Control,
    way: &Way,
    principal: &Principal,
    proven: (&str, Grounds),
) -> Result<Response, Shown> {
    let cookies = opened(control, way, principal, proven).await?;
    let mut response = Redirect::to(&way.onward).into_response();
    for line in cookies {
        response.headers_mut().append(SET_COOKIE, line);
    }
    Ok(response)
}

/// Opens the session, if what was proven still stands; answers the cookies that go with whatever page comes next.
pub(in crate::control) async fn opened(
    control: &Control,
    way: &Way,
    principal: &Principal,
    (by, grounds): (&str, Grounds),
) -> Result<[HeaderValue; 2], Shown> {
    let factors = by.split(" and ").map(|one| match one {
        "passkey" => Factor::Passkey,
        "code" => Factor::Totp,
        "recovery code" => Factor::RecoveryCode,
        _ => Factor::Password,
    });
    let mut opening = Opening::new(control, (factors.collect(), grounds), &way.headers, way.address);
    opening.event = Some(event(control, principal, "login.succeeded", by, way.address));
    Ok([open(control, principal, opening).await?, set_cookie(control, Cookie::LoginForm, None)?])
}

/// `text` if it is a path of ours, the console otherwise: nobody is sent to a stranger from our login page.
pub(in crate::control) fn own_path(issuer: &Issuer, text: Option<&str>) -> String {
    let console = || format!("{}/console", issuer.path());
    let Some(text) = text.filter(|text| is_path(text)) else { return console() };
    let Ok(base) = Url::parse(issuer.origin()) else { return console() };
    let stays = base.join(text).is_ok_and(|url| url.origin() == base.origin());
    if stays { text.to_owned() } else { console() }
}

fn is_path(text: &str) -> bool {
    let plain = text.len() <= 8192 && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    plain && text.starts_with('/') && !text.starts_with("//")
}

pub(in crate::control) fn busy(error: PasswordError) -> Problem {
    tracing::warn!(error = %error, "a password could not be checked");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Signing in is not possible at the moment.")
        .next("Wait a few seconds, then try again.")
}

async fn read(request: Request, limit: usize) -> Result<Bytes, Problem> {
    axum::body::to_bytes(request.into_body(), limit).await.map_err(|_| {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            "The form is too large, or did not arrive whole.",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn onward(text: &str) -> String {
        own_path(&Issuer::new(&"https://login.example".parse().unwrap()).unwrap(), Some(text))
    }

    #[test]
    fn the_way_on_is_a_path_of_ours() {
        assert_eq!(onward("/oauth2/v1/auth?client_id=1&x=//y"), "/oauth2/v1/auth?client_id=1&x=//y");
    }

    #[test]
    fn the_way_on_is_never_a_stranger() {
        for text in [
            "https://evil.example/",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "javascript:alert(1)",
            "",
            "/a\r\nset-cookie: x",
            "evil",
            "/é",
        ] {
            assert_eq!(onward(text), "/console", "{text:?}");
        }
    }
}
