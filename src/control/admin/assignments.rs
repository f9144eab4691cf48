//! Who of the account may use an installed application.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::applications;
use super::openapi::Refusals;
use super::request::{Administrator, Asked, Body, invalid};
use super::state::{Change, missing_is_not_installed};
use crate::control::{Control, Problem, Reply};
use crate::grants::acknowledge::Receipt;
use crate::model::account::{PrincipalKey, PrincipalKind};
use crate::model::grant::{AssignmentMode, Grant};
use crate::model::id::PrincipalId;
use crate::policy::ConsoleAction;
use crate::store::Assignment;

/// Who may use an application.
#[derive(Serialize, Deserialize, ToSchema, Clone)]
#[serde(deny_unknown_fields)]
pub(in crate::control) struct Assigned {
    /// `all` for everybody of the account, or `assigned` for the root identity and those named here.
    #[schema(value_type = String)]
    pub(in crate::control) mode: AssignmentMode,
    /// Users, by login (`alice@acme`).
    #[serde(default)]
    pub(in crate::control) users: Vec<String>,
    /// Groups, by name.
    #[serde(default)]
    pub(in crate::control) groups: Vec<String>,
    /// Roles, by id.
    #[serde(default)]
    pub(in crate::control) roles: Vec<String>,
}

/// Reads who is assigned, users by login.
pub(in crate::control) async fn read(
    control: &Control,
    by: &Administrator,
    client_id: &str,
) -> Reply<Assigned> {
    let installed = applications::find(control, by, client_id).await?;
    let assignment = control.store().assignment(&installed.grant.key).await?;
    let mut users = Vec::new();
    for id in assignment.users {
        let key = PrincipalKey { account: by.account().clone(), kind: PrincipalKind::User, id };
        users.extend(control.store().principal(&key).await?.map(|user| user.login));
    }
    Ok(Assigned {
        mode: assignment.mode,
        users,
        groups: assignment.groups.into_iter().map(String::from).collect(),
        roles: assignment.roles.into_iter().map(String::from).collect(),
    })
}

/// Replaces who is assigned, and waits until every sidecar knows if it is to be waited for.
///
/// # Errors
/// 400 for a name that the account does not have, 404 `not_installed`, the store's.
pub(in crate::control) async fn write(
    control: &Control,
    by: &Administrator,
    client_id: &str,
    assigned: &Assigned,
    wait: bool,
) -> Reply<(Grant, Option<Receipt>)> {
    let installed = applications::find(control, by, client_id).await?;
    let assignment = resolve(control, by, assigned).await?;
    let change = Change::begin(control, wait);
    let now = control.clock().now();
    let changed = control.store().assign(&installed.grant.key, &assignment, &by.actor(), now).await;
    let (grant, seq) = changed.map_err(|error| missing_is_not_installed(error, client_id))?;
    Ok((grant, change.settle(control, seq).await))
}

async fn resolve(control: &Control, by: &Administrator, assigned: &Assigned) -> Reply<Assignment> {
    let Assigned { mode, users, groups, roles } = assigned;
    if users.len().saturating_add(groups.len()).saturating_add(roles.len()) > MOST {
        return Err(invalid(format!("At most {MOST} users, groups and roles can be assigned."))
            .next("Assign a group, or everybody with the mode `all`."));
    }
    let mut assignment = Assignment { mode: *mode, users: Vec::new(), groups: Vec::new(), roles: Vec::new() };
    for login in users {
        assignment.users.push(user(control, by, login).await?);
    }
    for name in groups {
        let group = name.parse().map_err(|_| invalid(format!("{name:?} is not a group's name.")))?;
        assignment.groups.push(group);
    }
    for id in roles {
        assignment.roles.push(role(control, by, id).await?);
    }
    Ok(assignment)
}

async fn user(control: &Control, by: &Administrator, login: &str) -> Reply<PrincipalId> {
    let found = control.store().credential(login).await?.map(|found| found.principal.key);
    match found.filter(|key| key.account == *by.account()) {
        Some(PrincipalKey { kind: PrincipalKind::User, id, .. }) => Ok(id),
        Some(PrincipalKey { kind: PrincipalKind::Account, .. }) => Err(invalid(format!(
            "{login} is the root identity, which may use every application of the account."
        ))
        .next("Leave it out.")),
        Some(PrincipalKey { kind: PrincipalKind::Role, .. }) | None => Err(nobody("user", login)),
    }
}

async fn role(control: &Control, by: &Administrator, id: &str) -> Reply<PrincipalId> {
    let id: PrincipalId = id.parse().map_err(|_| nobody("role", id))?;
    let key = PrincipalKey { account: by.account().clone(), kind: PrincipalKind::Role, id };
    match control.store().principal(&key).await? {
        Some(_) => Ok(key.id),
        None => Err(nobody("role", key.id.as_str())),
    }
}

fn nobody(kind: &str, name: &str) -> Problem {
    let name: String = name.chars().take(128).collect();
    invalid(format!("There is no {kind} {name:?} in this account."))
        .next("Name users by login, as in alice@acme, and roles by id.")
}

/// Show who may use an application
#[utoipa::path(get, path = "/api/v1/applications/{client_id}/assignments", tag = "assignments",
    operation_id = "showAssignments", params(("client_id", description = "The application's client ID.")),
    responses((status = 200, description = "Who may use it.", body = Assigned), Refusals))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    asked: Asked,
) -> Reply<Json<Assigned>> {
    let by = asked.may(&control, ConsoleAction::Assign).await?;
    asked.only(&[])?;
    Ok(Json(read(&control, &by, &client_id).await?))
}

/// Say who may use an application
///
/// Replaces what was said before. Who is not named any more cannot use it from the moment of the answer on.
#[utoipa::path(put, path = "/api/v1/applications/{client_id}/assignments", tag = "assignments",
    operation_id = "replaceAssignments",
    params(("client_id", description = "The application's client ID."),
        ("wait" = Option<u8>, Query, description = "0 to be answered as soon as it is stored.")),
    request_body = Assigned,
    responses((status = 200, description = "Stored, and known to every sidecar.", body = Assigned),
        (status = 202, description = "Stored; not known to every sidecar yet.", body = Assigned), Refusals))]
pub(super) async fn replace(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    asked: Asked,
    body: Body,
) -> Reply<Response> {
    let by = asked.may(&control, ConsoleAction::Assign).await?;
    let (_, receipt) = write(&control, &by, &client_id, &body.read()?, asked.waits()?).await?;
    let status = if receipt.is_some() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((status, Json(read(&control, &by, &client_id).await?)).into_response())
}

const MOST: usize = 1000;
