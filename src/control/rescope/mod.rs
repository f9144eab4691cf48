//! Change of scope: an administrator replaces what a grant holds, and a publisher what an application offers.
//!
//! Comes in: the scopes that are wanted, with the revision that was looked at. Goes out: a new revision of the grant,
//! without an outage: what is still granted goes on, what is not ends at once, everywhere, by the way on which every
//! revocation goes. What a publisher changes never changes a grant: the difference waits until an administrator has
//! decided about it.

pub(in crate::control) mod api;
mod page;
pub(in crate::control) mod publish;
pub mod view;

pub(in crate::control) use api::WaitingScopes;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, patch};

use super::admin::applications::is_live;
use super::admin::request::{Administrator, invalid, not_installed};
use super::admin::state::Change;
use super::{Control, Reply};
use crate::grants::acknowledge::Receipt;
use crate::model::application::Relation;
use crate::model::grant::{Grant, Installed, Waiting};
use crate::model::id::Revision;
use crate::model::scope::ScopeSet;
use crate::store::{InstallRefused, Rescope, StoreError};

/// The routes of the admin API.
pub(in crate::control) fn api_routes() -> Router<Arc<Control>> {
    Router::new()
        .route("/api/v1/applications/{client_id}/scopes", get(api::show).put(api::replace).patch(api::change))
        .route("/api/v1/publisher/applications/{client_id}", patch(publish::patch).get(publish::show))
}

/// The routes of the console.
pub(in crate::control) fn routes() -> Router<Arc<Control>> {
    Router::new().route("/console/applications/{client_id}/scope", get(page::choose).post(page::answer))
}

/// What of an application's scopes waits for an administrator of the account.
pub(in crate::control) fn waiting(installed: &Installed) -> Waiting {
    match installed.application.relation_to(&installed.grant.key.account) {
        Relation::FirstParty => installed.grant.waiting_of_own(&installed.application),
        Relation::ThirdParty | Relation::Official => installed.grant.waiting(&installed.application),
    }
}

/// What is wanted of a grant.
pub(in crate::control) struct Wanted {
    /// All that it is to hold.
    pub(in crate::control) scopes: ScopeSet,
    /// What was offered and is not wanted.
    pub(in crate::control) declined: ScopeSet,
    /// The revision that was looked at.
    pub(in crate::control) seen: Revision,
}

/// Replaces what a grant holds, and waits until that is true everywhere if it is to be waited for. Who only takes
/// scopes away passes the grant's own `declined` with what is taken, so that what waits goes on waiting.
///
/// # Errors
/// 404 `not_installed`, 409 when the grant is another by now or the application is blocked, 400 for a scope that is
/// not offered or not given by the operator, or when one is left out that the application requires and that is granted.
pub(in crate::control) async fn rescope(
    control: &Control,
    by: &Administrator,
    client_id: &str,
    wanted: Wanted,
    wait: bool,
) -> Reply<(Grant, Option<Receipt>)> {
    let key = by.grant_key(client_id)?;
    let Wanted { scopes, declined, seen } = wanted;
    let present = find(control, by, client_id).await?;
    if !control.registrar.gives(&present.application, &scopes.beyond(&present.grant.scopes)) {
        return Err(invalid("The application has registered itself, and such ones are given no more here."));
    }
    let wish = Rescope { key, scopes, declined, by: by.actor(), seen };
    let change = Change::begin(control, wait).of(&wish.key);
    let (grant, seq) = match control.store().rescope(&wish, control.clock().now()).await {
        Ok(done) => done,
        Err(InstallRefused::Store(StoreError::Missing(_)) | InstallRefused::NoApplication(_)) => {
            return Err(not_installed(client_id));
        }
        Err(refused) => return Err(refused.into()),
    };
    Ok((grant, change.settle(control, seq).await))
}

/// The account's live grant of an application.
async fn find(control: &Control, by: &Administrator, client_id: &str) -> Reply<Installed> {
    let found = control.store().installed(&by.grant_key(client_id)?).await?;
    found.filter(is_live).ok_or_else(|| not_installed(client_id))
}
