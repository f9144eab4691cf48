//! `POST /v1/token`: codes and refresh tokens become tokens (RFC 6749 §4.1.3 and §6), access tokens narrower ones
//! (RFC 8693, in `narrowing`).
//!
//! Comes in: an authenticated client and what it was given. Goes out: tokens that never carry more than was granted,
//! by the grant as it stands now. A code or refresh token that is presented twice ends its whole family.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;

use super::super::Control;
use super::super::browser::session::later;
use super::super::form::Parameters;
use super::super::narrowing;
use super::super::peer::Address;
use super::super::resources::NotAResource;
use super::client::{Client, authenticate};
use super::live::{Live, standing};
use super::{Code, OAuthError, unstored};
use crate::model::account::PrincipalKind;
use crate::model::application::ApplicationType;
use crate::model::scope::ScopeSet;
use crate::store::{Authorization, CodeOutcome, Refresh, RefreshOutcome, StoreError};
use crate::token::issue::{AccessToken, IdToken, IdentityClaims};
use crate::token::keys::Purpose;
use crate::token::pkce;
use crate::token::random::{Secret, equal, sha256};

/// Answers one token request.
pub(super) async fn post(
    State(control): State<Arc<Control>>,
    Address(ip): Address,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, OAuthError> {
    let form = Parameters::from_body(&headers, &body)?;
    let client = authenticate(&control, &headers, &form).await?;
    let grant_type = form.one("grant_type")?.ok_or_else(|| missing("grant_type"))?;
    match client.application.kind {
        ApplicationType::WebApp | ApplicationType::NativeApp => {}
        ApplicationType::ServerApp => {
            return Err(OAuthError::new(Code::UnauthorizedClient, "a ServerApp acts for nobody here"));
        }
    }
    match grant_type {
        "authorization_code" => from_code(&control, &client, &form).await,
        "refresh_token" => from_refresh(&control, &client, &form).await,
        narrowing::GRANT_TYPE => narrowing::answer(&control, &client, &form, ip).await,
        _ => Err(OAuthError::new(
            Code::UnsupportedGrantType,
            "use authorization_code, refresh_token or the token exchange of RFC 8693",
        )),
    }
}

async fn from_code(control: &Control, client: &Client, form: &Parameters) -> Result<Response, OAuthError> {
    let code = form.one("code")?.ok_or_else(|| missing("code"))?;
    let redirect_uri = form.one("redirect_uri")?.ok_or_else(|| missing("redirect_uri"))?;
    let verifier = form.one("code_verifier")?.ok_or_else(|| missing("code_verifier"))?;
    let resource = resource(control, form)?;
    let now = control.clock().now();
    let spent = match control.store().redeem_code(&sha256(code.as_bytes()), now).await? {
        CodeOutcome::Redeemed(code) => code,
        CodeOutcome::Reused(family) => {
            tracing::warn!(family = %family, application = %client.application.id, "a code was presented twice");
            control.heard_everywhere().await?;
            return Err(bad_grant("the code was used before; everything that it gave has ended"));
        }
        CodeOutcome::Unknown => return Err(bad_grant("the code is unknown or too old")),
    };
    let authorization = spent.authorization;
    if authorization.grant.application != client.application.id {
        return Err(bad_grant("the code was given to another client"));
    }
    if !equal(spent.redirect_uri.as_bytes(), redirect_uri.as_bytes()) {
        return Err(bad_grant("redirect_uri is not the one of the authorization request"));
    }
    if !pkce::proves(verifier, &spent.challenge) {
        return Err(bad_grant("code_verifier does not fit the code_challenge"));
    }
    let live = must_stand(control, &authorization).await?;
    let audience = audience(&authorization, resource)?;
    let refresh = if authorization.offline {
        Some(first_refresh(control, client, &authorization).await?)
    } else {
        None
    };
    let give = Give {
        authorization: &authorization,
        live: &live,
        nonce: authorization.nonce.as_deref(),
        audience,
        refresh,
        named: named(control, client).await?,
    };
    give.answer(control, &live.scopes(&authorization.scopes))
}

async fn from_refresh(control: &Control, client: &Client, form: &Parameters) -> Result<Response, OAuthError> {
    let presented = form.one("refresh_token")?.ok_or_else(|| missing("refresh_token"))?;
    let hash = sha256(presented.as_bytes());
    let resource = resource(control, form)?;
    let now = control.clock().now();
    let successor = Secret::random().map_err(|why| OAuthError::not_issued(&why))?;
    let expires_at = later(now, i64::from(client.application.refresh_token_seconds));
    let kept = control.store().refresh(&hash, now).await?;
    let mut wanted = None;
    if let Some(kept) = &kept {
        if kept.authorization.grant.application != client.application.id {
            return Err(bad_grant("the refresh token was given to another client"));
        }
        if kept.authorization.principal.kind == PrincipalKind::Role {
            return Err(bad_grant("a role's authorization is not refreshed; sign in as it again"));
        }
        wanted = narrower(form.one("scope")?, &kept.authorization.scopes)?;
        audience(&kept.authorization, resource)?;
        must_stand(control, &kept.authorization).await?;
    }
    // One that is not live may be spent: presenting it again is how a stolen one shows.
    let outcome = control
        .store()
        .rotate_refresh(&hash, &client.application.id, &successor.hash(), expires_at, now)
        .await?;
    let authorization = match outcome {
        RefreshOutcome::Rotated(authorization) if kept.is_some() => authorization,
        RefreshOutcome::Reused(family) => {
            tracing::warn!(family = %family, application = %client.application.id, "a refresh token was presented twice");
            control.heard_everywhere().await?;
            return Err(bad_grant("the refresh token was used before; its whole family has ended"));
        }
        RefreshOutcome::Rotated(_) | RefreshOutcome::Unknown => {
            return Err(bad_grant("the refresh token is unknown, too old, or was revoked"));
        }
    };
    let live = must_stand(control, &authorization).await?;
    let audience = audience(&authorization, resource)?;
    let scopes = live.scopes(wanted.as_ref().unwrap_or(&authorization.scopes));
    let give = Give {
        authorization: &authorization,
        live: &live,
        nonce: None,
        audience,
        refresh: Some(successor),
        named: named(control, client).await?,
    };
    give.answer(control, &scopes)
}

/// What is about to be given.
struct Give<'a> {
    authorization: &'a Authorization,
    live: &'a Live,
    nonce: Option<&'a str>,
    audience: Option<&'a str>,
    refresh: Option<Secret>,
    /// The address that the client is known by, if it is one.
    named: Option<String>,
}

