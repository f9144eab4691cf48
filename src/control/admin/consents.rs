//! Personal consents to an official application: who gave one, and withdrawing it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::applications;
use super::openapi::Refusals;
use super::request::Asked;
use super::state::{Change, Effect};
use crate::control::{Control, Problem, Reply};
use crate::model::scope::ScopeSet;
use crate::policy::ConsoleAction;

/// The personal consents of an application.
#[derive(Serialize, ToSchema)]
pub(super) struct Consents {
    consents: Vec<PersonalConsent>,
}

/// One person's own consent.
#[derive(Serialize, ToSchema)]
pub(super) struct PersonalConsent {
    /// Who.
    login: String,
    /// To what.
    #[schema(value_type = Vec<String>)]
    scopes: ScopeSet,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

/// List the personal consents
#[utoipa::path(get, path = "/api/v1/applications/{client_id}/consents", tag = "assignments",
    operation_id = "listConsents", params(("client_id", description = "The application's client ID.")),
    responses((status = 200, description = "Who has agreed in person.", body = Consents), Refusals))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    asked: Asked,
) -> Reply<Json<Consents>> {
    let by = asked.may(&control, ConsoleAction::Assign).await?;
    asked.only(&[])?;
    let installed = applications::find(&control, &by, &client_id).await?;
    let consents = control.store().personal_consents(&installed.grant.key).await?;
    let consents = consents
        .into_iter()
        .map(|one| PersonalConsent { login: one.principal.login, scopes: one.scopes, at: one.at })
        .collect();
    Ok(Json(Consents { consents }))
}

/// Withdraw a personal consent
///
/// Ends that person's codes and tokens of the application. They are asked again at the next use.
#[utoipa::path(delete, path = "/api/v1/applications/{client_id}/consents/{login}", tag = "assignments",
    operation_id = "withdrawConsent",
    params(("client_id", description = "The application's client ID."), ("login", description = "Whose."),
        ("wait" = Option<u8>, Query, description = "0 to be answered as soon as it is stored.")),
    responses((status = 200, description = "Withdrawn, everywhere.", body = Effect),
        (status = 202, description = "Stored; not known to be true everywhere yet.", body = Effect), Refusals))]
pub(super) async fn withdraw(
    State(control): State<Arc<Control>>,
    Path((client_id, login)): Path<(String, String)>,
    asked: Asked,
) -> Reply<Response> {
    let by = asked.may(&control, ConsoleAction::Assign).await?;
    let wait = asked.waits()?;
    let installed = applications::find(&control, &by, &client_id).await?;
    let none = || {
        Problem::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "Nobody of this account with that login has agreed in person.",
        )
        .next("GET the list of consents; it names the logins.")
    };
    let found = control.store().credential(&login).await?.map(|found| found.principal.key);
    let person = found.filter(|key| key.account == *by.account()).ok_or_else(none)?;
    let change = Change::begin(&control, wait);
    let now = control.clock().now();
    let seq = control.store().withdraw_consent(&installed.grant.key, &person, &by.actor(), now).await;
    let seq = seq
        .map_err(Problem::from)
        .map_err(|problem| if problem.status() == StatusCode::NOT_FOUND { none() } else { problem })?;
    let receipt = change.settle(&control, seq).await;
    Ok(Effect::answer(installed.grant.revision, receipt))
}
