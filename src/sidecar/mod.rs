//! PEP: the sidecar. One request comes in; it is forwarded with the user's assumed identity, or refused.
//!
//! The whole life of a call stands in `Worker::handle`, each step's output the next step's input. A step that fails
//! ends in a `Refusal`; there is no other way out, and every way out leaves a record.

mod acs;
mod adapter;
pub mod admin;
mod assume;
mod aws;
mod explicit;
mod forward;
mod identify;
pub mod intercept;
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
use http::{HeaderMap, Request, Response};
use hyper::body::Body as _;

use crate::config::sidecar::Limits;
use crate::grants::{Grants, Standing, Tier};
use crate::model::call::Call;
use crate::model::decision::Outcome;
use crate::model::time::Clock;
use crate::net::body::{Answer, Inbound};
use crate::net::canonical::{self, Candidate, Canonical, Malformed, Rules};
use crate::net::headers;
use crate::net::listener::Abandoned;
use crate::net::upstream::Upstream;
use crate::net::watch::Exchange;
use crate::observe::metrics::Metrics;
use crate::observe::records::Records;
use crate::policy::{self, Surroundings};
use crate::token::session::SessionKey;
use adapter::{Asked, Head, NotUnderstood, Parameters, Permitted, Reading};
use assume::{AtHand, Errand, Identities, Identity};
use explicit::Answering;
use forward::Upstreams;
use identify::Tokens;
use intercept::Interception;
use mcp::Tended;
use record::{Desk, Id, Ledger, Phase};
use refuse::{Place, Refusal};
use repeat::{Repeat, Said};
use route::{Assume, Route, Routes};
use seat::{Footing, Recent, Seat};
use signed::Nonces;
use sts::{Leave, Sts};

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

impl Worker {
    /// Answers one request, whatever it is.
    ///
    /// All is in one future, and others in it only where something may be waited for: a future is copied into the one
    /// that awaits it, with each call.
    pub(super) fn handle(
        self: Rc<Self>,
        request: Request<Inbound>,
        exchange: Exchange,
    ) -> impl Future<Output = Response<Answer>> {
        // It stays where it is until it is sent.
        let mut request = Some(Box::new(request));
        async move {
            let sidecar = &*self.sidecar;
            let Ok(place) = sidecar.records.claim() else { return self.unrecorded() };
            let mut ledger = Ledger::open(place, &self.desk, sidecar.clock.now(), request.as_deref());
            let mut seen = Seen { exchange: Some(&exchange), ..Seen::default() };
            let refusal = match 'life: {
                // A block of its own: what leads to the decision takes no room in the future that waits for the answer.
                let (upstream, tended) = {
                    let led = match self.lead(&mut request, &exchange, &mut ledger, &mut seen) {
                        Ok(Led::Ready(ready)) => Ok(ready),
                        // Boxed, as what is not on every call's way.
                        Ok(Led::Paused(pause)) => {
                            let on = self.lead_on(*pause, &mut request, &exchange, &mut ledger, &mut seen);
                            Box::pin(on).await
                        }
                        Err(refusal) => Err(refusal),
                    };
                    match led {
                        Ok(Ready::Go(upstream, tended)) => (upstream, tended),
                        Ok(Ready::Answered(response)) => break 'life Ok((*response, Outcome::Answered, OK)),
                        Err(refusal) => break 'life Err(refusal),
                    }
                };
                let Some(footing) = &seen.footing else { break 'life Err(Refusal::Internal) };
                let sent = upstream.send(&mut request, &exchange, Some(&footing.cut)).await;
                ledger.lap(Phase::Forward);
                match (sent, tended) {
                    (Ok(response), None) => Ok((response, Outcome::Forwarded, OK)),
                    // Boxed, as what is not on every call's way.
                    (Ok(response), Some(tended)) => Ok(Box::pin(attend(response, tended, &mut ledger)).await),
                    (Err(error), _) => Err(Refusal::Upstream(error)),
                }
            } {
                Ok((response, outcome, code)) => return conclude(response, outcome, code, &mut ledger),
                Err(refusal) => refusal,
            };
            if seen.route.is_some_and(|route| route.adapter.reads_before_refusing() > 0) {
                Box::pin(read_through(&seen, &mut request)).await;
            }
            let (response, outcome, code) =
                refusal.answer(&seen.place(sidecar, request.as_deref()), ledger.id());
            conclude(response, outcome, code, &mut ledger)
        }
    }

