//! Which accounts still stand on older scopes of an application: all that its publisher learns of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::applications::own;
use crate::control::admin::openapi::Refusals;
use crate::control::admin::request::{Asked, invalid};
use crate::control::{Control, Reply};
use crate::policy::ConsoleAction;
use crate::store;

/// Accounts that have not decided about the present scopes.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct AccountsBehind {
    accounts: Vec<AccountBehind>,
    /// Give it as `after` to get the next page; null when this is the last.
    next: Option<String>,
}

/// One of them.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct AccountBehind {
    /// Its number.
    id: String,
    /// Its alias.
    alias: String,
    /// When it authorized what it has.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
}

impl From<store::Behind> for AccountBehind {
    fn from(behind: store::Behind) -> Self {
        Self { id: behind.account.id.into(), alias: behind.account.alias, since: behind.since }
    }
}

/// List the accounts that stand on older scopes
///
/// They have the application installed, and lack a decision about a scope that it offers now, or hold one that it
/// does not offer any more. Nothing else of another account is told.
#[utoipa::path(get, path = "/api/v1/publisher/applications/{client_id}/accounts", tag = "publisher",
    operation_id = "listAccountsBehind",
    params(("client_id", description = "The application's client ID."),
        ("after" = Option<String>, Query, description = "Only after this account."),
        ("limit" = Option<u32>, Query, description = "At most so many, 1 to 1000; 100 unless given.")),
    responses((status = 200, description = "A page of accounts.", body = AccountsBehind), Refusals))]
pub(in crate::control) async fn list(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    asked: Asked,
) -> Reply<Json<AccountsBehind>> {
    let by = asked.may(&control, ConsoleAction::Publish).await?;
    asked.only(&["after", "limit"])?;
    let after = asked.parameter("after").map(str::parse).transpose();
    let after = after.map_err(|_| invalid("`after` is not an account's number."))?;
    let limit = usize::try_from(asked.limit()?).unwrap_or(usize::MAX);
    let application = own(&control, &by, &client_id).await?;
    let found = control.store().behind(&application, after.as_ref(), limit).await?;
    let accounts = found.accounts.into_iter().map(AccountBehind::from).collect();
    Ok(Json(AccountsBehind { accounts, next: found.next.map(Into::into) }))
}
