//! Use and hygiene: what was used and what was not, taking back what is not needed, and the report.
//!
//! Comes in: administrators. Goes out: last uses by application and scope, stale applications, a narrower grant in one
//! click, an end for a grant, and a report with figures. What it shows is what sidecars have told of calls; it decides
//! nothing about any.

pub mod chart;
pub(in crate::control) mod expiry;
pub mod figures;
pub(in crate::control) mod narrow;
mod pages;
pub(in crate::control) mod report;
pub(in crate::control) mod survey;
mod used;
pub mod view;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post, put};

use super::Control;
use super::page::nav::{REPORT, USE};
pub use used::scopes_of;

/// The routes of the API.
pub(in crate::control) fn api() -> Router<Arc<Control>> {
    Router::new()
        .route("/api/v1/use", get(survey::list))
        .route("/api/v1/report", get(report::get))
        .route("/api/v1/applications/{client_id}/narrow", post(narrow::narrow))
        .route("/api/v1/applications/{client_id}/expiry", put(expiry::set))
}

/// The routes of the pages.
pub(in crate::control) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route(USE, get(pages::overview))
        .route("/console/use/{client_id}/narrow", post(pages::narrow))
        .route("/console/applications/{client_id}/expiry", get(pages::expiry).post(pages::set_expiry))
        .route(REPORT, get(pages::report))
}

/// The longest time that can be looked back over, in days; figures are kept a little longer.
const LONGEST_DAYS: i64 = 365;
