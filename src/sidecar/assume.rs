//! The assumed identity: what the upstream receives in place of the application's credential.
//!
//! An assertion is signed once for a caller's standing and route and used again while it lives, so that a warm call
//! signs nothing; where the route binds, each call has its own.

use std::sync::Arc;

use http::HeaderValue;
use moka::sync::Cache;

use super::refuse::Refusal;
use super::route::Route;
use crate::config::route::Assume;
use crate::grants::Standing;
use crate::model::caller::Caller;
use crate::model::scope::ScopeSet;
use crate::model::time::Clock;
use crate::policy::Permit;
use crate::token::assertion::{AssertionSigner, Assumed, Binding};

/// What the upstream will see of the caller.
pub(super) struct Identity {
    /// The value of `Authorization`; none where the upstream trusts the network.
    pub(super) authorization: Option<HeaderValue>,
}

/// Where identities are made.
pub(super) struct Identities {
    signer: AssertionSigner,
    ready: Cache<Key, Ready>,
    clock: Clock,
}

/// A standing is told by its address: it is held by the value, so no other can come to stand there.
type Key = (usize, usize);

#[derive(Clone)]
struct Ready {
    _standing: Arc<Standing>,
    authorization: HeaderValue,
    use_until: i64,
}

impl Identities {
    pub(super) fn new(signer: AssertionSigner, clock: Clock, capacity: u64) -> Self {
        Self { signer, ready: Cache::new(capacity), clock }
    }

    /// The identity for one permitted call.
    pub(super) fn assume(
        &self,
        permit: &Permit,
        caller: &Caller,
        standing: &Arc<Standing>,
        route: &Route,
        request: (&str, &str),
    ) -> Result<Identity, Refusal> {
        match route.assume {
            Assume::None => return Ok(Identity { authorization: None }),
            Assume::Assertion => {}
        }
        let now = self.clock.seconds();
        let scopes = permit.scopes();
        if route.bind {
            let (method, path) = request;
            let binding = Binding { method, path, body: None };
            let (authorization, _) = self.sign(caller, standing, scopes, route, Some(binding), now)?;
            return Ok(Identity { authorization: Some(authorization) });
        }
        let key = (Arc::as_ptr(standing).addr(), route.index);
        if let Some(ready) = self.ready.get(&key).filter(|ready| now < ready.use_until) {
            return Ok(Identity { authorization: Some(ready.authorization) });
        }
        let (authorization, expires_at) = self.sign(caller, standing, scopes, route, None, now)?;
        let use_until = expires_at.saturating_sub(SPARE_SECONDS);
        let ready =
            Ready { _standing: Arc::clone(standing), authorization: authorization.clone(), use_until };
        self.ready.insert(key, ready);
        Ok(Identity { authorization: Some(authorization) })
    }

    fn sign(
        &self,
        caller: &Caller,
        standing: &Standing,
        scopes: &ScopeSet,
        route: &Route,
        binding: Option<Binding<'_>>,
        now: i64,
    ) -> Result<(HeaderValue, i64), Refusal> {
        let revision = standing.installed().grant.revision;
        let assumed = Assumed { caller, scopes, revision, audience: &route.audience };
        let unsigned = |why: String| Refusal::Unavailable(format!("the identity could not be signed: {why}"));
        let signed = self.signer.sign(assumed, binding, now).map_err(|error| unsigned(error.to_string()))?;
        let mut value = HeaderValue::try_from(format!("Bearer {}", signed.token.expose()))
            .map_err(|error| unsigned(error.to_string()))?;
        value.set_sensitive(true);
        Ok((value, signed.expires_at))
    }
}

/// An assertion is not handed out any more when it has less than this left.
const SPARE_SECONDS: i64 = 20;
