//! The applications that an account has registered: the list, and registering one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::secrets::fresh;
use crate::control::admin::openapi::Refusals;
use crate::control::admin::request::{Administrator, Asked, Body, invalid};
use crate::control::{Control, Problem, Reply, page, redirect_uri};
use crate::model::application::{Application, ApplicationType};
use crate::model::id::ApplicationId;
use crate::model::scope::{Scope, ScopeSet};
use crate::policy::ConsoleAction;
use crate::policy::catalogue::Catalogue;
use crate::token::random::{Secret, fill};

/// What the account has registered.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct Published {
    applications: Vec<PublishedApplication>,
}

/// A registered application.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct PublishedApplication {
    /// Its `client_id`.
    client_id: String,
    /// Shown once, when a confidential application is registered.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<String>,
    /// Its name.
    name: String,
    /// What people see.
    display_name: String,
    /// A sentence about it.
    description: String,
    /// Whom to ask about it.
    contact: String,
    /// `WebApp`, `NativeApp` or `ServerApp`.
    #[serde(rename = "type")]
    runs_on: &'static str,
    /// Published by a cloud service. Only an operator can make it so.
    official: bool,
    /// Where codes may be sent.
    redirect_uris: Vec<String>,
    /// What an authorization always includes.
    #[schema(value_type = Vec<String>)]
    required_scopes: ScopeSet,
    /// What an administrator may add.
    #[schema(value_type = Vec<String>)]
    optional_scopes: ScopeSet,
    /// Life of an access token in seconds.
    access_token_seconds: u32,
    /// Life of a refresh token in seconds.
    refresh_token_seconds: u32,
    /// False once it is disabled.
    enabled: bool,
    /// When it was registered.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// An application to be registered.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control) struct Registration {
    /// 1 to 64 characters of `A-Z a-z 0-9 . _ -`, unique for the publisher.
    pub(super) name: String,
    /// 1 to 24 characters; the name, cut, unless given.
    pub(super) display_name: Option<String>,
    /// A sentence for the consent page, at most 200 characters.
    #[serde(default)]
    pub(super) description: String,
    /// An address or a page, at most 200 characters.
    #[serde(default)]
    pub(super) contact: String,
    /// `WebApp`, `NativeApp` or `ServerApp`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub(super) runs_on: ApplicationType,
    /// At most 20; at least one, except for a `ServerApp`.
    #[serde(default)]
    pub(super) redirect_uris: Vec<String>,
    /// `openid` is always among them.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub(super) required_scopes: Vec<Scope>,
    /// May not repeat a required one.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub(super) optional_scopes: Vec<Scope>,
    /// 900 to 10800; 3600 unless given.
    pub(super) access_token_seconds: Option<u32>,
    /// 7200 to 31536000; 30 days unless given, 90 for a `WebApp`.
    pub(super) refresh_token_seconds: Option<u32>,
}

impl PublishedApplication {
    /// As its publisher sees it, with its secret when that is new.
    pub(in crate::control) fn of(application: Application, client_secret: Option<String>) -> Self {
        Self {
            client_id: application.id.into(),
            client_secret,
            name: application.name,
            display_name: application.display_name,
            description: application.description,
            contact: application.contact,
            runs_on: application.kind.as_str(),
            official: application.official,
            redirect_uris: application.redirect_uris,
            required_scopes: application.required,
            optional_scopes: application.optional,
            access_token_seconds: application.access_token_seconds,
            refresh_token_seconds: application.refresh_token_seconds,
            enabled: application.enabled,
            created_at: application.created_at,
        }
    }
}

impl Registration {
    /// The required and the optional scopes: `openid` is always required.
    pub(super) fn scopes(&self) -> (ScopeSet, ScopeSet) {
        let mut required: ScopeSet = self.required_scopes.iter().cloned().collect();
        let mut optional: ScopeSet = self.optional_scopes.iter().cloned().collect();
        if let Ok(openid) = "openid".parse::<Scope>() {
            optional = optional.without(&ScopeSet::from_iter([openid.clone()]));
            required.insert(openid);
        }
        (required, optional)
    }

    /// An application as it would be registered anew, to be checked like one.
    pub(in crate::control) fn of(application: &Application) -> Self {
        let list = |scopes: &ScopeSet| scopes.iter().cloned().collect();
        Self {
            name: application.name.clone(),
            display_name: Some(application.display_name.clone()),
            description: application.description.clone(),
            contact: application.contact.clone(),
            runs_on: application.kind,
            redirect_uris: application.redirect_uris.clone(),
            required_scopes: list(&application.required),
            optional_scopes: list(&application.optional),
            access_token_seconds: Some(application.access_token_seconds),
            refresh_token_seconds: Some(application.refresh_token_seconds),
        }
    }

