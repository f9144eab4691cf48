//! The forms that change something. Each is checked to be ours before anything else, and leads to a page that can be
//! loaded again without doing it twice, except the receipt, which is shown once.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};

use super::read::assignments_page;
use super::view::Deleted;
use super::{Turned, Visit, application_page};
use crate::control::admin::assignments::{self, Assigned};
use crate::control::admin::request::invalid;
use crate::control::admin::{applications, official, state};
use crate::control::browser::csrf;
use crate::control::form::Parameters;
use crate::control::page::{Label, respond};
use crate::control::{Control, Problem};
use crate::model::grant::{AssignmentMode, GrantState};
use crate::model::scope::{Scope, ScopeSet};
use crate::policy::ConsoleAction;

/// `POST …/suspend`
pub(super) async fn suspend(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    turn(&control, &client_id, &headers, &body, (ConsoleAction::Suspend, GrantState::Suspended)).await
}

/// `POST …/resume`
pub(super) async fn resume(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    turn(&control, &client_id, &headers, &body, (ConsoleAction::Resume, GrantState::Active)).await
}

/// Brings a grant into another state, where the person may, and shows the application again.
async fn turn(
    control: &Control,
    client_id: &str,
    headers: &HeaderMap,
    body: &Bytes,
    (action, wanted): (ConsoleAction, GrantState),
) -> Result<Response, Turned> {
    let back = application_page(client_id);
    let (visit, _) = posted(control, headers, body, action, &back).await?;
    state::set(control, &visit.by, client_id, wanted, true).await?;
    Ok(onward(control, &back))
}

/// `POST …/delete`: answers with the receipt, once that is true everywhere.
pub(super) async fn delete(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let back = application_page(&client_id);
    let (visit, _) = posted(&control, &headers, &body, ConsoleAction::Revoke, &back).await?;
    let installed = applications::find(&control, &visit.by, &client_id).await?;
    let at = control.clock().now();
    let (grant, receipt) = state::set(&control, &visit.by, &client_id, GrantState::Revoked, true).await?;
    let Some(receipt) = receipt else { return Ok(onward(&control, &back)) };
    Ok(respond(&Deleted {
        visitor: Some(visit.person.visitor()),
        account: visit.account,
        display_name: Label::new(&installed.application.display_name),
        client_id: installed.application.id.into(),
        revision: grant.revision,
        at,
        receipt,
    }))
}

/// `POST …/assignments`
pub(super) async fn assign(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let back = application_page(&client_id);
    let (visit, form) = posted(&control, &headers, &body, ConsoleAction::Assign, &back).await?;
    let one = |name: &str| form.one(name).ok().flatten().unwrap_or_default();
    let names = |name: &str| -> Vec<String> { one(name).split_whitespace().map(str::to_owned).collect() };
    let mode: AssignmentMode =
        one("mode").parse().map_err(|_| invalid("Choose who may use the application."))?;
    let assigned = Assigned { mode, users: names("users"), groups: names("groups"), roles: names("roles") };
    match assignments::write(&control, &visit.by, &client_id, &assigned, true).await {
        Ok(_) => Ok(onward(&control, &back)),
        Err(problem) if problem.status() == StatusCode::BAD_REQUEST => {
            let why = problem.detail().to_owned();
            assignments_page(&control, visit, &client_id, &assigned, Some(why)).await
        }
        Err(problem) => Err(problem.into()),
    }
}

/// `POST /console/official/{client_id}`
pub(super) async fn provision(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let (visit, form) =
        posted(&control, &headers, &body, ConsoleAction::Provision, "/console/official").await?;
    let chosen: Result<ScopeSet, _> = form.all("scope").map(str::parse::<Scope>).collect();
    let chosen = chosen.map_err(|error| invalid(error.to_string()))?;
    official::install(&control, &visit.by, &client_id, chosen).await?;
    Ok(onward(&control, &format!("{}/assignments", application_page(&client_id))))
}

/// A form of ours, from somebody who may do `action`.
pub(in crate::control) async fn posted(
    control: &Control,
    headers: &HeaderMap,
    body: &Bytes,
    action: ConsoleAction,
    back: &str,
) -> Result<(Visit, Parameters), Turned> {
    let visit = Visit::of(control, headers, action, back).await?;
    let form = Parameters::from_body(headers, body).map_err(|fault| {
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request", fault.to_string())
    })?;
    csrf::check(control, headers, &visit.person, form.one(csrf::FIELD).ok().flatten())?;
    Ok((visit, form))
}

/// To a page of ours, after something has been done.
pub(in crate::control) fn onward(control: &Control, path: &str) -> Response {
    Redirect::to(&format!("{}{path}", control.issuer().path())).into_response()
}
