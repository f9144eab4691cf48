//! Official applications: what there is, and installing one without visiting it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::applications::{InstalledApplication, is_live};
use super::openapi::Refusals;
use super::request::{Administrator, Asked, Body, invalid};
use super::state::Change;
use crate::control::{Control, Problem, Reply, paging};
use crate::model::application::Application;
use crate::model::grant::Installed;
use crate::model::id::{ApplicationId, GrantKey, Revision};
use crate::model::scope::{Scope, ScopeSet};
use crate::policy::ConsoleAction;
use crate::store::{Install, Lasting, Offered, Page, PageOf};

/// What cloud services publish.
#[derive(Serialize, ToSchema)]
pub(super) struct OfficialApplications {
    /// The applications, by name.
    applications: Vec<OfficialApplication>,
    /// Give it as `after` to get the next page; null when this is the last.
    next: Option<String>,
}

/// One official application.
#[derive(Serialize, ToSchema)]
pub(super) struct OfficialApplication {
    /// Its `client_id`.
    client_id: String,
    /// Its name.
    name: String,
    /// What people see.
    display_name: String,
    /// Its publisher's sentence about it; may be empty.
    description: String,
    /// The publisher's name.
    publisher: String,
    /// What provisioning always includes.
    #[schema(value_type = Vec<String>)]
    required_scopes: ScopeSet,
    /// What may be added.
    #[schema(value_type = Vec<String>)]
    optional_scopes: ScopeSet,
    /// Whether this account has it.
    installed: bool,
}

/// What to provision with.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields, default)]
pub(in crate::control) struct Provision {
    /// The optional scopes chosen; the required ones are always included.
    #[schema(value_type = Vec<String>)]
    pub(in crate::control) scopes: Vec<Scope>,
    /// Refuse rather than grant any other scope than these, the required ones included.
    #[schema(value_type = Option<Vec<String>>)]
    pub(in crate::control) at_most: Option<Vec<Scope>>,
    /// Replace the scopes of an installed application, if this still is its revision. Who may use it stays.
    pub(in crate::control) replace: Option<u64>,
}

/// The official application with this client ID.
///
/// # Errors
/// 404 for one that is not official or not usable, the store's.
pub(in crate::control) async fn offered(control: &Control, client_id: &str) -> Reply<Application> {
    let unknown = || {
        Problem::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "There is no official application with this client ID.",
        )
        .next("GET /api/v1/official-applications lists them.")
    };
    let id: ApplicationId = client_id.parse().map_err(|_| unknown())?;
    let found = control.store().application(&id).await?;
    found.filter(|found| found.official && found.enabled).ok_or_else(unknown)
}

/// Installs an official application, or replaces its scopes, and waits until every sidecar knows.
///
/// # Errors
/// 404 for one that is not official, 409 for one that is installed or was changed meanwhile, 400 for a scope that it
/// does not offer or that goes beyond what was allowed.
pub(in crate::control) async fn install(
    control: &Control,
    by: &Administrator,
    client_id: &str,
    wanted: Provision,
) -> Reply<Installed> {
    let Provision { scopes, at_most, replace } = wanted;
    let at_most: Option<ScopeSet> = at_most.map(|scopes| scopes.into_iter().collect());
    let application = offered(control, client_id).await?;
    let key = GrantKey { account: by.account().clone(), application: application.id.clone() };
    let present = control.store().installed(&key).await?;
    if replace.is_none() && present.as_ref().is_some_and(is_live) {
        let detail = format!("{} is installed already.", application.name);
        return Err(Problem::new(StatusCode::CONFLICT, "exists", detail)
            .next("To change its scopes, say which revision is to be replaced, or delete it first."));
    }
    let scopes = application.required.union(&scopes.into_iter().collect());
    let declined = application.offered().beyond(&scopes);
    let seen = replace.map(Revision);
    let lasting = Lasting::AsItWas;
    let install = Install { key, scopes, declined, at_most, by: by.actor(), seen, lasting };
    let change = Change::begin(control, true);
    let (grant, seq) = control.store().install(&install, control.clock().now()).await?;
    change.settle(control, seq).await;
    Ok(Installed { grant, application })
}

/// List the official applications
#[utoipa::path(get, path = "/api/v1/official-applications", tag = "official applications",
    operation_id = "listOfficialApplications",
    params(("search" = Option<String>, Query, description = "Only where this is a part of the name, the publisher or the client ID."),
        ("after" = Option<String>, Query, description = "Only what comes after this place: the `next` of the page before."),
        ("limit" = Option<u32>, Query, description = "At most so many, 1 to 1000; 100 unless given.")),
    responses((status = 200, description = "A page of them.", body = OfficialApplications), Refusals))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    asked: Asked,
) -> Reply<Json<OfficialApplications>> {
    let by = asked.may(&control, ConsoleAction::List).await?;
    asked.only(&paging::PAGE)?;
    let wanted = paging::page(|name| asked.parameter(name), MOST)?;
    let page = offers(&control, &by, &wanted).await?;
    let next = page.items.last().filter(|_| page.more).map(|last| place(&last.application));
    let shown = |Offered { application, installed }: Offered| OfficialApplication {
        client_id: application.id.into(),
        name: application.name,
        display_name: application.display_name,
        description: application.description,
        publisher: application.publisher_name,
        required_scopes: application.required,
        optional_scopes: application.optional,
        installed: installed.is_some(),
    };
    Ok(Json(OfficialApplications { applications: page.items.into_iter().map(shown).collect(), next }))
}

/// A page of the official applications, with what each is to the account.
///
/// # Errors
/// 400 for a place that is none, the store's.
pub(in crate::control) async fn offers(
    control: &Control,
    by: &Administrator,
    wanted: &PageOf,
) -> Reply<Page<Offered>> {
    if wanted.after.as_ref().is_some_and(|place| !place.contains('/')) {
        return Err(invalid("`after` is no place in this list.").next("Begin at the first page."));
    }
    Ok(control.store().official_page(by.account(), wanted).await?)
}

/// Where an application stands in the list.
pub(in crate::control) fn place(application: &Application) -> String {
    format!("{}/{}", application.name, application.id)
}

const MOST: u32 = 1000;

/// Provision an official application
///
/// Installs it without visiting it. Nobody but the root identity can use it until it is assigned. With `replace` it
/// changes the scopes of one that is installed, without an interruption for what stays granted.
#[utoipa::path(post, path = "/api/v1/official-applications/{client_id}/provision", tag = "official applications",
    operation_id = "provisionApplication", params(("client_id", description = "The application's client ID.")),
    request_body = Provision,
    responses((status = 201, description = "Installed, and known to every sidecar.", body = InstalledApplication),
        Refusals))]
pub(super) async fn provision(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    asked: Asked,
    body: Body,
) -> Reply<Response> {
    let by = asked.may(&control, ConsoleAction::Provision).await?;
    asked.only(&[])?;
    let installed = install(&control, &by, &client_id, body.read_or_default()?).await?;
    let location = control.issuer().at(&format!("/api/v1/applications/{}", installed.application.id));
    let body = Json(InstalledApplication::of(installed, None));
    Ok((StatusCode::CREATED, [(LOCATION, location)], body).into_response())
}