#[derive(Serialize)]
struct Tokens<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<&'a str>,
    scope: String,
}

impl Give<'_> {
    /// Signs the tokens and answers them (RFC 6749 §5.1). `scope` is what was really granted.
    fn answer(&self, control: &Control, scopes: &ScopeSet) -> Result<Response, OAuthError> {
        let (now, at) = (control.clock().now(), control.clock().seconds());
        let ring = control.ring();
        let application = &self.live.installed.application;
        let seconds = self.live.access_seconds(at);
        let subject = control.subjects().of(&self.authorization.principal);
        let signer = |purpose| ring.keys.signer(purpose, now).map_err(|why| OAuthError::not_issued(&why));
        let access = AccessToken {
            issuer: control.issuer().as_str(),
            audience: self.audience.unwrap_or(control.issuer().as_str()),
            application: &application.id,
            principal: &self.authorization.principal,
            subject: &subject,
            scopes,
            revision: self.live.installed.grant.revision,
            family: &self.authorization.family,
            seconds,
        };
        let access =
            access.sign(signer(Purpose::AccessToken)?, at).map_err(|why| OAuthError::not_issued(&why))?;
        let mut id = None;
        if scopes.iter().any(|scope| scope.as_str() == "openid") {
            let token = IdToken {
                issuer: control.issuer().as_str(),
                client_id: self.named.as_deref().unwrap_or(application.id.as_str()),
                identity: IdentityClaims::new(&subject, &self.live.member.principal, scopes),
                authenticated_at: self.authorization.authenticated_at.as_second(),
                nonce: self.nonce,
                access_token: Some(&access.token),
                seconds,
            };
            id = Some(token.sign(signer(Purpose::IdToken)?, at).map_err(|why| OAuthError::not_issued(&why))?);
        }
        Ok(unstored(&Tokens {
            access_token: access.token.expose(),
            token_type: "Bearer",
            expires_in: seconds,
            refresh_token: self.refresh.as_ref().map(Secret::expose),
            id_token: id.as_ref().map(Secret::expose),
            scope: scopes.to_string(),
        }))
    }
}

