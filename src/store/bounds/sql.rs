//! Ends and fewer scopes, in tables.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Bounds, Lasting};
use crate::model::grant::Grant;
use crate::model::id::{GrantKey, Revision, Seq};
use crate::model::scope::ScopeSet;
use crate::store::sql::directory::principal;
use crate::store::sql::grants::{live, put};
use crate::store::sql::link::Writing;
use crate::store::sql::rows::kept;
use crate::store::sql::{Tables, applications};
use crate::store::{Actor, InstallRefused, StoreError};

#[async_trait]
impl Bounds for Tables {
    async fn set_end(
        &self,
        key: &GrantKey,
        end: Option<Timestamp>,
        seen: Option<Revision>,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(Grant, Seq), InstallRefused> {
        let mut writing = self.writing().await?;
        let done = async {
            let mut grant = live(&mut writing, key).await?;
            must_administer(&mut writing, key, by).await?;
            must_be(&grant, seen)?;
            // The clock was read before the turn came; what has ended meanwhile must not be taken up again.
            let turn = writing.turn(now);
            let over = grant.has_ended(turn);
            grant.expires_at = end_of(Lasting::Until(end), None, turn)?;
            grant.revision = grant.revision.next();
            if over {
                grant.since = grant.revision;
            }
            let seq = put(&mut writing, &grant, ("grant.expiry", &by.login), None, now).await?;
            Ok((grant, seq))
        }
        .await;
        writing.end(done).await
    }

    async fn narrow(
        &self,
        key: &GrantKey,
        without: &ScopeSet,
        seen: Revision,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(Grant, Seq), InstallRefused> {
        let mut writing = self.writing().await?;
        let done = async {
            let mut grant = live(&mut writing, key).await?;
            must_administer(&mut writing, key, by).await?;
            must_be(&grant, Some(seen))?;
            let application = applications::find(&mut writing, &key.application).await?;
            let application =
                application.ok_or_else(|| InstallRefused::NoApplication(key.application.to_string()))?;
            let kept_on = |scope| !grant.scopes.contains(scope) || application.required.contains(scope);
            if let Some(scope) = without.iter().find(|scope| kept_on(scope)) {
                return Err(InstallRefused::Store(StoreError::Conflict(format!(
                    "the scope {scope} cannot be taken from the grant {key}: it is not granted, or the application \
                     requires it"
                ))));
            }
            grant.scopes = grant.scopes.without(without);
            grant.declined = grant.declined.union(without).beyond(&grant.scopes);
            grant.revision = grant.revision.next();
            (grant.authorized_at, grant.authorized_by) = (kept(now), by.principal.clone());
            grant.authorized_by_login.clone_from(&by.login);
            let seq = put(&mut writing, &grant, ("grant.narrow", &by.login), None, now).await?;
            Ok((grant, seq))
        }
        .await;
        writing.end(done).await
    }
}

/// When what is authorized ends, after `present` if that is replaced and has not come to its own end.
pub(in crate::store) fn end_of(
    lasting: Lasting,
    present: Option<&Grant>,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    match lasting {
        Lasting::AsItWas => Ok(present.and_then(|grant| grant.expires_at)),
        Lasting::Until(None) => Ok(None),
        Lasting::Until(Some(end)) => {
            let end = whole_second(end);
            if end <= now {
                return Err(StoreError::Conflict(format!(
                    "the end {end} lies in the past; choose a later one"
                )));
            }
            Ok(Some(end))
        }
    }
}

/// Tokens count in whole seconds: an end between two of them could be outlived by a part of one.
fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

async fn must_administer(writing: &mut Writing, key: &GrantKey, by: &Actor) -> Result<(), InstallRefused> {
    let person = principal(writing, &by.principal).await?;
    let may = person.is_some_and(|person| person.key.account == key.account && person.is_administrator());
    if may { Ok(()) } else { Err(InstallRefused::NotAnAdministrator(by.login.clone())) }
}

fn must_be(grant: &Grant, seen: Option<Revision>) -> Result<(), StoreError> {
    if seen.is_none_or(|seen| seen == grant.revision) {
        return Ok(());
    }
    Err(StoreError::Conflict(format!(
        "the grant {} was changed by someone else meanwhile; open the page again",
        grant.key
    )))
}
