//! A person's own side: the applications that act as them, and taking that back, administrator or not.
//!
//! Comes in: anybody who is logged in, or an API token of theirs. Goes out: what concerns that person alone. What is
//! taken back is true on every sidecar when it is answered.

pub(in crate::control) mod applications;
mod pages;
pub mod view;

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, post};

use super::Control;
use super::page::nav::ME;

/// The routes of the API.
pub(in crate::control) fn api() -> Router<Arc<Control>> {
    Router::new()
        .route("/api/v1/me/applications", get(applications::list))
        .route("/api/v1/me/applications/{client_id}", delete(applications::withdraw))
}

/// The routes of the pages.
pub(in crate::control) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route(ME, get(pages::list))
        .route("/me/applications/{client_id}/withdraw", post(pages::withdraw))
}
