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
use super::assignments::of_the_account;
use super::openapi::Refusals;
use super::request::{Administrator, Asked};
use super::state::{Change, Effect};
use crate::control::{Control, Problem, Reply, paging};
use crate::grants::acknowledge::Receipt;
use crate::model::grant::Grant;
use crate::model::scope::ScopeSet;
use crate::policy::ConsoleAction;
use crate::store::Agreed;

/// The personal consents of an application.
#[derive(Serialize, ToSchema)]
pub(super) struct Consents {
    /// The consents, by login.
    consents: Vec<PersonalConsent>,
    /// Give it as `after` to get the next page; null when this is the last.
    next: Option<String>,
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
    operation_id = "listConsents",
    params(("client_id", description = "The application's client ID."),
        ("search" = Option<String>, Query, description = "Only where this is a part of the login or the name."),
        ("after" = Option<String>, Query, description = "Only what comes after this place: the `next` of the page before."),
        ("limit" = Option<u32>, Query, description = "At most so many, 1 to 1000; 100 unless given.")),
    responses((status = 200, description = "Who has agreed in person.", body = Consents), Refusals))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    asked: Asked,
) -> Reply<Json<Consents>> {
    let by = asked.may(&control, ConsoleAction::Assign).await?;
    asked.only(&paging::PAGE)?;
    let wanted = paging::page(|name| asked.parameter(name), MOST)?;
    let installed = applications::find(&control, &by, &client_id).await?;
    let page = control.store().consents_page(&installed.grant.key, &wanted).await?;
    let next = page.items.last().filter(|_| page.more).map(|last| last.place.clone());
    let one = |one: Agreed| PersonalConsent { login: one.login, scopes: one.scopes, at: one.at };
    Ok(Json(Consents { consents: page.items.into_iter().map(one).collect(), next }))
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
    let (grant, receipt) = end(&control, &by, &client_id, &login, asked.waits()?).await?;
    Ok(Effect::answer(grant.revision, receipt))
}

/// Ends a person's own consent, and waits until every sidecar knows if it is to be waited for.
///
/// # Errors
/// 404 `not_installed`, 404 `not_found` where that person has not agreed, the store's.
pub(in crate::control) async fn end(
    control: &Control,
    by: &Administrator,
    client_id: &str,
    login: &str,
    wait: bool,
) -> Reply<(Grant, Option<Receipt>)> {
    let installed = applications::find(control, by, client_id).await?;
    let person = of_the_account(control, by, login).await?.ok_or_else(none)?;
    let change = Change::begin(control, wait).of(&installed.grant.key);
    let now = control.clock().now();
    let seq = control.store().withdraw_consent(&installed.grant.key, &person, &by.actor(), now).await;
    let seq = seq
        .map_err(Problem::from)
        .map_err(|problem| if problem.status() == StatusCode::NOT_FOUND { none() } else { problem })?;
    Ok((installed.grant, change.settle(control, seq).await))
}

fn none() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "Nobody of this account with that login has agreed in person.",
    )
    .next("GET the list of consents; it names the logins.")
}

const MOST: u32 = 1000;
