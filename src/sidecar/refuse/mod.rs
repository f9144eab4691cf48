//! Refusals: everything that ends without forwarding, and the only place where a status code is chosen.
//!
//! Outward goes a stable code, one sentence and the next step (RFC 9457), with the standard's challenge where there
//! is one (RFC 6750 §3); inward everything is in the record.

mod causes;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Request, Response, StatusCode};
use serde::Serialize;

use causes::{
    TRY_AGAIN, broken_body, denied, no_standing, not_given, not_proven, not_understood, token_refused,
    unavailable, upstream,
};

use super::adapter::{Adapter, NotUnderstood, Shaped};
use super::intercept::NoTunnel;
use super::record::Id;
use super::signed::NotProven;
use super::sts::NotGiven;
use crate::grants::NoStanding;
use crate::model::decision::Outcome;
use crate::model::scope::ScopeSet;
use crate::net::body::{Answer as Body, Broken, Inbound};
use crate::net::canonical::Malformed;
use crate::net::upstream::ForwardError;
use crate::policy::Denial;

/// Why a call was not forwarded, or came to no good.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Its bytes can be read in two ways, or in none.
    Malformed(Malformed),
    /// It asks for a tunnel that is not opened.
    Tunnel(NoTunnel),
    /// No route takes it.
    NoRoute,
    /// The adapter does not know what it means.
    NotUnderstood(NotUnderstood),
    /// The body that says what it means is too long, or broke off.
    Body(Broken),
    /// It carries no credential.
    NoCredential,
    /// Its token's time is over.
    TokenExpired,
    /// Its token proves nothing here.
    TokenInvalid(String),
    /// Its signature proves nothing.
    Signature(NotProven),
    /// Its caller has no standing.
    NoStanding(NoStanding),
    /// Policy said no.
    Denied(Denial),
    /// It cannot be known whether it may pass.
    Unavailable(String),
    /// It may pass, and the identity that it needs cannot be got.
    NoIdentity(NoIdentity),
    /// It asks for a role's credentials, and they are not given.
    NotGiven(NotGiven),
    /// No record of it could be kept.
    Unrecorded,
    /// It was permitted, and the upstream failed.
    Upstream(ForwardError),
    /// Something of ours broke.
    Internal,
}

/// Why there is no identity: for the log, by the decision's id. It names files, addresses and what others answered, none
/// of which is the caller's business.
#[derive(Debug)]
pub(super) enum NoIdentity {
    /// Getting it failed.
    Failed(String),
    /// That failed a moment ago for this reason, and was not tried again.
    JustFailed(String),
}

/// What a refusal says and how.
struct Answer {
    status: StatusCode,
    code: &'static str,
    detail: String,
    next: String,
    page: Option<String>,
    challenge: Option<String>,
    allow: Option<String>,
    needed: Option<ScopeSet>,
    attainable: bool,
    outcome: Outcome,
}

/// What refusals need to know about where they are given.
pub(super) struct Place<'a> {
    /// The issuer, for pages.
    pub(super) issuer: &'a str,
    /// Where the metadata of the protected resource stands (RFC 9728).
    pub(super) metadata: String,
    /// The application, once it is known.
    pub(super) application: Option<&'a str>,
    /// The scopes that the token counts for, once they are known.
    pub(super) scopes: Option<&'a ScopeSet>,
    /// Who knows the words of the call's protocol, once its route is known.
    pub(super) adapter: Option<&'a dyn Adapter>,
    /// What is left of the request: nothing once it was sent.
    pub(super) request: Option<&'a Request<Inbound>>,
}

/// What a refusal tells, whatever shape it takes.
pub(super) struct Told<'a> {
    /// The status that it has unless the protocol has another.
    pub(super) status: StatusCode,
    /// Its stable code.
    pub(super) code: &'static str,
    /// What failed, and why.
    pub(super) detail: &'a str,
    /// What to do next.
    pub(super) next: &'a str,
    /// Where it can be resolved.
    pub(super) page: Option<&'a str>,
    /// The decision's id.
    pub(super) decision: &'a str,
    /// The application, once it is known.
    pub(super) application: Option<&'a str>,
    /// The scopes that a token needs for the call, if more of them would let it pass.
    pub(super) needed: Option<&'a ScopeSet>,
    /// Whether the application may ask for them at all.
    pub(super) attainable: bool,
    /// Where the metadata of the protected resource stands (RFC 9728).
    pub(super) metadata: &'a str,
}

#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    next: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<&'a str>,
    decision: &'a str,
}

