//! Groups, and who is in them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::people::{User, find};
use super::{changed, first, limit, missing_is, name, no_group, told};
use crate::control::admin::openapi::Refusals;
use crate::control::admin::request::{Administrator, Asked, Body, invalid};
use crate::control::admin::state::Change;
use crate::control::{Control, Reply};
use crate::model::id::GroupName;
use crate::policy::ConsoleAction;
use crate::store::{By, Group as Kept, PersonChange};

/// A group of the account.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct Group {
    /// Its name.
    name: String,
    /// What it is for.
    description: String,
    /// How many are in it. `GET /api/v1/directory/users?group=…` lists them.
    members: u64,
}

/// A page of groups.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct Groups {
    /// In order of their names.
    groups: Vec<Group>,
    /// What to give as `after` for the next page; none at the end.
    next: Option<String>,
}

/// A group to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control) struct NewGroup {
    /// 1 to 64 characters of `A-Z a-z 0-9 . _ -`.
    name: String,
    /// What it is for, at most 200 characters.
    #[serde(default)]
    description: String,
}

/// What is to become of a group.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control) struct GroupChange {
    /// What it is for, at most 200 characters.
    description: String,
}

impl From<Kept> for Group {
    fn from(kept: Kept) -> Self {
        Self { name: kept.name.into(), description: kept.description, members: kept.members }
    }
}

/// Adds a group.
pub(in crate::control) async fn create(
    control: &Control,
    by: &Administrator,
    text: &str,
    description: &str,
) -> Reply<GroupName> {
    let group: GroupName = name(text)?.parse().map_err(|_| invalid("This is not a group's name."))?;
    let (description, now) = (purpose(description)?, control.clock().now());
    control.store().put_group(by.account(), &group, &description, true, By::Person(&by.actor()), now).await?;
    Ok(group)
}

/// A group of the account.
pub(in crate::control) async fn known(control: &Control, by: &Administrator, name: &str) -> Reply<Kept> {
    let name: GroupName = name.parse().map_err(|_| no_group())?;
    control.store().group(by.account(), &name).await?.ok_or_else(no_group)
}

/// Deletes a group; waits until every sidecar knows if it is to be waited for.
pub(in crate::control) async fn delete(
    control: &Control,
    by: &Administrator,
    name: &str,
    wait: bool,
) -> Reply<bool> {
    let group = known(control, by, name).await?.name;
    let waiting = Change::begin(control, wait);
    let now = control.clock().now();
    let seq = control.store().delete_group(by.account(), &group, By::Person(&by.actor()), now).await;
    let seq = seq.map_err(|error| missing_is(error, no_group))?;
    Ok(waiting.settle(control, seq).await.is_some())
}

/// Puts somebody into a group, or takes them out.
pub(in crate::control) async fn member(
    control: &Control,
    by: &Administrator,
    (group, login): (&str, &str),
    inside: bool,
    wait: bool,
) -> Reply<(User, bool)> {
    let group = known(control, by, group).await?.name;
    let key = find(control, by, login).await?.principal.key;
    let mut change = PersonChange::default();
    if inside {
        change.join = Some(group);
    } else {
        change.leave = Some(group);
    }
    let (user, known) = changed(control, by, &key, &change, wait).await?;
    Ok((user.into(), known))
}

/// List the groups
#[utoipa::path(get, path = "/api/v1/directory/groups", tag = "directory", operation_id = "listGroups",
    params(("after" = Option<String>, Query, description = "Only those after this name: `next` of the page before."),
        ("limit" = Option<u32>, Query, description = "At most so many, 1 to 100; 50 unless given.")),
    responses((status = 200, description = "A page of groups.", body = Groups), Refusals))]
pub(in crate::control) async fn list(
    State(control): State<Arc<Control>>,
    asked: Asked,
) -> Reply<Json<Groups>> {
    let by = asked.may(&control, ConsoleAction::ManagePeople).await?;
    asked.only(&["after", "limit"])?;
    let limit = limit(&asked)?;
    let after: Option<GroupName> = match asked.parameter("after") {
        Some(text) => Some(text.parse().map_err(|_| invalid("`after` is not a group's name."))?),
        None => None,
    };
    let found = control.store().groups(by.account(), after.as_ref(), limit.saturating_add(1)).await?;
    let (found, next) = first(found, limit, |group| group.name.to_string());
    Ok(Json(Groups { groups: found.into_iter().map(Group::from).collect(), next }))
}

/// Add a group
#[utoipa::path(post, path = "/api/v1/directory/groups", tag = "directory", operation_id = "addGroup",
    request_body = NewGroup,
    responses((status = 201, description = "Added.", body = Group), Refusals))]
