//! Requests that a caller sends again and again: what they ask for is kept, and known by the first line and the host.
//!
//! Comes in: a request's one spelling, and what its adapter has read in it. Goes out: the same for the next request of
//! the same spelling, from the same caller. It is kept only where an adapter looks at nothing else
//! ([`Adapter::reads_target_alone`](super::adapter::Adapter::reads_target_alone)), and says what is asked for alone:
//! whether that may be is decided each time.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use http::Method;

use super::adapter::Asked;
use super::record::{self, Ledger};
use super::route::Route;
use super::seat::Seat;
use crate::model::call::Call;
use crate::net::canonical::{Candidate, Canonical};
use crate::observe::line::{Line, Piece};
use crate::policy::Permit;

/// What a request asks for.
pub(super) enum Said {
    /// As it was read in the request. Beside it what else must be permitted.
    Now(Call, Vec<Call>),
    /// As it was read when the caller sent the same request before.
    Before(Rc<Repeat>),
}

/// A request that was sent before, and what it asks for.
pub(super) struct Repeat {
    method: Method,
    host: Box<str>,
    target: Box<str>,
    route: usize,
    call: Call,
    recorded: Piece,
    allowed: RefCell<Option<Allowed>>,
}

/// Policies that allowed it, and what records say of them.
struct Allowed {
    policies: Arc<[Arc<str>]>,
    recorded: Piece,
}

/// The requests that one caller has repeated last, each in the place of its target.
#[derive(Default)]
pub(super) struct Repeats(RefCell<[Option<Rc<Repeat>>; PLACES]>);

impl Said {
    /// What the caller in `seat` asks for. The record is told.
    pub(super) fn now(asked: Asked, seat: &Seat, ledger: &mut Ledger<'_>) -> Self {
        let (call, also) = asked.by(&seat.known.caller.principal.account);
        ledger.called(&call);
        Self::Now(call, also)
    }

    /// The call.
    pub(super) fn call(&self) -> &Call {
        match self {
            Self::Now(call, _) => call,
            Self::Before(repeat) => &repeat.call,
        }
    }

    /// What must be permitted with it.
    pub(super) fn also(&self) -> &[Call] {
        match self {
            Self::Now(_, also) => also,
            // What asks for more than one thing is not kept.
            Self::Before(_) => &[],
        }
    }
}

impl Repeat {
    /// The place of its route in the table.
    pub(super) fn route(&self) -> usize {
        self.route
    }

    /// What its records say of the caller, and of what is asked for.
    pub(super) fn recorded(&self) -> &Piece {
        &self.recorded
    }

    /// Tells the record which policies allow it: those of the last time, for most.
    pub(super) fn tell_policies(&self, permit: &Permit<'_>, line: &mut Line) {
        let mut allowed = self.allowed.borrow_mut();
        let is_last = allowed.as_ref().is_some_and(|last| std::ptr::eq(&*last.policies, permit.policies()));
        if !is_last {
            let recorded = Piece::of(|line| line.texts(r#""policy":"#, permit.policies()));
            *allowed = Some(Allowed { policies: permit.shared_policies(), recorded });
        }
        if let Some(allowed) = &*allowed {
            line.piece(&allowed.recorded);
        }
    }

    fn is(&self, candidate: &Candidate) -> bool {
        *self.target == *candidate.target().as_str()
            && self.method == *candidate.method()
            && *self.host == *candidate.host()
    }
}

impl Repeats {
    /// The request that was sent before, if this is the same.
    pub(super) fn get(&self, candidate: &Candidate) -> Option<Rc<Repeat>> {
        let places = self.0.borrow();
        let repeat = places.get(place(candidate.target().as_str()))?.as_ref()?;
        repeat.is(candidate).then(|| Rc::clone(repeat))
    }

    /// Keeps what a request asks for that came outside of any tunnel, if the same one will ask for the same. `caller` is
    /// what records say of whoever sent it.
    pub(super) fn learn(&self, caller: &Piece, said: &Said, route: &Route, canonical: &Canonical) {
        let target = canonical.target().as_str();
        let Said::Now(call, also) = said else { return };
        if !also.is_empty() || target.len() > LONGEST || !route.adapter.reads_target_alone(canonical.method())
        {
            return;
        }
        let repeat = Repeat {
            method: canonical.method().clone(),
            host: Box::from(canonical.host()),
            target: Box::from(target),
            route: route.index,
            call: call.clone(),
            recorded: record::caller_and_call(caller, call),
            allowed: RefCell::default(),
        };
        if let Some(place) = self.0.borrow_mut().get_mut(place(target)) {
            *place = Some(Rc::new(repeat));
        }
    }
}

/// A target's place, by its length and its end, where targets differ most.
fn place(target: &str) -> usize {
    let end = target.as_bytes().last_chunk::<8>().copied().unwrap_or_default();
    let mixed = (u64::from_le_bytes(end) ^ target.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(mixed >> 32).unwrap_or(0) % PLACES
}

/// Requests that are kept of one caller at one worker.
const PLACES: usize = 8;

/// The longest target that is kept, in bytes.
const LONGEST: usize = 256;
