//! Adapters: what a request means, in each protocol.
//!
//! Comes in: the canonical head of a request (and its body where only the body says it). Goes out: what is
//! [`Asked`]. An adapter reads and never decides; what it cannot read with certainty it does not understand, and the
//! call is refused.
//!
//! To add a protocol: a file here that implements [`Adapter`], a line in [`for_route`], and a pair of tests for each
//! thing that it understands: where it is said once, and where it is said twice. Where its clients parse errors of a
//! shape of their own, it says refusals so ([`Adapter::tell`]).

mod acs;
mod aws;
mod body;
mod mcp;
mod rest;

use std::borrow::Cow;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};

use super::mcp::Tended;
use super::refuse::Told;
use super::route::{Means, Route};
use super::signed::Schemes;
use crate::config::route;
use crate::grants::Standing;
use crate::model::call::{Action, Call, Resource};
use crate::model::caller::Caller;
use crate::model::id::AccountId;
use crate::model::time::Clock;
use crate::net::body::Inbound;
use crate::policy::Surroundings;
use crate::token::random::Secret;
use crate::token::session::SessionKey;
pub(super) use body::read_through;

/// A protocol.
pub(super) trait Adapter: Send + Sync {
    /// Reads the head.
    fn read(&self, head: &Head<'_>) -> Result<Reading, NotUnderstood>;

    /// Reads head and body, after [`Adapter::read`] has asked for the body.
    fn read_with_body(&self, head: &Head<'_>, body: &Bytes) -> Result<Asked, NotUnderstood>;

    /// Whether what it reads of requests of this method depends on nothing but their target and their host: the next one
    /// with the same asks for the same.
    fn reads_target_alone(&self, method: &Method) -> bool {
        let _ = method;
        false
    }

    /// Whether a bearer token may also stand in `x-acs-bearer-token`.
    fn takes_acs_bearer(&self) -> bool {
        false
    }

    /// How its clients sign requests, where they can; asked only of a request without a bearer token.
    fn signatures(&self) -> Option<Schemes> {
        None
    }

    /// Whether callers of some of its operations show their access token among the parameters; asked only of a request
    /// without a bearer token.
    fn takes_token_among_parameters(&self) -> bool {
        false
    }

    /// That token.
    fn token_among_parameters(&self, head: &Head<'_>, body: &Bytes) -> Result<Option<Secret>, NotUnderstood> {
        let _ = (head, body);
        Ok(None)
    }

    /// A refusal in the protocol's own error shape; none where problem details say it. `request` is what is left of
    /// the request: nothing once it was sent, and whatever its sender wrote while it was not understood.
    fn tell(&self, told: &Told<'_>, request: Option<&Request<Inbound>>) -> Option<Shaped> {
        let _ = (told, request);
        None
    }

    /// So many bytes of a body are read before a refusal is said, where clients always send one: an answer that comes
    /// before they are through is lost with the connection. It bounds what somebody unknown can make a sidecar hold.
    fn reads_before_refusing(&self) -> usize {
        0
    }

    /// The challenge of a refusal, where the protocol's clients act on it otherwise than others do.
    fn challenge(&self, told: &Told<'_>, own: Option<String>) -> Option<String> {
        let _ = told;
        own
    }

    /// Makes a permitted request ready to be sent, where the protocol has more to be looked after than the
    /// credential, and keeps what its answer has to be made ready with; none where both pass as they are.
    fn tend(&self, permitted: &mut Permitted<'_>) -> Result<Option<Box<Tended>>, NotUnderstood> {
        let _ = permitted;
        Ok(None)
    }
}

/// A permitted request, before it is sent.
pub(super) struct Permitted<'a> {
    /// The request.
    pub(super) request: &'a mut Request<Inbound>,
    /// What was permitted.
    pub(super) call: &'a Call,
    /// Who calls.
    pub(super) caller: &'a Arc<Caller>,
    /// What the call rests on.
    pub(super) standing: &'a Arc<Standing>,
    /// What else was known when it was decided.
    pub(super) around: &'a Surroundings<'a>,
    /// What binds an upstream's sessions to their callers, once it is known.
    pub(super) sessions: &'a ArcSwapOption<SessionKey>,
    /// The route that took it.
    pub(super) route: &'a Route,
    /// For what is decided later, while it is answered.
    pub(super) clock: &'a Clock,
    /// So many bytes of an answer may be read to look after it.
    pub(super) limit: usize,
}

/// An answer in a protocol's own error shape.
pub(super) struct Shaped {
    /// Its status.
    pub(super) status: StatusCode,
    /// What its body is.
    pub(super) content_type: &'static str,
    /// Its body.
    pub(super) body: Bytes,
}

/// A request's head, in its one spelling.
pub(super) struct Head<'a> {
    /// Its method.
    pub(super) method: &'a Method,
    /// The host that it was sent to, without its port.
    pub(super) host: &'a str,
    /// Its path, as it will be forwarded: still percent-encoded.
    pub(super) path: &'a str,
    /// Its query, as it will be forwarded: still percent-encoded.
    pub(super) query: Option<&'a str>,
    /// Its headers, cleaned: what framed the body is not among them any more.
    pub(super) headers: &'a HeaderMap,
    /// Whether a body follows, however it is framed.
    pub(super) has_body: bool,
    /// The path's parameters by the route's template, decoded.
    pub(super) parameters: &'a Parameters<'a>,
}

