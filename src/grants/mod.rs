//! PIP in motion: a grant on its way to a decision.
//!
//! Comes in: a [`Caller`]. Goes out: its [`Standing`], the compiled grant with the caller's session in it, or why
//! there is none. Facts are looked for nearest first (`near`: moka in this process; [`shared`]: Redis; then [`origin`]), and whatever is
//! found is used only as long as the slot clock ([`slots`]) has not struck for it and the lease ([`lease`]) runs.
//! Nothing here writes a grant.

pub mod acknowledge;
pub mod changed;
pub mod exchange;
mod flight;
pub mod follow;
pub mod lease;
mod near;
pub mod origin;
pub mod shared;
pub mod slots;
pub mod source;
mod standing;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Weak};

pub use near::Near;
pub use standing::{Held, Standing};

use parking_lot::Mutex;

use crate::model::caller::Caller;
use crate::model::grant::{GrantState, Installed};
use crate::model::member::Member;
use crate::model::time::{Clock, Moment};
use crate::policy::reload::Current;
use lease::Lease;
use origin::{Origin, OriginError};
use slots::SlotClock;

/// What the slot clock and the flights are built on. The tests compile both a second time on loom's primitives and a
/// few slots, to go through every order in which threads can meet.
mod sync {
    pub(super) use std::hash::RandomState as Hashing;
    pub(super) use std::sync::Arc;
    pub(super) use std::sync::atomic::{AtomicU64, Ordering};

    pub(super) use parking_lot::Mutex;
    use zerocopy::FromZeros as _;

    pub(super) const SLOTS: usize = 1 << 16;

    /// A slot for each, at zero. Memory that came zeroed is not touched before it is used.
    pub(super) fn slots() -> Box<[AtomicU64]> {
        let zeros = <[AtomicU64]>::new_box_zeroed_with_elems(SLOTS);
        zeros.unwrap_or_else(|_| std::iter::repeat_with(AtomicU64::default).take(SLOTS).collect())
    }
}

/// The way to a grant.
pub struct Grants {
    near: Near,
    slots: Arc<SlotClock>,
    lease: Arc<Lease>,
    policies: Arc<Current>,
    clock: Clock,
    given: Mutex<Vec<Weak<Standing>>>,
}

/// Where a standing came from, for the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// It was held with the caller's token.
    Held,
    /// From this process's cache.
    Near,
    /// From Redis.
    Shared,
    /// From the control plane or the store.
    Origin,
}

impl Tier {
    /// The word used in records and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Near => "near",
            Self::Shared => "shared",
            Self::Origin => "origin",
        }
    }
}

/// Why there is no standing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NoStanding {
    /// The account has not authorized the application, or has deleted it.
    #[error("the account has not installed this application")]
    NotInstalled,
    /// An administrator has suspended the application.
    #[error("an administrator of the account has suspended this application")]
    Suspended,
    /// The publisher has disabled the application.
    #[error("the application's publisher has disabled it")]
    Disabled,
    /// The grant's own end has come.
    #[error("the authorization of this application has expired")]
    Expired,
    /// The token belongs to an earlier installation, an ended session or a principal that may no longer log in.
    #[error("the token is no longer valid")]
    TokenEnded,
    /// It cannot be known now.
    #[error("authorization cannot be checked at the moment: {0}")]
    Unavailable(String),
}

impl Grants {
    /// A way that starts empty and without a lease: it answers `Unavailable` until a follower has given it one.
    #[must_use]
    pub fn new(
        origin: Arc<dyn Origin>,
        shared: Option<Arc<shared::Tier>>,
        slots: Arc<SlotClock>,
        lease: Arc<Lease>,
        policies: Arc<Current>,
        clock: Clock,
        capacity: u64,
    ) -> Self {
        let near = Near::new(origin, shared, Arc::clone(&slots), capacity);
        Self { near, slots, lease, policies, clock, given: Mutex::default() }
    }

    /// The caller's standing now. `held` is where the last one is kept, beside the caller's token: as long as
    /// nothing that it rests on has changed, it is answered without a look anywhere.
    ///
    /// # Errors
    /// Why the caller has none; [`NoStanding::Unavailable`] whenever that is in doubt.
    pub async fn find(&self, caller: &Arc<Caller>, held: &Held) -> Result<(Arc<Standing>, Tier), NoStanding> {
        if let Some(standing) = held.get().filter(|standing| self.still(standing)) {
            return Ok((standing, Tier::Held));
        }
        // Boxed, so that the future of a call that finds its standing here stays small.
        Box::pin(self.find_anew(caller, held)).await
    }

