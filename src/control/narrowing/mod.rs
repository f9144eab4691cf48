//! Token exchange (RFC 8693) at `POST /v1/token`: an application's access token becomes a narrower one of the same
//! authorization, to be handed to a part of the application that needs no more.
//!
//! Comes in: an authenticated client and an access token of its own that still stands. Goes out: an access token of the
//! same family and revision, with the same scopes or fewer, for the same place or one below it, that ends no later, unless a
//! guardrail forbids it. So
//! it dies with the grant, the family and the token's own life, and nobody has more for having it.
//!
//! Nobody exchanges another client's token, so no token names an actor (`act`, §4.1): an administrator has allowed each
//! application for itself, and no one has allowed one to act for the other. Actor tokens are refused for the same
//! reason.

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use axum::response::Response;
use serde::Serialize;
use serde_json::json;
use url::Url;

use super::Control;
use super::browser::throttle::{Guess, ThrottleSettings};
use super::exchange::permitted::{Giving, NotPermitted, permitted};
use super::form::Parameters;
use super::oauth::live::{self, Live};
use super::oauth::{Client, Code, OAuthError, unstored};
use crate::model::caller::Caller;
use crate::model::scope::ScopeSet;
use crate::policy::Exchanging;
use crate::store::AuditEvent;
use crate::token::issue::{AccessToken, Issued};
use crate::token::keys::Purpose;

/// The value of `grant_type`.
pub(super) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// How often one authorization's tokens are exchanged: what an exchange gives lasts, and each one is recorded for ever.
pub(super) const OFTEN: ThrottleSettings =
    ThrottleSettings { per_login: 120, per_address: u32::MAX, window_seconds: 300, capacity: 20_000 };

/// Exchanges one token.
pub(super) async fn answer(
    control: &Control,
    client: &Client,
    form: &Parameters,
    ip: Option<IpAddr>,
) -> Result<Response, OAuthError> {
    let asked = Asked::read(form)?;
    let refused = || invalid("subject_token is not an access token of this client that can still be used");
    let found = live::caller(control, asked.subject, None).await?;
    // Whose token it is, is nobody else's business: a stranger's and a dead one are refused alike.
    let (caller, live) =
        found.filter(|(caller, _)| caller.application == client.application.id).ok_or_else(refused)?;
    let had = live::audience_of(asked.subject).ok_or_else(refused)?;
    let audience = narrower_audience(control, &had, asked.target)?;
    let scopes = narrower_scopes(asked.scope, &caller, &live)?;
    let now = control.clock().seconds();
    // What is over by less than the clocks may differ is live above, and gives nothing here.
    let left = live.ends_by(caller.expires_at).saturating_sub(now);
    let left = u32::try_from(left).ok().filter(|left| *left > 0).ok_or_else(refused)?;
    let seconds = left.min(live.access_seconds(now));
    control
        .narrowings()
        .begin(Guess::Exchange(caller.family.as_str()), None, now)
        .map_err(|_| too_often())?;
    let giving = Giving { exchanging: Exchanging::Token, audience, scopes: &scopes, ip };
    permitted(control, &caller, &live, &giving).await?;
    let issued = sign(control, &caller, audience, &scopes, seconds)?;
    record(control, &caller, audience, &scopes, &issued).await?;
    Ok(unstored(&Exchanged {
        access_token: issued.token.expose(),
        issued_token_type: asked.wanted,
        token_type: "Bearer",
        expires_in: seconds,
        scope: scopes.to_string(),
    }))
}

/// What the client asks for, in its own words (§2.1).
#[derive(Debug)]
struct Asked<'f> {
    subject: &'f str,
    /// The type that the answer will name: one and the same token can go by either.
    wanted: &'static str,
    /// `resource`, `audience` or both, if they are one.
    target: Option<&'f str>,
    scope: Option<&'f str>,
}

impl<'f> Asked<'f> {
    fn read(form: &'f Parameters) -> Result<Self, OAuthError> {
        let must = |name: &str| invalid(format!("{name} is missing"));
        let subject = form.one("subject_token")?.ok_or_else(|| must("subject_token"))?;
        let kind = form.one("subject_token_type")?.ok_or_else(|| must("subject_token_type"))?;
        if own_type(kind).is_none() {
            return Err(invalid(format!(
                "subject_token_type is not {ACCESS_TOKEN}: nothing else is exchanged"
            )));
        }
        if form.all("actor_token").chain(form.all("actor_token_type")).next().is_some() {
            return Err(invalid("actor_token is not taken: who acts is the client that authenticates"));
        }
        let wanted = form.one("requested_token_type")?.map_or(Some(ACCESS_TOKEN), own_type);
        let wanted = wanted.ok_or_else(|| {
            invalid(format!("requested_token_type is not {ACCESS_TOKEN}: nothing else is issued"))
        })?;
        let several = || target("name one place at a time, as resource or as audience");
        let resource = form.one("resource").map_err(|_| several())?;
        let audience = form.one("audience").map_err(|_| several())?;
        if resource.is_some_and(|one| audience.is_some_and(|other| one != other)) {
            return Err(several());
        }
        Ok(Self { subject, wanted, target: resource.or(audience), scope: form.one("scope")? })
    }
}

