//! Forwarding: a permit, an identity and a request become a response. The permit is used up: one permit, one
//! request.

use std::sync::Arc;

use http::{HeaderName, Request, Uri};

use super::assume::Identity;
use super::record::Ledger;
use super::refuse::Refusal;
use super::route::Route;
use super::sts::Credentials;
use crate::grants::{Grants, Standing};
use crate::net::body::Inbound;
use crate::net::canonical::Canonical;
use crate::net::headers::replace_credentials;
use crate::net::upstream::Upstream;
use crate::policy::Permit;

/// A worker's ways to the upstreams, by name. There are few: looking through them is quicker than a table.
pub(super) struct Upstreams(pub(super) Vec<(Arc<str>, Upstream)>);

/// Makes the request what the upstream will see: the same method and target, clean headers, and in place of the
/// application's credential the assumed identity. Answers what it is still to be signed with, if it is.
pub(super) fn shape(
    request: &mut Request<Inbound>,
    canonical: &Canonical,
    identity: Identity,
    ledger: &Ledger<'_>,
) -> Option<Arc<Credentials>> {
    request.method_mut().clone_from(canonical.method());
    // A request that names path and query alone, in their one spelling, is as it must be.
    let (uri, target) = (request.uri_mut(), canonical.target());
    if uri.authority().is_some() || uri.path_and_query() != Some(target) {
        *uri = Uri::from(target.clone());
    }
    let headers = request.headers_mut();
    let (authorization, signed) = match identity {
        Identity::Bearer(authorization) => (Some(authorization), None),
        Identity::Signed(credentials) => (None, Some(credentials)),
        Identity::None => (None, None),
    };
    replace_credentials(headers, canonical, authorization);
    ledger.mark(headers);
    headers.insert(TRACEPARENT, ledger.traceparent());
    signed
}

impl Upstreams {
    /// The way to the route's upstream. The permit is used up: one permit, one request.
    ///
    /// There is none if what was decided on does not hold at this very moment; whether the lease runs is what the
    /// standing's cut is asked right before the request is written.
    pub(super) fn way(
        &self,
        permit: Permit<'_>,
        grants: &Grants,
        standing: &Standing,
        route: &Route,
    ) -> Result<&Upstream, Refusal> {
        drop(permit);
        let way = self.0.iter().find(|(name, _)| *name == route.upstream);
        let (_, upstream) = way.ok_or(Refusal::Internal)?;
        if !grants.unchanged(standing) {
            return Err(Refusal::Unavailable(
                "the grant has changed while the call was under way".to_owned(),
            ));
        }
        Ok(upstream)
    }
}

/// The header of W3C Trace Context that says which trace a request belongs to.
pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The header in which every answer and every forwarded request carries the decision's id.
pub(super) const DECISION: HeaderName = HeaderName::from_static("x-consentry-decision");