    /// The checks that need no store. Every complaint is told at once.
    pub(in crate::control) fn complaints(&self, catalogue: &Catalogue) -> Vec<String> {
        let mut found = Vec::new();
        let named = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if self.name.is_empty() || self.name.len() > 64 || !self.name.bytes().all(named) {
            found.push("`name` is 1 to 64 characters of A-Z a-z 0-9 . _ -".to_owned());
        }
        let shown = self.display_name.as_deref().unwrap_or("ok");
        if shown.trim().is_empty() || shown.chars().count() > 24 || !page::is_plain(shown) {
            found.push("`display_name` is 1 to 24 characters that can be seen".to_owned());
        }
        for (field, text) in [("description", &self.description), ("contact", &self.contact)] {
            if text.chars().count() > 200 || !page::is_plain(text) {
                found.push(format!("`{field}` is at most 200 characters that can be seen, on one line"));
            }
        }
        if self.redirect_uris.len() > 20 {
            found.push("at most 20 `redirect_uris` can be registered".to_owned());
        }
        if self.redirect_uris.is_empty() && self.runs_on != ApplicationType::ServerApp {
            found.push("`redirect_uris` needs at least one".to_owned());
        }
        found
            .extend(self.redirect_uris.iter().filter_map(|uri| redirect_uri::check(uri, self.runs_on).err()));
        for scope in self.required_scopes.iter().chain(&self.optional_scopes) {
            if !catalogue.knows(scope) {
                found.push(format!("there is no scope {scope}"));
            }
        }
        for scope in self.optional_scopes.iter().filter(|scope| self.required_scopes.contains(scope)) {
            found.push(format!("the scope {scope} is required and optional"));
        }
        if !(900..=10_800).contains(&self.access_token_seconds.unwrap_or(3600)) {
            found.push("`access_token_seconds` is 900 to 10800".to_owned());
        }
        if !(7200..=31_536_000).contains(&self.refresh_token_seconds.unwrap_or(7200)) {
            found.push("`refresh_token_seconds` is 7200 to 31536000".to_owned());
        }
        found
    }
}

/// An application that the account has published; another's answers like an unknown one.
pub(in crate::control) async fn own(
    control: &Control,
    by: &Administrator,
    client_id: &str,
) -> Reply<Application> {
    let unknown = || {
        Problem::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "This account has not registered an application with that client ID.",
        )
        .next("GET /api/v1/publisher/applications lists them.")
    };
    let id: ApplicationId = client_id.parse().map_err(|_| unknown())?;
    let found = control.store().application(&id).await?;
    found.filter(|found| found.publisher == *by.account()).ok_or_else(unknown)
}

/// List the applications that this account has registered
#[utoipa::path(get, path = "/api/v1/publisher/applications", tag = "publisher", operation_id = "listPublished",
    responses((status = 200, description = "What is registered.", body = Published), Refusals))]
pub(in crate::control) async fn list(
    State(control): State<Arc<Control>>,
    asked: Asked,
) -> Reply<Json<Published>> {
    let by = asked.may(&control, ConsoleAction::Publish).await?;
    asked.only(&[])?;
    let applications = control.store().published_by(by.account()).await?;
    let applications = applications.into_iter().map(|one| PublishedApplication::of(one, None)).collect();
    Ok(Json(Published { applications }))
}

/// Register an application
///
/// A confidential one (`WebApp`, `ServerApp`) gets a secret, which is shown in this answer and never again.
#[utoipa::path(post, path = "/api/v1/publisher/applications", tag = "publisher", operation_id = "registerApplication",
    request_body = Registration,
    responses((status = 201, description = "Registered.", body = PublishedApplication), Refusals))]
pub(in crate::control) async fn register(
    State(control): State<Arc<Control>>,
    asked: Asked,
    body: Body,
) -> Reply<Response> {
    let by = asked.may(&control, ConsoleAction::Publish).await?;
    asked.only(&[])?;
    let (application, secret) = registered(&control, &by, body.read()?).await?;
    let secret = secret.map(|secret| secret.expose().to_owned());
    Ok((StatusCode::CREATED, Json(PublishedApplication::of(application, secret))).into_response())
}

/// Registers an application; a confidential one has its first secret, which nobody can read again.
///
/// # Errors
/// 400 `invalid_request` with every complaint, 409 `exists`, the store's.
pub(super) async fn registered(
    control: &Control,
    by: &Administrator,
    registration: Registration,
) -> Reply<(Application, Option<Secret>)> {
    let complaints = registration.complaints(control.policies().catalogue());
    if !complaints.is_empty() {
        return Err(invalid(format!("The application cannot be registered: {}.", complaints.join("; ")))
            .next("Nothing was registered. Mend what is named and send it again."));
    }
    let application = application(control, by, registration).await?;
    let secret = if application.kind.is_confidential() { Some(fresh(application.created_at)?) } else { None };
    let kept: Vec<_> = secret.iter().map(|(kept, _)| kept.clone()).collect();
    control.store().register(&application, &kept, &by.actor()).await?;
    Ok((application, secret.map(|(_, secret)| secret)))
}

async fn application(control: &Control, by: &Administrator, asked: Registration) -> Reply<Application> {
    let account = control.store().account(by.account()).await?;
    let months = if asked.runs_on == ApplicationType::WebApp { 3 } else { 1 };
    let (required, optional) = asked.scopes();
    Ok(Application {
        id: client_id()?,
        display_name: asked.display_name.unwrap_or_else(|| asked.name.chars().take(24).collect()),
        name: asked.name,
        description: asked.description,
        publisher: by.account().clone(),
        publisher_name: account.map(|account| account.alias).unwrap_or_default(),
        contact: asked.contact,
        official: false,
        kind: asked.runs_on,
        redirect_uris: asked.redirect_uris,
        required,
        optional,
        access_token_seconds: asked.access_token_seconds.unwrap_or(3600),
        refresh_token_seconds: asked.refresh_token_seconds.unwrap_or(months * 30 * 86_400),
        enabled: true,
        created_at: control.clock().now(),
    })
}

/// A number of 19 digits, as the real service's are.
pub(in crate::control) fn client_id() -> Reply<ApplicationId> {
    let mut bytes = [0; 8];
    fill(&mut bytes).map_err(|why| Problem::internal("a client ID", &why))?;
    let number = 4_000_000_000_000_000_000 + u64::from_be_bytes(bytes) % 5_000_000_000_000_000_000;
    number.to_string().parse().map_err(|why| Problem::internal("a client ID", &why))
}
