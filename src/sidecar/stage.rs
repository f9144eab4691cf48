//! What a call is between two steps of its life: how far it has got, what it waits for, what is known of it.

use std::rc::Rc;

use http::{Request, Response};

use super::Sidecar;
use super::adapter::Reading;
use super::assume::{Errand, Identity};
use super::explicit::Answering;
use super::mcp::Tended;
use super::metadata;
use super::refuse::Place;
use super::repeat::Said;
use super::route::Route;
use super::seat::{Footing, Seat};
use super::sts::Leave;
use crate::grants::Tier;
use crate::net::body::{Answer, Inbound};
use crate::net::canonical::Canonical;
use crate::net::upstream::Upstream;
use crate::net::watch::Exchange;

/// How far a call has got.
pub(super) enum Led<'w> {
    /// There is nothing to wait for.
    Ready(Ready<'w>),
    /// There is.
    Paused(Box<Pause<'w>>),
}

/// A call that may pass, or is answered.
pub(super) enum Ready<'w> {
    /// Shaped, and on its way.
    Go(&'w Upstream, Option<Box<Tended>>),
    /// The sidecar itself knows the answer.
    Answered(Box<Response<Answer>>),
}

/// Where a call stands that must wait.
pub(super) enum Pause<'w> {
    /// More of it must be read.
    Unread(Unread<'w>),
    /// What it rests on must be found.
    Unfound(Understood<'w>, Said),
    /// It may pass, and something must be fetched.
    Decided(Later<'w>, Understood<'w>, Said),
}

/// A request that was begun.
pub(super) enum Begun<'w> {
    /// It is a call.
    Understood(Understood<'w>, Said),
    /// It is a call, and more must be read.
    Unread(Unread<'w>),
    /// The sidecar itself knows the answer.
    Answered(Box<Response<Answer>>),
}

impl Begun<'_> {
    pub(super) fn answered(response: Response<Answer>) -> Self {
        Self::Answered(Box::new(response))
    }
}

/// A call of which something stands where it must be waited for.
pub(super) enum Unread<'w> {
    /// What is asked for: in the body.
    Body(Understood<'w>),
    /// Whose it is: in a signature, or beside what is asked for.
    Signed(Understood<'w>, Reading),
}

/// What a decision is made on.
pub(super) struct Based<'a> {
    pub(super) seat: &'a Seat,
    pub(super) footing: &'a Footing,
    /// The identity, where it had to be waited for.
    pub(super) fetched: Option<Identity>,
}

/// A call that may pass.
pub(super) enum Decided<'w> {
    /// Shaped, and on its way.
    Go(&'w Upstream, Option<Box<Tended>>),
    /// Once something has been waited for.
    Later(Later<'w>),
}

/// What a call that may pass waits for.
pub(super) enum Later<'w> {
    /// Its identity. Then it is decided anew.
    Errand(Errand),
    /// What the sidecar itself answers: it asks for an identity. With what a cloud's STS may be asked, where it is.
    Answer(&'w Answering, Option<Box<Leave>>),
}

/// A call, as far as it is known without waiting.
pub(super) struct Understood<'w> {
    pub(super) route: &'w Route,
    pub(super) canonical: Canonical,
}

/// What a refusal can say about a call, as far as the call got.
#[derive(Default)]
pub(super) struct Seen<'w> {
    /// How it came.
    pub(super) exchange: Option<&'w Exchange>,
    /// It speaks its protocol's own words of refusal.
    pub(super) route: Option<&'w Route>,
    /// The request's target has one spelling, so that an answer may name it.
    pub(super) is_well_formed: bool,
    pub(super) seat: Option<Rc<Seat>>,
    /// Where its standing was found, if that had to be known before it was read.
    pub(super) tier: Option<Tier>,
    pub(super) footing: Option<Rc<Footing>>,
}

impl Seen<'_> {
    /// `request` is what is left of it: nothing once it was sent, and then nothing is said of its target.
    pub(super) fn place<'a>(
        &'a self,
        sidecar: &'a Sidecar,
        request: Option<&'a Request<Inbound>>,
    ) -> Place<'a> {
        let path = request.filter(|_| self.is_well_formed).map_or("", |request| request.uri().path());
        Place {
            issuer: &sidecar.issuer,
            metadata: metadata::location(&sidecar.public_url, path),
            application: self.seat.as_ref().map(|seat| seat.known.caller.application.as_str()),
            scopes: self.footing.as_ref().map(|footing| &**footing.standing.session().scopes()),
            adapter: self.route.map(|route| &*route.adapter),
            request,
        }
    }
}