impl Refusal {
    /// The answer, with what the record says of it.
    pub(super) fn answer(&self, place: &Place<'_>, id: &Id) -> (Response<Body>, Outcome, &'static str) {
        if let Self::NoIdentity(why) = self {
            why.log(id);
        }
        let answer = self.put(place);
        let told = Told {
            status: answer.status,
            code: answer.code,
            detail: &answer.detail,
            next: &answer.next,
            page: answer.page.as_deref(),
            decision: id.as_str(),
            application: place.application,
            needed: answer.needed.as_ref(),
            attainable: answer.attainable,
            metadata: &place.metadata,
        };
        let own = place.adapter.and_then(|adapter| adapter.tell(&told, place.request));
        let shaped = own.unwrap_or_else(|| told.problem());
        let challenge = match place.adapter {
            Some(adapter) => adapter.challenge(&told, answer.challenge.clone()),
            None => answer.challenge.clone(),
        };
        let mut response = Response::new(Body::from(shaped.body));
        *response.status_mut() = shaped.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(shaped.content_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let mut put = |name: header::HeaderName, value: Option<&str>| {
            if let Some(value) = value.and_then(|text| HeaderValue::from_str(text).ok()) {
                headers.insert(name, value);
            }
        };
        put(header::WWW_AUTHENTICATE, challenge.as_deref());
        put(header::ALLOW, answer.allow.as_deref());
        put(header::RETRY_AFTER, (answer.status == StatusCode::SERVICE_UNAVAILABLE).then_some("1"));
        // What was not understood may have left bytes behind that are no request.
        let close = matches!(self, Self::Malformed(_) | Self::Tunnel(_) | Self::Body(_));
        put(header::CONNECTION, close.then_some("close"));
        (response, answer.outcome, answer.code)
    }

    fn put(&self, place: &Place<'_>) -> Answer {
        match self {
            Self::Malformed(malformed) => {
                let next =
                    "Send the request in its plain form; each part in one place, nothing encoded twice.";
                Answer::new(malformed.status(), malformed.code(), malformed.to_string(), next)
            }
            Self::Tunnel(why) => {
                let (status, code, next) = why.says();
                Answer::new(status, code, why.to_string(), next)
            }
            Self::NoRoute => {
                let next = "Check the path, or ask the platform team to add a route.";
                Answer::new(
                    StatusCode::NOT_FOUND,
                    "no_route",
                    "no route of this sidecar takes this path",
                    next,
                )
            }
            Self::NotUnderstood(why) => not_understood(why),
            Self::Body(why) => broken_body(*why),
            Self::NoCredential => {
                let next = "Send an access token: Authorization: Bearer <token>.";
                Answer::new(
                    StatusCode::UNAUTHORIZED,
                    "unauthenticated",
                    "the request carries no bearer token",
                    next,
                )
                .challenged(format!("Bearer resource_metadata=\"{}\"", place.metadata))
            }
            Self::TokenExpired => {
                token_refused(place, "the token has expired", "Get a new token with the refresh token.")
            }
            Self::TokenInvalid(why) => {
                token_refused(place, why, "Get a new token; authorize again if that fails.")
            }
            Self::Signature(why) => not_proven(why, place),
            Self::NoStanding(why) => no_standing(why, place),
            Self::Denied(denial) => denied(denial, place),
            Self::Unavailable(why) => unavailable(why),
            Self::NoIdentity(_) => unavailable("the identity for this call cannot be got at the moment"),
            Self::NotGiven(why) => not_given(why),
            Self::Unrecorded => {
                let detail = "no decision record can be kept at the moment, so no call may pass";
                Answer::new(StatusCode::SERVICE_UNAVAILABLE, "audit_unavailable", detail, TRY_AGAIN)
            }
            Self::Upstream(error) => upstream(error),
            Self::Internal => {
                let next = "Try again; if it stays, give the decision's id to the platform team.";
                Answer::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "the sidecar failed; nothing was forwarded",
                    next,
                )
            }
        }
    }
}

impl NoIdentity {
    fn log(&self, decision: &Id) {
        let decision = decision.as_str();
        match self {
            Self::Failed(why) => tracing::warn!(decision, why, "a call was refused for want of an identity"),
            Self::JustFailed(why) => {
                tracing::warn!(decision, why, "a call was refused in the pause after a failure");
            }
        }
    }
}

impl From<NotProven> for Refusal {
    fn from(why: NotProven) -> Self {
        Self::Signature(why)
    }
}

impl Told<'_> {
    /// It as problem details (RFC 9457).
    fn problem(&self) -> Shaped {
        let problem = Problem {
            r#type: format!("urn:consentry:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Refused"),
            status: self.status.as_u16(),
            code: self.code,
            detail: self.detail,
            next: self.next,
            page: self.page,
            decision: self.decision,
        };
        // Strings and numbers always become JSON; an empty body would still be a refusal.
        let body = Bytes::from(serde_json::to_vec(&problem).unwrap_or_default());
        Shaped { status: self.status, content_type: "application/problem+json", body }
    }
}

impl Answer {
    fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            next: next.into(),
            page: None,
            challenge: None,
            allow: None,
            needed: None,
            attainable: false,
            outcome: Outcome::Refused,
        }
    }

    fn challenged(mut self, challenge: String) -> Self {
        self.challenge = Some(challenge);
        self
    }

    fn on(mut self, page: String) -> Self {
        self.page = Some(page);
        self
    }

    fn ending(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }
}
