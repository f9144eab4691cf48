//! `GET /login/provider/{name}`: sends the browser to the provider (OpenID Connect Core section 3.1.2.1).
//!
//! A plain link leads here, no form: browsers do not let a form lead to another site. Whoever is led here by a stranger
//! ends up logged in as themself, or not at all.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, REFERRER_POLICY, SET_COOKIE};
use axum::response::{IntoResponse, Redirect, Response};

use super::attempt::Attempt;
use super::fault::Fault;
use super::provider::{Metadata, Provider};
use crate::control::browser::login::own_path;
use crate::control::browser::session::{Cookie, cookie, set_cookie};
use crate::control::browser::throttle::Guess;
use crate::control::form::Parameters;
use crate::control::oauth::request;
use crate::control::page::respond;
use crate::control::page::stop::Stopped;
use crate::control::peer::Address;
use crate::control::{Control, Problem};
use crate::token::pkce;
use crate::token::random::Secret;

/// Begins an attempt.
pub(super) async fn start(
    State(control): State<Arc<Control>>,
    Path(name): Path<String>,
    Address(address): Address,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let parameters = Parameters::parse(query.unwrap_or_default().as_bytes());
    let Some(provider) = control.federation.named(&name) else {
        return Fault::NoProvider.page(&control, None);
    };
    if let Err(seconds) = control.starts.begin(Guess::Provider(&name), address, control.clock().seconds()) {
        return respond(&Stopped::throttled(seconds));
    }
    match send(&control, provider, &headers, &parameters).await {
        Ok(response) => response,
        Err(fault) => fault.page(&control, Some(provider)),
    }
}

async fn send(
    control: &Control,
    provider: &Provider,
    headers: &HeaderMap,
    parameters: &Parameters,
) -> Result<Response, Fault> {
    let one = |name: &str| parameters.one(name).ok().flatten();
    let onward = own_path(control.issuer(), one("continue"));
    let now = control.clock().seconds();
    let metadata = provider.metadata(now).await?;
    let max_age = max_age(control, &onward);
    let attempt = Attempt::new(&provider.settings.name, onward, one("fresh").is_some(), max_age, now)
        .map_err(|why| Problem::internal("a log-in at a provider", &why))?;
    // The same for all attempts of a browser, so that two windows do not disturb each other.
    let known = cookie(headers, Cookie::Provider.name(control));
    let cookie = match known {
        Some(known) => known,
        None => Secret::random().map_err(|why| Problem::internal("a cookie", &why))?,
    };
    let state = attempt.keep(control, &cookie).await?;
    let mut response = Redirect::to(&address(control, provider, &metadata, &attempt, &state)).into_response();
    let headers = response.headers_mut();
    headers.append(SET_COOKIE, set_cookie(control, Cookie::Provider, Some(&cookie))?);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

fn address(
    control: &Control,
    provider: &Provider,
    metadata: &Metadata,
    attempt: &Attempt,
    state: &Secret,
) -> String {
    let settings = &provider.settings;
    let mut url = metadata.authorization.clone();
    let scope = std::iter::once("openid").chain(settings.scopes.iter().map(String::as_str));
    let scope = scope.collect::<Vec<_>>().join(" ");
    let challenge = pkce::challenge(&attempt.verifier);
    let mut query = url.query_pairs_mut();
    query
        .append_pair("client_id", &settings.client_id)
        .append_pair("redirect_uri", &control.callback_of(provider))
        .append_pair("response_type", "code")
        .append_pair("scope", &scope)
        .append_pair("state", state.expose())
        .append_pair("nonce", &attempt.nonce)
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256");
    if attempt.fresh {
        query.append_pair("prompt", "login");
    }
    // Also where a fresh log-in is wanted: a provider that is asked for an age must say when it was.
    if let Some(age) = if attempt.fresh { Some(0) } else { attempt.max_age } {
        query.append_pair("max_age", &age.to_string());
    }
    drop(query);
    url.into()
}

/// How old the application that somebody is on the way to lets a log-in be.
fn max_age(control: &Control, onward: &str) -> Option<i64> {
    let own = onward.strip_prefix(control.issuer().path()).unwrap_or(onward);
    let query = own.strip_prefix(request::PATH)?.strip_prefix('?')?;
    let age = Parameters::parse(query.as_bytes()).one("max_age").ok().flatten()?.parse::<u32>().ok()?;
    Some(i64::from(age))
}
