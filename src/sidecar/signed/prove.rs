//! The way of a signed request from its head to a proven caller, in the order in which each step needs the one before.
//!
//! Nobody who has proven nothing can make a sidecar hold more than a small body, and only where the signature itself
//! stands in one. What its SHA-256 covers and is too long to be held is checked while it streams: its last piece goes on
//! only when the whole was right.

use bytes::Bytes;
use http::Request;
use hyper::body::Body as _;

use super::{Found, NotProven, Payload, Received, Signature, find, find_in_form, fresh};
use crate::net::body::Inbound;
use crate::sidecar::adapter::{Asked, Reading};
use crate::sidecar::record::{Ledger, Phase};
use crate::sidecar::refuse::Refusal;
use crate::sidecar::seat::Seat;
use crate::sidecar::{Seen, Understood, Worker, asking, parameters};
use crate::token::random::{equal, sha256};

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
        let (signature, mut body) = self.signature(&understood, request, ledger).await?;
        let Understood { route, canonical } = understood;
        let now = sidecar.clock.seconds();
        let (seat, at_hand) = sidecar.tokens.named(&self.signed, signature.named(), now)?;
        let until = fresh::until(signature.signed_at(), now, signature.skew())?;
        match signature.payload() {
            Payload::Whole => {
                if has_body && body.is_none() {
                    body = Some(read(request, sidecar.limits.body_to_decide).await?);
                    ledger.waited();
                }
                check(&signature, &seat, request, body.as_ref())?;
            }
            Payload::Uncovered => check(&signature, &seat, request, None)?,
            Payload::Chunks => chain(&signature, &seat, request)?,
            Payload::Sha256(expected) => {
                check(&signature, &seat, request, None)?;
                let must_read = matches!(reading, Reading::NeedsBody);
                body = self.cover(request, expected, must_read, ledger).await?;
            }
        }
        ledger.identified(&seat.known.recorded, at_hand);
        let account = seat.known.caller.principal.account.clone();
        seen.seat = Some(seat);
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
        if let Some(nonce) = signature.nonce().filter(|_| !signature.may_repeat(&asked)) {
            sidecar.nonces.once((&account, &signature.named().access_key_id, nonce), until, now)?;
        }
        let canonical = signature.strip(request, canonical, body.as_ref())?;
        Ok((Understood { route, canonical }, asked))
    }

    /// The signature of a request, and the body where only that could have it.
    async fn signature(
        &self,
        Understood { route, canonical }: &Understood<'_>,
        request: &mut Request<Inbound>,
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
                let limit = self.sidecar.limits.body_to_decide.min(UNPROVEN_BODY);
                if request.body().size_hint().exact().is_none_or(|length| length > limit as u64) {
                    return Err(Refusal::NoCredential);
                }
                let form = read(request, limit).await?;
                ledger.waited();
                let parameters = parameters(route, canonical)?;
                let head = asking(canonical, request.headers(), has_body, &parameters);
                let signature = find_in_form(schemes, &head, &form)?.ok_or(Refusal::NoCredential)?;
                Ok((signature, Some(form)))
            }
        }
    }

    /// Makes sure that the body is the one with this hash: now, if it is to be read or is short; else as it streams.
    async fn cover(
        &self,
        request: &mut Request<Inbound>,
        expected: [u8; 32],
        must_read: bool,
        ledger: &mut Ledger<'_>,
    ) -> Result<Option<Bytes>, Refusal> {
        let limit = self.sidecar.limits.body_to_decide;
        if request.body().is_end_stream() {
            return if equal(&sha256(b""), &expected) { Ok(None) } else { Err(NotProven::OtherBody.into()) };
        }
        let short = request.body().size_hint().upper().is_some_and(|length| length <= limit as u64);
        if !must_read && !short {
            request.body_mut().expect_sha256(expected).map_err(Refusal::Body)?;
            return Ok(None);
        }
        let body = read(request, limit).await?;
        ledger.waited();
        if equal(&sha256(&body), &expected) { Ok(Some(body)) } else { Err(NotProven::OtherBody.into()) }
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

/// The longest form that is read of somebody who has proven nothing, in bytes.
const UNPROVEN_BODY: usize = 64 * 1024;