/// The address that the client is known by, if it is one.
async fn named(control: &Control, client: &Client) -> Result<Option<String>, OAuthError> {
    if !client.application.is_unverified() {
        return Ok(None);
    }
    let found = control.store().document_of(&client.application.id).await?;
    Ok(found.map(|document| document.address))
}

/// The first refresh token of a family.
async fn first_refresh(
    control: &Control,
    client: &Client,
    authorization: &Authorization,
) -> Result<Secret, OAuthError> {
    let secret = Secret::random().map_err(|why| OAuthError::not_issued(&why))?;
    let life = i64::from(client.application.refresh_token_seconds);
    let refresh = Refresh {
        hash: secret.hash(),
        authorization: authorization.clone(),
        expires_at: later(control.clock().now(), life),
    };
    match control.store().keep_refresh(&refresh).await {
        Ok(()) => Ok(secret),
        // The code was presented a second time at this very moment.
        Err(StoreError::Missing(_)) => Err(bad_grant("the authorization has ended")),
        Err(error) => Err(error.into()),
    }
}

async fn must_stand(control: &Control, authorization: &Authorization) -> Result<Live, OAuthError> {
    let Authorization { grant, principal, revision, family, .. } = authorization;
    let live = standing(control, grant, principal, *revision, family).await?;
    live.ok_or_else(|| {
        bad_grant("the authorization has ended; send the person to the authorization endpoint again")
    })
}

/// A refresh may ask for less, never for more (RFC 6749 §6).
fn narrower(text: Option<&str>, had: &ScopeSet) -> Result<Option<ScopeSet>, OAuthError> {
    let Some(text) = text else { return Ok(None) };
    let fault = |text: String| OAuthError::new(Code::InvalidScope, text);
    let asked: ScopeSet =
        text.parse().map_err(|_| fault("scope has characters that no scope has".to_owned()))?;
    match asked.iter().find(|scope| !had.covers(scope) && scope.as_str() != "offline_access") {
        Some(scope) => Err(fault(format!("the scope {scope} was not granted to this refresh token"))),
        None => Ok(Some(asked.meet(had))),
    }
}

fn resource<'f>(control: &Control, form: &'f Parameters) -> Result<Option<&'f str>, OAuthError> {
    let target = |why: NotAResource| OAuthError::new(Code::InvalidTarget, why.to_string());
    let asked = form.one("resource").map_err(|_| target(NotAResource::Several))?;
    asked.map_or(Ok(()), |text| control.resources().check(text)).map_err(target)?;
    Ok(asked)
}

/// The resource that was authorized; one may be named now only when none was named then (RFC 8707 §2.2).
fn audience<'a>(
    authorization: &'a Authorization,
    asked: Option<&'a str>,
) -> Result<Option<&'a str>, OAuthError> {
    match (authorization.resource.as_deref(), asked) {
        (Some(then), Some(now)) if then != now => {
            Err(OAuthError::new(Code::InvalidTarget, "resource is not the one that was authorized"))
        }
        (Some(resource), _) | (None, Some(resource)) => Ok(Some(resource)),
        (None, None) => Ok(None),
    }
}

fn missing(name: &str) -> OAuthError {
    OAuthError::new(Code::InvalidRequest, format!("{name} is missing"))
}

fn bad_grant(text: &str) -> OAuthError {
    OAuthError::new(Code::InvalidGrant, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_may_ask_for_less() {
        let had = "openid /acs/ecs".parse().unwrap();
        assert_eq!(narrower(None, &had), Ok(None));
        assert_eq!(narrower(Some("/acs/ecs:read"), &had), Ok(Some("/acs/ecs:read".parse().unwrap())));
        assert_eq!(narrower(Some("openid /acs/ecs offline_access"), &had), Ok(Some(had.clone())));
    }

    #[test]
    fn a_refresh_may_not_ask_for_more() {
        let had = "openid /acs/ecs:read".parse().unwrap();
        for text in ["/acs/ecs", "profile", "openid /acs/ecs:write", "a\"b"] {
            assert_eq!(narrower(Some(text), &had).unwrap_err().code(), Code::InvalidScope, "{text}");
        }
    }
}
