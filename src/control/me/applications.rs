//! The applications that act as whoever asks, and ending that.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::control::admin::openapi::Refusals;
use crate::control::admin::request::{Asked, invalid};
use crate::control::admin::state::{Change, Effect};
use crate::control::paging::next;
use crate::control::{Control, Problem, Reply};
use crate::grants::acknowledge::Receipt;
use crate::model::account::Principal;
use crate::model::grant::{Grant, GrantState};
use crate::model::id::{ApplicationId, GrantKey, Seq};
use crate::model::scope::ScopeSet;
use crate::store::{Acting, Actor, StoreError};

/// The applications that act as one person.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct MyApplications {
    /// By client ID.
    applications: Vec<MyApplication>,
    /// Give it as `after` to get the next page; null when this is the last.
    next: Option<String>,
}

/// One application that acts, or has acted, as the one who asks.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct MyApplication {
    /// Its `client_id`.
    client_id: String,
    /// Its name.
    name: String,
    /// What people see.
    display_name: String,
    /// `third-party`, `official` or `first-party`.
    kind: &'static str,
    /// The publisher's name.
    publisher: String,
    /// `active` or `suspended`.
    state: &'static str,
    /// What it may do as this person, never beyond what they may do themselves.
    #[schema(value_type = Vec<String>)]
    scopes: ScopeSet,
    /// When this person agreed to it; null where nobody is asked in person, or they have not agreed.
    #[schema(value_type = Option<String>, format = DateTime)]
    consented_at: Option<Timestamp>,
    /// When it last was allowed a call as this person.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used: Option<Timestamp>,
    /// Whether it may still hold something of theirs.
    signed_in: bool,
}

/// What an application may do as a person: of an official one nothing that they have not agreed to.
pub(super) fn allowed(acting: &Acting) -> ScopeSet {
    let granted = &acting.installed.grant.scopes;
    match &acting.consented {
        Some((own, _)) if acting.installed.application.official => granted.meet(own),
        None if acting.installed.application.official => ScopeSet::new(),
        Some(_) | None => granted.clone(),
    }
}

impl From<&Acting> for MyApplication {
    fn from(acting: &Acting) -> Self {
        let (grant, application) = (&acting.installed.grant, &acting.installed.application);
        Self {
            client_id: application.id.to_string(),
            name: application.name.clone(),
            display_name: application.display_name.clone(),
            kind: application.relation_to(&grant.key.account).as_str(),
            publisher: application.publisher_name.clone(),
            state: grant.state.as_str(),
            scopes: allowed(acting),
            consented_at: acting.consented.as_ref().map(|(_, at)| *at),
            last_used: acting.last_used,
            signed_in: acting.signed_in,
        }
    }
}

/// Takes back what an application has of a person: their own consent, or what they signed in to; waits until that is
/// true everywhere if it is to be waited for.
///
/// # Errors
/// 404 `not_found` when it has nothing of theirs, the store's.
pub(super) async fn withdrawn(
    control: &Control,
    person: &Principal,
    client_id: &str,
    wait: bool,
) -> Reply<(Grant, Option<Receipt>)> {
    let application: ApplicationId = client_id.parse().map_err(|_| nothing())?;
    let key = GrantKey { account: person.key.account.clone(), application };
    let installed = control.store().installed(&key).await?.ok_or_else(nothing)?;
    let change = Change::begin(control, wait);
    let seq = match installed.grant.state {
        GrantState::Active | GrantState::Suspended => take_back(control, &key, person).await?,
        GrantState::Revoked => return Err(nothing()),
    };
    Ok((installed.grant, change.settle(control, seq).await))
}

async fn take_back(control: &Control, key: &GrantKey, person: &Principal) -> Reply<Seq> {
    let (store, by, now) = (control.store(), Actor::from(person), control.clock().now());
    match store.withdraw_consent(key, &person.key, &by, now).await {
        Err(StoreError::Missing(_)) => {}
        other => return Ok(other?),
    }
    match store.sign_out_of(key, &person.key, &by, now).await {
        Err(StoreError::Missing(_)) => Err(nothing()),
        other => Ok(other?),
    }
}

fn nothing() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "No such application holds anything of yours.")
        .next("GET /api/v1/me/applications lists those that do.")
}

/// List the applications that act as me
///
/// Those that hold something of the one who asks, have their consent or have acted as them. For everybody, not only
/// for administrators.
#[utoipa::path(get, path = "/api/v1/me/applications", tag = "me", operation_id = "listMyApplications",
    params(("after" = Option<String>, Query, description = "Only after this client ID."),
        ("limit" = Option<u32>, Query, description = "At most so many, 1 to 1000; 100 unless given.")),
    responses((status = 200, description = "A page of applications.", body = MyApplications), Refusals))]
pub(in crate::control) async fn list(
    State(control): State<Arc<Control>>,
    asked: Asked,
) -> Reply<Json<MyApplications>> {
    let (person, _) = asked.anybody(&control).await?;
    asked.only(&["after", "limit"])?;
    let after = asked.parameter("after").map(str::parse).transpose();
    let after: Option<ApplicationId> = after.map_err(|_| invalid("`after` is not a client ID."))?;
    let limit = usize::try_from(asked.limit()?).unwrap_or(usize::MAX);
    let most = u32::try_from(limit).unwrap_or(u32::MAX);
    let now = control.clock().now();
    let found = control.store().acting_as(&person.key, after.as_ref(), most, now).await?;
    Ok(Json(MyApplications {
        next: next(&found, most, |last| last.installed.application.id.to_string()),
        applications: found.iter().map(MyApplication::from).collect(),
    }))
}

/// Withdraw my consent
///
/// Takes back the own consent to an official application, or ends what another one was given at the own sign-in: its
/// codes, tokens and open streams for the one who asks, and nobody else's.
#[utoipa::path(delete, path = "/api/v1/me/applications/{client_id}", tag = "me", operation_id = "withdrawMyConsent",
    params(("client_id", description = "The application's client ID."),
        ("wait" = Option<u8>, Query, description = "0 to be answered as soon as it is stored.")),
    responses((status = 200, description = "Withdrawn, everywhere.", body = Effect),
        (status = 202, description = "Stored; not known to be true everywhere yet.", body = Effect), Refusals))]
pub(in crate::control) async fn withdraw(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    asked: Asked,
) -> Reply<Response> {
    let (person, _) = asked.anybody(&control).await?;
    let wait = asked.waits()?;
    let (grant, receipt) = withdrawn(&control, &person, &client_id, wait).await?;
    Ok(Effect::answer(grant.revision, receipt))
}
