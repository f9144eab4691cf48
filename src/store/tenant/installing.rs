//! What a grant becomes when somebody authorizes it: every check that an authorization rests on, made inside the
//! transaction that stores it.

use jiff::Timestamp;

use super::Rescope;
use super::sql::is_blocked;
use crate::model::account::PrincipalKey;
use crate::model::application::{Application, Relation};
use crate::model::grant::{Grant, GrantState};
use crate::model::id::{AccountId, ApplicationId, GrantKey, Revision};
use crate::model::scope::ScopeSet;
use crate::store::bounds::{Lasting, end_of};
use crate::store::sql::directory::principal;
use crate::store::sql::grants::find;
use crate::store::sql::link::Writing;
use crate::store::sql::rows::kept;
use crate::store::{Install, InstallRefused, StoreError};

/// The grant as it will stand, if everything that the person at the page was told is still so.
pub(in crate::store) async fn authorized(
    writing: &mut Writing,
    install: &Install,
    now: Timestamp,
) -> Result<Grant, InstallRefused> {
    let key = &install.key;
    let application = usable(writing, key).await?;
    let present = find(writing, key).await?;
    let replaced = present.as_ref().filter(|grant| grant.state != GrantState::Revoked);
    // It may have waited in the line: an end that has passed meanwhile counts.
    let turn = writing.turn(now);
    let over = replaced.is_some_and(|grant| grant.has_ended(turn));
    let scopes = install.scopes.union(&application.required);
    let gives_back = replaced.is_some_and(|grant| scopes.iter().any(|scope| grant.has_lost(scope)));
    let deleted = present.is_some() && replaced.is_none();
    let administers = administers(writing, &install.by.principal, &key.account).await?;
    let may = match application.relation_to(&key.account) {
        // What an administrator has deleted, ended or taken away is not given back by somebody else.
        Relation::FirstParty if !deleted && !over && !gives_back => {
            administers || belongs(writing, &install.by.principal, &key.account).await?
        }
        Relation::FirstParty | Relation::ThirdParty | Relation::Official => administers,
    };
    if !may {
        return Err(InstallRefused::NotAnAdministrator(install.by.login.clone()));
    }
    if let Some(scope) = install.scopes.without(&application.offered()).iter().next() {
        return Err(InstallRefused::NotOffered(scope.to_string()));
    }
    if install.seen != replaced.map(|grant| grant.revision) {
        return Err(changed_meanwhile(key));
    }
    if let Some(scope) = install.at_most.as_ref().and_then(|most| scopes.beyond(most).iter().next().cloned())
    {
        return Err(InstallRefused::Beyond(scope.to_string()));
    }
    if over && install.lasting == Lasting::AsItWas {
        let ended = format!("the grant {key} has come to its end; say for how long it is authorized again");
        return Err(InstallRefused::Store(StoreError::Conflict(ended)));
    }
    // What an administrator leaves out is taken away, whether or not it is offered at the moment.
    let left = replaced.filter(|_| administers).map(|grant| grant.scopes.beyond(&scopes)).unwrap_or_default();
    let before = replaced.map(|grant| &grant.declined);
    let declined = declined(&scopes, &install.declined.union(&left), before);
    let revision = present.as_ref().map_or(Revision(0), |grant| grant.revision).next();
    // One that has come to its own end begins anew: what was issued before stays dead.
    let continued = replaced.filter(|_| !over);
    Ok(Grant {
        key: key.clone(),
        revision,
        since: continued.map_or(revision, |grant| grant.since),
        state: replaced.map_or(GrantState::Active, |grant| grant.state),
        scopes,
        declined,
        authorized_at: kept(now),
        authorized_by: install.by.principal.clone(),
        authorized_by_login: install.by.login.clone(),
        assignment: replaced.map_or(application.initial_assignment(), |grant| grant.assignment),
        expires_at: end_of(install.lasting, continued, turn)?,
    })
}

/// A grant with the scopes that were wished for.
pub(super) struct Rescoped {
    /// The grant as it will stand.
    pub(super) grant: Grant,
    /// Whether that is another than before.
    pub(super) changed: bool,
    /// Whether nothing that the application requires goes on waiting.
    pub(super) complete: bool,
}

