//! What is installed in an account: the list, one application's details, and the policies that enforce it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::IntoResponse;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi::Refusals;
use super::request::{Administrator, Asked, not_installed};
use crate::control::rescope::WaitingScopes;
use crate::control::{Control, Reply, paging};
use crate::model::grant::{GrantState, Installed};
use crate::model::scope::ScopeSet;
use crate::policy::{ConsoleAction, generate};
use crate::store::Listed;

/// What an account has installed.
#[derive(Serialize, ToSchema)]
pub(super) struct Applications {
    /// The applications, the latest authorization first unless asked for otherwise.
    applications: Vec<InstalledApplication>,
    /// Give it as `after` to get the next page; null when this is the last.
    next: Option<String>,
}

/// An installed application: what it is, and what it was granted.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct InstalledApplication {
    /// Its `client_id`.
    client_id: String,
    /// Its name, unique for its publisher.
    name: String,
    /// What people see.
    display_name: String,
    /// Its publisher's sentence about it; may be empty.
    description: String,
    /// What it is to this account: `third-party`, `official` or `first-party`.
    kind: &'static str,
    /// What it runs on: `WebApp`, `NativeApp` or `ServerApp`.
    #[serde(rename = "type")]
    runs_on: &'static str,
    publisher: Publisher,
    /// `active` or `suspended`.
    state: &'static str,
    /// The grant's number; it rises with every change.
    revision: u64,
    /// When the present scopes were authorized.
    #[schema(value_type = String, format = DateTime)]
    authorized_at: Timestamp,
    /// The login of who authorized them.
    authorized_by: String,
    scopes: Scopes,
    /// What its publisher has changed and no administrator has decided about.
    waiting: WaitingScopes,
    /// Who may use it: `all` or `assigned`.
    assignment: &'static str,
    /// From then on it grants nothing.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// When it last was allowed a call; null when it never was.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used: Option<Timestamp>,
}

/// Who published an application.
#[derive(Serialize, ToSchema)]
pub(super) struct Publisher {
    /// The publisher's account number.
    id: String,
    /// The publisher's name.
    name: String,
    /// Whom to ask when the application does not work; may be empty.
    contact: String,
}

/// What was granted, and what was offered and not chosen.
#[derive(Serialize, ToSchema)]
pub(super) struct Scopes {
    /// Granted.
    #[schema(value_type = Vec<String>)]
    granted: ScopeSet,
    /// Offered and declined.
    #[schema(value_type = Vec<String>)]
    declined: ScopeSet,
}

impl InstalledApplication {
    pub(super) fn of(installed: Installed, last_used: Option<Timestamp>) -> Self {
        let waiting = WaitingScopes::of(&installed);
        let Installed { grant, application } = installed;
        Self {
            waiting,
            kind: application.relation_to(&grant.key.account).as_str(),
            client_id: application.id.into(),
            name: application.name,
            display_name: application.display_name,
            description: application.description,
            runs_on: application.kind.as_str(),
            publisher: Publisher {
                id: application.publisher.into(),
                name: application.publisher_name,
                contact: application.contact,
            },
            state: grant.state.as_str(),
            revision: grant.revision.0,
            authorized_at: grant.authorized_at,
            authorized_by: grant.authorized_by_login,
            scopes: Scopes { granted: grant.scopes, declined: grant.declined },
            assignment: grant.assignment.as_str(),
            expires_at: grant.expires_at,
            last_used,
        }
    }
}

/// The account's live grant of an application.
///
/// # Errors
/// 404 `not_installed`, the store's.
pub(in crate::control) async fn find(
    control: &Control,
    by: &Administrator,
    client_id: &str,
) -> Reply<Installed> {
    let found = control.store().installed(&by.grant_key(client_id)?).await?;
    found.filter(is_live).ok_or_else(|| not_installed(client_id))
}

/// Whether a grant is more than a tombstone.
pub(in crate::control) fn is_live(installed: &Installed) -> bool {
    match installed.grant.state {
        GrantState::Active | GrantState::Suspended => true,
        GrantState::Revoked => false,
    }
}

/// The policies that are generated from a grant, as Cedar.
pub(in crate::control) fn policy_text(control: &Control, installed: &Installed) -> String {
    generate::policies(installed, &installed.grant.scopes, control.policies().catalogue())
}

/// List the installed applications
///
/// Those that an administrator of the account has authorized or provisioned and nobody has deleted.
#[utoipa::path(get, path = "/api/v1/applications", tag = "applications", operation_id = "listApplications",
    params(("search" = Option<String>, Query, description = "Only where this is a part of the name, the publisher or the client ID."),
        ("state" = Option<String>, Query, description = "Only `active` or only `suspended`."),
        ("sort" = Option<String>, Query, description = "`name`, `authorized_at`, `last_used` or `state`, with `-` before it for the last first; `-authorized_at` unless given."),
        ("after" = Option<String>, Query, description = "Only what comes after this place: the `next` of the page before."),
        ("limit" = Option<u32>, Query, description = "At most so many, 1 to 1000; 100 unless given.")),
    responses((status = 200, description = "What is installed.", body = Applications), Refusals))]
pub(super) async fn list(State(control): State<Arc<Control>>, asked: Asked) -> Reply<Json<Applications>> {
    let by = asked.may(&control, ConsoleAction::List).await?;
    asked.only(&paging::INSTALLED)?;
    let wanted = paging::installed(|name| asked.parameter(name), MOST)?;
    let page = control.store().installed_page(by.account(), &wanted).await?;
    let next = page.items.last().filter(|_| page.more).map(|last| paging::place_text(&last.place));
    let one = |one: Listed| InstalledApplication::of(one.installed, one.last_used);
    Ok(Json(Applications { applications: page.items.into_iter().map(one).collect(), next }))
}

/// Show one installed application
#[utoipa::path(get, path = "/api/v1/applications/{client_id}", tag = "applications",
    operation_id = "showApplication", params(("client_id", description = "The application's client ID.")),
    responses((status = 200, description = "The application and its grant.", body = InstalledApplication), Refusals))]
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    asked: Asked,
) -> Reply<Json<InstalledApplication>> {
    let by = asked.may(&control, ConsoleAction::List).await?;
    asked.only(&[])?;
    let installed = find(&control, &by, &client_id).await?;
    let last_used = control.store().last_used(&installed.grant.key).await?;
    Ok(Json(InstalledApplication::of(installed, last_used)))
}

/// Read the policies that enforce a grant
///
/// The Cedar text that every sidecar derives from the grant. It cannot be edited: it is the grant, written out.
#[utoipa::path(get, path = "/api/v1/applications/{client_id}/policies", tag = "applications",
    operation_id = "showPolicies", params(("client_id", description = "The application's client ID.")),
    responses((status = 200, description = "The policies.", body = String, content_type = "text/plain"), Refusals))]
pub(super) async fn policies(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    asked: Asked,
) -> Reply<impl IntoResponse> {
    let by = asked.may(&control, ConsoleAction::List).await?;
    asked.only(&[])?;
    let installed = find(&control, &by, &client_id).await?;
    let headers = [(CONTENT_TYPE, "text/plain; charset=utf-8"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    Ok((headers, policy_text(&control, &installed)))
}

const MOST: u32 = 1000;
