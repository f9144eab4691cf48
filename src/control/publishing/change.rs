//! One registered application: showing it, and changing what can be changed of it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use utoipa::ToSchema;

use super::applications::{PublishedApplication, Registration, own};
use crate::control::admin::openapi::Refusals;
use crate::control::admin::request::{Administrator, Asked, Body, invalid};
use crate::control::{Control, Reply};
use crate::model::application::Application;
use crate::model::scope::{Scope, ScopeSet};
use crate::policy::ConsoleAction;

/// What is to be changed; what is left out stays. Name and type cannot be changed.
#[derive(Deserialize, ToSchema, Default)]
#[serde(deny_unknown_fields)]
pub(in crate::control) struct Change {
    /// 1 to 24 characters.
    pub(super) display_name: Option<String>,
    /// A sentence for the consent page, at most 200 characters.
    pub(super) description: Option<String>,
    /// An address or a page, at most 200 characters.
    pub(super) contact: Option<String>,
    /// At most 20; at least one, except for a `ServerApp`.
    pub(super) redirect_uris: Option<Vec<String>>,
    /// `openid` is always among them. No account's grant becomes wider by it.
    #[schema(value_type = Option<Vec<String>>)]
    pub(super) required_scopes: Option<Vec<Scope>>,
    /// May not repeat a required one. No account's grant becomes wider by it.
    #[schema(value_type = Option<Vec<String>>)]
    pub(super) optional_scopes: Option<Vec<Scope>>,
    /// 900 to 10800.
    pub(super) access_token_seconds: Option<u32>,
    /// 7200 to 31536000.
    pub(super) refresh_token_seconds: Option<u32>,
    /// False: nothing works for it any more, in any account.
    pub(super) enabled: Option<bool>,
}

impl Change {
    /// The whole as it would be registered.
    fn of(&self, before: &Application) -> Registration {
        let scopes = |asked: &Option<Vec<Scope>>, present: &ScopeSet| {
            asked.clone().unwrap_or_else(|| present.iter().cloned().collect())
        };
        let text =
            |asked: &Option<String>, present: &str| asked.clone().unwrap_or_else(|| present.to_owned());
        Registration {
            name: before.name.clone(),
            display_name: Some(text(&self.display_name, &before.display_name)),
            description: text(&self.description, &before.description),
            contact: text(&self.contact, &before.contact),
            runs_on: before.kind,
            redirect_uris: self.redirect_uris.clone().unwrap_or_else(|| before.redirect_uris.clone()),
            required_scopes: scopes(&self.required_scopes, &before.required),
            optional_scopes: scopes(&self.optional_scopes, &before.optional),
            access_token_seconds: Some(self.access_token_seconds.unwrap_or(before.access_token_seconds)),
            refresh_token_seconds: Some(self.refresh_token_seconds.unwrap_or(before.refresh_token_seconds)),
        }
    }
}

/// Changes an application of the account, if it is still `before`, and waits until every sidecar knows.
///
/// # Errors
/// 400 `invalid_request` with every complaint, 409 `conflict` when it was changed meanwhile, the store's.
pub(super) async fn changed(
    control: &Control,
    by: &Administrator,
    before: &Application,
    change: &Change,
) -> Reply<Application> {
    let wanted = change.of(before);
    let complaints = wanted.complaints(control.policies().catalogue());
    if !complaints.is_empty() {
        return Err(invalid(format!("The application cannot be changed so: {}.", complaints.join("; ")))
            .next("Nothing was changed. Mend what is named and send it again."));
    }
    let (required, optional) = wanted.scopes();
    let after = Application {
        display_name: wanted.display_name.unwrap_or_else(|| before.display_name.clone()),
        description: wanted.description,
        contact: wanted.contact,
        redirect_uris: wanted.redirect_uris,
        required,
        optional,
        access_token_seconds: wanted.access_token_seconds.unwrap_or(before.access_token_seconds),
        refresh_token_seconds: wanted.refresh_token_seconds.unwrap_or(before.refresh_token_seconds),
        enabled: change.enabled.unwrap_or(before.enabled),
        ..before.clone()
    };
    if after != *before {
        control.store().revise(before, &after, &by.actor(), control.clock().now()).await?;
        control.heard_everywhere().await?;
    }
    Ok(after)
}

/// Show an application that this account has registered
#[utoipa::path(get, path = "/api/v1/publisher/applications/{client_id}", tag = "publisher",
    operation_id = "showPublished", params(("client_id", description = "The application's client ID.")),
    responses((status = 200, description = "The application.", body = PublishedApplication), Refusals))]
pub(in crate::control) async fn show(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    asked: Asked,
) -> Reply<Json<PublishedApplication>> {
    let by = asked.may(&control, ConsoleAction::Publish).await?;
    asked.only(&[])?;
    let application = own(&control, &by, &client_id).await?;
    Ok(Json(PublishedApplication::of(application, None)))
}

/// Change an application
///
/// What accounts have granted stays as it is: a scope that is added waits for their administrators, one that is not
/// offered any more ends with their next decision. Answers when every sidecar knows.
#[utoipa::path(patch, path = "/api/v1/publisher/applications/{client_id}", tag = "publisher",
    operation_id = "changeApplication", params(("client_id", description = "The application's client ID.")),
    request_body = Change,
    responses((status = 200, description = "Changed.", body = PublishedApplication), Refusals))]
pub(in crate::control) async fn change(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    asked: Asked,
    body: Body,
) -> Reply<Json<PublishedApplication>> {
    let by = asked.may(&control, ConsoleAction::Publish).await?;
    asked.only(&[])?;
    let before = own(&control, &by, &client_id).await?;
    let after = changed(&control, &by, &before, &body.read()?).await?;
    Ok(Json(PublishedApplication::of(after, None)))
}
