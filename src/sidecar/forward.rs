//! Forwarding: a permit, an identity and a request become a response. The permit is used up: one permit, one
//! request.

use std::sync::Arc;

use http::{HeaderName, Request, Response, Uri};

use super::assume::Identity;
use super::record::Ledger;
use super::refuse::Refusal;
use super::route::Route;
use crate::grants::{Grants, Standing};
use crate::net::body::{Answer, Inbound};
use crate::net::canonical::Canonical;
use crate::net::headers::replace_credentials;
use crate::net::upstream::Upstream;
use crate::net::watch::{Cut, Exchange};
use crate::policy::Permit;

/// A worker's ways to the upstreams, by name. There are few: looking through them is quicker than a table.
pub(super) struct Upstreams(pub(super) Vec<(Arc<str>, Upstream)>);

/// Makes the request what the upstream will see: the same method and target, clean headers, and in place of the
/// application's credential the assumed identity.
pub(super) fn shape(
    request: &mut Request<Inbound>,
    canonical: &Canonical,
    identity: Identity,
    ledger: &Ledger<'_>,
) {
    request.method_mut().clone_from(canonical.method());
    *request.uri_mut() = Uri::from(canonical.target().clone());
    let headers = request.headers_mut();
    replace_credentials(headers, canonical, identity.authorization);
    ledger.mark(headers);
    headers.insert(TRACEPARENT, ledger.traceparent());
}

impl Upstreams {
    /// Sends it, if what was decided on still holds at this very moment. The permit is used up.
    ///
    /// Dropping the future before it is done closes the upstream connection; the request may have been received.
    pub(super) async fn forward(
        &self,
        permit: Permit,
        grants: &Grants,
        standing: &Arc<Standing>,
        route: &Route,
        request: &mut Option<Request<Inbound>>,
        exchange: &Exchange,
    ) -> Result<Response<Answer>, Refusal> {
        drop(permit);
        let (_, upstream) =
            self.0.iter().find(|(name, _)| *name == route.upstream).ok_or(Refusal::Internal)?;
        if !grants.still(standing) {
            return Err(Refusal::Unavailable(
                "the grant has changed while the call was under way".to_owned(),
            ));
        }
        let cut = Cut::when(grants.ending(standing));
        upstream.send(request, exchange, Some(&cut)).await.map_err(Refusal::Upstream)
    }
}

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The header in which every answer and every forwarded request carries the decision's id.
pub(super) const DECISION: HeaderName = HeaderName::from_static("x-consentry-decision");
