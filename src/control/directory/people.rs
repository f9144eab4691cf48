//! Users, and the root identity among them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    added, changed, display_name, first, fresh_id, is_text, known_groups, limit, meant, name, nobody,
    own_account, text, told,
};
use crate::control::admin::openapi::Refusals;
use crate::control::admin::request::{Administrator, Asked, Body, invalid};
use crate::control::security::{Offered, offer};
use crate::control::{Control, Problem, Reply};
use crate::model::account::{Principal, PrincipalKey, PrincipalKind};
use crate::policy::ConsoleAction;
use crate::store::{By, PeopleFilter, Person, PersonChange};

/// A user of the account, or its root identity.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct User {
    /// What they log in with, as in `alice@acme`.
    pub(in crate::control) login: String,
    /// Their number in the account.
    pub(in crate::control) id: String,
    /// `user`, or `account` for the root identity.
    pub(in crate::control) kind: &'static str,
    /// The name that people see.
    pub(in crate::control) display_name: String,
    /// False once they are disabled: nothing works for them.
    pub(in crate::control) enabled: bool,
    /// Whether they administer the account.
    pub(in crate::control) administrator: bool,
    /// The groups they are in.
    pub(in crate::control) groups: Vec<String>,
    /// Whether a password is set.
    pub(in crate::control) has_password: bool,
    /// How many passkeys they have.
    pub(in crate::control) passkeys: u32,
    /// Whether codes of an authenticator are asked for.
    pub(in crate::control) authenticator: bool,
    /// Until when a one-time link sets their password.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(in crate::control) link_until: Option<Timestamp>,
}

/// A page of users.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct Users {
    /// In order of their logins.
    users: Vec<User>,
    /// What to give as `after` for the next page; none at the end.
    next: Option<String>,
}

/// A user to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control) struct NewUser {
    /// The part before the `@`: 1 to 64 characters of `A-Z a-z 0-9 . _ -`.
    pub(in crate::control) name: String,
    /// The name that people see; `name` unless given.
    pub(in crate::control) display_name: Option<String>,
    /// Groups that are there.
    #[serde(default)]
    pub(in crate::control) groups: Vec<String>,
    /// Whether they administer the account.
    #[serde(default)]
    pub(in crate::control) administrator: bool,
    /// Whether a one-time link to set a password is made; true unless given.
    pub(in crate::control) invite: Option<bool>,
}

/// A user who was added.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct Added {
    /// Who.
    pub(in crate::control) user: User,
    /// The link by which they set a password, told this once.
    pub(in crate::control) invitation: Option<Link>,
}

/// A one-time link that sets a password.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct Link {
    /// The address. Whoever has it can set the password: hand it over by a way that you trust.
    pub(in crate::control) link: String,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    pub(in crate::control) expires_at: Timestamp,
}

/// What is to become of a user. What is not said stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control) struct UserChange {
    /// Another name.
    display_name: Option<String>,
    /// False to disable: nothing works for them from the answer on.
    enabled: Option<bool>,
    /// Whether they administer the account.
    administrator: Option<bool>,
    /// Exactly these groups.
    groups: Option<Vec<String>>,
}

impl From<Person> for User {
    fn from(person: Person) -> Self {
        let Person { principal, has_password, link_until, passkeys, totp } = person;
        Self {
            administrator: principal.is_administrator(),
            kind: principal.key.kind.as_str(),
            id: principal.key.id.into(),
            login: principal.login,
            display_name: principal.display_name,
            enabled: principal.enabled,
            groups: principal.groups.into_iter().map(String::from).collect(),
            has_password,
            passkeys,
            authenticator: totp,
            link_until,
        }
    }
}

impl From<Offered> for Link {
    fn from(offered: Offered) -> Self {
        Self { link: offered.address.expose().to_owned(), expires_at: offered.expires_at }
    }
}

