//! `/internal/v1/grants/…`: the facts that a decision rests on, from the store.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use crate::control::{Control, Problem, Reply};
use crate::grants::follow::messages::{FoundGrant, FoundMember};
use crate::grants::shared::publish::Fact;
use crate::model::account::{PrincipalKey, PrincipalKind};
use crate::model::id::{AccountId, ApplicationId, GrantKey, PrincipalId, Seq};

/// A grant with its application.
pub(super) async fn grant(
    State(control): State<Arc<Control>>,
    Path((account, application)): Path<(String, String)>,
) -> Reply<Json<FoundGrant>> {
    let key = key(&account, &application)?;
    // Read before the fact, so that the fact is at least as new.
    let as_of = newest(&control).await?;
    let installed = control.store().installed(&key).await?;
    if let (Some(publisher), Some(installed)) = (control.publisher(), &installed) {
        publisher.fill(as_of, Fact::Grant(Box::new(installed.clone())));
    }
    Ok(Json(FoundGrant { as_of, epoch: control.source().epoch().clone(), installed }))
}

/// What a principal is to a grant.
pub(super) async fn member(
    State(control): State<Arc<Control>>,
    Path((account, application, kind, id)): Path<(String, String, String, String)>,
) -> Reply<Json<FoundMember>> {
    let key = key(&account, &application)?;
    let kind: PrincipalKind = kind.parse().map_err(|_| malformed())?;
    let id: PrincipalId = id.parse().map_err(|_| malformed())?;
    let principal = PrincipalKey { account: key.account.clone(), kind, id };
    let as_of = newest(&control).await?;
    let member = control.store().member(&key, &principal, control.clock().now()).await?;
    if let (Some(publisher), Some(member)) = (control.publisher(), &member) {
        publisher.fill(as_of, Fact::Member(key, Box::new(member.clone())));
    }
    Ok(Json(FoundMember { as_of, epoch: control.source().epoch().clone(), member }))
}

async fn newest(control: &Control) -> Reply<Seq> {
    Ok(control.store().newest().await?)
}

fn key(account: &str, application: &str) -> Reply<GrantKey> {
    let account: AccountId = account.parse().map_err(|_| malformed())?;
    let application: ApplicationId = application.parse().map_err(|_| malformed())?;
    Ok(GrantKey { account, application })
}

fn malformed() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid_request", "A part of the address is no identifier.")
}
