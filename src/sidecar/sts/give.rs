//! A role's credentials that leave the sidecar: what whoever asks a cloud's STS is given where the route says
//! `answers = "sts"`.
//!
//! Comes in: a permit to ask for a role, what its caller asks for, and the caller. Goes out: what the service itself gives
//! to a request of ours: for a role that the settings name, held by a session policy to what was granted and what the
//! caller's own policy leaves of it, named after the user and the application, for as long as all of the settings, the
//! caller, the grant and the token say. Since nothing of ours stands between such credentials and the cloud, and nothing
//! ends them but their time, all that is in doubt is refused.

use super::ask::{Assumed, Given, Question};
use super::{Credentials, NoCredentials, Sts, names};
use crate::config::sts::SHORTEST;
use crate::grants::Standing;
use crate::model::caller::Caller;
use crate::policy::Permit;
use crate::policy::cloud::{Holder, Narrowing, NotExpressible, NotUnderstood};

/// What is asked for.
pub(in crate::sidecar) struct Wish<'a> {
    /// The role's ARN.
    pub(in crate::sidecar) role: &'a str,
    /// A policy that the caller gives along.
    pub(in crate::sidecar) policy: Option<&'a str>,
    /// For how long, in seconds; as long as may be unless said.
    pub(in crate::sidecar) seconds: Option<u32>,
}

/// What may be given. It is made of a permit alone.
pub(in crate::sidecar) struct Leave(Question);

impl Leave {
    /// The role.
    pub(in crate::sidecar) fn role(&self) -> &str {
        &self.0.role
    }

    /// How long its credentials will live, in seconds.
    pub(in crate::sidecar) fn seconds(&self) -> u32 {
        self.0.seconds
    }
}

/// What was given.
pub(in crate::sidecar) struct Handed {
    /// They work at the cloud.
    pub(in crate::sidecar) credentials: Credentials,
    /// The role's session.
    pub(in crate::sidecar) assumed: Assumed,
    /// Who the cloud's audit says it is.
    pub(in crate::sidecar) source_identity: String,
}

/// Why a role's credentials are not given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::sidecar) enum NotGiven {
    /// The settings do not name it for the caller's account.
    #[error("the role is not one that applications of this account may ask for here")]
    Role,
    /// The policy that came along would not be kept to.
    #[error("the policy that came along cannot be kept to: {0}")]
    Policy(NotUnderstood),
    /// It would live longer than what it rests on.
    #[error("a role's credentials last {SHORTEST} seconds at least, and the {0} ends before that")]
    Life(&'static str),
    /// The token is for one sidecar or a place of one, and a role's credentials work at many.
    #[error("the token is for one place alone, and a role's credentials work elsewhere too")]
    Place,
    /// What was granted cannot be said to the cloud.
    #[error("the role cannot be held to the grant: {0}")]
    Policyless(NotExpressible),
}

impl Sts {
    /// What a permit's caller may be given. `now` in seconds since 1970.
    pub(in crate::sidecar) fn may_give(
        &self,
        permit: &Permit<'_>,
        caller: &Caller,
        standing: &Standing,
        wish: &Wish<'_>,
        now: i64,
    ) -> Result<Leave, NotGiven> {
        let clients = self.settings.clients.as_ref().ok_or(NotGiven::Role)?;
        let account = &caller.principal.account;
        let mut roles = self.settings.roles().iter().filter_map(|role| self.role_of(role, account).ok());
        let role = roles.find(|role| role == wish.role).ok_or(NotGiven::Role)?;
        let seconds = self.life(caller, standing, wish.seconds, now)?;
        let narrowing = wish.policy.map(|text| Narrowing::read(self.language(), text)).transpose();
        let narrowing = narrowing.map_err(NotGiven::Policy)?;
        let meant = |service: &str| clients.services.iter().any(|one| one == service);
        let owner = self.settings.account_of(&role);
        let (language, narrowing) = (self.language(), narrowing.as_ref());
        let policy = permit.narrowed_session_policy(language, Holder::Application, owner, meant, narrowing);
        let policy = policy.map_err(NotGiven::Policyless)?.as_str().to_owned();
        Ok(Leave(Question {
            role,
            session_name: names::session(standing.login(), caller.application.as_str()),
            source_identity: names::source(standing.login(), &caller.principal),
            policy,
            seconds,
        }))
    }

    /// Gets what may be given. It is kept nowhere.
    pub(in crate::sidecar) async fn give(&self, Leave(question): &Leave) -> Result<Handed, NoCredentials> {
        let now = self.clock.seconds();
        let Given { credentials, assumed } = self.asking.ask(question, now).await?;
        // By a service that gives more than it is asked for nothing is bounded.
        let longest = now.saturating_add(i64::from(question.seconds)).saturating_add(SKEW_SECONDS);
        if credentials.expires_at > longest {
            return Err(NoCredentials::Refused("its credentials last longer than was asked for".to_owned()));
        }
        let assumed = assumed.ok_or_else(|| {
            NoCredentials::Refused("its answer does not say whose credentials it holds".to_owned())
        })?;
        let source_identity = question.source_identity.clone();
        Ok(Handed { credentials, assumed, source_identity })
    }

    /// For how long: the shortest of what was asked for, what the settings allow, and what is left of the grant and of
    /// the token.
    fn life(
        &self,
        caller: &Caller,
        standing: &Standing,
        asked: Option<u32>,
        now: i64,
    ) -> Result<u32, NotGiven> {
        let clients = self.settings.clients.as_ref().ok_or(NotGiven::Role)?;
        let grant_ends = standing.installed().grant.expires_at.map_or(i64::MAX, |end| end.as_second());
        let left = |end: i64| u32::try_from(end.saturating_sub(now).max(0)).unwrap_or(u32::MAX);
        let (of_grant, of_token) = (left(grant_ends), left(caller.expires_at));
        if of_grant < SHORTEST {
            return Err(NotGiven::Life("grant"));
        }
        if of_token < SHORTEST && !clients.outlive_token {
            return Err(NotGiven::Life("token"));
        }
        let asked = asked.unwrap_or(clients.seconds);
        Ok(asked.min(clients.seconds).min(of_grant).min(of_token).max(SHORTEST))
    }
}

/// By how much the service's clock may be ahead.
const SKEW_SECONDS: i64 = 30;