    /// As far as a call gets without waiting for anything: what it asks for, who asks, what that rests on, the decision.
    fn lead<'w>(
        self: &'w Rc<Self>,
        request: &mut Option<Box<Request<Inbound>>>,
        exchange: &Exchange,
        ledger: &mut Ledger<'_>,
        seen: &mut Seen<'w>,
    ) -> Result<Led<'w>, Refusal> {
        let (understood, said) = match self.begin(request, ledger, seen)? {
            Begun::Understood(understood, said) => (understood, said),
            Begun::Unread(unread) => return Ok(Led::Paused(Box::new(Pause::Unread(unread)))),
            Begun::Answered(response) => return Ok(Led::Ready(Ready::Answered(response))),
        };
        let seat = seen.seat.as_deref().ok_or(Refusal::Internal)?;
        // What the account has granted.
        let Some(footing) = seat.footing_at_hand(&self.sidecar.grants, ledger.last()) else {
            return Ok(Led::Paused(Box::new(Pause::Unfound(understood, said))));
        };
        ledger.found(&footing.standing, seen.tier.unwrap_or(Tier::Held));
        let footing = &**seen.footing.insert(footing);
        let based = Based { seat, footing, fetched: None };
        Ok(match self.decide(&understood, &said, based, request, exchange, ledger)? {
            Decided::Go(upstream, tended) => Led::Ready(Ready::Go(upstream, tended)),
            Decided::Later(later) => Led::Paused(Box::new(Pause::Decided(later, understood, said))),
        })
    }

    /// The same from where something must be waited for.
    async fn lead_on<'w>(
        &'w self,
        pause: Pause<'w>,
        request: &mut Option<Box<Request<Inbound>>>,
        exchange: &Exchange,
        ledger: &mut Ledger<'_>,
        seen: &mut Seen<'w>,
    ) -> Result<Ready<'w>, Refusal> {
        let (later, understood, said) = match pause {
            Pause::Unread(unread) => {
                let (understood, asked) = self.read_on(unread, request, ledger, seen).await?;
                let seat = seen.seat.as_deref().ok_or(Refusal::Internal)?;
                (None, understood, Said::now(asked, seat, ledger))
            }
            Pause::Unfound(understood, said) => (None, understood, said),
            Pause::Decided(later, understood, said) => (Some(later), understood, said),
        };
        let seat = seen.seat.as_deref().ok_or(Refusal::Internal)?;
        let later = match later {
            Some(later) => later,
            None => {
                let found = seat.footing(&self.sidecar.grants, ledger.last()).await;
                let (footing, tier) = found.map_err(Refusal::NoStanding)?;
                ledger.found(&footing.standing, seen.tier.map_or(tier, |one| one.max(tier)));
                let based = Based { seat, footing: seen.footing.insert(footing), fetched: None };
                match self.decide(&understood, &said, based, request, exchange, ledger)? {
                    Decided::Go(upstream, tended) => return Ok(Ready::Go(upstream, tended)),
                    Decided::Later(later) => later,
                }
            }
        };
        let footing = seen.footing.as_deref().ok_or(Refusal::Internal)?;
        self.wait(later, (&understood, &said, seat, footing), request, exchange, ledger).await
    }

    /// What can be known of a request at once: its one spelling, its route, what it asks for, and who asks.
    fn begin<'w>(
        self: &'w Rc<Self>,
        request: &mut Option<Box<Request<Inbound>>>,
        ledger: &mut Ledger<'_>,
        seen: &mut Seen<'w>,
    ) -> Result<Begun<'w>, Refusal> {
        let sidecar = &*self.sidecar;
        let request = request.as_mut().ok_or(Refusal::Internal)?;
        // Policy and upstream see the same bytes.
        let candidate = match canonical::read(request) {
            Ok(candidate) => candidate,
            Err(Malformed::Connect) => return self.tunnel(request, seen, ledger).map(Begun::answered),
            Err(malformed) => return Err(Refusal::Malformed(malformed)),
        };
        seen.is_well_formed = true;
        let now = ledger.at().as_second();
        let at_hand = sidecar.tokens.at_hand(&self.recent, request.headers(), now);
        let within = seen.exchange.and_then(Exchange::within);
        if let Some(tunnel) = within {
            tunnel.admits(request, &candidate).map_err(Refusal::Malformed)?;
        } else if let Some((seat, repeat)) =
            at_hand.as_ref().and_then(|seat| Some((Rc::clone(seat), seat.repeat(&candidate)?)))
        {
            return self.begin_again((seat, repeat), (request, candidate), ledger, seen);
        }
        if let Some(answer) = metadata::answer(request.method(), &candidate, sidecar) {
            return Ok(Begun::answered(answer));
        }
        let route = sidecar.routes.find(candidate.path(), candidate.host());
        // The first that fits takes it. Where that is not for tunnels, no later one is meant either.
        let route = route.filter(|route| within.is_none() || route.intercept).ok_or(Refusal::NoRoute)?;
        ledger.routed(&route.recorded);
        seen.route = Some(route);
        let canonical = admit(request, candidate, route)?;
        let parameters = parameters(route, &canonical)?;
        let has_body = !request.body().is_end_stream();
        let asking = asking(&canonical, request.headers(), has_body, &parameters);
        let reading = route.adapter.read(&asking).map_err(Refusal::NotUnderstood)?;
        let acs = route.adapter.takes_acs_bearer();
        let known = match at_hand {
            Some(seat) if !acs => Ok((seat, true)),
            Some(_) | None => sidecar.tokens.identify(&self.recent, request.headers(), acs, now),
        };
        let understood = Understood { route, canonical };
        let (seat, at_hand) = match known {
            Ok(known) => known,
            Err(Refusal::NoCredential) if route.adapter.signatures().is_some() => {
                return Ok(Begun::Unread(Unread::Signed(understood, reading)));
            }
            Err(refusal) => return Err(refusal),
        };
        ledger.identified(&seat.known.recorded, at_hand);
        let seat = seen.seat.insert(seat);
        Ok(match reading {
            Reading::Asked(asked) => Begun::Understood(understood, Said::now(asked, seat, ledger)),
            Reading::NeedsBody => Begun::Unread(Unread::Body(understood)),
        })
    }

    /// The same of a request that its caller has sent before: what it asks for need not be read again.
    fn begin_again<'w>(
        &'w self,
        (seat, repeat): (Rc<Seat>, Rc<Repeat>),
        (request, candidate): (&mut Request<Inbound>, Candidate),
        ledger: &mut Ledger<'_>,
        seen: &mut Seen<'w>,
    ) -> Result<Begun<'w>, Refusal> {
        let route = self.sidecar.routes.at(repeat.route()).ok_or(Refusal::Internal)?;
        ledger.routed(&route.recorded);
        seen.route = Some(route);
        let canonical = admit(request, candidate, route)?;
        ledger.identified(repeat.recorded(), true);
        seen.seat = Some(seat);
        Ok(Begun::Understood(Understood { route, canonical }, Said::Before(repeat)))
    }

    /// Whether the call may pass, and what the upstream will see of it. The permit is used up: one permit, one request.
    fn decide<'w>(
        &'w self,
        Understood { route, canonical }: &Understood<'w>,
        said: &Said,
        Based { seat, footing: Footing { standing, .. }, fetched }: Based<'_>,
        request: &mut Option<Box<Request<Inbound>>>,
        exchange: &Exchange,
        ledger: &mut Ledger<'_>,
    ) -> Result<Decided<'w>, Refusal> {
        let sidecar = &*self.sidecar;
        let request = request.as_mut().ok_or(Refusal::Internal)?;
        let (known, call) = (&seat.known, said.call());
        let around = Surroundings {
            ip: exchange.peer().address.ip(),
            // Read again only if something was waited for.
            time: if ledger.has_waited() { sidecar.clock.now() } else { ledger.at() },
            method: canonical.method().as_str(),
            host: canonical.host(),
            path: canonical.path(),
        };
        sidecar.tokens.hold(known, (route, canonical, request.headers()), around.time.as_second())?;
        may_also(said.also(), standing, &around, ledger)?;
        let permit = policy::decide(standing.session(), call, &around).map_err(|denial| {
            ledger.denied(&denial);
            Refusal::Denied(denial)
        })?;
        if permit.remembered() && exchange.within().is_none() {
            seat.learn(said, route, canonical);
        }
        let now = around.time.as_second();
        if let Some(answering) = route.answering.as_ref().filter(|answering| answering.answers(&call.action))
        {
            let asked = (canonical.query(), request.body().whole());
            let leave = answering.leave(&permit, (known, standing), asked, now)?;
            ledger.permitted(&permit);
            return Ok(Decided::Later(Later::Answer(answering, leave)));
        }
        let at_hand = match fetched {
            Some(identity) => AtHand::Identity(identity),
            None => sidecar.identities.at_hand(&permit, known, standing, route, now)?,
        };
        let identity = match at_hand {
            AtHand::Errand(errand) => {
                ledger.lap(Phase::Decide);
                return Ok(Decided::Later(Later::Errand(errand)));
            }
            AtHand::Identity(identity) => {
                ledger.permitted(&permit);
                identity
            }
            AtHand::Made => {
                ledger.permitted(&permit);
                let spelled = (canonical.method().as_str(), canonical.path());
                sidecar.identities.assume(&permit, known, standing, route, spelled, now)?
            }
        };
        let tended = route.adapter.tend(&mut Permitted {
            request,
            call,
            caller: &known.caller,
            standing,
            around: &around,
            sessions: &sidecar.sessions,
            route,
            limit: sidecar.limits.body_to_decide,
        });
        let tended = tended.map_err(Refusal::NotUnderstood)?;
        let signed = forward::shape(request, canonical, identity, ledger);
        let upstream = self.upstreams.way(permit, &sidecar.grants, standing, route)?;
        if let (Some(by), Assume::Sts(sts)) = (signed, &route.assume) {
            sts.sign(request, call, upstream, &by, now)?;
        }
        ledger.lap(Phase::Assume);
        Ok(Decided::Go(upstream, tended))
    }

    /// What a call comes to for which something had to be fetched. It is decided anew once that is back: much may have
    /// changed meanwhile.
    async fn wait<'w>(
        &'w self,
        later: Later<'w>,
        (understood, said, seat, footing): (&Understood<'w>, &Said, &Seat, &Footing),
        request: &mut Option<Box<Request<Inbound>>>,
        exchange: &Exchange,
        ledger: &mut Ledger<'_>,
    ) -> Result<Ready<'w>, Refusal> {
        let errand = match later {
            Later::Errand(errand) => errand,
            Later::Answer(answering, leave) => {
                let asked = (understood, said.call(), (seat, footing));
                let answer = self.answered((answering, leave.as_deref()), asked, request, ledger).await;
                return answer.map(Box::new).map(Ready::Answered);
            }
        };
        let fetched = Some(errand.await?);
        ledger.lap(Phase::Assume);
        ledger.waited();
        let based = Based { seat, footing, fetched };
        match self.decide(understood, said, based, request, exchange, ledger)? {
            Decided::Go(upstream, tended) => Ok(Ready::Go(upstream, tended)),
            Decided::Later(_) => Err(Refusal::Internal),
        }
    }

    /// Who asks for what, where more than the head must be read.
    async fn read_on<'w>(
        &'w self,
        unread: Unread<'w>,
        request: &mut Option<Box<Request<Inbound>>>,
        ledger: &mut Ledger<'_>,
        seen: &mut Seen<'w>,
    ) -> Result<(Understood<'w>, Asked), Refusal> {
        match unread {
            Unread::Signed(understood, reading) => {
                self.shown((understood, reading), request, ledger, seen).await
            }
            Unread::Body(understood) => {
                let asked = self.read_body(&understood, request, ledger).await?;
                Ok((understood, asked))
            }
        }
    }

    /// What is asked for, where only the body says it. It is read only for a caller who is known: nobody else can make
    /// a sidecar hold one.
    async fn read_body(
        &self,
        Understood { route, canonical }: &Understood<'_>,
        request: &mut Option<Box<Request<Inbound>>>,
        ledger: &mut Ledger<'_>,
    ) -> Result<Asked, Refusal> {
        let request = request.as_mut().ok_or(Refusal::Internal)?;
        let body = std::mem::replace(request.body_mut(), Inbound::empty());
        let has_body = !body.is_end_stream();
        let bytes = body.read(self.sidecar.limits.body_to_decide).await.map_err(Refusal::Body)?;
        *request.body_mut() = Inbound::from(bytes.clone());
        let parameters = parameters(route, canonical)?;
        let asking = asking(canonical, request.headers(), has_body, &parameters);
        let asked = route.adapter.read_with_body(&asking, &bytes).map_err(Refusal::NotUnderstood)?;
        ledger.lap(Phase::Read);
        ledger.waited();
        Ok(asked)
    }

    fn unrecorded(&self) -> Response<Answer> {
        self.sidecar.metrics.count_unrecorded();
        tracing::debug!("a call was refused since no record could be kept of it");
        let seen = Seen::default();
        let id = Id::new(&self.desk, self.sidecar.clock.now());
        let (mut response, _, _) = Refusal::Unrecorded.answer(&seen.place(&self.sidecar, None), &id);
        id.mark(response.headers_mut());
        response
    }
}

