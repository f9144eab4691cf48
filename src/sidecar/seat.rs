//! What one worker has at hand: the callers whose tokens it has seen last, each in its [`Seat`], and what their next
//! call rests on.
//!
//! Comes in: a token's bytes. Goes out: the seat of a caller whose token was verified, if it is among the last. A seat
//! belongs to one thread, so that a warm call shares nothing with the calls of others; it decides nothing: what is
//! taken from it is looked at anew by whoever takes it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use super::identify::Known;
use super::repeat::{Repeat, Repeats, Said};
use super::route::Route;
use crate::grants::{Grants, NoStanding, Standing, Tier};
use crate::model::time::Moment;
use crate::net::canonical::{Candidate, Canonical};
use crate::net::watch::Cut;

/// The callers that one worker has seen last, each in the place of its token: most calls need not look into the
/// memory that all workers share.
pub(super) struct Recent(RefCell<Box<[Option<Rc<Seat>>]>>);

/// A caller at one worker.
pub(super) struct Seat {
    /// Who it is.
    pub(super) known: Arc<Known>,
    footing: RefCell<Option<Rc<Footing>>>,
    repeats: Repeats,
}

/// What a call rests on.
pub(super) struct Footing {
    /// The caller's standing.
    pub(super) standing: Arc<Standing>,
    /// Cuts what rests on it once it has ended.
    pub(super) cut: Cut,
}

impl Default for Recent {
    fn default() -> Self {
        Self(RefCell::new(vec![None; PLACES].into()))
    }
}

impl Recent {
    /// The seat of the caller with this token, if it was verified with `keys`.
    pub(super) fn get(&self, token: &[u8], keys: u64) -> Option<Rc<Seat>> {
        let places = self.0.borrow();
        let seat = places.get(place(token))?.as_ref()?;
        seat.known.is(token, keys).then(|| Rc::clone(seat))
    }

    /// A seat for a caller.
    pub(super) fn put(&self, known: Arc<Known>) -> Rc<Seat> {
        let place = place(known.token());
        let seat = Rc::new(Seat { known, footing: RefCell::default(), repeats: Repeats::default() });
        if let Some(place) = self.0.borrow_mut().get_mut(place) {
            *place = Some(Rc::clone(&seat));
        }
        seat
    }
}

impl Seat {
    /// What the caller's call of this moment rests on, if that is at hand and still holds.
    pub(super) fn footing_at_hand(&self, grants: &Grants, at: Moment) -> Option<Rc<Footing>> {
        let footing = self.footing.borrow();
        let footing = footing.as_ref().filter(|footing| grants.still_at(&footing.standing, at));
        footing.map(Rc::clone)
    }

    /// What the caller's call of this moment rests on, and where that was found.
    ///
    /// # Errors
    /// Why the caller has no standing.
    pub(super) async fn footing(
        &self,
        grants: &Grants,
        at: Moment,
    ) -> Result<(Rc<Footing>, Tier), NoStanding> {
        if let Some(footing) = self.footing_at_hand(grants, at) {
            return Ok((footing, Tier::Held));
        }
        let (standing, tier) = grants.find(&self.known.caller, &self.known.held).await?;
        let footing = Rc::new(Footing { cut: Cut::when(grants.ending(&standing)), standing });
        *self.footing.borrow_mut() = Some(Rc::clone(&footing));
        Ok((footing, tier))
    }

    /// The request that the caller has sent before, if it has sent this one.
    pub(super) fn repeat(&self, candidate: &Candidate) -> Option<Rc<Repeat>> {
        self.repeats.get(candidate)
    }

    /// Keeps what a request asked for, to know it again.
    pub(super) fn learn(&self, said: &Said, route: &Route, canonical: &Canonical) {
        self.repeats.learn(&self.known.recorded, said, route, canonical);
    }
}

/// A token's place, by its end: that of a signature, which nobody can choose.
fn place(token: &[u8]) -> usize {
    let end = token.last_chunk::<8>().copied().unwrap_or_default();
    // The last character of a signature has bits that are always nothing: all are mixed (Fibonacci hashing).
    let mixed = u64::from_le_bytes(end).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    usize::try_from(mixed >> 32).unwrap_or(0) % PLACES
}

/// Tokens that a worker keeps at hand.
const PLACES: usize = 512;
