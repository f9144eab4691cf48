//! Forwarding: a permit, an identity and a request become a response. The permit is used up: one permit, one
//! request.

use std::collections::HashMap;
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response, Uri};

use super::assume::Identity;
use super::record::Ledger;
use super::refuse::Refusal;
use super::route::Route;
use crate::grants::{Grants, Standing};
use crate::net::body::{Answer, Inbound};
use crate::net::canonical::Canonical;
use crate::net::upstream::Upstream;
use crate::net::watch::{Cut, Exchange};
use crate::policy::Permit;

/// A worker's ways to the upstreams, by name.
pub(super) struct Upstreams(pub(super) HashMap<Arc<str>, Upstream>);

/// The request as the upstream will see it: the same method and target, clean headers, and the assumed identity.
pub(super) fn request(
    canonical: &Canonical,
    head: Parts,
    body: Inbound,
    identity: &Identity,
    ledger: &Ledger,
) -> Request<Inbound> {
    let mut request = Request::from_parts(head, body);
    *request.method_mut() = canonical.method().clone();
    *request.uri_mut() = Uri::from(canonical.target().clone());
    let headers = request.headers_mut();
    if let Some(authorization) = &identity.authorization {
        headers.insert(AUTHORIZATION, authorization.clone());
    }
    ledger.mark(headers);
    if let Some(traceparent) = ledger.traceparent() {
        headers.insert(TRACEPARENT, traceparent);
    }
    request
}

impl Upstreams {
    /// Sends it, if what was decided on still holds at this very moment.
    ///
    /// Dropping the future before it is done closes the upstream connection; the request may have been received.
    pub(super) async fn forward(
        &self,
        permit: Permit,
        grants: &Grants,
        standing: &Arc<Standing>,
        route: &Route,
        request: Request<Inbound>,
        exchange: &Exchange,
    ) -> Result<Response<Answer>, Refusal> {
        let upstream = self.0.get(&route.upstream).ok_or(Refusal::Internal)?;
        if !grants.still(standing) {
            return Err(Refusal::Unavailable(
                "the grant has changed while the call was under way".to_owned(),
            ));
        }
        let cut = Cut::when(grants.ending(standing));
        let response = upstream.send(request, exchange, Some(&cut)).await.map_err(Refusal::Upstream);
        drop(permit);
        response
    }
}

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The header in which every answer and every forwarded request carries the decision's id.
pub(super) const DECISION: HeaderName = HeaderName::from_static("x-consentry-decision");

/// A decision's id as a header's value.
pub(super) fn decision(id: uuid::Uuid) -> HeaderValue {
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    let text = id.hyphenated().encode_lower(&mut text);
    // Hex digits and dashes are a header value.
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unknown"))
}
