//! The decision records of an account, and what led to one.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi::Refusals;
use super::request::{Asked, invalid};
use crate::control::{Control, Problem, Reply};
use crate::model::decision::{Decision, Outcome};
use crate::model::id::{DecisionId, GrantKey};
use crate::policy::ConsoleAction;
use crate::policy::explain::{Explanation, explain};
use crate::store::DecisionFilter;

/// A page of decision records, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct Decisions {
    /// The records; `schemas/decision.json` describes one.
    decisions: Vec<Decision>,
    /// Give it as `before` to get the next page; null when this is the last.
    next: Option<String>,
}

/// One record, and what led to it.
#[derive(Serialize, ToSchema)]
pub(super) struct ExplainedDecision {
    /// The record; `schemas/decision.json` describes it.
    decision: Decision,
    /// What happened, by which authorization and policies, and what would mend a refusal.
    #[schema(value_type = Object)]
    explanation: Explanation,
}

/// List decision records
///
/// One for each call that reached a sidecar with a token of this account, newest first.
#[utoipa::path(get, path = "/api/v1/decisions", tag = "decisions", operation_id = "listDecisions",
    params(("application" = Option<String>, Query, description = "Only of this client ID."),
        ("outcome" = Option<String>, Query, description = "Only `forwarded`, `answered`, `denied`, `refused` or `failed`."),
        ("before" = Option<String>, Query, description = "Only older than this record."),
        ("limit" = Option<u32>, Query, description = "At most so many, 1 to 1000; 100 unless given.")),
    responses((status = 200, description = "A page of records.", body = Decisions), Refusals))]
pub(super) async fn list(State(control): State<Arc<Control>>, asked: Asked) -> Reply<Json<Decisions>> {
    let by = asked.may(&control, ConsoleAction::List).await?;
    let filter = filter(&asked)?;
    let decisions = control.store().decisions(by.account(), &filter).await?;
    let full = decisions.len() >= usize::try_from(filter.limit).unwrap_or(usize::MAX);
    let next = decisions.last().filter(|_| full).map(|last| last.id.to_string());
    Ok(Json(Decisions { decisions, next }))
}

/// Explain one decision
///
/// The id is what the answer to the call carried in `x-consentry-decision`.
#[utoipa::path(get, path = "/api/v1/decisions/{id}", tag = "decisions", operation_id = "explainDecision",
    params(("id", description = "The record's id.")),
    responses((status = 200, description = "The record, explained.", body = ExplainedDecision), Refusals))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
    asked: Asked,
) -> Reply<Json<ExplainedDecision>> {
    let by = asked.may(&control, ConsoleAction::List).await?;
    asked.only(&[])?;
    let unknown = || {
        Problem::new(StatusCode::NOT_FOUND, "not_found", "This account has no decision record with that id.")
            .next("Records are written shortly after the call; GET /api/v1/decisions lists them.")
    };
    let id: DecisionId = id.parse().map_err(|_| unknown())?;
    let decision = control.store().decision(by.account(), &id).await?.ok_or_else(unknown)?;
    let application = decision.application.as_ref().and_then(|id| id.parse().ok());
    let installed = match application {
        Some(application) => {
            control.store().installed(&GrantKey { account: by.account().clone(), application }).await?
        }
        None => None,
    };
    let explanation = explain(&decision, installed.as_ref(), &control.policies());
    Ok(Json(ExplainedDecision { decision, explanation }))
}

fn filter(asked: &Asked) -> Reply<DecisionFilter> {
    asked.only(&["application", "outcome", "before", "limit"])?;
    let mut filter = DecisionFilter { limit: 100, ..DecisionFilter::default() };
    if let Some(text) = asked.parameter("application") {
        filter.application = Some(text.parse().map_err(|_| invalid("`application` is not a client ID."))?);
    }
    if let Some(text) = asked.parameter("before") {
        filter.before = Some(text.parse().map_err(|_| invalid("`before` is not a record's id."))?);
    }
    if let Some(text) = asked.parameter("outcome") {
        let words =
            [Outcome::Forwarded, Outcome::Answered, Outcome::Denied, Outcome::Refused, Outcome::Failed];
        let outcome = words.into_iter().find(|outcome| outcome.as_str() == text);
        let wrong = || invalid("`outcome` is one of forwarded, answered, denied, refused, failed.");
        filter.outcome = Some(outcome.ok_or_else(wrong)?);
    }
    if let Some(text) = asked.parameter("limit") {
        let limit = text.parse().ok().filter(|limit| (1..=1000).contains(limit));
        filter.limit = limit.ok_or_else(|| invalid("`limit` is a number from 1 to 1000."))?;
    }
    Ok(filter)
}