    async fn find_anew(
        &self,
        caller: &Arc<Caller>,
        held: &Held,
    ) -> Result<(Arc<Standing>, Tier), NoStanding> {
        for _ in 0..ATTEMPTS {
            if !self.lease.holds() {
                return Err(NoStanding::Unavailable(
                    "this sidecar has lost touch with the control plane".to_owned(),
                ));
            }
            let (standing, tier) = self.look(caller).await?;
            // First noted, then looked at again: a change in between finds it among those given.
            self.note(&standing);
            if self.still(&standing) {
                held.put(&standing);
                return Ok((standing, tier));
            }
        }
        Err(NoStanding::Unavailable("the grant is changing faster than it can be read".to_owned()))
    }

    /// Whether a standing may (still) be counted on: it has not been ended, nothing that it rests on has changed, the
    /// lease runs, the policies are the current ones, and the grant has not come to its own end.
    #[must_use]
    pub fn still(&self, standing: &Standing) -> bool {
        self.still_at(standing, Moment::now())
    }

    /// The same for who has just looked at the clock. What is found so is asked about the lease once more at the very
    /// end, by [`Grants::ending`].
    #[must_use]
    pub fn still_at(&self, standing: &Standing, at: Moment) -> bool {
        self.lease.holds_at(at) && self.unchanged(standing)
    }

    /// The same but for the lease, for who asks about that at the same moment by [`Grants::ending`].
    #[must_use]
    pub fn unchanged(&self, standing: &Standing) -> bool {
        !standing.has_ended()
            && self.slots.unchanged(standing.seal())
            && self.policies.generation() == standing.generation()
            && standing.ends_at().is_none_or(|end| self.clock.now() < end)
    }

    /// Ends every standing given so far that may no longer be counted on, so that the streams that rest on it can
    /// be cut: also of whom a change of the grant, or of all keys, has left everything, and who shares a slot with
    /// whom it was about. They open theirs anew. Answers whether there was any.
    #[must_use]
    pub fn end_stale(&self) -> bool {
        let mut ended = false;
        self.given.lock().retain(|standing| match standing.upgrade() {
            Some(standing) if self.still(&standing) => true,
            Some(standing) => {
                standing.end();
                ended = true;
                false
            }
            None => false,
        });
        ended
    }

    /// Answers whether what rests on `standing` must end: it was ended, or the lease or the grant itself has run out, of
    /// which nobody need tell. Once true, it stays true.
    pub fn ending(&self, standing: &Arc<Standing>) -> impl Fn() -> bool + 'static {
        let (lease, standing) = (Arc::clone(&self.lease), Arc::clone(standing));
        // Few grants have an end: the others' streams do not ask for the time.
        let own = standing.ends_at().map(|end| (end, self.clock.clone()));
        move || {
            let over = own.as_ref().is_some_and(|(end, clock)| clock.now() >= *end);
            if over || !lease.holds() {
                standing.end();
            }
            standing.has_ended()
        }
    }

    fn note(&self, standing: &Arc<Standing>) {
        let mut given = self.given.lock();
        // Forget the dead whenever the list would grow, so that its length follows what is alive.
        if given.len() == given.capacity() {
            given.retain(|standing| standing.strong_count() > 0);
        }
        given.push(Arc::downgrade(standing));
    }

    async fn look(&self, caller: &Arc<Caller>) -> Result<(Arc<Standing>, Tier), NoStanding> {
        let key = caller.grant();
        // The order matters: the clock is read before the policies and the facts are.
        let since = self.slots.now();
        let (generation, policies) = self.policies.load();
        let (grant, first) = self.near.grant(&key).await?;
        let (member, second) = self.near.member(&key, &caller.principal).await?;
        let (Some(grant), Some(member)) = (grant, member) else {
            return Err(NoStanding::NotInstalled);
        };
        let installed = grant.installed().ok_or(NoStanding::NotInstalled)?;
        self.usable(installed, &member, caller)?;
        let compiled = grant.compiled(installed, &policies);
        let seal = self.slots.seal(&near::subjects(&key, &caller.principal), since);
        let standing = Standing::new(installed, &compiled, &member, caller, (seal, generation));
        // Of the two facts the one from further away.
        Ok((Arc::new(standing), first.max(second)))
    }

    fn usable(&self, installed: &Installed, member: &Member, caller: &Caller) -> Result<(), NoStanding> {
        let grant = &installed.grant;
        match grant.state {
            GrantState::Active => {}
            GrantState::Suspended => return Err(NoStanding::Suspended),
            GrantState::Revoked => return Err(NoStanding::NotInstalled),
        }
        if !installed.application.enabled {
            return Err(NoStanding::Disabled);
        }
        let now = self.clock.now();
        if grant.has_ended(now) {
            return Err(NoStanding::Expired);
        }
        let ended = member.ended.contains(&caller.family);
        if ended || !member.principal.enabled || !grant.honours(caller.revision, now) {
            return Err(NoStanding::TokenEnded);
        }
        Ok(())
    }
}

impl From<OriginError> for NoStanding {
    fn from(error: OriginError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// How often a standing is looked up anew when facts change while they are being read.
const ATTEMPTS: usize = 3;
