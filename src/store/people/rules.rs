//! What stands against a change of the directory, checked inside it: nobody rises above themselves, and no account
//! loses its last administrator.
//!
//! Policy has said before who may manage people at all. Here is what holds whatever policy says: who makes or touches
//! an administrator is one at the commit, only the root identity changes the root identity, and the right of the last
//! user who administers is taken by nobody but the root identity, who remains. An operator is bound by none of it.

use super::{By, PersonChange};
use crate::model::account::{Principal, PrincipalKind};
use crate::model::id::AccountId;
use crate::store::backend::sql;
use crate::store::sql::directory::{of, principal};
use crate::store::sql::link::{Asks, Writing};
use crate::store::{Actor, StoreError};

/// Whether `by` may change `before` in this way.
pub(super) async fn allow(
    writing: &mut Writing,
    by: By<'_>,
    before: &Principal,
    change: &PersonChange,
) -> Result<(), StoreError> {
    possible(before, change)?;
    let By::Person(actor) = by else { return Ok(()) };
    let doer = standing(writing, actor, &before.key.account).await?;
    if before.key.kind == PrincipalKind::Account {
        let own_name = change.enabled.is_none();
        return if doer.key == before.key && own_name { Ok(()) } else { Err(root_is_its_own()) };
    }
    if (before.full_access || change.full_access == Some(true)) && !doer.is_administrator() {
        return Err(only_administrators(&doer));
    }
    let loses =
        before.is_administrator() && (change.full_access == Some(false) || change.enabled == Some(false));
    if loses && doer.key.kind != PrincipalKind::Account && is_last(writing, before).await? {
        return Err(StoreError::Conflict(format!(
            "{} is the last user who administers the account; make another one first, or let the root identity do this",
            before.login
        )));
    }
    Ok(())
}

/// Whether `by` may touch what `before` logs in with: their password or their factors.
pub(in crate::store) async fn allow_credentials(
    writing: &mut Writing,
    by: By<'_>,
    before: &Principal,
) -> Result<(), StoreError> {
    let By::Person(actor) = by else { return Ok(()) };
    let doer = standing(writing, actor, &before.key.account).await?;
    if doer.key == before.key {
        return Ok(());
    }
    match before.key.kind {
        PrincipalKind::Account => Err(root_is_its_own()),
        PrincipalKind::User | PrincipalKind::Role if before.full_access && !doer.is_administrator() => {
            Err(only_administrators(&doer))
        }
        PrincipalKind::User | PrincipalKind::Role => Ok(()),
    }
}

/// Who acts, as they stand at the commit: enabled, and of this account.
pub(super) async fn standing(
    writing: &mut Writing,
    actor: &Actor,
    account: &AccountId,
) -> Result<Principal, StoreError> {
    let doer = principal(writing, &actor.principal).await?;
    doer.filter(|doer| doer.enabled && doer.key.account == *account).ok_or_else(|| {
        StoreError::Conflict(format!("{} may not do this any more; nothing was changed", actor.login))
    })
}

/// What makes no sense, whoever asks for it.
fn possible(before: &Principal, change: &PersonChange) -> Result<(), StoreError> {
    let refused = |why: &str| Err(StoreError::Conflict(format!("{}: {why}", before.login)));
    match before.key.kind {
        PrincipalKind::Account if change.full_access.is_some() => {
            refused("the root identity always administers its account")
        }
        PrincipalKind::Account if in_groups(change) => refused("the root identity is in no group"),
        PrincipalKind::Role if change.full_access == Some(true) => {
            refused("a role never administers: nobody can be held to account for it")
        }
        PrincipalKind::Account | PrincipalKind::Role | PrincipalKind::User => Ok(()),
    }
}

fn in_groups(change: &PersonChange) -> bool {
    change.join.is_some() || change.groups.as_ref().is_some_and(|groups| !groups.is_empty())
}

/// Whether no other enabled user administers the account.
async fn is_last(writing: &mut Writing, before: &Principal) -> Result<bool, StoreError> {
    let others = sql("SELECT count(*) AS others FROM principals
                      WHERE account = $1 AND kind = $2 AND id <> $3 AND kind = 'user' AND enabled AND full_access");
    let row = writing.row(of(&before.key, others)).await?;
    Ok(row.map_or(Ok(0), |row| row.number("others"))? == 0)
}

fn root_is_its_own() -> StoreError {
    StoreError::Conflict(
        "only the root identity itself, or an operator, changes the root identity".to_owned(),
    )
}

fn only_administrators(doer: &Principal) -> StoreError {
    StoreError::Conflict(format!("{} is no administrator, and only one makes or changes one", doer.login))
}
