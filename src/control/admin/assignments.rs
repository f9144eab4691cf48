//! Who of the account may use an installed application: as a whole, a page at a time, and one by one.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::applications;
use super::openapi::Refusals;
use super::request::{Administrator, Asked, ChangeAsked, ChangeWanted, invalid};
use super::state::{Change, missing_is_not_installed};
use crate::control::{Control, Problem, Reply, paging};
use crate::grants::acknowledge::Receipt;
use crate::model::account::{PrincipalKey, PrincipalKind};
use crate::model::grant::{AssignmentMode, Grant};
use crate::model::id::{GrantKey, PrincipalId};
use crate::policy::ConsoleAction;
use crate::store::{self, AssigneeKind, Assignees, Assignment, AssignmentChange, PageOf};

/// Who may use an application.
#[derive(Serialize, Deserialize, ToSchema, Clone)]
#[serde(deny_unknown_fields)]
pub(in crate::control) struct Assigned {
    /// `all` for everybody of the account, or `assigned` for the root identity and those named here.
    #[schema(value_type = String)]
    mode: AssignmentMode,
    /// Users, by login (`alice@acme`).
    #[serde(default)]
    users: Vec<String>,
    /// Groups, by name.
    #[serde(default)]
    groups: Vec<String>,
    /// Roles, by id.
    #[serde(default)]
    roles: Vec<String>,
    /// In an answer: there are more than can be told at once; read `…/assignees`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    more: bool,
}

/// Users, groups and roles.
#[derive(Serialize, Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(in crate::control) struct Named {
    /// Users, by login (`alice@acme`).
    pub(in crate::control) users: Vec<String>,
    /// Groups, by name.
    pub(in crate::control) groups: Vec<String>,
    /// Roles, by id or login.
    pub(in crate::control) roles: Vec<String>,
}

/// What is to change about who may use an application; the rest stays as it is.
#[derive(Serialize, Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(in crate::control) struct ChangeOfAssigned {
    /// `all` for everybody of the account, or `assigned` for the root identity and those assigned.
    #[schema(value_type = Option<String>)]
    pub(in crate::control) mode: Option<AssignmentMode>,
    /// To be assigned.
    pub(in crate::control) add: Named,
    /// To be assigned no more. Wins over `add`.
    pub(in crate::control) remove: Named,
}

/// How many may use an application.
#[derive(Serialize, ToSchema)]
pub(super) struct AssignedCounts {
    /// `all` or `assigned`.
    #[schema(value_type = String)]
    mode: AssignmentMode,
    /// The grant's number; it has risen when the mode or a group was changed, and stays where single users and roles were.
    revision: u64,
    /// How many users are assigned.
    users: u64,
    /// How many groups.
    groups: u64,
    /// How many roles.
    roles: u64,
}

/// A page of who is assigned.
#[derive(Serialize, ToSchema)]
pub(super) struct AssigneesPage {
    /// The assigned, by login or name.
    assignees: Vec<OneAssignee>,
    /// Give it as `after` to get the next page; null when this is the last.
    next: Option<String>,
}

/// A user, group or role that is assigned.
#[derive(Serialize, ToSchema)]
struct OneAssignee {
    /// What it is named by: a user's login, a group's name, a role's id.
    name: String,
    /// A user's or role's login, a group's name.
    login: String,
    /// What people see; empty for a group.
    display_name: String,
    /// Whether it can log in.
    enabled: bool,
}

/// Reads who is assigned, users by login, as far as it can be told at once.
pub(in crate::control) async fn read(
    control: &Control,
    by: &Administrator,
    client_id: &str,
) -> Reply<Assigned> {
    let installed = applications::find(control, by, client_id).await?;
    let key = &installed.grant.key;
    let (users, more_users) = all(control, key, AssigneeKind::User).await?;
    let (groups, more_groups) = all(control, key, AssigneeKind::Group).await?;
    let (roles, more_roles) = all(control, key, AssigneeKind::Role).await?;
    let more = more_users || more_groups || more_roles;
    Ok(Assigned { mode: installed.grant.assignment, users, groups, roles, more })
}

async fn all(control: &Control, key: &GrantKey, kind: AssigneeKind) -> Reply<(Vec<String>, bool)> {
    let page = PageOf { limit: MOST, ..PageOf::default() };
    let page = control.store().assignees(key, kind, &page).await?;
    Ok((page.items.into_iter().map(|one| name_of(kind, one)).collect(), page.more))
}

/// What the API names somebody by.
fn name_of(kind: AssigneeKind, one: store::Assignee) -> String {
    match kind {
        AssigneeKind::User => one.login,
        AssigneeKind::Group | AssigneeKind::Role => one.id,
    }
}

