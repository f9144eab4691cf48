//! PEP: the sidecar. One request comes in; it is forwarded with the user's assumed identity, or refused.
//!
//! The whole life of a call stands in `Worker::pass`, each step's output the next step's input. A step that fails
//! ends in a `Refusal`; there is no other way out, and every way out leaves a record.

mod adapter;
pub mod admin;
mod assume;
mod forward;
mod identify;
pub mod link;
mod metadata;
mod record;
mod refuse;
mod route;
pub mod start;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Request, Response};
use hyper::body::Body as _;

use crate::config::sidecar::Limits;
use crate::grants::{Grants, Standing};
use crate::model::decision::Outcome;
use crate::model::time::Clock;
use crate::net::body::{Answer, Inbound};
use crate::net::canonical::{self, Canonical, Rules};
use crate::net::headers;
use crate::net::listener::Abandoned;
use crate::net::watch::Exchange;
use crate::observe::metrics::Metrics;
use crate::observe::records::Records;
use crate::policy::{self, Surroundings};
use adapter::{Asked, Head, NotUnderstood, Reading};
use assume::Identities;
use forward::Upstreams;
use identify::{Known, Tokens};
use record::{Entry, Ids, Ledger, Phase};
use refuse::{Place, Refusal};
use route::{Route, Routes};

/// What all workers of a sidecar share.
pub(super) struct Sidecar {
    name: Arc<str>,
    issuer: String,
    public_url: String,
    routes: Routes,
    tokens: Tokens,
    grants: Arc<Grants>,
    identities: Identities,
    records: Records<Entry>,
    metrics: Arc<Metrics>,
    clock: Clock,
    limits: Limits,
}

/// One thread's part of a sidecar.
pub(super) struct Worker {
    sidecar: Arc<Sidecar>,
    upstreams: Upstreams,
    ids: Ids,
}

impl Worker {
    /// Answers one request, whatever it is.
    pub(super) async fn handle(
        self: Rc<Self>,
        request: Request<Inbound>,
        exchange: Exchange,
    ) -> Response<Answer> {
        let sidecar = &self.sidecar;
        let (head, body) = request.into_parts();
        let Ok(place) = sidecar.records.claim() else {
            sidecar.metrics.count_unrecorded();
            return self.unrecorded(&head);
        };
        let mut ledger = Ledger::open(place, &self.ids, sidecar.clock.now(), &sidecar.name, &head);
        let mut seen = Seen::default();
        let mut response = match self.pass(head, body, &exchange, &mut ledger, &mut seen).await {
            Ok(Passed::Forwarded(response)) => {
                ledger.end(Outcome::Forwarded, "ok", response.status());
                response
            }
            Ok(Passed::Answered(response)) => {
                ledger.end(Outcome::Answered, "ok", response.status());
                response
            }
            Err(refusal) => {
                let (response, outcome, code) = refusal.answer(&seen.place(sidecar), ledger.id());
                ledger.end(outcome, code, response.status());
                response
            }
        };
        ledger.mark(response.headers_mut());
        response
    }

    /// The life of a call.
    async fn pass(
        &self,
        head: Parts,
        body: Inbound,
        exchange: &Exchange,
        ledger: &mut Ledger,
        seen: &mut Seen,
    ) -> Result<Passed, Refusal> {
        let sidecar = &self.sidecar;
        // The one spelling of the request: policy and upstream see the same bytes.
        let candidate = canonical::read(&head, &body).map_err(Refusal::Malformed)?;
        seen.target = head.uri.path_and_query().cloned();
        if let Some(answer) =
            metadata::answer(&head.method, candidate.path(), &sidecar.public_url, &sidecar.issuer)
        {
            return Ok(Passed::Answered(answer));
        }
        let route = sidecar.routes.find(candidate.path()).ok_or(Refusal::NoRoute)?;
        ledger.routed(&route.template);
        let (mut head, canonical) = self.admit(head, candidate, route)?;

        // What it asks for, and who asks.
        let identify = || sidecar.tokens.identify(&head.headers, route.adapter.takes_acs_bearer());
        let (asked, known, body) = self.read(route, &canonical, &head, body, identify, ledger).await?;
        let caller = Arc::clone(&known.caller);
        let call = asked.by(&caller.principal.account);
        ledger.identified(&caller);
        ledger.called(&call);
        seen.known = Some(Arc::clone(&known));
        headers::strip_credentials(&mut head.headers, &canonical);

        // What the account has granted.
        let (standing, tier) =
            sidecar.grants.find(&caller, &known.held).await.map_err(Refusal::NoStanding)?;
        ledger.found(&standing, tier);
        seen.standing = Some(Arc::clone(&standing));
        ledger.lap(Phase::Find);

        // Whether policy allows it.
        let around = Surroundings {
            ip: exchange.peer().address.ip(),
            time: sidecar.clock.now(),
            method: canonical.method().as_str(),
            host: canonical.host(),
            path: canonical.path(),
        };
        let permit = policy::decide(standing.session(), &call, &around).map_err(|denial| {
            ledger.denied(&denial);
            Refusal::Denied(denial)
        })?;
        ledger.permitted(&permit);
        ledger.lap(Phase::Decide);

        // What the upstream will see of the caller.
        let request = (canonical.method().as_str(), canonical.path());
        let now = around.time.as_second();
        let identity = sidecar.identities.assume(&permit, &known, &standing, route, request, now)?;
        ledger.lap(Phase::Assume);

        let outgoing = forward::request(&canonical, head, body, &identity, ledger);
        let response =
            self.upstreams.forward(permit, &sidecar.grants, &standing, route, outgoing, exchange).await;
        ledger.lap(Phase::Forward);
        response.map(Passed::Forwarded)
    }

