//! The admin API: what an account's administrators can see and do, as JSON under `/api/v1`.
//!
//! Comes in: requests with an API token, or with a console session and its CSRF header. Goes out: JSON, or RFC 9457
//! problems with a stable code, a sentence and the next step. An account sees its own things only; what belongs to
//! another answers like what does not exist. The console does through the functions of this folder what it does.
//!
//! To add an endpoint: one file with its function and its `utoipa::path`, one line in `routes`, one in `openapi`.

pub(in crate::control) mod applications;
pub(in crate::control) mod assignments;
pub(in crate::control) mod consents;
mod decisions;
pub(in crate::control) mod official;
pub(in crate::control) mod openapi;
pub(in crate::control) mod publisher;
pub(in crate::control) mod request;
mod secrets;
mod sidecars;
pub(in crate::control) mod state;

use std::sync::Arc;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{delete, get, post};
pub use openapi::document;

use super::{Control, directory, requests, rescope, tenant};

/// The routes of the admin API.
pub(in crate::control) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route("/api/v1/applications", get(applications::list))
        .route("/api/v1/applications/{client_id}", get(applications::show).delete(state::revoke))
        .route("/api/v1/applications/{client_id}/policies", get(applications::policies))
        .route("/api/v1/applications/{client_id}/suspend", post(state::suspend))
        .route("/api/v1/applications/{client_id}/resume", post(state::resume))
        .route(
            "/api/v1/applications/{client_id}/assignments",
            get(assignments::show).put(assignments::replace).patch(assignments::patch),
        )
        .route("/api/v1/applications/{client_id}/assignees", get(assignments::list))
        .route("/api/v1/applications/{client_id}/consents", get(consents::list))
        .route("/api/v1/applications/{client_id}/consents/{login}", delete(consents::withdraw))
        .route("/api/v1/official-applications", get(official::list))
        .route("/api/v1/official-applications/{client_id}/provision", post(official::provision))
        // The same below the installed ones, where a script that goes on to assign it looks for it.
        .route("/api/v1/applications/{client_id}/provision", post(official::provision))
        .route("/api/v1/publisher/applications", get(publisher::list).post(publisher::register))
        .route("/api/v1/publisher/applications/{client_id}/secrets", get(secrets::list).post(secrets::add))
        .route("/api/v1/publisher/applications/{client_id}/secrets/{secret_id}", delete(secrets::remove))
        .route("/api/v1/decisions", get(decisions::list))
        .route("/api/v1/decisions/{id}", get(decisions::show))
        .route("/api/v1/sidecars", get(sidecars::list))
        .merge(directory::api())
        .route("/api/v1/openapi.json", get(openapi::get))
        .merge(requests::api_routes())
        .merge(rescope::api_routes())
        .merge(tenant::api_routes())
        .layer(map_response(finish))
}

/// Nothing of the API is to be cached unless it says so, and every 401 names the way in (RFC 9110 section 15.5.2).
async fn finish(mut response: Response) -> Response {
    let status = response.status();
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if status == StatusCode::UNAUTHORIZED {
        headers.entry(WWW_AUTHENTICATE).or_insert(HeaderValue::from_static("Bearer realm=\"consentry\""));
    }
    response
}