/// Somebody of the account who logs in, by login; another account's answer like nobody.
pub(in crate::control) async fn find(control: &Control, by: &Administrator, login: &str) -> Reply<Person> {
    if !is_text(login) {
        return Err(nobody());
    }
    let found = control.store().credential(login).await?.map(|found| found.principal.key);
    let here = |key: &PrincipalKey| key.account == *by.account() && key.kind != PrincipalKind::Role;
    let key = found.filter(here).ok_or_else(nobody)?;
    control.store().person(&key).await?.ok_or_else(nobody)
}

/// Adds a user.
///
/// # Errors
/// 400 for names that fit nothing, 409 `exists`, the store's.
pub(in crate::control) async fn create(control: &Control, by: &Administrator, new: NewUser) -> Reply<Added> {
    let account = own_account(control, by).await?;
    let login = format!("{}@{}", name(&new.name)?, account.alias);
    let principal = Principal {
        key: PrincipalKey { account: account.id, kind: PrincipalKind::User, id: fresh_id('2')? },
        display_name: display_name(new.display_name.as_deref().unwrap_or(&new.name))?,
        login,
        enabled: true,
        full_access: new.administrator,
        groups: known_groups(control, by, &new.groups).await?,
    };
    let invitation = if new.invite.unwrap_or(true) { Some(offer(control)?) } else { None };
    let link = invitation.as_ref().map(|invitation| &invitation.kept);
    let user = added(control, by, principal, link).await?.into();
    Ok(Added { user, invitation: invitation.map(Link::from) })
}

/// Makes a link that sets a password, and keeps it.
pub(in crate::control) async fn give_link(control: &Control, by: &Administrator, login: &str) -> Reply<Link> {
    let person = find(control, by, login).await?;
    let offered = offer(control)?;
    offered.give(control, &person.principal.key, By::Person(&by.actor())).await?;
    Ok(offered.into())
}

/// Takes passkeys, authenticator and recovery codes away from somebody.
pub(in crate::control) async fn reset_factors(
    control: &Control,
    by: &Administrator,
    login: &str,
) -> Reply<()> {
    let person = find(control, by, login).await?;
    let now = control.clock().now();
    Ok(control.store().reset_factors(&person.principal.key, By::Person(&by.actor()), now).await?)
}

/// List the users
///
/// In order of their logins, the root identity among them.
#[utoipa::path(get, path = "/api/v1/directory/users", tag = "directory", operation_id = "listUsers",
    params(("search" = Option<String>, Query, description = "Only those whose login or name has this in it."),
        ("group" = Option<String>, Query, description = "Only those in this group."),
        ("after" = Option<String>, Query, description = "Only those after this login: `next` of the page before."),
        ("limit" = Option<u32>, Query, description = "At most so many, 1 to 100; 50 unless given.")),
    responses((status = 200, description = "A page of users.", body = Users), Refusals))]
pub(in crate::control) async fn list(
    State(control): State<Arc<Control>>,
    asked: Asked,
) -> Reply<Json<Users>> {
    let by = asked.may(&control, ConsoleAction::ManagePeople).await?;
    asked.only(&["search", "group", "after", "limit"])?;
    let limit = limit(&asked)?;
    let filter = PeopleFilter {
        roles: false,
        search: asked.parameter("search").map(text).transpose()?,
        group: asked.parameter("group").map(group).transpose()?,
        after: asked.parameter("after").map(text).transpose()?,
        limit: limit.saturating_add(1),
    };
    let found = control.store().people(by.account(), &filter).await?;
    let (found, next) = page(found, limit);
    Ok(Json(Users { users: found.into_iter().map(User::from).collect(), next }))
}

/// Add a user
///
/// With a one-time link by which they set a password, told in this answer and never again.
#[utoipa::path(post, path = "/api/v1/directory/users", tag = "directory", operation_id = "addUser",
    request_body = NewUser,
    responses((status = 201, description = "Added.", body = Added), Refusals))]