/// Our access tokens, by either of the names that they have (§3): they are signed JSON Web Tokens.
fn own_type(text: &str) -> Option<&'static str> {
    [ACCESS_TOKEN, "urn:ietf:params:oauth:token-type:jwt"].into_iter().find(|known| *known == text)
}

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// The place that the new token is for: that of the old one, or one below it. A token for the issuer is good
/// everywhere, so everything is below it.
fn narrower_audience<'a>(
    control: &Control,
    had: &'a str,
    asked: Option<&'a str>,
) -> Result<&'a str, OAuthError> {
    let Some(asked) = asked else { return Ok(had) };
    control.resources().check(asked).map_err(|why| target(why.to_string()))?;
    // `a/b/../c` begins with `a/b`, and is not below it.
    if !Url::parse(asked).is_ok_and(|url| url.as_str().trim_end_matches('/') == asked.trim_end_matches('/')) {
        return Err(target("write resource as it is, without . and .. in its path"));
    }
    if had == control.issuer().as_str() || is_at_or_below(asked, had) {
        Ok(asked)
    } else {
        Err(target("subject_token is for another place, and for no wider one"))
    }
}

/// By whole segments of the path.
fn is_at_or_below(asked: &str, had: &str) -> bool {
    let rest = asked.strip_prefix(had.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The scopes of the new token: those asked for, each of which the old one must have, as far as they are granted still.
fn narrower_scopes(asked: Option<&str>, caller: &Caller, live: &Live) -> Result<ScopeSet, OAuthError> {
    let fault = |text: String| OAuthError::new(Code::InvalidScope, text);
    let wanted = match asked {
        None => caller.scopes.clone(),
        Some(text) => {
            let asked: ScopeSet =
                text.parse().map_err(|_| fault("scope has characters that no scope has".to_owned()))?;
            if let Some(scope) = asked.iter().find(|scope| !caller.scopes.covers(scope)) {
                return Err(fault(format!("subject_token does not carry the scope {scope}")));
            }
            asked.meet(&caller.scopes)
        }
    };
    let scopes = live.scopes(&wanted);
    if scopes.is_empty() {
        return Err(fault("nothing of what is asked for is granted any more".to_owned()));
    }
    Ok(scopes)
}

fn sign(
    control: &Control,
    caller: &Caller,
    audience: &str,
    scopes: &ScopeSet,
    seconds: u32,
) -> Result<Issued, OAuthError> {
    let (now, at) = (control.clock().now(), control.clock().seconds());
    let ring = control.ring();
    let access = AccessToken {
        issuer: control.issuer().as_str(),
        audience,
        application: &caller.application,
        principal: &caller.principal,
        subject: &caller.subject,
        scopes,
        // Not the grant's own by now: what comes of a token is never newer than the token.
        revision: caller.revision,
        family: &caller.family,
        seconds,
    };
    let signer = ring.keys.signer(Purpose::AccessToken, now).map_err(|why| OAuthError::not_issued(&why))?;
    access.sign(signer, at).map_err(|why| OAuthError::not_issued(&why))
}

/// Before the token is given away, that it was.
async fn record(
    control: &Control,
    caller: &Caller,
    audience: &str,
    scopes: &ScopeSet,
    issued: &Issued,
) -> Result<(), OAuthError> {
    let principal = &caller.principal;
    let detail = json!({
        "principal": format!("{}/{}", principal.kind, principal.id),
        "family": caller.family,
        "scopes": scopes,
        "audience": audience,
        "jti": issued.jti,
        "expires_at": issued.expires_at,
    });
    let event = AuditEvent::of_caller("token.exchange", caller, &detail, control.clock().now());
    Ok(control.store().note(&[(&event).into()]).await?)
}

#[derive(Serialize)]
struct Exchanged<'a> {
    access_token: &'a str,
    issued_token_type: &'static str,
    token_type: &'static str,
    expires_in: u32,
    scope: String,
}

/// What policy does not accept is an invalid request (§2.2.2).
impl From<NotPermitted> for OAuthError {
    fn from(why: NotPermitted) -> Self {
        match why {
            NotPermitted::Denied { text, .. } => invalid(text),
            NotPermitted::Unrecorded(error) => error.into(),
        }
    }
}

/// A subject token that is no good, or a request that is none (§2.2.2).
fn invalid(text: impl Into<String>) -> OAuthError {
    OAuthError::new(Code::InvalidRequest, text)
}

fn target(text: impl Into<String>) -> OAuthError {
    OAuthError::new(Code::InvalidTarget, text)
}

fn too_often() -> OAuthError {
    let text = "this authorization's tokens were exchanged too often of late; use those that were given";
    OAuthError::new(Code::Unavailable, text)
}
