//! The answer to a permitted call: credentials from the control plane, in the words of the caller's cloud.
//!
//! Comes in: what was permitted, and the caller's own token, which is all that the control plane goes by: nothing that a
//! request says can make more of it. Goes out: a response, or a refusal.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response};

use super::{Operation, Parameters, Wanted, acs, aws};
use crate::config::route::Dialect;
use crate::grants::exchange::{Exchange, NotExchanged};
use crate::grants::origin::Origin;
use crate::model::account::PrincipalKind;
use crate::model::call::Action;
use crate::model::caller::Caller;
use crate::model::id::AccountId;
use crate::net::body::Answer as Body;
use crate::sidecar::adapter::NotUnderstood;
use crate::sidecar::aws::Names;
use crate::sidecar::refuse::Refusal;
use crate::token::exchange::Exchanged;
use crate::token::random::equal;

/// How a route answers.
pub(in crate::sidecar) struct Answering {
    dialect: Dialect,
    origin: Arc<dyn Origin>,
    issuer: Arc<str>,
    names: Names,
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
    pub(super) id: &'a str,
}

impl Answering {
    pub(in crate::sidecar) fn new(
        dialect: Dialect,
        origin: Arc<dyn Origin>,
        issuer: Arc<str>,
        names: Names,
    ) -> Self {
        Self { dialect, origin, issuer, names }
    }

    /// Whether a call with this action is answered here; every other is forwarded.
    pub(in crate::sidecar) fn answers(&self, action: &Action) -> bool {
        Operation::of(self.dialect, action).is_some()
    }

    /// Answers one call that was permitted. `query` and `body` are those that it was decided on.
    pub(in crate::sidecar) async fn answer(
        &self,
        action: &Action,
        (query, body): (Option<&str>, &Bytes),
        subject: Subject<'_>,
    ) -> Result<Response<Body>, Refusal> {
        let operation = Operation::of(self.dialect, action).ok_or(Refusal::Internal)?;
        let parameters = Parameters::read(query, body).map_err(Refusal::NotUnderstood)?;
        let wanted = Wanted::read(self.dialect, operation, &parameters).map_err(Refusal::NotUnderstood)?;
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
            id: subject.id,
        };
        let text = match (operation, &wanted.role) {
            (Operation::GetCallerIdentity, _) => match self.dialect {
                Dialect::Acs => acs::identity(&who),
                Dialect::Aws => aws::identity(&who),
            },
            (Operation::AssumeRole | Operation::WithToken, Some(role)) => {
                let given = self.exchange(subject.token, wanted.seconds).await?;
                match self.dialect {
                    Dialect::Acs => acs::credentials(&wanted, role, &given, &who),
                    Dialect::Aws => aws::credentials(&wanted, role, &given, &who),
                }
            }
            (Operation::AssumeRole | Operation::WithToken, None) => return Err(Refusal::Internal),
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

    async fn exchange(&self, token: &str, seconds: u32) -> Result<Exchanged, Refusal> {
        let asked = Exchange { token: token.to_owned(), seconds: Some(seconds), scope: None };
        self.origin.exchange(&asked).await.map_err(|why| match why {
            NotExchanged::Token => Refusal::TokenInvalid(why.to_string()),
            // None was asked for.
            NotExchanged::Scope(_) => Refusal::Internal,
            NotExchanged::TooOften(_) | NotExchanged::Unavailable(_) => Refusal::Unavailable(why.to_string()),
        })
    }
}
