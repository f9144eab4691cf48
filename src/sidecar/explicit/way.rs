//! The way of a request that asks for an identity: from a token among its parameters to its caller, and from the permit
//! to the answer.
//!
//! Whoever shows a token among the parameters has proven nothing before it is read, so that no more than a small form is
//! held for it, and only of so many at once. Between the permit and the answer something is waited for: what the permit rests on must still hold then.

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Request, Response};
use hyper::body::Body as _;

use super::{Answering, Subject};
use crate::model::call::Call;
use crate::net::body::{Answer, Inbound};
use crate::sidecar::Worker;
use crate::sidecar::adapter::{Asked, Reading};
use crate::sidecar::identify::FORM;
use crate::sidecar::life::{asking, parameters};
use crate::sidecar::record::{Ledger, Phase};
use crate::sidecar::refuse::Refusal;
use crate::sidecar::seat::{Footing, Seat};
use crate::sidecar::signed::may_be_form;
use crate::sidecar::stage::{Seen, Understood};
use crate::sidecar::sts::Leave;

impl Worker {
    /// Finds who sent a request without a bearer token: whose token stands among its parameters, or who signed it.
    pub(in crate::sidecar) async fn shown<'w>(
        &'w self,
        (understood, reading): (Understood<'w>, Reading),
        request: &mut Option<Box<Request<Inbound>>>,
        ledger: &mut Ledger<'_>,
        seen: &mut Seen<'w>,
    ) -> Result<(Understood<'w>, Asked), Refusal> {
        let Understood { route, canonical } = &understood;
        let received = request.as_mut().ok_or(Refusal::Internal)?;
        if !route.adapter.takes_token_among_parameters() || received.headers().contains_key(AUTHORIZATION) {
            return self.prove((understood, reading), request, ledger, seen).await;
        }
        let has_body = !received.body().is_end_stream();
        // What is understood without its body, and every body that is no form or a long one, shows no token.
        let may_show = matches!(reading, Reading::NeedsBody)
            && may_be_form(received.headers())
            && received.body().size_hint().lower() <= FORM as u64;
        if has_body && !may_show {
            return self.prove((understood, reading), request, ledger, seen).await;
        }
        let body = if has_body {
            let peer = seen.exchange.map(|exchange| exchange.peer().address.ip());
            let body = self.sidecar.tokens.strangers().read(peer, received, FORM).await?;
            ledger.waited();
            body
        } else {
            Bytes::new()
        };
        let (asked, token) = {
            let parameters = parameters(route, canonical)?;
            let head = asking(canonical, received.headers(), has_body, &parameters);
            let asked = route.adapter.read_with_body(&head, &body).map_err(Refusal::NotUnderstood)?;
            (asked, route.adapter.token_among_parameters(&head, &body).map_err(Refusal::NotUnderstood)?)
        };
        let Some(token) = token else {
            return self.prove((understood, reading), request, ledger, seen).await;
        };
        let now = self.sidecar.clock.seconds();
        let (seat, at_hand) = self.sidecar.tokens.presented(&self.recent, token.expose(), now)?;
        ledger.identified(&seat.known.recorded, at_hand);
        seen.seat = Some(seat);
        Ok((understood, asked))
    }

    /// Answers a permitted call.
    pub(in crate::sidecar) async fn answered(
        &self,
        (answering, leave): (&Answering, Option<&Leave>),
        (Understood { canonical, .. }, call, (seat, footing)): (&Understood<'_>, &Call, (&Seat, &Footing)),
        request: &mut Option<Box<Request<Inbound>>>,
        ledger: &mut Ledger<'_>,
    ) -> Result<Response<Answer>, Refusal> {
        let sidecar = &*self.sidecar;
        let request = request.as_mut().ok_or(Refusal::Internal)?;
        // What it was decided on: it was read before, and stayed the request's.
        let body = read(request, sidecar.limits.body_to_decide).await?;
        let standing = &footing.standing;
        let token = std::str::from_utf8(seat.known.token()).map_err(|_| Refusal::Internal)?;
        let id = ledger.id().as_str().to_owned();
        let subject = Subject { caller: &seat.known.caller, login: standing.login(), token, id: &id };
        let answer = answering.answer(&call.action, (canonical.query(), &body), leave, subject).await?;
        ledger.lap(Phase::Assume);
        ledger.waited();
        sidecar.tokens.still(&seat.known, sidecar.clock.seconds())?;
        if !sidecar.grants.still(standing) {
            return Err(Refusal::Unavailable(
                "the grant has changed while the call was under way".to_owned(),
            ));
        }
        Ok(answer)
    }
}

/// The whole body. It stays the request's.
async fn read(request: &mut Request<Inbound>, limit: usize) -> Result<Bytes, Refusal> {
    if request.body().is_end_stream() {
        return Ok(Bytes::new());
    }
    let body = std::mem::replace(request.body_mut(), Inbound::empty());
    let bytes = body.read(limit).await.map_err(Refusal::Body)?;
    *request.body_mut() = Inbound::from(bytes.clone());
    Ok(bytes)
}
