//! Assertions: a short-lived token of this sidecar's own, for upstreams that know its issuer.
//!
//! One is signed once for a token's standing and route and used again while it lives, so that a warm call signs
//! nothing; where the route binds, each call has its own.

use std::sync::Arc;

use http::HeaderValue;
use jiff::Timestamp;
use parking_lot::RwLock;

use super::Identity;
use crate::grants::Standing;
use crate::model::caller::Caller;
use crate::model::scope::ScopeSet;
use crate::policy::Permit;
use crate::sidecar::identify::Known;
use crate::sidecar::refuse::Refusal;
use crate::sidecar::route::Route;
use crate::token::assertion::{AssertionSigner, Assumed, Binding};

/// The assertions that one token's calls may carry again, by the route's place in the table.
#[derive(Default)]
pub(in crate::sidecar) struct Prepared(RwLock<Vec<Option<Ready>>>);

struct Ready {
    /// What it was signed on. Any other standing has an assertion of its own.
    standing: Arc<Standing>,
    authorization: HeaderValue,
    use_until: i64,
}

impl Prepared {
    fn get(&self, route: &Route, standing: &Arc<Standing>, now: i64) -> Option<HeaderValue> {
        let prepared = self.0.read();
        let ready = prepared.get(route.index)?.as_ref()?;
        let good = Arc::ptr_eq(&ready.standing, standing) && now < ready.use_until;
        good.then(|| ready.authorization.clone())
    }

    fn put(&self, route: &Route, ready: Ready) {
        let mut prepared = self.0.write();
        if prepared.len() <= route.index {
            prepared.resize_with(route.index + 1, || None);
        }
        if let Some(place) = prepared.get_mut(route.index) {
            *place = Some(ready);
        }
    }
}

/// The assertion for one permitted call.
pub(super) fn assume(
    signer: &AssertionSigner,
    permit: &Permit<'_>,
    known: &Known,
    standing: &Arc<Standing>,
    route: &Route,
    (method, path): (&str, &str),
    now: i64,
) -> Result<Identity, Refusal> {
    let (caller, scopes) = (&known.caller, permit.scopes());
    let sign = |binding| sign(signer, caller, standing, scopes, route, binding, now);
    if route.bind {
        let (authorization, _) = sign(Some(Binding { method, path, body: None }))?;
        return Ok(Identity::Bearer(authorization));
    }
    if let Some(authorization) = known.prepared.get(route, standing, now) {
        return Ok(Identity::Bearer(authorization));
    }
    let (authorization, expires_at) = sign(None)?;
    let use_until = expires_at.saturating_sub(SPARE_SECONDS);
    let ready = Ready { standing: Arc::clone(standing), authorization: authorization.clone(), use_until };
    known.prepared.put(route, ready);
    Ok(Identity::Bearer(authorization))
}

fn sign(
    signer: &AssertionSigner,
    caller: &Caller,
    standing: &Standing,
    scopes: &ScopeSet,
    route: &Route,
    binding: Option<Binding<'_>>,
    now: i64,
) -> Result<(HeaderValue, i64), Refusal> {
    let grant = &standing.installed().grant;
    let ends_at = grant.expires_at.map(Timestamp::as_second);
    let assumed = Assumed { caller, scopes, revision: grant.revision, ends_at, audience: &route.audience };
    let unsigned = |why: String| Refusal::Unavailable(format!("the identity could not be signed: {why}"));
    let signed = signer.sign(assumed, binding, now).map_err(|error| unsigned(error.to_string()))?;
    let mut value = HeaderValue::try_from(format!("Bearer {}", signed.token.expose()))
        .map_err(|error| unsigned(error.to_string()))?;
    value.set_sensitive(true);
    Ok((value, signed.expires_at))
}

/// An assertion is not handed out any more when it has less than this left.
const SPARE_SECONDS: i64 = 20;
