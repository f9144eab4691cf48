//! The answer to a permitted call: credentials, in the words of the caller's cloud.
//!
//! Comes in: what was permitted, and the caller's own token. That is all that the control plane goes by, where it gives
//! the credentials: nothing that a request says can make more of it. A cloud's STS is asked for what follows from the
//! permit ([`Leave`]). Goes out: a response, or a refusal.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};

use super::{Operation, Parameters, Role, Wanted, acs, aws};
use crate::config::route::{Answers, Dialect};
use crate::grants::Standing;
use crate::grants::exchange::{Exchange, Leaving, NotExchanged};
use crate::grants::origin::Origin;
use crate::model::account::PrincipalKind;
use crate::model::call::Action;
use crate::model::caller::Caller;
use crate::model::id::AccountId;
use crate::net::body::Answer as Body;
use crate::policy::Permit;
use crate::sidecar::adapter::NotUnderstood;
use crate::sidecar::aws::Names;
use crate::sidecar::identify::Known;
use crate::sidecar::refuse::{NoIdentity, Refusal};
use crate::sidecar::sts::{Handed, Leave, NotGiven, Sts, Wish};
use crate::token::exchange::Exchanged;
use crate::token::random::equal;

/// How a route answers.
pub(in crate::sidecar) struct Answering {
    dialect: Dialect,
    origin: Arc<dyn Origin>,
    issuer: Arc<str>,
    names: Names,
    /// Whose credentials are given, where they are not ours.
    sts: Option<Arc<Sts>>,
}

/// What answers are made with.
#[derive(Clone)]
pub(in crate::sidecar) struct Manner {
    /// Who exchanges tokens for credentials of ours.
    pub(in crate::sidecar) origin: Arc<dyn Origin>,
    /// The issuer of the tokens.
    pub(in crate::sidecar) issuer: Arc<str>,
}

/// Credentials to be told, ours or a cloud's.
pub(super) struct Told<'a> {
    pub(super) key_id: &'a str,
    pub(super) secret: &'a str,
    pub(super) token: &'a str,
    /// In seconds since 1970.
    pub(super) expires_at: i64,
    /// The session of the role.
    pub(super) arn: String,
    pub(super) role_id: String,
    /// Whom the cloud's audit will name, where it will.
    pub(super) source_identity: Option<&'a str>,
}

/// Whose call it is.
pub(in crate::sidecar) struct Subject<'a> {
    /// The caller, as its credential proves it.
    pub(in crate::sidecar) caller: &'a Caller,
    /// The principal's login.
    pub(in crate::sidecar) login: &'a str,
    /// The caller's access token, or the security token that its request was signed with.
    pub(in crate::sidecar) token: &'a str,
    /// The decision's id, which is the answer's too.
    pub(in crate::sidecar) id: &'a str,
}

/// Whom an answer is about.
pub(super) struct Identity<'a> {
    /// By its number at the cloud.
    pub(super) account: &'a AccountId,
    pub(super) kind: PrincipalKind,
    /// The principal's number in the account.
    pub(super) number: &'a str,
    /// Its name in the account: of `alice@acme`, what stands before the `@`.
    pub(super) name: &'a str,
    /// Its opaque subject.
    pub(super) subject: &'a str,
    /// The application.
    pub(super) application: &'a str,
    pub(super) issuer: &'a str,
    /// When the token ends that was shown, in seconds since 1970.
    pub(super) expires_at: i64,
    pub(super) id: &'a str,
}

impl Answering {
    /// `sts` is asked, if there is one; the control plane otherwise.
    pub(in crate::sidecar) fn new(
        dialect: Dialect,
        Manner { origin, issuer }: Manner,
        names: Names,
        sts: Option<Arc<Sts>>,
    ) -> Self {
        Self { dialect, origin, issuer, names, sts }
    }

    /// Whether a call with this action is answered here; every other is forwarded.
    pub(in crate::sidecar) fn answers(&self, action: &Action) -> bool {
        Operation::of(self.dialect, action).is_some()
    }

    /// What a cloud's STS may be asked for a permitted call; nothing where it is not asked. `query` and `body` are those
    /// that it was decided on, `now` in seconds since 1970.
    pub(in crate::sidecar) fn leave(
        &self,
        permit: &Permit<'_>,
        (known, standing): (&Known, &Standing),
        (query, body): (Option<&str>, Option<&Bytes>),
        now: i64,
    ) -> Result<Option<Box<Leave>>, Refusal> {
        let Some(sts) = &self.sts else { return Ok(None) };
        let wanted = self.wanted(&permit.call().action, (query, body.ok_or(Refusal::Internal)?))?;
        let Some(role) = &wanted.role else { return Ok(None) };
        if !known.is_for_everything() {
            return Err(Refusal::NotGiven(NotGiven::Place));
        }
        let wish = Wish { role: &role.arn, policy: wanted.policy.as_deref(), seconds: wanted.seconds };
        let leave = sts.may_give(permit, &known.caller, standing, &wish, now);
        leave.map(|leave| Some(Box::new(leave))).map_err(Refusal::NotGiven)
    }

