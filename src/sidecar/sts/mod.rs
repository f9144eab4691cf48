//! Credentials of a cloud's roles: what the upstream is shown where the route says `assume = "sts"`.
//!
//! Comes in: a permit, and on what standing it rests. Goes out: credentials of the role of the caller's account, held by
//! a session policy to what the grant gives of the called service, named after the user and the application. They are
//! kept while they live and the standing does, by grant, revision, principal, scopes and service; asked for once by all
//! who need them, anew before they end, and not again in the moment after a failure. They never leave the sidecar but as
//! signatures. (Those that do are others: `give`.)

mod ask;
mod credentials;
mod give;
mod kept;
mod names;
pub(super) mod sign;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) use credentials::Credentials;
pub(super) use give::{Handed, Leave, NotGiven, Wish};

use super::assume::{AtHand, Errand, Identity};
use super::identify::Known;
use super::refuse::{NoIdentity, Refusal};
use crate::config::sts::{self as settings, Cloud};
use crate::grants::Standing;
use crate::model::account::PrincipalKey;
use crate::model::id::{AccountId, GrantKey, Revision};
use crate::model::scope::ScopeSet;
use crate::model::time::Clock;
use crate::net::ask::NoWay;
use crate::policy::Permit;
use crate::policy::cloud::{Cloud as Language, Holder, NotExpressible};
use ask::{Asking, Question};
use kept::Kept;

/// The number that an account has at its cloud.
pub(super) type CloudAccounts = Arc<BTreeMap<AccountId, AccountId>>;

/// A security token service, and the credentials that were got from it.
pub(super) struct Sts {
    cloud: Cloud,
    region: String,
    accounts: CloudAccounts,
    settings: settings::Sts,
    asking: Asking,
    kept: Kept,
    clock: Clock,
}

/// What credentials are for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Purpose {
    grant: GrantKey,
    revision: Revision,
    principal: PrincipalKey,
    scopes: Arc<ScopeSet>,
    service: Box<str>,
}

/// All that is needed to get credentials without the call that needs them.
struct Wanted {
    purpose: Purpose,
    question: Question,
    standing: Arc<Standing>,
}

/// Why there are no credentials.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum NoCredentials {
    /// The caller's account has no role here.
    #[error("the role {role} is not one of the caller's account")]
    Account {
        /// The role.
        role: String,
    },
    /// The session policy cannot be said.
    #[error("the role cannot be held to the grant: {0}")]
    Policy(NotExpressible),
    /// What may assume the role is not there.
    #[error("the credentials that may assume the role cannot be read: {0}")]
    Source(String),
    /// The service did not give any.
    #[error("the security token service gave no credentials: {0}")]
    Refused(String),
    /// So it was a moment ago, and nothing was tried again.
    #[error("{0}")]
    Just(Box<Self>),
}

impl Sts {
    pub(super) fn new(
        settings: &settings::Sts,
        accounts: CloudAccounts,
        clock: Clock,
    ) -> Result<Self, NoWay> {
        Ok(Self {
            cloud: settings.cloud,
            region: settings.region.clone().unwrap_or_default(),
            accounts,
            settings: settings.clone(),
            asking: Asking::new(settings)?,
            kept: Kept::default(),
            clock,
        })
    }

    /// Whose it is.
    pub(super) fn cloud(&self) -> Cloud {
        self.cloud
    }

    /// The region that upstream calls are signed for.
    pub(super) fn region(&self) -> &str {
        &self.region
    }

