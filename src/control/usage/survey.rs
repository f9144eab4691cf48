//! What an account has installed, with what of it is used: by application and by scope.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::LONGEST_DAYS;
use super::view::ScopeUsed;
use crate::control::admin::openapi::Refusals;
use crate::control::admin::request::{Asked, invalid};
use crate::control::paging::next;
use crate::control::{Control, Reply};
use crate::model::grant::Grant;
use crate::model::id::{AccountId, ApplicationId};
use crate::model::scope::{Scope, ScopeSet};
use crate::policy::ConsoleAction;
use crate::store::{Counted, InUse, StoreError, day_of};

/// Use over a time.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct Survey {
    /// Since then.
    #[schema(value_type = String, format = DateTime)]
    pub(super) since: Timestamp,
    /// By client ID.
    pub(super) applications: Vec<Used>,
    /// Give it as `after` to get the next page; null when this is the last.
    pub(super) next: Option<String>,
}

/// One application's use.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct Used {
    /// Its `client_id`.
    pub(super) client_id: String,
    /// Its name.
    pub(super) name: String,
    /// What people see.
    pub(super) display_name: String,
    /// `active` or `suspended`.
    pub(super) state: &'static str,
    /// The grant's revision, to be given when it is narrowed.
    pub(super) revision: u64,
    /// When the present scopes were authorized.
    #[schema(value_type = String, format = DateTime)]
    pub(super) authorized_at: Timestamp,
    /// When the grant ends by itself.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) expires_at: Option<Timestamp>,
    /// When it last was allowed a call; null when it never was.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) last_used: Option<Timestamp>,
    /// Neither used nor authorized in that time.
    pub(super) stale: bool,
    /// Authorized within that time, so that it is early to say what is not needed.
    pub(super) young: bool,
    /// What is granted.
    pub(super) scopes: Vec<ScopeUse>,
    /// Optional scopes that were not used in that time: what narrowing would take away.
    #[schema(value_type = Vec<String>)]
    pub(super) unused: ScopeSet,
}

/// One granted scope's use.
#[derive(Serialize, ToSchema)]
pub(in crate::control) struct ScopeUse {
    /// The scope.
    #[schema(value_type = String)]
    pub(super) scope: Scope,
    /// The application requires it: it cannot be taken away alone.
    pub(super) required: bool,
    /// When it last allowed a call; null when it never did. Scopes that only tell who somebody is allow none.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) last_used: Option<Timestamp>,
    /// The parts of it that were used in that time, where that is less than the whole.
    #[schema(value_type = Vec<String>)]
    pub(super) only: ScopeSet,
}

impl Used {
    fn of(in_use: &InUse, since: Timestamp) -> Self {
        let (grant, application) = (&in_use.installed.grant, &in_use.installed.application);
        let lately = |at: Option<Timestamp>| at.is_some_and(|at| at >= since);
        let scopes: Vec<_> = grant
            .scopes
            .iter()
            .map(|scope| {
                let parts = in_use.scopes.iter().filter(|(part, at)| {
                    part.whole().as_ref() == Some(scope)
                        && !in_use.scopes.contains_key(scope)
                        && **at >= since
                });
                ScopeUse {
                    required: application.required.contains(scope),
                    last_used: in_use.scope_used(scope),
                    only: parts.map(|(part, _)| part.clone()).collect(),
                    scope: scope.clone(),
                }
            })
            .collect();
        let unused = scopes
            .iter()
            .filter(|one| !one.required && is_of_calls(&one.scope) && !lately(one.last_used))
            .map(|one| one.scope.clone())
            .collect();
        let young = grant.authorized_at > since;
        Self {
            client_id: application.id.to_string(),
            name: application.name.clone(),
            display_name: application.display_name.clone(),
            state: grant.state.as_str(),
            revision: grant.revision.0,
            authorized_at: grant.authorized_at,
            expires_at: grant.expires_at,
            last_used: in_use.last_used,
            stale: !young && !lately(in_use.last_used),
            young,
            scopes,
            unused,
        }
    }
}

