//! Logging out: the offer to do it at the provider too (RP-Initiated Logout 1.0), and the provider's word that somebody
//! has (Back-Channel Logout 1.0).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};

use super::SIGNED_OUT;
use super::fault::Fault;
use super::id_token::{self, Claims};
use super::provider::Provider;
use crate::control::browser::throttle::Guess;
use crate::control::form::Parameters;
use crate::control::page::respond;
use crate::control::page::sign_in::Done;
use crate::control::peer::Address;
use crate::control::{Control, Problem};
use crate::store::{StoreError, TakenBack, Vouched};

/// Where to log out at the provider that vouched for a session, and what the link says. The provider is not told by
/// whom with an ID token, for none is kept; it asks the person.
pub(in crate::control) async fn farewell(control: &Control, vouched: &Vouched) -> Option<(String, String)> {
    let provider = control.federation.named(&vouched.provider)?;
    let mut url = provider.end_session(control.clock().seconds()).await?;
    url.query_pairs_mut()
        .append_pair("client_id", &provider.settings.client_id)
        .append_pair("post_logout_redirect_uri", &control.issuer().at(SIGNED_OUT));
    Some((url.into(), format!("Sign out at {} too", provider.settings.label())))
}

/// `GET /login/signed-out`: where the provider sends people afterwards.
pub(super) async fn signed_out() -> Response {
    respond(&Done::signed_out())
}

/// `POST /login/provider/{name}/logout`: ends the sessions that the logout token names. What was taken already can be
/// sent again without harm: only sessions older than the token end.
pub(super) async fn back_channel(
    State(control): State<Arc<Control>>,
    Path(name): Path<String>,
    Address(address): Address,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(seconds) = control.starts.begin(Guess::Provider(&name), address, control.clock().seconds()) {
        return (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, seconds.to_string())]).into_response();
    }
    let mut response = match end(&control, &name, &headers, &body).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(problem) => problem.into_response(),
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn end(control: &Control, name: &str, headers: &HeaderMap, body: &Bytes) -> Result<(), Problem> {
    let provider = control.federation.named(name).ok_or_else(Problem::not_found)?;
    let form = Parameters::from_body(headers, body).map_err(|why| invalid(&why.to_string()))?;
    let token = form.one("logout_token").ok().flatten().ok_or_else(|| invalid("logout_token is missing"))?;
    let now = control.clock().now();
    let verify = |keys: &id_token::Keys, expected: id_token::Expected<'_>| {
        id_token::logout_token(keys, token, expected)
    };
    let claims =
        provider.verified(now.as_second(), verify).await.map_err(|fault| refused(provider, &fault))?;
    let accounts = accounts(control, provider).await?;
    let ended = control.store().take_back(&taken(provider, &claims, now), &accounts, now).await?;
    tracing::info!(provider = name, sessions = ended, "a provider has ended sessions");
    Ok(())
}

fn taken(provider: &Provider, claims: &Claims, now: Timestamp) -> TakenBack {
    let skew = SignedDuration::from_secs(i64::from(provider.settings.skew_seconds));
    let issued = id_token::time(claims, "iat").and_then(|at| Timestamp::from_second(at).ok()).unwrap_or(now);
    TakenBack {
        issuer: provider.settings.issuer.clone(),
        subject: id_token::subject(claims).map(str::to_owned),
        session: id_token::session(claims).map(str::to_owned),
        until: issued.saturating_add(skew).unwrap_or(issued),
    }
}

async fn accounts(
    control: &Control,
    provider: &Provider,
) -> Result<Vec<crate::model::id::AccountId>, StoreError> {
    let mut accounts = Vec::new();
    for name in &provider.settings.accounts {
        accounts.extend(control.store().account_named(name).await?.map(|account| account.id));
    }
    Ok(accounts)
}

fn refused(provider: &Provider, fault: &Fault) -> Problem {
    let (name, why) = (&provider.settings.name, fault.to_log());
    tracing::warn!(provider = name, why, "a logout token was refused");
    if matches!(fault, Fault::Unanswered(_)) {
        let detail = "The provider's keys cannot be fetched.";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "provider_unavailable", detail)
            .next("Send it again later.");
    }
    invalid("the logout token proves nothing here")
}

/// Section 2.8.
fn invalid(why: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid_request", format!("This is no logout: {why}."))
}