pub(in crate::control) async fn add(
    State(control): State<Arc<Control>>,
    asked: Asked,
    body: Body,
) -> Reply<Response> {
    let by = asked.may(&control, ConsoleAction::ManagePeople).await?;
    asked.only(&[])?;
    let NewGroup { name, description } = body.read()?;
    let group = create(&control, &by, &name, &description).await?;
    let group: Group = known(&control, &by, group.as_str()).await?.into();
    Ok((StatusCode::CREATED, Json(group)).into_response())
}

/// Show a group
#[utoipa::path(get, path = "/api/v1/directory/groups/{group}", tag = "directory", operation_id = "showGroup",
    params(("group", description = "Its name.")),
    responses((status = 200, description = "The group.", body = Group), Refusals))]
pub(in crate::control) async fn show(
    State(control): State<Arc<Control>>,
    Path(group): Path<String>,
    asked: Asked,
) -> Reply<Json<Group>> {
    let by = asked.may(&control, ConsoleAction::ManagePeople).await?;
    asked.only(&[])?;
    Ok(Json(known(&control, &by, &group).await?.into()))
}

/// Say what a group is for
#[utoipa::path(patch, path = "/api/v1/directory/groups/{group}", tag = "directory", operation_id = "changeGroup",
    params(("group", description = "Its name.")), request_body = GroupChange,
    responses((status = 200, description = "Changed.", body = Group), Refusals))]
pub(in crate::control) async fn change(
    State(control): State<Arc<Control>>,
    Path(group): Path<String>,
    asked: Asked,
    body: Body,
) -> Reply<Json<Group>> {
    let by = asked.may(&control, ConsoleAction::ManagePeople).await?;
    asked.only(&[])?;
    let GroupChange { description } = body.read()?;
    let (description, name) = (purpose(&description)?, known(&control, &by, &group).await?.name);
    let (actor, now) = (by.actor(), control.clock().now());
    let put = control.store().put_group(by.account(), &name, &description, false, By::Person(&actor), now);
    put.await.map_err(|error| missing_is(error, no_group))?;
    Ok(Json(known(&control, &by, &group).await?.into()))
}

/// Delete a group
///
/// Nobody is in it any more, and what was assigned to it is not: true at every sidecar when the answer comes.
#[utoipa::path(delete, path = "/api/v1/directory/groups/{group}", tag = "directory", operation_id = "deleteGroup",
    params(("group", description = "Its name."),
        ("wait" = Option<u8>, Query, description = "0 to be answered as soon as it is stored.")),
    responses((status = 204, description = "Deleted, and known to every sidecar."),
        (status = 202, description = "Stored; not known to every sidecar yet."), Refusals))]
pub(in crate::control) async fn remove(
    State(control): State<Arc<Control>>,
    Path(group): Path<String>,
    asked: Asked,
) -> Reply<StatusCode> {
    let by = asked.may(&control, ConsoleAction::ManagePeople).await?;
    let known = delete(&control, &by, &group, asked.waits()?).await?;
    Ok(if known { StatusCode::NO_CONTENT } else { StatusCode::ACCEPTED })
}

/// Put a user into a group
#[utoipa::path(put, path = "/api/v1/directory/groups/{group}/members/{login}", tag = "directory",
    operation_id = "joinGroup",
    params(("group", description = "Its name."), ("login", description = "Whom."),
        ("wait" = Option<u8>, Query, description = "0 to be answered as soon as it is stored.")),
    responses((status = 200, description = "In it, and known to every sidecar.", body = User),
        (status = 202, description = "Stored; not known to every sidecar yet.", body = User), Refusals))]
pub(in crate::control) async fn join(
    State(control): State<Arc<Control>>,
    Path((group, login)): Path<(String, String)>,
    asked: Asked,
) -> Reply<Response> {
    let by = asked.may(&control, ConsoleAction::ManagePeople).await?;
    let (user, known) = member(&control, &by, (&group, &login), true, asked.waits()?).await?;
    Ok(told(known, user))
}

/// Take a user out of a group
#[utoipa::path(delete, path = "/api/v1/directory/groups/{group}/members/{login}", tag = "directory",
    operation_id = "leaveGroup",
    params(("group", description = "Its name."), ("login", description = "Whom."),
        ("wait" = Option<u8>, Query, description = "0 to be answered as soon as it is stored.")),
    responses((status = 200, description = "Out of it, and known to every sidecar.", body = User),
        (status = 202, description = "Stored; not known to every sidecar yet.", body = User), Refusals))]
pub(in crate::control) async fn leave(
    State(control): State<Arc<Control>>,
    Path((group, login)): Path<(String, String)>,
    asked: Asked,
) -> Reply<Response> {
    let by = asked.may(&control, ConsoleAction::ManagePeople).await?;
    let (user, known) = member(&control, &by, (&group, &login), false, asked.waits()?).await?;
    Ok(told(known, user))
}

fn purpose(text: &str) -> Reply<String> {
    let text = text.trim();
    if text.chars().count() > 200 || text.chars().any(char::is_control) {
        return Err(invalid("A description is at most 200 characters on one line."));
    }
    Ok(text.to_owned())
}
