//! Roles: identities that nobody logs in as.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::people::page;
use super::{
    added, changed, display_name, known_groups, limit, meant, name, nobody, own_account, text, told,
};
use crate::control::admin::openapi::Refusals;
use crate::control::admin::request::{Administrator, Asked, Body, invalid};
use crate::control::{Control, Reply};
use crate::model::account::{Principal, PrincipalKey, PrincipalKind};
use crate::policy::ConsoleAction;
use crate::store::{PeopleFilter, Person};

/// A role of the account.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct Role {
    /// Its id, by which it is assigned.
    id: String,
    /// Its name with the account, as in `deploy@acme`.
    login: String,
    /// The name that people see.
    display_name: String,
    /// False once it is disabled.
    enabled: bool,
    /// The groups it is in.
    groups: Vec<String>,
}

/// A page of roles.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct Roles {
    /// In order of their names.
    roles: Vec<Role>,
    /// What to give as `after` for the next page; none at the end.
    next: Option<String>,
}

/// A role to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control) struct NewRole {
    /// 1 to 64 characters of `A-Z a-z 0-9 . _ -`; the id too.
    pub(in crate::control) name: String,
    /// The name that people see; `name` unless given.
    pub(in crate::control) display_name: Option<String>,
    /// Groups that are there.
    #[serde(default)]
    pub(in crate::control) groups: Vec<String>,
}

/// What is to become of a role. What is not said stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control) struct RoleChange {
    /// Another name.
    display_name: Option<String>,
    /// False to disable: nothing works for it from the answer on.
    enabled: Option<bool>,
    /// Exactly these groups.
    groups: Option<Vec<String>>,
}

impl From<Person> for Role {
    fn from(person: Person) -> Self {
        let principal = person.principal;
        Self {
            id: principal.key.id.into(),
            login: principal.login,
            display_name: principal.display_name,
            enabled: principal.enabled,
            groups: principal.groups.into_iter().map(String::from).collect(),
        }
    }
}

/// A role of the account, by id.
pub(in crate::control) async fn find(control: &Control, by: &Administrator, id: &str) -> Reply<Person> {
    let id = id.parse().map_err(|_| nobody())?;
    let key = PrincipalKey { account: by.account().clone(), kind: PrincipalKind::Role, id };
    control.store().person(&key).await?.ok_or_else(nobody)
}

/// Adds a role.
pub(in crate::control) async fn create(control: &Control, by: &Administrator, new: NewRole) -> Reply<Person> {
    let account = own_account(control, by).await?;
    let id = name(&new.name)?.parse().map_err(|_| invalid("This is not a role's name."))?;
    let principal = Principal {
        key: PrincipalKey { account: account.id, kind: PrincipalKind::Role, id },
        login: format!("{}@{}", new.name, account.alias),
        display_name: display_name(new.display_name.as_deref().unwrap_or(&new.name))?,
        enabled: true,
        full_access: false,
        groups: known_groups(control, by, &new.groups).await?,
    };
    added(control, by, principal, None).await
}

/// List the roles
#[utoipa::path(get, path = "/api/v1/directory/roles", tag = "directory", operation_id = "listRoles",
    params(("search" = Option<String>, Query, description = "Only those whose name has this in it."),
        ("after" = Option<String>, Query, description = "Only those after this one: `next` of the page before."),
        ("limit" = Option<u32>, Query, description = "At most so many, 1 to 100; 50 unless given.")),
    responses((status = 200, description = "A page of roles.", body = Roles), Refusals))]
pub(in crate::control) async fn list(
    State(control): State<Arc<Control>>,
    asked: Asked,
) -> Reply<Json<Roles>> {
    let by = asked.may(&control, ConsoleAction::ManagePeople).await?;
    asked.only(&["search", "after", "limit"])?;
    let limit = limit(&asked)?;
    let filter = PeopleFilter {
        roles: true,
        search: asked.parameter("search").map(text).transpose()?,
        group: None,
        after: asked.parameter("after").map(text).transpose()?,
        limit: limit.saturating_add(1),
    };
    let (found, next) = page(control.store().people(by.account(), &filter).await?, limit);
    Ok(Json(Roles { roles: found.into_iter().map(Role::from).collect(), next }))
}

/// Add a role
#[utoipa::path(post, path = "/api/v1/directory/roles", tag = "directory", operation_id = "addRole",
    request_body = NewRole,
    responses((status = 201, description = "Added.", body = Role), Refusals))]
pub(in crate::control) async fn add(
    State(control): State<Arc<Control>>,
    asked: Asked,
    body: Body,
) -> Reply<Response> {
    let by = asked.may(&control, ConsoleAction::ManagePeople).await?;
    asked.only(&[])?;
    let role: Role = create(&control, &by, body.read()?).await?.into();
    Ok((StatusCode::CREATED, Json(role)).into_response())
}

/// Show a role
#[utoipa::path(get, path = "/api/v1/directory/roles/{role}", tag = "directory", operation_id = "showRole",
    params(("role", description = "Its id.")),
    responses((status = 200, description = "The role.", body = Role), Refusals))]
pub(in crate::control) async fn show(
    State(control): State<Arc<Control>>,
    Path(role): Path<String>,
    asked: Asked,
) -> Reply<Json<Role>> {
    let by = asked.may(&control, ConsoleAction::ManagePeople).await?;
    asked.only(&[])?;
    Ok(Json(find(&control, &by, &role).await?.into()))
}

/// Change a role
#[utoipa::path(patch, path = "/api/v1/directory/roles/{role}", tag = "directory", operation_id = "changeRole",
    params(("role", description = "Its id."),
        ("wait" = Option<u8>, Query, description = "0 to be answered as soon as it is stored.")),
    request_body = RoleChange,
    responses((status = 200, description = "Changed, and known to every sidecar.", body = Role),
        (status = 202, description = "Stored; not known to every sidecar yet.", body = Role), Refusals))]
pub(in crate::control) async fn change(
    State(control): State<Arc<Control>>,
    Path(role): Path<String>,
    asked: Asked,
    body: Body,
) -> Reply<Response> {
    let by = asked.may(&control, ConsoleAction::ManagePeople).await?;
    let wait = asked.waits()?;
    let wanted: RoleChange = body.read()?;
    let key = find(&control, &by, &role).await?.principal.key;
    let change = meant(&control, &by, wanted.display_name, wanted.enabled, wanted.groups).await?;
    let (role, known) = changed(&control, &by, &key, &change, wait).await?;
    Ok(told(known, Role::from(role)))
}
