//! The assumed identity: what the upstream receives in place of the application's credential.
//!
//! Comes in: a permit, and whose it is. Goes out: the [`Identity`]. Most are at hand or made at once; one that has to be
//! fetched elsewhere is an [`Errand`], for which a call waits, and after which it is decided anew. What goes wrong is a
//! refusal, never another identity.

mod assertion;

use std::pin::Pin;
use std::sync::Arc;

use http::HeaderValue;

pub(super) use assertion::Prepared;

use super::identify::Known;
use super::refuse::Refusal;
use super::route::{Assume, Route};
use super::sts::Credentials;
use super::trade::Found;
use crate::grants::Standing;
use crate::policy::Permit;
use crate::token::assertion::AssertionSigner;

/// What the upstream will see of the caller.
pub(super) enum Identity {
    /// The value of `Authorization`.
    Bearer(HeaderValue),
    /// The request is signed with these.
    Signed(Arc<Credentials>),
    /// Nothing: the upstream trusts the network.
    None,
}

/// Fetches an identity.
pub(super) type Errand = Pin<Box<dyn Future<Output = Result<Identity, Refusal>>>>;

/// What is at hand for a call.
pub(super) enum AtHand {
    /// Its identity.
    Identity(Identity),
    /// Nothing, and nothing has to be waited for: it is made at once.
    Made,
    /// Nothing: it has to be fetched.
    Errand(Errand),
}

/// Where identities are made.
pub(super) struct Identities {
    signer: AssertionSigner,
}

impl Identities {
    pub(super) fn new(signer: AssertionSigner) -> Self {
        Self { signer }
    }

    /// What is at hand for one permitted call. `now` in seconds since 1970.
    pub(super) fn at_hand(
        &self,
        permit: &Permit<'_>,
        known: &Known,
        standing: &Arc<Standing>,
        route: &Route,
        now: i64,
    ) -> Result<AtHand, Refusal> {
        match &route.assume {
            Assume::None | Assume::Assertion => Ok(AtHand::Made),
            Assume::Sts(sts) => sts.at_hand(permit, known, standing, now),
            Assume::Exchange(trade) => {
                match trade.at_hand(&self.signer, permit, &known.caller, standing, now)? {
                    Found::Ready(token) => Ok(AtHand::Identity(Identity::Bearer(token))),
                    Found::Fetch(fetch) => {
                        Ok(AtHand::Errand(Box::pin(async move { fetch.await.map(Identity::Bearer) })))
                    }
                }
            }
        }
    }

    /// The identity for one permitted call, of those that are made at once. `now` in seconds since 1970.
    pub(super) fn assume(
        &self,
        permit: &Permit<'_>,
        known: &Known,
        standing: &Arc<Standing>,
        route: &Route,
        request: (&str, &str),
        now: i64,
    ) -> Result<Identity, Refusal> {
        match route.assume {
            Assume::None => Ok(Identity::None),
            Assume::Assertion => {
                assertion::assume(&self.signer, permit, known, standing, route, request, now)
            }
            // It was at hand, or fetched.
            Assume::Sts(_) | Assume::Exchange(_) => Err(Refusal::Internal),
        }
    }
}
