//! `/internal/v1/follow` and `/internal/v1/snapshot`: the change log, as a sidecar follows it. A question carries how
//! far the sidecar has applied the log, which acknowledges it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;

use super::{Body, still, unknown};
use crate::control::{Control, Problem, Reply};
use crate::grants::follow::news::{ChangeLog, FollowError, News, Report, Snapshot};
use crate::token::proof::Proven;

/// Answers as soon as there is something new, and at the latest after a beat.
pub(super) async fn follow(
    State(control): State<Arc<Control>>,
    Extension(proven): Extension<Proven>,
    Body(report): Body<Report>,
) -> Reply<Json<News>> {
    if !is_short(&report) {
        let detail = "The report is longer than a sidecar's.";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "invalid_request", detail));
    }
    let report = Report { sidecar: proven.instance, ..report };
    let source = control.source();
    let news = match tokio::time::timeout(source.lease(), source.follow(&report)).await {
        Ok(news) => news.map_err(not_now)?,
        Err(_) => {
            return Err(not_now(FollowError::Unreachable("the store did not answer in time".to_owned())));
        }
    };
    // It may have been revoked while it waited, and this answer would be a lease.
    let enrolled = control.store().enrolled(&proven.sidecar).await?;
    still(&enrolled.ok_or_else(|| unknown("The sidecar is enrolled no more."))?)?;
    Ok(Json(news))
}

/// Whether the report is of a length to be remembered, for every process that asks.
fn is_short(report: &Report) -> bool {
    let Report { version, policies, paths, .. } = report;
    let words = [version, policies].into_iter().chain(paths);
    paths.len() <= MOST_PATHS && words.map(String::len).sum::<usize>() <= LONGEST_WORDS
}

/// The sidecar's process has ended.
pub(super) async fn leave(
    State(control): State<Arc<Control>>,
    Extension(proven): Extension<Proven>,
) -> StatusCode {
    control.source().leave(&proven.instance).await;
    StatusCode::NO_CONTENT
}

/// When each slot last changed.
pub(super) async fn snapshot(State(control): State<Arc<Control>>) -> Reply<Json<Snapshot>> {
    Ok(Json(control.source().snapshot().await.map_err(not_now)?))
}

fn not_now(error: FollowError) -> Problem {
    tracing::warn!(%error, "a sidecar could not be told what is new");
    let detail = "The change log cannot be read now.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", detail).next("Ask again.")
}

const MOST_PATHS: usize = 8;
const LONGEST_WORDS: usize = 1024;