pub(in crate::control) async fn add(
    State(control): State<Arc<Control>>,
    asked: Asked,
    body: Body,
) -> Reply<Response> {
    let by = asked.may(&control, ConsoleAction::ManagePeople).await?;
    asked.only(&[])?;
    Ok((StatusCode::CREATED, Json(create(&control, &by, body.read()?).await?)).into_response())
}

/// Show a user
#[utoipa::path(get, path = "/api/v1/directory/users/{login}", tag = "directory", operation_id = "showUser",
    params(("login", description = "What they log in with.")),
    responses((status = 200, description = "The user.", body = User), Refusals))]
pub(in crate::control) async fn show(
    State(control): State<Arc<Control>>,
    Path(login): Path<String>,
    asked: Asked,
) -> Reply<Json<User>> {
    let by = asked.may(&control, ConsoleAction::ManagePeople).await?;
    asked.only(&[])?;
    Ok(Json(find(&control, &by, &login).await?.into()))
}

/// Change a user
///
/// Disabled, out of a group, no administrator any more: true at every sidecar when the answer comes. The right of the
/// last user who administers is taken by the root identity only.
#[utoipa::path(patch, path = "/api/v1/directory/users/{login}", tag = "directory", operation_id = "changeUser",
    params(("login", description = "What they log in with."),
        ("wait" = Option<u8>, Query, description = "0 to be answered as soon as it is stored.")),
    request_body = UserChange,
    responses((status = 200, description = "Changed, and known to every sidecar.", body = User),
        (status = 202, description = "Stored; not known to every sidecar yet.", body = User), Refusals))]
pub(in crate::control) async fn change(
    State(control): State<Arc<Control>>,
    Path(login): Path<String>,
    asked: Asked,
    body: Body,
) -> Reply<Response> {
    let by = asked.may(&control, ConsoleAction::ManagePeople).await?;
    let wait = asked.waits()?;
    let wanted: UserChange = body.read()?;
    let key = find(&control, &by, &login).await?.principal.key;
    let change = PersonChange {
        full_access: wanted.administrator,
        ..meant(&control, &by, wanted.display_name, wanted.enabled, wanted.groups).await?
    };
    let (user, known) = changed(&control, &by, &key, &change, wait).await?;
    Ok(told(known, User::from(user)))
}

/// Make a link that sets a password
///
/// Told in this answer and never again; one that was made before ends. The password that there is stays until then.
#[utoipa::path(post, path = "/api/v1/directory/users/{login}/password-link", tag = "directory",
    operation_id = "makePasswordLink", params(("login", description = "What they log in with.")),
    responses((status = 201, description = "The link.", body = Link), Refusals))]
pub(in crate::control) async fn link(
    State(control): State<Arc<Control>>,
    Path(login): Path<String>,
    asked: Asked,
) -> Reply<Response> {
    let by = asked.may(&control, ConsoleAction::ManagePeople).await?;
    asked.only(&[])?;
    Ok((StatusCode::CREATED, Json(give_link(&control, &by, &login).await?)).into_response())
}

/// Reset what a user proves themselves by
///
/// Removes passkeys, authenticator and recovery codes, and ends their sessions: for somebody who has lost them.
#[utoipa::path(delete, path = "/api/v1/directory/users/{login}/factors", tag = "directory",
    operation_id = "resetFactors", params(("login", description = "What they log in with.")),
    responses((status = 204, description = "Reset."), Refusals))]
pub(in crate::control) async fn reset(
    State(control): State<Arc<Control>>,
    Path(login): Path<String>,
    asked: Asked,
) -> Reply<StatusCode> {
    let by = asked.may(&control, ConsoleAction::ManagePeople).await?;
    asked.only(&[])?;
    reset_factors(&control, &by, &login).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The first `limit` of the people that were found, and where the next page begins if there is one.
pub(in crate::control) fn page(found: Vec<Person>, limit: u32) -> (Vec<Person>, Option<String>) {
    first(found, limit, |person| person.principal.login.clone())
}

fn group<T: std::str::FromStr>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| invalid("`group` is not a group's name."))
}
