//! The way of a signed request from its head to a proven caller, in the order in which each step needs the one before.
//!
//! All that can be known without the body is asked first: the access key and its security token, the time, the signature
//! over the head where the head says the body's hash, whether the grant stands, and whether the request was seen before.
//! So nobody who has proven nothing can make a sidecar hold more than a small body, for a few seconds, and only where the
//! signature itself stands in one. (A signature by the hash of a body, which no header says, can be checked with the body alone: whoever
//! has a security token that stands can have one read that is no longer than `limits.body_to_decide`.) What is covered by
//! its SHA-256 and is too long to be held is checked while it streams: its last piece goes on only when the whole was
//! right.
//!
//! A request is noted as seen at the very end, when its caller is proven and has a standing.

use std::net::IpAddr;
use std::rc::Rc;

use bytes::Bytes;
use http::Request;
use hyper::body::Body as _;

use super::{Found, NotProven, Payload, Received, Signature, find, find_in_form, fresh};
use crate::net::body::Inbound;
use crate::net::canonical::Canonical;
use crate::sidecar::Worker;
use crate::sidecar::adapter::{Asked, Reading};
use crate::sidecar::identify::FORM;
use crate::sidecar::life::{asking, parameters};
use crate::sidecar::record::{Ledger, Phase};
use crate::sidecar::refuse::Refusal;
use crate::sidecar::route::Route;
use crate::sidecar::seat::Seat;
use crate::sidecar::stage::{Seen, Understood};

impl Worker {
    /// Proves who sent a signed request, and answers what it asks for, without what belonged to the signature.
    pub(in crate::sidecar) async fn prove<'w>(
        &'w self,
        (Understood { route, canonical }, reading): (Understood<'w>, Reading),
        request: &mut Option<Box<Request<Inbound>>>,
        ledger: &mut Ledger<'_>,
        seen: &mut Seen<'w>,
    ) -> Result<(Understood<'w>, Asked), Refusal> {
        let sidecar = &*self.sidecar;
        let understood = Understood { route, canonical };
        let request = request.as_mut().ok_or(Refusal::Internal)?;
        let has_body = !request.body().is_end_stream();
        let peer = seen.exchange.map(|exchange| exchange.peer().address.ip());
        let (signature, form) = self.signature(&understood, (request, peer), ledger).await?;
        let Understood { route, canonical } = understood;
        let asked = match &reading {
            Reading::Asked(asked) => Some(asked),
            Reading::NeedsBody => None,
        };
        let on = (route, &canonical, asked);
        let (seat, proven) =
            self.before_body(&signature, (form.as_ref(), has_body), on, request, ledger, seen).await?;
        let body = match form {
            Some(form) => Some(form),
            None => self.body(&signature, &seat, request, asked.is_none(), ledger).await?,
        };
        if let Proven::WithBody { at_hand } = proven {
            identified(&seat, at_hand, ledger, seen);
        }
        let asked = match reading {
            Reading::Asked(asked) => asked,
            Reading::NeedsBody => {
                let parameters = parameters(route, &canonical)?;
                let head = asking(&canonical, request.headers(), has_body, &parameters);
                let asked = route.adapter.read_with_body(&head, body.as_ref().unwrap_or(&Bytes::new()));
                let asked = asked.map_err(Refusal::NotUnderstood)?;
                ledger.lap(Phase::Read);
                asked
            }
        };
        // Reading may have taken its time.
        let now = sidecar.clock.seconds();
        if let Some(mark) = signature.mark(Some(&asked), now)? {
            sidecar.nonces.once(&seat.known.caller, &mark, now)?;
        }
        let canonical = signature.strip(request, canonical, body.as_ref())?;
        Ok((Understood { route, canonical }, asked))
    }

