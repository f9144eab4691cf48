//! PEP: the sidecar. One request comes in; it is forwarded with the user's assumed identity, or refused.
//!
//! The whole life of a call stands in [`life`]; in [`stage`] what it is between two steps. Here is what a sidecar and its
//! workers consist of.

mod acs;
mod adapter;
pub mod admin;
mod assume;
mod aws;
mod explicit;
mod forward;
mod identify;
pub mod intercept;
mod life;
pub mod link;
mod mcp;
mod metadata;
mod record;
mod refuse;
mod repeat;
mod route;
pub mod running;
mod seat;
mod signed;
mod stage;
pub mod start;
mod sts;
#[cfg(test)]
mod tests;
mod trade;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwapOption;
use http::{Request, Response};

use crate::config::sidecar::Limits;
use crate::grants::Grants;
use crate::model::time::Clock;
use crate::net::body::{Answer, Inbound};
use crate::net::listener::Abandoned;
use crate::net::watch::Exchange;
use crate::observe::metrics::Metrics;
use crate::observe::records::Records;
use crate::token::session::SessionKey;
use assume::Identities;
use forward::Upstreams;
use identify::Tokens;
use intercept::Interception;
use record::Desk;
use route::Routes;
use seat::Recent;
use signed::Nonces;
use sts::Sts;

/// What all workers of a sidecar share.
pub(super) struct Sidecar {
    issuer: String,
    public_url: String,
    routes: Routes,
    tokens: Tokens,
    grants: Arc<Grants>,
    identities: Identities,
    /// Binds sessions of upstreams to their callers, once the control plane has said how.
    sessions: ArcSwapOption<SessionKey>,
    records: Records,
    metrics: Arc<Metrics>,
    clock: Clock,
    limits: Limits,
    nonces: Nonces,
    /// Opens tunnels, where it may.
    interception: Option<Interception>,
    /// Forgets what ended at once.
    sts: Vec<Arc<Sts>>,
}

/// One thread's part of a sidecar.
pub(super) struct Worker {
    sidecar: Arc<Sidecar>,
    upstreams: Upstreams,
    desk: Desk,
    recent: Recent,
    /// The callers who sign.
    signed: Recent,
}

/// What net calls for each request of `worker`.
fn serve(worker: Rc<Worker>) -> impl Fn(Request<Inbound>, Exchange) -> Guarded {
    move |request, exchange| Guarded(Box::pin(Rc::clone(&worker).handle(request, exchange)))
}

/// One call. A panic ends it without an answer, and ends nothing else.
struct Guarded(Pin<Box<dyn Future<Output = Response<Answer>>>>);

impl Future for Guarded {
    type Output = Result<Response<Answer>, Abandoned>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Ok),
            Err(_) => Poll::Ready(Err(Abandoned)),
        }
    }
}