/// Replaces who is assigned, and waits until every sidecar knows if it is to be waited for.
///
/// # Errors
/// 400 for a name that the account does not have, 404 `not_installed`, the store's.
async fn write(
    control: &Control,
    by: &Administrator,
    client_id: &str,
    assigned: Assigned,
    wait: bool,
) -> Reply<(Grant, Option<Receipt>)> {
    let installed = applications::find(control, by, client_id).await?;
    let Assigned { mode, users, groups, roles, more } = assigned;
    if more {
        return Err(invalid(
            "`more` says that this is a part of those assigned, which cannot replace them all.",
        )
        .next("PATCH what is to change."));
    }
    let named = Named { users, groups, roles };
    let Assignees { users, groups, roles } = resolve(control, by, &named).await?;
    let assignment = Assignment { mode, users, groups, roles };
    let change = Change::begin(control, wait);
    let now = control.clock().now();
    let changed = control.store().assign(&installed.grant.key, &assignment, &by.actor(), now).await;
    let (grant, seq) = changed.map_err(|error| missing_is_not_installed(error, client_id))?;
    Ok((grant, change.settle(control, seq).await))
}

/// Changes who is assigned, and waits until every sidecar knows if it is to be waited for.
///
/// # Errors
/// 400 for a name that the account does not have, 404 `not_installed`, the store's.
pub(in crate::control) async fn change(
    control: &Control,
    by: &Administrator,
    client_id: &str,
    wanted: &ChangeOfAssigned,
    wait: bool,
) -> Reply<(Grant, Option<Receipt>)> {
    let installed = applications::find(control, by, client_id).await?;
    let wanted = AssignmentChange {
        mode: wanted.mode,
        add: resolve(control, by, &wanted.add).await?,
        remove: resolve(control, by, &wanted.remove).await?,
    };
    let change = Change::begin(control, wait);
    let now = control.clock().now();
    let changed = control.store().change_assignment(&installed.grant.key, &wanted, &by.actor(), now).await;
    let (grant, seq) = changed.map_err(|error| missing_is_not_installed(error, client_id))?;
    Ok((grant, change.settle(control, seq).await))
}

async fn resolve(control: &Control, by: &Administrator, named: &Named) -> Reply<Assignees> {
    let Named { users, groups, roles } = named;
    let most = usize::try_from(MOST).unwrap_or(usize::MAX);
    if users.len().saturating_add(groups.len()).saturating_add(roles.len()) > most {
        return Err(invalid(format!("At most {MOST} users, groups and roles can be named at once."))
            .next("Name a group, everybody with the mode `all`, or the rest in another change."));
    }
    let mut found = Assignees::default();
    for login in users {
        found.users.push(user(control, by, login).await?);
    }
    for name in groups {
        let group = name.parse().map_err(|_| invalid(format!("{name:?} is not a group's name.")))?;
        found.groups.push(group);
    }
    for id in roles {
        found.roles.push(role(control, by, id).await?);
    }
    Ok(found)
}

/// Whoever of the account logs in with this login.
pub(super) async fn of_the_account(
    control: &Control,
    by: &Administrator,
    login: &str,
) -> Reply<Option<PrincipalKey>> {
    if login.chars().any(char::is_control) {
        return Ok(None); // Nobody's, and no text that every database takes.
    }
    let found = control.store().credential(login).await?.map(|found| found.principal.key);
    Ok(found.filter(|key| key.account == *by.account()))
}

async fn user(control: &Control, by: &Administrator, login: &str) -> Reply<PrincipalId> {
    match of_the_account(control, by, login).await? {
        Some(PrincipalKey { kind: PrincipalKind::User, id, .. }) => Ok(id),
        Some(PrincipalKey { kind: PrincipalKind::Account, .. }) => Err(invalid(format!(
            "{login} is the root identity, which may use every application of the account."
        ))
        .next("Leave it out.")),
        Some(PrincipalKey { kind: PrincipalKind::Role, .. }) | None => Err(nobody("user", login)),
    }
}

async fn role(control: &Control, by: &Administrator, name: &str) -> Reply<PrincipalId> {
    if let Ok(id) = name.parse::<PrincipalId>() {
        let key = PrincipalKey { account: by.account().clone(), kind: PrincipalKind::Role, id };
        if control.store().principal(&key).await?.is_some() {
            return Ok(key.id);
        }
    }
    match of_the_account(control, by, name).await? {
        Some(PrincipalKey { kind: PrincipalKind::Role, id, .. }) => Ok(id),
        Some(_) | None => Err(nobody("role", name)),
    }
}

fn nobody(kind: &str, name: &str) -> Problem {
    let name: String = name.chars().take(128).collect();
    invalid(format!("There is no {kind} {name:?} in this account."))
        .next("Name users by login, as in alice@acme, and roles by id.")
}

