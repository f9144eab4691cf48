//! Requests for approval: a user who may not authorize an application asks those who may.
//!
//! Comes in: a person's reason, and later an administrator's decision. Goes out: the state of the request, to both
//! sides. Approving is the consent page itself: nothing here grants anything.

pub(in crate::control) mod api;
pub(in crate::control) mod asking;
mod page;
pub mod view;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::Control;

/// The routes of the admin API.
pub(in crate::control) fn api_routes() -> Router<Arc<Control>> {
    Router::new()
        .route("/api/v1/approval-requests", get(api::list))
        .route("/api/v1/approval-requests/{client_id}", get(api::show))
        .route("/api/v1/approval-requests/{client_id}/deny", post(api::deny))
        .route("/api/v1/approval-requests/{client_id}/block", post(api::block))
}

/// The routes of the person who asks, and of the console.
pub(in crate::control) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route(asking::PATH, post(asking::ask))
        .route(HOME, get(page::list))
        .route("/console/requests/{client_id}", get(page::details))
        .route("/console/requests/{client_id}/deny", post(page::deny))
        .route("/console/requests/{client_id}/block", post(page::block))
}

/// Where the console shows them.
pub(in crate::control) const HOME: &str = "/console/requests";

#[cfg(test)]
pub(in crate::control) mod samples;
