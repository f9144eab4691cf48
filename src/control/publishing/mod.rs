//! The publisher's side: the applications that an account has registered for others, as pages and as API.
//!
//! Comes in: administrators of the publisher's account. Goes out: what they registered, secrets once, and which
//! accounts still stand on older scopes: their numbers, aliases and dates, nothing else. Another account's
//! application answers like none. What a change is, and what it means for grants, is `rescope`'s.

pub(in crate::control) mod applications;
pub(in crate::control) mod behind;
pub mod fields;
mod pages;
pub(in crate::control) mod secrets;
pub mod view;

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, post};

use super::Control;
use super::page::nav::PUBLISHER;

/// The routes of the API.
pub(in crate::control) fn api() -> Router<Arc<Control>> {
    Router::new()
        .route("/api/v1/publisher/applications", get(applications::list).post(applications::register))
        .route("/api/v1/publisher/applications/{client_id}/accounts", get(behind::list))
        .route("/api/v1/publisher/applications/{client_id}/secrets", get(secrets::list).post(secrets::add))
        .route("/api/v1/publisher/applications/{client_id}/secrets/{secret_id}", delete(secrets::remove))
}

/// The routes of the pages.
pub(in crate::control) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route(PUBLISHER, get(pages::list))
        .route("/publisher/new", get(pages::blank).post(pages::register))
        .route("/publisher/applications/{client_id}", get(pages::show).post(pages::change))
        .route("/publisher/applications/{client_id}/secrets", post(pages::add_secret))
        .route(
            "/publisher/applications/{client_id}/secrets/{secret_id}/delete",
            get(pages::ask_delete_secret).post(pages::delete_secret),
        )
}

/// The page of one application.
fn page_of(client_id: &str) -> String {
    format!("{PUBLISHER}/applications/{client_id}")
}
