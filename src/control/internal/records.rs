//! `POST /internal/v1/records`: decision records, so that administrators can look at them here. What a sidecar writes
//! beside itself is what counts; this is a copy, and may lack some.

use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::http::StatusCode;

use super::Body;
use crate::control::usage::scopes_of;
use crate::control::{Control, Problem, Reply};
use crate::model::decision::Decision;
use crate::token::proof::Proven;

/// Keeps a batch of the asking sidecar's own records.
pub(super) async fn take(
    State(control): State<Arc<Control>>,
    Extension(proven): Extension<Proven>,
    Body(records): Body<Vec<Decision>>,
) -> Reply<StatusCode> {
    let own = |record: &Decision| {
        let named = &*record.sidecar;
        named == proven.sidecar.as_str() || named == proven.instance.as_str()
    };
    if records.len() > MOST || !records.iter().all(own) {
        let detail = format!("A batch is at most {MOST} records, all of them by the sidecar that sends it.");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "invalid_request", detail));
    }
    let policies = control.policies();
    control.store().keep_decisions(&records, &|one| scopes_of(&policies, one), control.clock().now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

const MOST: usize = 1000;