/// Whether a scope allows calls: others say who somebody is, and nobody sees them used.
fn is_of_calls(scope: &Scope) -> bool {
    scope.as_str().starts_with('/')
}

/// A page of an account's use over the last `days`.
pub(super) async fn survey(
    control: &Control,
    account: &AccountId,
    days: i64,
    after: Option<&ApplicationId>,
    limit: usize,
) -> Result<Survey, StoreError> {
    let now = control.clock().now();
    let since = now.saturating_sub(SignedDuration::from_hours(days * 24)).unwrap_or(Timestamp::UNIX_EPOCH);
    let most = u32::try_from(limit).unwrap_or(u32::MAX);
    let found = control.store().in_use(account, after, most).await?;
    let next = next(&found, most, |last| last.installed.application.id.to_string());
    Ok(Survey { since, applications: found.iter().map(|one| Used::of(one, since)).collect(), next })
}

/// Each granted scope of one application with its use, for the page of its details.
pub(in crate::control) async fn of_grant(
    control: &Control,
    grant: &Grant,
) -> Result<Vec<ScopeUsed>, StoreError> {
    let (store, key) = (control.store(), &grant.key);
    let last = day_of(control.clock().now());
    let days = (last.saturating_sub(DAYS_COUNTED - 1), last);
    let most = u32::try_from(LONGEST_DAYS).unwrap_or(u32::MAX);
    let counted = store.most(&key.account, Some(&key.application), Counted::Scope, days, most).await?;
    let uses = store.scope_uses(key).await?;
    let used = |scope: &Scope| {
        let is_part = |name: &str| name.parse().is_ok_and(|part| scope.covers(&part));
        let calls = counted.iter().filter(|one| is_part(&one.name)).map(|one| one.calls);
        ScopeUsed {
            scope: scope.to_string(),
            last_used: uses.iter().filter(|(part, _)| scope.covers(part)).map(|(_, at)| *at).max(),
            calls: calls.fold(0, u64::saturating_add),
        }
    };
    Ok(grant.scopes.iter().filter(|scope| is_of_calls(scope)).map(used).collect())
}

/// Over so many days calls are counted on the page of an application's details.
const DAYS_COUNTED: i64 = 30;

/// So many days as a parameter says.
pub(super) fn days(text: Option<&str>, otherwise: i64) -> Reply<i64> {
    let Some(text) = text else { return Ok(otherwise) };
    let days = text.parse().ok().filter(|days| (1..=LONGEST_DAYS).contains(days));
    days.ok_or_else(|| invalid(format!("`days` is a number from 1 to {LONGEST_DAYS}.")))
}

/// See what is used
///
/// Each installed application with its last use and that of each scope, the optional scopes that were not used over a
/// time, and whether it was used at all.
#[utoipa::path(get, path = "/api/v1/use", tag = "use", operation_id = "listUse",
    params(("days" = Option<u32>, Query, description = "The time to look back over, 1 to 365; 90 unless given."),
        ("after" = Option<String>, Query, description = "Only after this client ID."),
        ("limit" = Option<u32>, Query, description = "At most so many, 1 to 1000; 100 unless given.")),
    responses((status = 200, description = "A page of applications.", body = Survey), Refusals))]
pub(in crate::control) async fn list(
    State(control): State<Arc<Control>>,
    asked: Asked,
) -> Reply<Json<Survey>> {
    let by = asked.may(&control, ConsoleAction::List).await?;
    asked.only(&["days", "after", "limit"])?;
    let days = days(asked.parameter("days"), 90)?;
    let after = asked.parameter("after").map(str::parse).transpose();
    let after = after.map_err(|_| invalid("`after` is not a client ID."))?;
    let limit = usize::try_from(asked.limit()?).unwrap_or(usize::MAX);
    Ok(Json(survey(&control, by.account(), days, after.as_ref(), limit).await?))
}
