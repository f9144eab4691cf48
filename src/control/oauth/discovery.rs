//! `GET /.well-known/openid-configuration` and `/.well-known/oauth-authorization-server`: what this issuer can do
//! (OpenID Connect Discovery §3, RFC 8414 §2), the same at both and in every form for an issuer with a path.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::super::Control;
use super::super::exchange;
use super::super::narrowing;
use super::super::registration;
use super::request;

/// Answers the metadata.
pub(super) async fn get(State(control): State<Arc<Control>>) -> Response {
    let headers = [(CACHE_CONTROL, "public, max-age=300"), (ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    (headers, Json(Metadata::of(&control))).into_response()
}

#[derive(Serialize)]
struct Metadata<'a> {
    issuer: &'a str,
    authorization_endpoint: String,
    token_endpoint: String,
    userinfo_endpoint: String,
    jwks_uri: String,
    revocation_endpoint: String,
    introspection_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_endpoint: Option<String>,
    client_id_metadata_document_supported: bool,
    /// Not a registered name: where an access token becomes an access key.
    consentry_exchange_endpoint: String,
    /// Those of identity only: a client that asks for all that is listed must not ask for clouds. Clients of MCP that can
    /// use a refresh token and ask for more scopes add `offline_access` by themselves if it is listed.
    scopes_supported: [&'a str; 4],
    response_types_supported: [&'a str; 1],
    response_modes_supported: [&'a str; 1],
    grant_types_supported: [&'a str; 3],
    subject_types_supported: [&'a str; 1],
    id_token_signing_alg_values_supported: [&'a str; 1],
    code_challenge_methods_supported: [&'a str; 1],
    token_endpoint_auth_methods_supported: [&'a str; 3],
    revocation_endpoint_auth_methods_supported: [&'a str; 3],
    introspection_endpoint_auth_methods_supported: [&'a str; 3],
    claims_supported: [&'a str; 13],
    claim_types_supported: [&'a str; 1],
    prompt_values_supported: [&'a str; 4],
    claims_parameter_supported: bool,
    request_parameter_supported: bool,
    request_uri_parameter_supported: bool,
    authorization_response_iss_parameter_supported: bool,
}

impl<'a> Metadata<'a> {
    fn of(control: &'a Control) -> Self {
        let (issuer, registrar) = (control.issuer(), &control.registrar);
        Self {
            issuer: issuer.as_str(),
            authorization_endpoint: issuer.at(request::PATH),
            token_endpoint: issuer.at("/v1/token"),
            userinfo_endpoint: issuer.at("/v1/userinfo"),
            jwks_uri: issuer.at("/v1/keys"),
            revocation_endpoint: issuer.at("/v1/revoke"),
            introspection_endpoint: issuer.at("/v1/introspect"),
            registration_endpoint: registrar.is_dynamic().then(|| issuer.at(registration::PATH)),
            client_id_metadata_document_supported: registrar.reads_documents(),
            consentry_exchange_endpoint: issuer.at(exchange::PATH),
            scopes_supported: ["openid", "profile", "aliuid", "offline_access"],
            response_types_supported: ["code"],
            response_modes_supported: ["query"],
            grant_types_supported: ["authorization_code", "refresh_token", narrowing::GRANT_TYPE],
            subject_types_supported: ["public"],
            id_token_signing_alg_values_supported: ["RS256"],
            code_challenge_methods_supported: ["S256"],
            token_endpoint_auth_methods_supported: CLIENT_METHODS,
            revocation_endpoint_auth_methods_supported: CLIENT_METHODS,
            introspection_endpoint_auth_methods_supported: CLIENT_METHODS,
            claims_supported: [
                "iss",
                "sub",
                "aud",
                "exp",
                "iat",
                "auth_time",
                "nonce",
                "type",
                "name",
                "upn",
                "login_name",
                "aid",
                "uid",
            ],
            claim_types_supported: ["normal"],
            prompt_values_supported: ["none", "login", "consent", "admin_consent"],
            claims_parameter_supported: false,
            request_parameter_supported: false,
            request_uri_parameter_supported: false,
            authorization_response_iss_parameter_supported: true,
        }
    }
}

const CLIENT_METHODS: [&str; 3] = ["client_secret_basic", "client_secret_post", "none"];