/// Path parameters by name, percent-decoded.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters<'a>(pub(super) Vec<(&'a str, Cow<'a, str>)>);

impl Parameters<'_> {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value)
    }
}

/// What an adapter has read.
#[derive(Debug)]
pub(super) enum Reading {
    /// All of it.
    Asked(Asked),
    /// Only the body says it.
    NeedsBody,
}

/// What is asked for, before it is known who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// The action.
    pub(super) action: Action,
    /// The resource's name.
    pub(super) resource: String,
    /// Further resources that the same request acts upon: each must be allowed.
    pub(super) also: Vec<String>,
    /// The action that these are acted upon with, where it is another.
    pub(super) under: Option<Action>,
    /// What is copied from, with the action that reads it: that must be permitted besides.
    pub(super) copied: Option<(Action, String)>,
    /// The region, where the request names one.
    pub(super) region: Option<String>,
    /// The account that owns it, where the request names one.
    pub(super) account: Option<AccountId>,
}

impl Asked {
    /// The call, once the caller's account is known: a request that names no account means the caller's. Beside it what
    /// else must be permitted.
    pub(super) fn by(self, caller: &AccountId) -> (Call, Vec<Call>) {
        let account = self.account.unwrap_or_else(|| caller.clone());
        let resource = Resource { account, region: self.region.map(Arc::from), name: self.resource };
        let call = Call { action: self.action, resource };
        let under = self.under.as_ref().unwrap_or(&call.action);
        let other =
            |name| Call { action: under.clone(), resource: Resource { name, ..call.resource.clone() } };
        let mut also: Vec<_> = self.also.into_iter().map(other).collect();
        also.extend(self.copied.map(|(action, name)| {
            let resource = Resource { name, ..call.resource.clone() };
            Call { action, resource }
        }));
        (call, also)
    }
}

/// Why a request is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotUnderstood {
    /// The route has no action for this method.
    #[error("this route takes {allowed}, not {method}")]
    Method {
        /// What was asked with.
        method: String,
        /// What the route takes.
        allowed: String,
    },
    /// It does not say what is to be done.
    #[error("the request names no operation: give it in the x-acs-action header or the Action parameter")]
    NoOperation,
    /// It says two different things.
    #[error("the request names {0} in two places that differ")]
    Ambiguous(&'static str),
    /// It says nothing that is known here.
    #[error("{0} is not known here")]
    Unknown(&'static str),
    /// It is about a session that is none, or is not the caller's.
    #[error("there is no such session")]
    NoSession,
    /// It says something that cannot be.
    #[error("{what} is not {expected}")]
    Malformed {
        /// Which part.
        what: &'static str,
        /// What it should be.
        expected: &'static str,
    },
}

/// The adapter of a route.
pub(super) fn for_route(reading: route::Adapter<'_>, means: &Means) -> Box<dyn Adapter> {
    match reading {
        route::Adapter::Rest { actions, resource, account, query } => {
            Box::new(rest::Rest::new(actions, resource, account, query))
        }
        route::Adapter::Acs { product } => Box::new(acs::Acs::new(product, &means.policies)),
        route::Adapter::Aws { service } => Box::new(aws::Aws::new(service, &means.names)),
        route::Adapter::Mcp { product, resource, account } => {
            Box::new(mcp::Mcp::new(product, resource, account))
        }
    }
}