/// The grant with other scopes.
pub(super) async fn rescoped(
    writing: &mut Writing,
    wish: &Rescope,
    now: Timestamp,
) -> Result<Rescoped, InstallRefused> {
    let key = &wish.key;
    let application = usable(writing, key).await?;
    if !administers(writing, &wish.by.principal, &key.account).await? {
        return Err(InstallRefused::NotAnAdministrator(wish.by.login.clone()));
    }
    let grant = find(writing, key).await?.filter(|grant| grant.state != GrantState::Revoked);
    let grant = grant.ok_or_else(|| StoreError::Missing(format!("grant {key}")))?;
    if grant.revision != wish.seen {
        return Err(changed_meanwhile(key));
    }
    // What is granted may stay though it is not offered any more.
    if let Some(scope) = wish.scopes.without(&application.offered().union(&grant.scopes)).iter().next() {
        return Err(InstallRefused::NotOffered(scope.to_string()));
    }
    let mut needed = application.required.iter().filter(|scope| grant.scopes.covers(scope));
    if let Some(scope) = needed.find(|scope| !wish.scopes.covers(scope)) {
        return Err(InstallRefused::Required(scope.to_string()));
    }
    // What is left out is taken away, whether or not it is offered at the moment.
    let left = grant.scopes.beyond(&wish.scopes);
    let declined = declined(&wish.scopes, &wish.declined.union(&left), Some(&grant.declined));
    let complete = application.required.beyond(&wish.scopes).is_empty();
    if wish.scopes == grant.scopes && declined == grant.declined {
        return Ok(Rescoped { grant, changed: false, complete });
    }
    let grant = Grant {
        revision: grant.revision.next(),
        scopes: wish.scopes.clone(),
        declined,
        authorized_at: kept(now),
        authorized_by: wish.by.principal.clone(),
        authorized_by_login: wish.by.login.clone(),
        ..grant
    };
    Ok(Rescoped { grant, changed: true, complete })
}

/// An application that can be authorized in the account at all.
async fn usable(writing: &mut Writing, key: &GrantKey) -> Result<Application, InstallRefused> {
    let application = available(writing, &key.application).await?;
    if is_blocked(writing, key).await? {
        return Err(InstallRefused::Blocked(application.name));
    }
    Ok(application)
}

/// A registered application that its publisher has not disabled.
pub(super) async fn available(
    writing: &mut Writing,
    id: &ApplicationId,
) -> Result<Application, InstallRefused> {
    let found = crate::store::sql::applications::find(writing, id).await?;
    found.filter(|found| found.enabled).ok_or_else(|| InstallRefused::NoApplication(id.to_string()))
}

/// Whether somebody is an enabled administrator of the account now.
pub(super) async fn administers(
    writing: &mut Writing,
    whom: &PrincipalKey,
    account: &AccountId,
) -> Result<bool, StoreError> {
    let person = principal(writing, whom).await?;
    Ok(person
        .is_some_and(|person| person.enabled && person.key.account == *account && person.is_administrator()))
}

/// Whether somebody is an enabled principal of the account now.
pub(in crate::store) async fn belongs(
    writing: &mut Writing,
    whom: &PrincipalKey,
    account: &AccountId,
) -> Result<bool, StoreError> {
    let person = principal(writing, whom).await?;
    Ok(person.is_some_and(|person| person.enabled && person.key.account == *account))
}

/// What is said to be declined, or was before, and is not granted. It stays so though its publisher takes it out of
/// what is offered: it may come back.
fn declined(granted: &ScopeSet, said: &ScopeSet, before: Option<&ScopeSet>) -> ScopeSet {
    before.map_or_else(|| said.clone(), |before| said.union(before)).beyond(granted)
}

fn changed_meanwhile(key: &GrantKey) -> InstallRefused {
    let changed = format!("the grant {key} was changed by someone else meanwhile; open the page again");
    InstallRefused::Store(StoreError::Conflict(changed))
}
