//! The life of a call: each step's output is the next step's input.
//!
//! Comes in: a request, and how it came. Goes out: the upstream's answer, the sidecar's own, or a [`Refusal`]. A step that
//! fails ends in a refusal; there is no other way out, and every way out leaves a record.

use std::rc::Rc;

use http::{HeaderMap, Request, Response};
use hyper::body::Body as _;

use super::Worker;
use super::adapter::{Head, NotUnderstood, Parameters, Permitted, Reading, read_through};
use super::assume::AtHand;
use super::forward;
use super::mcp::Tended;
use super::metadata;
use super::record::{Id, Ledger, Phase};
use super::refuse::Refusal;
use super::repeat::{Repeat, Said};
use super::route::{Assume, Route};
use super::seat::{Footing, Seat};
use super::stage::{Based, Begun, Decided, Later, Led, Pause, Ready, Seen, Understood, Unread};
use crate::grants::{Standing, Tier};
use crate::model::call::Call;
use crate::model::decision::Outcome;
use crate::net::body::{Answer, Inbound};
use crate::net::canonical::{self, Candidate, Canonical, Malformed, Rules};
use crate::net::headers;
use crate::net::watch::Exchange;
use crate::policy::{self, Surroundings};

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
            let refusal = 'life: {
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
                        Ok(Ready::Answered(response)) => {
                            return conclude(*response, Outcome::Answered, OK, &mut ledger);
                        }
                        Err(refusal) => break 'life refusal,
                    }
                };
                let Some(footing) = &seen.footing else { break 'life Refusal::Internal };
                let sent = upstream.send(&mut request, &exchange, Some(&footing.cut)).await;
                ledger.lap(Phase::Forward);
                match sent {
                    Ok(response) => {
                        let Some(tended) = tended else {
                            return conclude(response, Outcome::Forwarded, OK, &mut ledger);
                        };
                        // Boxed, as what is not on every call's way.
                        return Box::pin(attend(response, tended, &mut ledger)).await;
                    }
                    Err(error) => Refusal::Upstream(error),
                }
            };
            if seen.route.is_some_and(|route| route.adapter.reads_before_refusing() > 0) {
                Box::pin(read_through(&sidecar.tokens, &seen, &mut request)).await;
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
        let at_hand = sidecar.tokens.at_hand(&self.recent, candidate.authorization(request.headers()), now);
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
        let around = self.around(canonical, exchange, ledger);
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
            ledger.permitted(&permit, said);
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
                ledger.permitted(&permit, said);
                identity
            }
            AtHand::Made => {
                ledger.permitted(&permit, said);
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
            clock: &sidecar.clock,
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

    /// What else is known of a call than who asks for what.
    fn around<'a>(
        &self,
        canonical: &'a Canonical,
        exchange: &Exchange,
        ledger: &Ledger<'_>,
    ) -> Surroundings<'a> {
        Surroundings {
            ip: exchange.peer().address.ip(),
            // Read again only if something was waited for.
            time: if ledger.has_waited() { self.sidecar.clock.now() } else { ledger.at() },
            method: canonical.method().as_str(),
            host: canonical.host(),
            path: canonical.path(),
        }
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
) -> Response<Answer> {
    let attended = tended.answer(response).await;
    ledger.lap(Phase::Forward);
    let (outcome, code) = match attended.refused {
        None => (Outcome::Forwarded, OK),
        Some(code) => (Outcome::Failed, code),
    };
    conclude(attended.response, outcome, code, ledger)
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

/// The code of what was answered as it should be.
const OK: &str = "ok";

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

pub(super) fn parameters<'a>(route: &'a Route, canonical: &'a Canonical) -> Result<Parameters<'a>, Refusal> {
    let not_text = NotUnderstood::Malformed { what: "a part of the path", expected: "text once decoded" };
    route.parameters(canonical.path()).map_err(|_| Refusal::NotUnderstood(not_text))
}

pub(super) fn asking<'a>(
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