/// Show who may use an application
///
/// As a whole, to be put back as a whole. Where `more` stands in the answer it is a part: of each kind the first
/// 1000. Read those `…/assignees` a page at a time, and PATCH what is to change.
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
/// Replaces what was said before. Who is not named any more cannot use it from the moment of the answer on. Where only
/// single users and roles are others, nobody else's streams are cut; another mode or group cuts them all.
#[utoipa::path(put, path = "/api/v1/applications/{client_id}/assignments", tag = "assignments",
    operation_id = "replaceAssignments",
    params(("client_id", description = "The application's client ID."),
        ("wait" = Option<u8>, Query, description = "0 to be answered as soon as it is stored.")),
    request_body = Assigned,
    responses((status = 200, description = "Stored, and known to every sidecar.", body = Assigned),
        (status = 202, description = "Stored; not known to every sidecar yet.", body = Assigned), Refusals))]
pub(super) async fn replace(State(control): State<Arc<Control>>, change: ChangeAsked) -> Reply<Response> {
    let ChangeWanted { by, client_id, wait, body } = change.read(&control, ConsoleAction::Assign).await?;
    let (_, receipt) = write(&control, &by, &client_id, body, wait).await?;
    Ok((status(receipt.as_ref()), Json(read(&control, &by, &client_id).await?)).into_response())
}

/// Change who may use an application
///
/// Assigns and takes away single users, groups and roles, and leaves the others as they are. A change that changes
/// nothing is answered alike, and the revision stays.
#[utoipa::path(patch, path = "/api/v1/applications/{client_id}/assignments", tag = "assignments",
    operation_id = "changeAssignments",
    params(("client_id", description = "The application's client ID."),
        ("wait" = Option<u8>, Query, description = "0 to be answered as soon as it is stored.")),
    request_body = ChangeOfAssigned,
    responses((status = 200, description = "Stored, and known to every sidecar.", body = AssignedCounts),
        (status = 202, description = "Stored; not known to every sidecar yet.", body = AssignedCounts), Refusals))]
pub(super) async fn patch(State(control): State<Arc<Control>>, asked: ChangeAsked) -> Reply<Response> {
    let ChangeWanted { by, client_id, wait, body } = asked.read(&control, ConsoleAction::Assign).await?;
    let (grant, receipt) = change(&control, &by, &client_id, &body, wait).await?;
    let counts = control.store().assignee_counts(&grant.key).await?;
    let counts = AssignedCounts {
        mode: grant.assignment,
        revision: grant.revision.0,
        users: counts.users,
        groups: counts.groups,
        roles: counts.roles,
    };
    Ok((status(receipt.as_ref()), Json(counts)).into_response())
}

fn status(receipt: Option<&Receipt>) -> StatusCode {
    if receipt.is_some() { StatusCode::OK } else { StatusCode::ACCEPTED }
}

/// List who is assigned
///
/// One kind at a time, by login or name. The root identity is not listed: it may use every application.
#[utoipa::path(get, path = "/api/v1/applications/{client_id}/assignees", tag = "assignments",
    operation_id = "listAssignees",
    params(("client_id", description = "The application's client ID."),
        ("kind" = Option<String>, Query, description = "`users`, `groups` or `roles`; users unless given."),
        ("search" = Option<String>, Query, description = "Only where this is a part of the login or the name."),
        ("after" = Option<String>, Query, description = "Only what comes after this place: the `next` of the page before."),
        ("limit" = Option<u32>, Query, description = "At most so many, 1 to 1000; 100 unless given.")),
    responses((status = 200, description = "A page of them.", body = AssigneesPage), Refusals))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    asked: Asked,
) -> Reply<Json<AssigneesPage>> {
    let by = asked.may(&control, ConsoleAction::Assign).await?;
    asked.only(&["kind", "search", "after", "limit"])?;
    let kind = kind(asked.parameter("kind"))?;
    let wanted = paging::page(|name| asked.parameter(name), MOST)?;
    let installed = applications::find(&control, &by, &client_id).await?;
    let page = control.store().assignees(&installed.grant.key, kind, &wanted).await?;
    let next = page.items.last().filter(|_| page.more).map(|last| last.place.clone());
    let one = |one: store::Assignee| OneAssignee {
        login: one.login.clone(),
        display_name: one.display_name.clone(),
        enabled: one.enabled,
        name: name_of(kind, one),
    };
    Ok(Json(AssigneesPage { assignees: page.items.into_iter().map(one).collect(), next }))
}

/// The kind that is meant: users unless said otherwise.
pub(in crate::control) fn kind(word: Option<&str>) -> Reply<AssigneeKind> {
    match word {
        None | Some("users") => Ok(AssigneeKind::User),
        Some("groups") => Ok(AssigneeKind::Group),
        Some("roles") => Ok(AssigneeKind::Role),
        Some(_) => Err(invalid("`kind` is users, groups or roles.")),
    }
}

const MOST: u32 = 1000;