    /// Credentials for a permitted call, or how to get them. `now` in seconds since 1970.
    pub(super) fn at_hand(
        self: &Arc<Self>,
        permit: &Permit<'_>,
        known: &Known,
        standing: &Arc<Standing>,
        now: i64,
    ) -> Result<AtHand, Refusal> {
        let purpose = Purpose {
            grant: standing.installed().grant.key.clone(),
            revision: standing.installed().grant.revision,
            principal: known.caller.principal.clone(),
            scopes: Arc::clone(permit.scopes()),
            service: permit.call().action.service().into(),
        };
        let wanted = |purpose| self.wanted(purpose, permit, standing).map_err(Refusal::from);
        let Some(found) = self.kept.get(&purpose, now) else {
            let (wanted, sts) = (wanted(purpose)?, Arc::clone(self));
            let errand: Errand = Box::pin(async move { Ok(Identity::Signed(sts.fetch(wanted).await?)) });
            return Ok(AtHand::Errand(errand));
        };
        if found.should_be_renewed {
            let (sts, renewed) = (Arc::clone(self), purpose.clone());
            let wanted = self.wanted(purpose, permit, standing);
            // It owns all it needs, and ends by itself: the answer has a deadline.
            tokio::spawn(async move {
                let fetched = match wanted {
                    Ok(wanted) => sts.fetch(wanted).await.map(drop),
                    Err(why) => Err(why),
                };
                if let Err(error) = fetched {
                    sts.kept.renew_later(&renewed, sts.clock.seconds());
                    tracing::warn!(%error, "a role's credentials could not be renewed; it will be tried again");
                }
            });
        }
        Ok(AtHand::Identity(Identity::Signed(found.credentials)))
    }

    /// Forgets what rests on a standing that has ended.
    pub(super) fn drop_ended(&self) {
        self.kept.drop_ended();
    }

    fn wanted(
        &self,
        purpose: Purpose,
        permit: &Permit<'_>,
        standing: &Arc<Standing>,
    ) -> Result<Wanted, NoCredentials> {
        let role = self.role_of(&self.settings.role, &purpose.principal.account)?;
        let owner = self.settings.account_of(&role);
        let meant = |service: &str| *service == *purpose.service;
        let policy = match permit.session_policy(self.language(), Holder::Sidecar, owner, meant) {
            Ok(policy) => policy.as_str().to_owned(),
            // An operation that needs no permission of the cloud: the role gets none.
            Err(NotExpressible::Nothing) => names::nothing(self.cloud).to_owned(),
            Err(why @ (NotExpressible::TooLong { .. } | NotExpressible::Mistaken)) => {
                return Err(NoCredentials::Policy(why));
            }
        };
        let question = Question {
            role,
            session_name: names::session(standing.login(), purpose.grant.application.as_str()),
            source_identity: names::source(standing.login(), &purpose.principal),
            policy,
            seconds: self.settings.seconds,
        };
        Ok(Wanted { purpose, question, standing: Arc::clone(standing) })
    }

    fn language(&self) -> Language {
        match self.cloud {
            Cloud::Alibaba => Language::Alibaba,
            Cloud::Aws => Language::Aws,
        }
    }

    /// The role of an account, as the settings write it. No account's callers get the role of another.
    fn role_of(&self, role: &str, account: &AccountId) -> Result<String, NoCredentials> {
        let number = match self.accounts.get(account) {
            Some(number) => number,
            None if self.accounts.is_empty() => account,
            None => return Err(NoCredentials::Account { role: role.to_owned() }),
        };
        let role = role.replace("{account}", number.as_str());
        if self.settings.account_of(&role) == Some(number.as_str()) {
            Ok(role)
        } else {
            Err(NoCredentials::Account { role })
        }
    }

    /// Gets credentials; of many who ask for the same at once, one does it for all.
    async fn fetch(&self, wanted: Wanted) -> Result<Arc<Credentials>, NoCredentials> {
        let Wanted { purpose, question, standing } = &wanted;
        let ask = async {
            let now = self.clock.seconds();
            if let Some(why) = self.kept.just_failed(purpose, now) {
                return Err(NoCredentials::Just(Box::new(why)));
            }
            let got = self.asking.ask(question, now).await.map(|given| Arc::new(given.credentials));
            match &got {
                Ok(credentials) => self.kept.put(purpose, Arc::clone(credentials), standing, now),
                Err(why) => self.kept.failed(purpose, why, self.clock.seconds()),
            }
            got
        };
        self.kept.once(purpose, ask).await
    }
}

impl From<NoCredentials> for Refusal {
    fn from(why: NoCredentials) -> Self {
        match why {
            NoCredentials::Just(why) => Self::NoIdentity(NoIdentity::JustFailed(why.to_string())),
            NoCredentials::Account { .. }
            | NoCredentials::Policy(_)
            | NoCredentials::Source(_)
            | NoCredentials::Refused(_) => Self::NoIdentity(NoIdentity::Failed(why.to_string())),
        }
    }
}