    /// The request as the route takes it, with clean headers.
    fn admit(
        &self,
        mut head: Parts,
        candidate: canonical::Candidate,
        route: &Route,
    ) -> Result<(Parts, Canonical), Refusal> {
        let rules = Rules {
            normalise: route.normalise,
            websocket: route.websocket,
            body_on_any_method: route.body_on_any_method,
        };
        let canonical = candidate.admit(rules).map_err(Refusal::Malformed)?;
        headers::clean_request(&mut head.headers, &canonical, head.version).map_err(Refusal::Malformed)?;
        Ok((head, canonical))
    }

    /// What is asked for, and by whom. The body is read only where nothing else says it, and only for a caller who
    /// is known: nobody else can make a sidecar hold one.
    async fn read(
        &self,
        route: &Route,
        canonical: &Canonical,
        head: &Parts,
        body: Inbound,
        identify: impl FnOnce() -> Result<Arc<Known>, Refusal>,
        ledger: &mut Ledger,
    ) -> Result<(Asked, Arc<Known>, Inbound), Refusal> {
        let not_text = NotUnderstood::Malformed { what: "a part of the path", expected: "text once decoded" };
        let parameters = route.parameters(canonical.path()).map_err(|_| Refusal::NotUnderstood(not_text))?;
        let asking = Head {
            method: canonical.method(),
            query: canonical.query(),
            headers: &head.headers,
            has_body: !body.is_end_stream(),
            parameters: &parameters,
        };
        let reading = route.adapter.read(&asking).map_err(Refusal::NotUnderstood)?;
        ledger.lap(Phase::Read);
        let known = identify()?;
        ledger.lap(Phase::Identify);
        match reading {
            Reading::Asked(asked) => Ok((asked, known, body)),
            Reading::NeedsBody => {
                // Boxed, as what is not on every call's way: the size of this future is copied with each call.
                let reading = Box::pin(body.read(self.sidecar.limits.body_to_decide));
                let bytes = reading.await.map_err(Refusal::Body)?;
                let asked = route.adapter.read_with_body(&asking, &bytes).map_err(Refusal::NotUnderstood)?;
                ledger.lap(Phase::Read);
                Ok((asked, known, Inbound::from(bytes)))
            }
        }
    }

    fn unrecorded(&self, head: &Parts) -> Response<Answer> {
        let seen = Seen::default();
        let id = self.ids.decision(self.sidecar.clock.now());
        let (mut response, _, _) = Refusal::Unrecorded.answer(&seen.place(&self.sidecar), id);
        record::mark(id, response.headers_mut());
        tracing::debug!(method = %head.method, "a call was refused since no record could be kept of it");
        response
    }
}

/// How a call that was not refused went.
enum Passed {
    /// To the upstream; this is its answer.
    Forwarded(Response<Answer>),
    /// The sidecar itself knows the answer.
    Answered(Response<Answer>),
}

/// What a refusal can say about a call, as far as the call got.
#[derive(Default)]
struct Seen {
    /// The target, once it is known to be well formed.
    target: Option<PathAndQuery>,
    known: Option<Arc<Known>>,
    standing: Option<Arc<Standing>>,
}

impl Seen {
    fn place<'a>(&'a self, sidecar: &'a Sidecar) -> Place<'a> {
        Place {
            issuer: &sidecar.issuer,
            metadata: metadata::location(
                &sidecar.public_url,
                self.target.as_ref().map_or("", PathAndQuery::path),
            ),
            application: self.known.as_ref().map(|known| known.caller.application.as_str()),
            scopes: self.standing.as_ref().map(|standing| &**standing.session().scopes()),
        }
    }
}

/// What net calls for each request of one worker.
type Serve = Box<dyn Fn(Request<Inbound>, Exchange) -> Guarded>;

/// Answers requests with `worker`.
fn serve(worker: Rc<Worker>) -> Serve {
    Box::new(move |request, exchange| Guarded(Box::pin(Rc::clone(&worker).handle(request, exchange))))
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
