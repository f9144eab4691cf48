//! Redeeming the code (OpenID Connect Core section 3.1.3) and asking for more claims (section 5.3).
//!
//! Comes in: a code and its attempt. Goes out: claims of the ID token, signed by the provider, with those of the
//! userinfo endpoint beside them where the operator wants them. Tokens end here.

use serde::Deserialize;
use serde_json::Value;
use url::form_urlencoded;

use super::attempt::Attempt;
use super::fault::Fault;
use super::fetch::{Credential, Unanswered};
use super::id_token::{self, Claims, Unproven};
use super::provider::{Metadata, Provider};
use crate::token::random::Secret;

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: String,
    token_type: String,
}

/// What the provider says of whoever has come back with this code.
pub(super) async fn claims(
    provider: &Provider,
    metadata: &Metadata,
    attempt: &Attempt,
    code: &str,
    redirect_uri: &str,
    now: i64,
) -> Result<Claims, Fault> {
    let tokens = redeem(provider, metadata, attempt, code, redirect_uri).await?;
    let (id, access) = (Secret::new(tokens.id_token), Secret::new(tokens.access_token));
    let verify = |keys: &id_token::Keys, expected: id_token::Expected<'_>| {
        id_token::id_token(keys, id.expose(), expected, &attempt.nonce)
    };
    let mut claims = provider.verified(now, verify).await?;
    if provider.settings.userinfo {
        if !tokens.token_type.eq_ignore_ascii_case("bearer") {
            return Err(Unanswered::Unreadable("its token is of a type that is not known").into());
        }
        for (name, value) in userinfo(provider, metadata, &claims, &access).await? {
            // What is signed goes before what is not, and what the protocol rests on is signed or not there at all.
            if !SIGNED_ONLY.contains(&name.as_str()) {
                claims.entry(name).or_insert(value);
            }
        }
    }
    Ok(claims)
}

async fn redeem(
    provider: &Provider,
    metadata: &Metadata,
    attempt: &Attempt,
    code: &str,
    redirect_uri: &str,
) -> Result<Tokens, Fault> {
    let id = provider.settings.client_id.as_str();
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", redirect_uri),
        ("code_verifier", attempt.verifier.as_str()),
    ];
    let with = match &provider.secret {
        Some(secret) if !metadata.secret_in_form => Credential::Basic(id, secret),
        Some(secret) => {
            fields.extend([("client_id", id), ("client_secret", secret.expose())]);
            Credential::None
        }
        None => {
            fields.push(("client_id", id));
            Credential::None
        }
    };
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let bytes = provider.fetch.post(&metadata.token, form, with).await?;
    let read = serde_json::from_slice(&bytes);
    Ok(read.map_err(|_| Unanswered::Unreadable("it holds no ID token"))?)
}

async fn userinfo(
    provider: &Provider,
    metadata: &Metadata,
    claims: &Claims,
    access: &Secret,
) -> Result<Claims, Fault> {
    let none = Unanswered::Unreadable("its discovery document names no userinfo endpoint");
    let url = metadata.userinfo.as_ref().ok_or(none)?;
    let bytes = provider.fetch.get(url, Credential::Bearer(access)).await?;
    let more: Value =
        serde_json::from_slice(&bytes).map_err(|_| Unanswered::Unreadable("userinfo is no JSON"))?;
    let Value::Object(more) = more else {
        return Err(Unanswered::Unreadable("userinfo is no object").into());
    };
    // It must be about the same person (OpenID Connect Core section 5.3.2).
    if more.get("sub").and_then(Value::as_str) != id_token::subject(claims) {
        return Err(Unproven::Claims.into());
    }
    Ok(more)
}

const SIGNED_ONLY: [&str; 8] = ["iss", "aud", "azp", "exp", "iat", "nonce", "auth_time", "sid"];
