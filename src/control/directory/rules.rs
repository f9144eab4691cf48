//! What the account demands of its people.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::control::admin::openapi::Refusals;
use crate::control::admin::request::{Asked, Body};
use crate::control::{Control, Reply};
use crate::policy::ConsoleAction;
use crate::store::{By, Rules as Kept};

/// What the account demands.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::control) struct Rules {
    /// Administrators log in with a passkey, or with a code beside the password. Who has neither sets up an
    /// authenticator at the next log-in. Who logs in at the organization's own provider is asked for nothing more here.
    administrators_need_second_factor: bool,
}

/// Show what the account demands of its people
#[utoipa::path(get, path = "/api/v1/directory/rules", tag = "directory", operation_id = "showRules",
    responses((status = 200, description = "The rules.", body = Rules), Refusals))]
pub(in crate::control) async fn show(
    State(control): State<Arc<Control>>,
    asked: Asked,
) -> Reply<Json<Rules>> {
    let by = asked.may(&control, ConsoleAction::ManagePeople).await?;
    asked.only(&[])?;
    let Kept { administrators_need_second_factor } = control.store().rules(by.account()).await?;
    Ok(Json(Rules { administrators_need_second_factor }))
}

/// Say what the account demands of its people
///
/// Sessions of administrators that rest on a password alone end, that of who asks too.
#[utoipa::path(put, path = "/api/v1/directory/rules", tag = "directory", operation_id = "replaceRules",
    request_body = Rules,
    responses((status = 200, description = "The rules from now on.", body = Rules), Refusals))]
pub(in crate::control) async fn replace(
    State(control): State<Arc<Control>>,
    asked: Asked,
    body: Body,
) -> Reply<Json<Rules>> {
    let by = asked.may(&control, ConsoleAction::ManagePeople).await?;
    asked.only(&[])?;
    let rules: Rules = body.read()?;
    let kept = Kept { administrators_need_second_factor: rules.administrators_need_second_factor };
    let now = control.clock().now();
    control.store().set_rules(by.account(), kept, By::Person(&by.actor()), now).await?;
    Ok(Json(rules))
}