/// The answer, and the last words of the record.
fn conclude(
    mut response: Response<Answer>,
    outcome: Outcome,
    code: &'static str,
    ledger: &mut Ledger<'_>,
) -> Response<Answer> {
    ledger.end(outcome, code, response.status());
    ledger.mark(response.headers_mut());
    response
}

/// The answer as its protocol wants it.
async fn attend(
    response: Response<Answer>,
    tended: Box<Tended>,
    ledger: &mut Ledger<'_>,
) -> (Response<Answer>, Outcome, &'static str) {
    let attended = tended.answer(response).await;
    ledger.lap(Phase::Forward);
    match attended.refused {
        None => (attended.response, Outcome::Forwarded, OK),
        Some(code) => (attended.response, Outcome::Failed, code),
    }
}

/// Whether what else the call comes to may be, too.
fn may_also(
    also: &[Call],
    standing: &Standing,
    around: &Surroundings<'_>,
    ledger: &mut Ledger<'_>,
) -> Result<(), Refusal> {
    for other in also {
        let permit = policy::decide(standing.session(), other, around).map_err(|denial| {
            ledger.denied(&denial);
            Refusal::Denied(denial)
        })?;
        // The request is forwarded by one, when all are there.
        drop(permit);
    }
    Ok(())
}

/// Reads what is left of a short body, so that its sender is there to read the refusal, and the refusal can name what it
/// answers. A longer one breaks off.
async fn read_through(seen: &Seen<'_>, request: &mut Option<Box<Request<Inbound>>>) {
    let (Some(route), Some(request)) = (seen.route, request) else { return };
    if request.body().whole().is_some() || request.body().is_end_stream() {
        return;
    }
    let body = std::mem::replace(request.body_mut(), Inbound::empty());
    if let Ok(bytes) = body.read(route.adapter.reads_before_refusing()).await {
        *request.body_mut() = Inbound::from(bytes);
    }
}

