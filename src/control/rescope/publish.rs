//! The publisher's side: changing what an application is and offers. No grant is changed by it: what other accounts
//! have authorized stays, and the difference waits for their administrators.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::control::admin::openapi::Refusals;
use crate::control::admin::publisher::{PublishedApplication, Registration, own};
use crate::control::admin::request::{Administrator, Asked, Body, invalid};
use crate::control::admin::state::Change as Settling;
use crate::control::{Control, Reply};
use crate::model::application::Application;
use crate::model::scope::{Scope, ScopeSet};
use crate::policy::ConsoleAction;

/// What is to be changed; what is left out stays. Lists replace, they do not add.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control) struct Change {
    /// 1 to 24 characters.
    pub(in crate::control) display_name: Option<String>,
    /// A sentence for the consent page, at most 200 characters.
    pub(in crate::control) description: Option<String>,
    /// An address or a page, at most 200 characters.
    pub(in crate::control) contact: Option<String>,
    /// At most 20; at least one, except for a `ServerApp`.
    pub(in crate::control) redirect_uris: Option<Vec<String>>,
    /// `openid` is always among them. One that was not required before stops new sign-ins in each account until its
    /// administrator has accepted it.
    #[schema(value_type = Option<Vec<String>>)]
    pub(in crate::control) required_scopes: Option<Vec<Scope>>,
    /// May not repeat a required one.
    #[schema(value_type = Option<Vec<String>>)]
    pub(in crate::control) optional_scopes: Option<Vec<Scope>>,
    /// 900 to 10800.
    pub(in crate::control) access_token_seconds: Option<u32>,
    /// 7200 to 31536000.
    pub(in crate::control) refresh_token_seconds: Option<u32>,
    /// False ends everything that it does, in every account, until it is true again.
    pub(in crate::control) enabled: Option<bool>,
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
    Ok(Json(PublishedApplication::of(own(&control, &by, &client_id).await?, None)))
}

/// Change an application
///
/// What accounts have authorized is never widened by it: scopes that are new wait until an administrator of the
/// account has decided, and what was granted goes on meanwhile.
#[utoipa::path(patch, path = "/api/v1/publisher/applications/{client_id}", tag = "publisher",
    operation_id = "changeApplication", params(("client_id", description = "The application's client ID.")),
    request_body = Change,
    responses((status = 200, description = "Changed, and known to every sidecar.", body = PublishedApplication),
        Refusals))]
pub(in crate::control) async fn patch(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    asked: Asked,
    body: Body,
) -> Reply<Json<PublishedApplication>> {
    let by = asked.may(&control, ConsoleAction::Publish).await?;
    asked.only(&[])?;
    let change: Change = body.read()?;
    Ok(Json(PublishedApplication::of(carry_out(&control, &by, &client_id, change).await?, None)))
}

/// Changes an application of the account, and waits until every sidecar knows.
///
/// # Errors
/// 404 for an application that the account has not registered, 400 with every complaint at once, 409 when somebody
/// else has changed it meanwhile.
pub(in crate::control) async fn carry_out(
    control: &Control,
    by: &Administrator,
    client_id: &str,
    change: Change,
) -> Reply<Application> {
    let before = own(control, by, client_id).await?;
    let after = changed(&before, change);
    let complaints = Registration::of(&after).complaints(control.policies().catalogue());
    if !complaints.is_empty() {
        return Err(invalid(format!("The application cannot be changed: {}.", complaints.join("; ")))
            .next("Nothing was changed. Mend what is named and send it again."));
    }
    if after == before {
        return Ok(before);
    }
    let settling = Settling::begin(control, true);
    let now = control.clock().now();
    let seq = control.store().replace_application(&before, &after, &by.actor(), now).await?;
    settling.settle(control, seq).await;
    Ok(after)
}

fn changed(before: &Application, change: Change) -> Application {
    let Change {
        display_name,
        description,
        contact,
        redirect_uris,
        required_scopes,
        optional_scopes,
        access_token_seconds,
        refresh_token_seconds,
        enabled,
    } = change;
    let set = |scopes: Option<Vec<Scope>>, before: &ScopeSet| -> ScopeSet {
        scopes.map_or_else(|| before.clone(), |scopes| scopes.into_iter().collect())
    };
    let mut required = set(required_scopes, &before.required);
    let mut optional = set(optional_scopes, &before.optional);
    if let Ok(openid) = "openid".parse::<Scope>() {
        optional = optional.without(&ScopeSet::from_iter([openid.clone()]));
        required.insert(openid);
    }
    Application {
        display_name: display_name.unwrap_or_else(|| before.display_name.clone()),
        description: description.unwrap_or_else(|| before.description.clone()),
        contact: contact.unwrap_or_else(|| before.contact.clone()),
        redirect_uris: redirect_uris.unwrap_or_else(|| before.redirect_uris.clone()),
        required,
        optional,
        access_token_seconds: access_token_seconds.unwrap_or(before.access_token_seconds),
        refresh_token_seconds: refresh_token_seconds.unwrap_or(before.refresh_token_seconds),
        enabled: enabled.unwrap_or(before.enabled),
        ..before.clone()
    }
}