    /// All that can be known before a body is read that is still to come.
    async fn before_body<'w>(
        &'w self,
        signature: &Signature,
        (form, has_body): (Option<&Bytes>, bool),
        (route, canonical, asked): (&Route, &Canonical, Option<&Asked>),
        request: &mut Request<Inbound>,
        ledger: &mut Ledger<'_>,
        seen: &mut Seen<'w>,
    ) -> Result<(Rc<Seat>, Proven), Refusal> {
        let sidecar = &*self.sidecar;
        let now = sidecar.clock.seconds();
        let (seat, at_hand) = sidecar.tokens.named(&self.signed, signature.named(), now)?;
        fresh::until(signature.signed_at(), now, signature.age())?;
        let proven = if has_body && form.is_none() && signature.payload() == Payload::Whole {
            Proven::WithBody { at_hand }
        } else {
            check_head(signature, &seat, request, form)?;
            identified(&seat, at_hand, ledger, seen);
            Proven::ByHead
        };
        sidecar.tokens.hold(&seat.known, (route, canonical, request.headers()), now)?;
        match seat.footing(&sidecar.grants, ledger.last()).await {
            Ok((_, tier)) => seen.tier = Some(tier),
            Err(none) => {
                // Its security token is the issuer's word, and its account may want to know that it is still in use.
                if let Proven::WithBody { at_hand } = proven {
                    identified(&seat, at_hand, ledger, seen);
                }
                return Err(Refusal::NoStanding(none));
            }
        }
        if let Some(mark) = signature.mark(asked, now)? {
            sidecar.nonces.look(&mark, now)?;
        }
        Ok((seat, proven))
    }

    /// The signature of a request, and the body where only that could have it.
    async fn signature(
        &self,
        Understood { route, canonical }: &Understood<'_>,
        (request, peer): (&mut Request<Inbound>, Option<IpAddr>),
        ledger: &mut Ledger<'_>,
    ) -> Result<(Signature, Option<Bytes>), Refusal> {
        let schemes = route.adapter.signatures().ok_or(Refusal::NoCredential)?;
        let has_body = !request.body().is_end_stream();
        let at_once = {
            let parameters = parameters(route, canonical)?;
            find(schemes, &asking(canonical, request.headers(), has_body, &parameters))?
        };
        match at_once {
            Found::Nowhere => Err(Refusal::NoCredential),
            Found::Here(signature) => Ok((signature, None)),
            Found::PerhapsInForm => {
                let limit = self.sidecar.limits.body_to_decide.min(FORM);
                if request.body().size_hint().exact().is_none_or(|length| length > limit as u64) {
                    return Err(Refusal::NoCredential);
                }
                let form = self.sidecar.tokens.strangers().read(peer, request, limit).await?;
                ledger.waited();
                let parameters = parameters(route, canonical)?;
                let head = asking(canonical, request.headers(), has_body, &parameters);
                let signature = find_in_form(schemes, &head, &form)?.ok_or(Refusal::NoCredential)?;
                Ok((signature, Some(form)))
            }
        }
    }

    /// Makes sure that the body is the one that was signed: now, if it is to be read or is short; else as it streams.
    /// Answers it, if it was read.
    async fn body(
        &self,
        signature: &Signature,
        seat: &Seat,
        request: &mut Request<Inbound>,
        must_read: bool,
        ledger: &mut Ledger<'_>,
    ) -> Result<Option<Bytes>, Refusal> {
        let (limit, payload) = (self.sidecar.limits.body_to_decide, signature.payload());
        let short = request.body().size_hint().upper().is_some_and(|length| length <= limit as u64);
        match payload {
            // What is asked for must be signed.
            Payload::Uncovered | Payload::Chunks if must_read => return Err(UNSIGNED_MEANING.into()),
            Payload::Uncovered | Payload::Chunks => return Ok(None),
            Payload::Sha256(expected) if !must_read && !short => {
                request.body_mut().expect_sha256(expected).map_err(Refusal::Body)?;
                return Ok(None);
            }
            Payload::Whole | Payload::Sha256(_) | Payload::Md5(_) => {}
        }
        if request.body().is_end_stream() {
            return if payload.is_other_than(b"") { Err(NotProven::OtherBody.into()) } else { Ok(None) };
        }
        let body = read(request, limit).await?;
        ledger.waited();
        ledger.lap(Phase::Read);
        if payload.is_other_than(&body) {
            return Err(NotProven::OtherBody.into());
        }
        if payload == Payload::Whole {
            check(signature, seat, request, Some(&body))?;
        }
        Ok(Some(body))
    }
}

/// How far a caller is proven before a body is read.
#[derive(Clone, Copy)]
enum Proven {
    /// Entirely: the body has to be the one that was signed, and nothing else.
    ByHead,
    /// Not before the body is there.
    WithBody { at_hand: bool },
}

fn identified(seat: &Rc<Seat>, at_hand: bool, ledger: &mut Ledger<'_>, seen: &mut Seen<'_>) {
    ledger.identified(&seat.known.recorded, at_hand);
    seen.seat = Some(Rc::clone(seat));
}

/// Whether the head fits its signature: all but the body, or a form that is here already.
fn check_head(
    signature: &Signature,
    seat: &Seat,
    request: &mut Request<Inbound>,
    form: Option<&Bytes>,
) -> Result<(), Refusal> {
    match signature.payload() {
        Payload::Chunks => chain(signature, seat, request),
        Payload::Whole | Payload::Uncovered | Payload::Sha256(_) | Payload::Md5(_) => {
            check(signature, seat, request, form)
        }
    }
}

fn check(
    signature: &Signature,
    seat: &Seat,
    request: &Request<Inbound>,
    body: Option<&Bytes>,
) -> Result<(), Refusal> {
    let signing = seat.known.signing.as_ref().ok_or(Refusal::Internal)?;
    let (method, uri, headers) = (request.method().as_str(), request.uri(), request.headers());
    Ok(signature.check(signing, &Received { method, uri, headers, body })?)
}

/// The same of a signature that begins a chain, the rest of which is checked as the body streams.
fn chain(signature: &Signature, seat: &Seat, request: &mut Request<Inbound>) -> Result<(), Refusal> {
    match signature {
        Signature::SigV4(carried) => {
            let signing = seat.known.signing.as_ref().ok_or(Refusal::Internal)?;
            Ok(carried.chain(signing, request)?)
        }
        Signature::Acs3(_) | Signature::Acs1Rpc(_) | Signature::Acs1Roa(_) => Err(Refusal::Internal),
    }
}

/// The whole body. It stays the request's.
async fn read(request: &mut Request<Inbound>, limit: usize) -> Result<Bytes, Refusal> {
    let body = std::mem::replace(request.body_mut(), Inbound::empty());
    let bytes = body.read(limit).await.map_err(Refusal::Body)?;
    *request.body_mut() = Inbound::from(bytes.clone());
    Ok(bytes)
}

const UNSIGNED_MEANING: NotProven =
    NotProven::Incomplete("a body that says what is asked for is not covered; sign with its SHA-256");
