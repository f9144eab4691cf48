//! Official applications: what there is, and installing one without visiting it.

use std::collections::HashSet;
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
use super::request::{Administrator, Asked, Body};
use super::state::Change;
use crate::control::{Control, Problem, Reply};
use crate::model::application::Application;
use crate::model::grant::Installed;
use crate::model::id::{ApplicationId, GrantKey};
use crate::model::scope::{Scope, ScopeSet};
use crate::policy::ConsoleAction;
use crate::store::{Install, Lasting};

/// What cloud services publish.
#[derive(Serialize, ToSchema)]
pub(super) struct OfficialApplications {
    applications: Vec<OfficialApplication>,
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
#[serde(deny_unknown_fields)]
pub(super) struct Provision {
    /// The optional scopes chosen; the required ones are always included.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    scopes: Vec<Scope>,
}

/// Every official application, with whether the account has it.
pub(in crate::control) async fn offers(
    control: &Control,
    by: &Administrator,
) -> Reply<Vec<(Application, bool)>> {
    let installed = control.store().installed_in(by.account()).await?;
    let installed: HashSet<ApplicationId> = installed.into_iter().map(|one| one.application.id).collect();
    let all = control.store().official_applications().await?;
    let usable = all.into_iter().filter(|application| application.enabled);
    Ok(usable
        .map(|application| (installed.contains(&application.id), application))
        .map(|(had, a)| (a, had))
        .collect())
}

/// Installs an official application with these optional scopes, and waits until every sidecar knows.
///
/// # Errors
/// 404 for one that is not official, 409 for one that is installed, 400 for a scope that it does not offer.
pub(in crate::control) async fn install(
    control: &Control,
    by: &Administrator,
    client_id: &str,
    chosen: ScopeSet,
) -> Reply<Installed> {
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
    let application = found.filter(|found| found.official && found.enabled).ok_or_else(unknown)?;
    let key = GrantKey { account: by.account().clone(), application: id };
    if control.store().installed(&key).await?.as_ref().is_some_and(is_live) {
        let detail = format!("{} is installed already.", application.name);
        return Err(Problem::new(StatusCode::CONFLICT, "exists", detail)
            .next("To change its scopes, delete it first."));
    }
    let scopes = application.required.union(&chosen);
    let declined = application.offered().beyond(&scopes);
    let install = Install { key, scopes, declined, by: by.actor(), seen: None, lasting: Lasting::AsItWas };
    let change = Change::begin(control, true);
    let (grant, seq) = control.store().install(&install, control.clock().now()).await?;
    change.settle(control, seq).await;
    Ok(Installed { grant, application })
}

/// List the official applications
#[utoipa::path(get, path = "/api/v1/official-applications", tag = "official applications",
    operation_id = "listOfficialApplications",
    responses((status = 200, description = "Every official application.", body = OfficialApplications), Refusals))]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    asked: Asked,
) -> Reply<Json<OfficialApplications>> {
    let by = asked.may(&control, ConsoleAction::List).await?;
    asked.only(&[])?;
    let shown = |(application, installed): (Application, bool)| OfficialApplication {
        client_id: application.id.into(),
        name: application.name,
        display_name: application.display_name,
        description: application.description,
        publisher: application.publisher_name,
        required_scopes: application.required,
        optional_scopes: application.optional,
        installed,
    };
    let applications = offers(&control, &by).await?.into_iter().map(shown).collect();
    Ok(Json(OfficialApplications { applications }))
}

/// Provision an official application
///
/// Installs it without visiting it. Nobody but the root identity can use it until it is assigned.
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
    let Provision { scopes } = body.read_or_default()?;
    let installed = install(&control, &by, &client_id, scopes.into_iter().collect()).await?;
    let location = control.issuer().at(&format!("/api/v1/applications/{}", installed.application.id));
    let body = Json(InstalledApplication::of(installed, None));
    Ok((StatusCode::CREATED, [(LOCATION, location)], body).into_response())
}
