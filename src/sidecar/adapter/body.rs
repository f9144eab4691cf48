//! What stands in a body: where the head alone does not say what a request asks for, or who asks.

use http::Request;
use hyper::body::Body as _;

use super::Asked;
use crate::net::body::Inbound;
use crate::sidecar::Worker;
use crate::sidecar::identify::Tokens;
use crate::sidecar::life::{asking, parameters};
use crate::sidecar::record::{Ledger, Phase};
use crate::sidecar::refuse::Refusal;
use crate::sidecar::stage::{Seen, Understood, Unread};

impl Worker {
    /// Who asks for what, where more than the head must be read.
    pub(in crate::sidecar) async fn read_on<'w>(
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

    /// What is asked for, where only the body says it. It is read only for a caller who is known: what is read of others
    /// is bounded by `Strangers`.
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
}

/// Reads what is left of a short body, so that its sender is there to read the refusal, and the refusal can name what it
/// answers. A longer one breaks off, and so does one that comes when many are read.
pub(in crate::sidecar) async fn read_through(
    tokens: &Tokens,
    seen: &Seen<'_>,
    request: &mut Option<Box<Request<Inbound>>>,
) {
    let (Some(route), Some(request)) = (seen.route, request) else { return };
    if request.body().is_end_stream() {
        return;
    }
    let peer = seen.exchange.map(|exchange| exchange.peer().address.ip());
    // It is refused either way; all that is lost is what its sender would have read.
    let _ = tokens.strangers().read(peer, request, route.adapter.reads_before_refusing()).await;
}
