//! The account's rules about applications, as control looks at them: the admin API, the console's pages, and whether
//! a pre-approval holds at the moment at which it would count.
//!
//! Comes in: an administrator's wish, or an application that somebody opens. Goes out: rules in the store, pages, and
//! an installation in the name of who approved it. It grants nothing that was not named by somebody who may authorize
//! it still.

pub(in crate::control) mod api;
mod page;
pub(in crate::control) mod rules;
pub mod view;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, put};

use super::browser::session::SignedIn;
use super::{Control, Problem};
use crate::model::account::PrincipalKey;
use crate::model::application::Application;
use crate::model::id::GrantKey;
use crate::model::scope::ScopeSet;
use crate::policy::ConsoleAction;
use crate::store::{Actor, Rule, Standing, StoreError, Terms};

/// The routes of the admin API.
pub(in crate::control) fn api_routes() -> Router<Arc<Control>> {
    Router::new()
        .route("/api/v1/tenant-policy", get(api::show).put(api::replace))
        .route("/api/v1/tenant-policy/applications/{client_id}", put(api::set_rule).delete(api::take_back))
}

/// The routes of the console.
pub(in crate::control) fn routes() -> Router<Arc<Control>> {
    Router::new()
        .route(HOME, get(page::policy).post(page::save))
        .route("/console/policy/{client_id}", get(page::rule).post(page::set_rule))
}

/// Why a pre-approval has no effect as things are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::control) enum Objection {
    /// Who approved may not authorize (any more).
    NoAdministrator,
    /// The application requires scopes by now that were not approved.
    RequiresMore(ScopeSet),
    /// The application is disabled.
    Disabled,
}

/// What stands against a rule of pre-approval; nothing when it holds, or is none.
pub(in crate::control) async fn objection(
    control: &Control,
    application: &Application,
    rule: &Rule,
) -> Result<Option<Objection>, StoreError> {
    match rule.standing {
        Standing::PreApproved { .. } => {
            let may = may_authorize(control, &rule.by).await?;
            Ok(objection_where(application, rule, may))
        }
        Standing::Blocked { .. } => Ok(None),
    }
}

/// The same, where it is known whether who made the rule may authorize.
fn objection_where(application: &Application, rule: &Rule, may: bool) -> Option<Objection> {
    let Standing::PreApproved { scopes } = &rule.standing else { return None };
    let more = application.required.beyond(scopes);
    if !application.enabled {
        Some(Objection::Disabled)
    } else if !more.is_empty() {
        Some(Objection::RequiresMore(more))
    } else {
        (!may).then_some(Objection::NoAdministrator)
    }
}

/// Whether somebody may authorize applications for their account now.
async fn may_authorize(control: &Control, whom: &PrincipalKey) -> Result<bool, StoreError> {
    let person = control.store().principal(whom).await?;
    Ok(person.is_some_and(|one| control.policies().may(&one, ConsoleAction::Authorize, &whom.account)))
}

/// Whether the application was approved beforehand, and that still holds.
pub(in crate::control) async fn holds(
    control: &Control,
    application: &Application,
    terms: &Terms,
) -> Result<bool, StoreError> {
    let Some(rule) = &terms.rule else { return Ok(false) };
    match &rule.standing {
        // What the operator does not give is no account's to approve.
        Standing::PreApproved { scopes } if !control.registrar.gives(application, scopes) => Ok(false),
        Standing::PreApproved { .. } => Ok(objection(control, application, rule).await?.is_none()),
        Standing::Blocked { .. } => Ok(false),
    }
}

/// Installs what was approved beforehand, and waits until every sidecar knows. False when the store has found that it
/// does not hold.
pub(in crate::control) async fn install_pre_approved(
    control: &Control,
    person: &SignedIn,
    application: &Application,
) -> Result<bool, Problem> {
    let key = GrantKey { account: person.principal.key.account.clone(), application: application.id.clone() };
    let (visitor, now) = (Actor::from(&person.principal), control.clock().now());
    let installed = control.store().install_pre_approved(&key, &visitor, now).await?.is_some();
    if installed {
        control.heard_everywhere().await?;
    }
    Ok(installed)
}

/// Where the console shows them.
pub(in crate::control) const HOME: &str = "/console/policy";
