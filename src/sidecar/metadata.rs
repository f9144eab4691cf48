//! Protected-resource metadata (RFC 9728): where an application learns which issuer to go to, and which scopes to ask for
//! to begin with.

use http::header::{self, HeaderValue};
use http::{Method, Response, StatusCode};
use serde::Serialize;

use super::Sidecar;
use crate::model::scope::Scope;
use crate::net::body::Answer;
use crate::net::canonical::Candidate;

/// What is told about one protected resource.
#[derive(Serialize)]
struct Metadata<'a> {
    resource: String,
    authorization_servers: [&'a str; 1],
    bearer_methods_supported: [&'a str; 1],
    /// What is asked for unless an application knows better: a person reads it on the consent page.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<&'a str>,
    resource_name: &'a str,
}

/// The metadata's answer, when its path asks for it: the well-known path, alone or before a resource's own path
/// (RFC 9728 §3.1).
pub(super) fn answer(method: &Method, candidate: &Candidate, sidecar: &Sidecar) -> Option<Response<Answer>> {
    let resource =
        candidate.path().strip_prefix(WELL_KNOWN).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
    if method != Method::GET && method != Method::HEAD {
        return None;
    }
    let base = sidecar.public_url.trim_end_matches('/');
    let route = sidecar.routes.find(resource, candidate.host());
    let metadata = Metadata {
        resource: format!("{base}{}", resource.trim_end_matches('/')),
        authorization_servers: [&sidecar.issuer],
        bearer_methods_supported: ["header"],
        scopes_supported: route.iter().flat_map(|route| route.scopes.iter()).map(Scope::as_str).collect(),
        resource_name: "Consentry sidecar",
    };
    let mut response = Response::new(Answer::from(serde_json::to_string(&metadata).ok()?));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=300"));
    Some(response)
}

/// Where the metadata of the resource at `path` stands.
pub(super) fn location(public_url: &str, path: &str) -> String {
    let base = public_url.trim_end_matches('/');
    // The path is canonical: nothing in it can leave the quoted string of a challenge.
    format!("{base}{WELL_KNOWN}{}", path.trim_end_matches('/'))
}

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