/// The code of what was answered as it should be.
const OK: &str = "ok";

/// How far a call has got.
enum Led<'w> {
    /// There is nothing to wait for.
    Ready(Ready<'w>),
    /// There is.
    Paused(Box<Pause<'w>>),
}

/// A call that may pass, or is answered.
enum Ready<'w> {
    /// Shaped, and on its way.
    Go(&'w Upstream, Option<Box<Tended>>),
    /// The sidecar itself knows the answer.
    Answered(Box<Response<Answer>>),
}

/// Where a call stands that must wait.
enum Pause<'w> {
    /// More of it must be read.
    Unread(Unread<'w>),
    /// What it rests on must be found.
    Unfound(Understood<'w>, Said),
    /// It may pass, and something must be fetched.
    Decided(Later<'w>, Understood<'w>, Said),
}

/// A request that was begun.
enum Begun<'w> {
    /// It is a call.
    Understood(Understood<'w>, Said),
    /// It is a call, and more must be read.
    Unread(Unread<'w>),
    /// The sidecar itself knows the answer.
    Answered(Box<Response<Answer>>),
}

impl Begun<'_> {
    fn answered(response: Response<Answer>) -> Self {
        Self::Answered(Box::new(response))
    }
}

/// A call of which something stands where it must be waited for.
enum Unread<'w> {
    /// What is asked for: in the body.
    Body(Understood<'w>),
    /// Whose it is: in a signature, or beside what is asked for.
    Signed(Understood<'w>, Reading),
}

/// What a decision is made on.
struct Based<'a> {
    seat: &'a Seat,
    footing: &'a Footing,
    /// The identity, where it had to be waited for.
    fetched: Option<Identity>,
}

/// A call that may pass.
enum Decided<'w> {
    /// Shaped, and on its way.
    Go(&'w Upstream, Option<Box<Tended>>),
    /// Once something has been waited for.
    Later(Later<'w>),
}

/// What a call that may pass waits for.
enum Later<'w> {
    /// Its identity. Then it is decided anew.
    Errand(Errand),
    /// What the sidecar itself answers: it asks for an identity. With what a cloud's STS may be asked, where it is.
    Answer(&'w Answering, Option<Box<Leave>>),
}

/// A call, as far as it is known without waiting.
struct Understood<'w> {
    route: &'w Route,
    canonical: Canonical,
}

/// The request as the route takes it, with clean headers.
fn admit(request: &mut Request<Inbound>, candidate: Candidate, route: &Route) -> Result<Canonical, Refusal> {
    let rules = Rules {
        normalise: route.normalise,
        websocket: route.websocket,
        body_on_any_method: route.body_on_any_method,
    };
    let canonical = candidate.admit(rules).map_err(Refusal::Malformed)?;
    let version = request.version();
    headers::clean_request(request.headers_mut(), &canonical, version).map_err(Refusal::Malformed)?;
    Ok(canonical)
}

fn parameters<'a>(route: &'a Route, canonical: &'a Canonical) -> Result<Parameters<'a>, Refusal> {
    let not_text = NotUnderstood::Malformed { what: "a part of the path", expected: "text once decoded" };
    route.parameters(canonical.path()).map_err(|_| Refusal::NotUnderstood(not_text))
}

fn asking<'a>(
    canonical: &'a Canonical,
    headers: &'a HeaderMap,
    has_body: bool,
    parameters: &'a Parameters<'a>,
) -> Head<'a> {
    Head {
        method: canonical.method(),
        host: canonical.host(),
        path: canonical.path(),
        query: canonical.query(),
        headers,
        has_body,
        parameters,
    }
}

/// What a refusal can say about a call, as far as the call got.
#[derive(Default)]
struct Seen<'w> {
    /// How it came.
    exchange: Option<&'w Exchange>,
    /// It speaks its protocol's own words of refusal.
    route: Option<&'w Route>,
    /// The request's target has one spelling, so that an answer may name it.
    is_well_formed: bool,
    seat: Option<Rc<Seat>>,
    /// Where its standing was found, if that had to be known before it was read.
    tier: Option<Tier>,
    footing: Option<Rc<Footing>>,
}

impl Seen<'_> {
    /// `request` is what is left of it: nothing once it was sent, and then nothing is said of its target.
    fn place<'a>(&'a self, sidecar: &'a Sidecar, request: Option<&'a Request<Inbound>>) -> Place<'a> {
        let path = request.filter(|_| self.is_well_formed).map_or("", |request| request.uri().path());
        Place {
            issuer: &sidecar.issuer,
            metadata: metadata::location(&sidecar.public_url, path),
            application: self.seat.as_ref().map(|seat| seat.known.caller.application.as_str()),
            scopes: self.footing.as_ref().map(|footing| &**footing.standing.session().scopes()),
            adapter: self.route.map(|route| &*route.adapter),
            request,
        }
    }
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