    /// Answers one call that was permitted. `query` and `body` are those that it was decided on, `leave` is what followed
    /// from its permit.
    pub(in crate::sidecar) async fn answer(
        &self,
        action: &Action,
        (query, body): (Option<&str>, &Bytes),
        leave: Option<&Leave>,
        subject: Subject<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let wanted = self.wanted(action, (query, body))?;
        // Two credentials in one request are two callers.
        if wanted
            .token
            .as_ref()
            .is_some_and(|token| !equal(token.expose().as_bytes(), subject.token.as_bytes()))
        {
            return Err(Refusal::NotUnderstood(NotUnderstood::Ambiguous("the credential")));
        }
        let principal = &subject.caller.principal;
        let who = Identity {
            account: self.names.number(&principal.account),
            kind: principal.kind,
            number: principal.id.as_str(),
            name: subject.login.split('@').next().unwrap_or_default(),
            subject: &subject.caller.subject,
            application: subject.caller.application.as_str(),
            issuer: &self.issuer,
            expires_at: subject.caller.expires_at,
            id: subject.id,
        };
        let text = match (wanted.operation, &wanted.role, &self.sts) {
            (Operation::GetCallerIdentity, _, _) => match self.dialect {
                Dialect::Acs => acs::identity(&who),
                Dialect::Aws => aws::identity(&who),
            },
            (Operation::AssumeRole | Operation::WithToken, Some(role), None) => {
                let given = self.exchange(subject.token, wanted.exchanged_seconds()).await?;
                self.tell(wanted.operation, &who, &ours(self.dialect, &wanted, role, &given, &who)?)
            }
            (Operation::AssumeRole | Operation::WithToken, Some(_), Some(sts)) => {
                let handed = self.hand(sts, leave.ok_or(Refusal::Internal)?, subject.token).await?;
                self.tell(wanted.operation, &who, &the_clouds(&handed)?)
            }
            (Operation::AssumeRole | Operation::WithToken, None, _) => return Err(Refusal::Internal),
        };
        let text = text.ok_or(Refusal::Internal)?;
        let mut response = Response::new(Body::from(Bytes::from(text)));
        let content_type = match self.dialect {
            Dialect::Acs => "application/json;charset=utf-8",
            Dialect::Aws => "text/xml",
        };
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }

    fn wanted(&self, action: &Action, (query, body): (Option<&str>, &Bytes)) -> Result<Wanted, Refusal> {
        let operation = Operation::of(self.dialect, action).ok_or(Refusal::Internal)?;
        let answers = if self.sts.is_some() { Answers::Sts } else { Answers::Exchanged };
        let parameters = Parameters::read(query, body).map_err(Refusal::NotUnderstood)?;
        Wanted::read((self.dialect, answers), operation, &parameters).map_err(Refusal::NotUnderstood)
    }

    fn tell(&self, operation: Operation, who: &Identity<'_>, told: &Told<'_>) -> Option<String> {
        match self.dialect {
            Dialect::Acs => acs::credentials(operation, who, told),
            Dialect::Aws => aws::credentials(operation, who, told),
        }
    }

    async fn exchange(&self, token: &str, seconds: u32) -> Result<Exchanged, Refusal> {
        let asked = Exchange { token: token.to_owned(), seconds: Some(seconds), scope: None };
        self.origin.exchange(&asked).await.map_err(Refusal::from)
    }

    /// Gets a cloud's credentials. Nobody can end those, so that none are asked for that nobody has taken down.
    async fn hand(&self, sts: &Sts, leave: &Leave, token: &str) -> Result<Handed, Refusal> {
        let (token, role) = (token.to_owned(), leave.role().to_owned());
        self.origin.leaving(&Leaving { token, role, seconds: leave.seconds() }).await?;
        Ok(sts.give(leave).await?)
    }
}

impl From<NotExchanged> for Refusal {
    fn from(why: NotExchanged) -> Self {
        match why {
            NotExchanged::Token => Self::TokenInvalid(why.to_string()),
            // None was asked for, and what a sidecar asks for it has decided itself.
            NotExchanged::Scope(_) | NotExchanged::Denied { .. } => Self::Internal,
            NotExchanged::TooOften(_) => Self::Unavailable(why.to_string()),
            NotExchanged::Unavailable(why) => Self::NoIdentity(NoIdentity::Failed(why.to_string())),
        }
    }
}

/// Credentials of ours. The role is no more than a name: who it really is stands beside it.
fn ours<'a>(
    dialect: Dialect,
    Wanted { session, .. }: &Wanted,
    role: &Role,
    given: &'a Exchanged,
    who: &Identity<'_>,
) -> Result<Told<'a>, Refusal> {
    let (account, name) = (&role.account, role.last());
    let arn = match dialect {
        Dialect::Acs => format!("acs:ram::{account}:role/{name}/{session}"),
        Dialect::Aws => {
            let partition = role.arn.split(':').nth(1).ok_or(Refusal::Internal)?;
            format!("arn:{partition}:sts::{account}:assumed-role/{name}/{session}")
        }
    };
    Ok(Told {
        key_id: &given.access_key_id,
        secret: given.access_key_secret.expose(),
        token: given.security_token.expose(),
        expires_at: given.expires_at,
        arn,
        role_id: format!("{}:{session}", who.number),
        source_identity: None,
    })
}

/// A cloud's credentials, with what it says of them.
fn the_clouds(handed: &Handed) -> Result<Told<'_>, Refusal> {
    let Handed { credentials, assumed, source_identity } = handed;
    Ok(Told {
        key_id: &credentials.key_id,
        secret: credentials.secret.expose(),
        token: credentials.token.as_ref().ok_or(Refusal::Internal)?.expose(),
        expires_at: credentials.expires_at,
        arn: assumed.arn.clone(),
        role_id: assumed.assumed_role_id.clone(),
        source_identity: Some(source_identity),
    })
}
