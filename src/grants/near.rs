//! The near cache: moka in this process, guarded by the slot clock. What it misses is looked for in the shared tier,
//! if there is one, and then at the origin.
//!
//! moka keeps and evicts; whether an entry may be used is the slot clock's word alone. Entries also say "there is
//! no such grant", so that calls without one do not reach the origin each time. Grants are compiled once for each
//! revision and policy set, when first used.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::Tier;
use super::flight::Flights;
use super::origin::{Origin, OriginError};
use super::shared;
use super::slots::{SUBJECTS, Seal, SlotClock};
use crate::model::account::PrincipalKey;
use crate::model::change::Subject;
use crate::model::grant::Installed;
use crate::model::id::GrantKey;
use crate::model::member::Member;
use crate::policy::{CompiledGrant, Policies};

/// The cache.
pub struct Near {
    origin: Arc<dyn Origin>,
    shared: Option<Arc<shared::Tier>>,
    slots: Arc<SlotClock>,
    grants: Cache<GrantKey, Arc<NearGrant>>,
    members: Cache<(GrantKey, PrincipalKey), Arc<NearMember>>,
    grant_flights: Flights<GrantKey, (Arc<NearGrant>, Tier)>,
    member_flights: Flights<(GrantKey, PrincipalKey), (Arc<NearMember>, Tier)>,
    reads: Semaphore,
}

/// A grant as cached, with its compiled form once someone has asked for it.
pub(super) struct NearGrant {
    installed: Option<Arc<Installed>>,
    compiled: Mutex<Option<Arc<CompiledGrant>>>,
    seal: Seal,
}

struct NearMember {
    member: Option<Arc<Member>>,
    seal: Seal,
}

impl Near {
    pub(super) fn new(
        origin: Arc<dyn Origin>,
        shared: Option<Arc<shared::Tier>>,
        slots: Arc<SlotClock>,
        capacity: u64,
    ) -> Self {
        Self {
            origin,
            shared,
            slots,
            grants: Cache::new(capacity),
            members: Cache::new(capacity),
            grant_flights: Flights::default(),
            member_flights: Flights::default(),
            reads: Semaphore::new(READS_AT_ONCE),
        }
    }

    /// The grant, from wherever it is found first; none when there is no such grant.
    pub(super) async fn grant(&self, key: &GrantKey) -> Result<(Option<Arc<NearGrant>>, Tier), OriginError> {
        if let Some(entry) = self.grants.get(key).filter(|entry| self.slots.unchanged(&entry.seal)) {
            return Ok((entry.installed.is_some().then_some(entry), Tier::Near));
        }
        let subjects = grant_subjects(key);
        let read = || async {
            let shared = self.shared.as_ref().map(|shared| shared.grant(key, &subjects));
            let (installed, since, tier) = self.read(shared, self.origin.installed(key)).await?;
            let seal = self.slots.seal(&subjects, since);
            let installed = installed.map(Arc::new);
            let entry = Arc::new(NearGrant { installed, compiled: Mutex::default(), seal });
            self.grants.insert(key.clone(), Arc::clone(&entry));
            Ok::<_, OriginError>((entry, tier))
        };
        let (entry, tier) = self.grant_flights.join(key, self.slots.generation(&subjects), read).await?;
        Ok((entry.installed.is_some().then_some(entry), tier))
    }

    /// What the principal is to the grant.
    pub(super) async fn member(
        &self,
        key: &GrantKey,
        principal: &PrincipalKey,
    ) -> Result<(Option<Arc<Member>>, Tier), OriginError> {
        let both = (key.clone(), principal.clone());
        if let Some(entry) = self.members.get(&both).filter(|entry| self.slots.unchanged(&entry.seal)) {
            return Ok((entry.member.clone(), Tier::Near));
        }
        let subjects = subjects(key, principal);
        let read = || async {
            let shared = self.shared.as_ref().map(|shared| shared.member(key, principal, &subjects));
            let (member, since, tier) = self.read(shared, self.origin.member(key, principal)).await?;
            let seal = self.slots.seal(&subjects, since);
            let entry = Arc::new(NearMember { member: member.map(Arc::new), seal });
            self.members.insert(both.clone(), Arc::clone(&entry));
            Ok::<_, OriginError>((entry, tier))
        };
        let (entry, tier) = self.member_flights.join(&both, self.slots.generation(&subjects), read).await?;
        Ok((entry.member.clone(), tier))
    }

    /// A fact, the slot clock's number from before it was read, and where: first in the shared tier, if there is one.
    async fn read<T>(
        &self,
        shared: Option<impl Future<Output = Option<T>>>,
        origin: impl Future<Output = Result<Option<T>, OriginError>>,
    ) -> Result<(Option<T>, u64, Tier), OriginError> {
        if let Some(shared) = shared {
            let since = self.slots.now();
            if let Some(fact) = shared.await {
                return Ok((Some(fact), since, Tier::Shared));
            }
        }
        // Only now: nobody queues behind a shared tier that is slow.
        let turn = tokio::time::timeout(LONGEST_TURN, self.reads.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(OriginError("too many wait for their turn to ask it".to_owned()));
        };
        let since = self.slots.now();
        Ok((origin.await?, since, Tier::Origin))
    }
}

impl NearGrant {
    /// The facts.
    pub(super) fn installed(&self) -> Option<&Arc<Installed>> {
        self.installed.as_ref()
    }

    /// The grant compiled under `policies`.
    pub(super) fn compiled(
        &self,
        installed: &Arc<Installed>,
        policies: &Arc<Policies>,
    ) -> Arc<CompiledGrant> {
        let mut compiled = self.compiled.lock();
        if let Some(ready) = compiled.as_ref().filter(|ready| ready.version() == policies.version()) {
            return Arc::clone(ready);
        }
        let ready = policies.compile(installed);
        *compiled = Some(Arc::clone(&ready));
        ready
    }
}

/// What a grant's facts rest on.
fn grant_subjects(key: &GrantKey) -> [Subject; SUBJECTS] {
    let grant = Subject::Grant(key.clone());
    [grant.clone(), Subject::Application(key.application.clone()), grant.clone(), grant]
}

/// What a caller's standing rests on.
pub(super) fn subjects(key: &GrantKey, principal: &PrincipalKey) -> [Subject; SUBJECTS] {
    [
        Subject::Grant(key.clone()),
        Subject::Application(key.application.clone()),
        Subject::Principal(principal.clone()),
        Subject::Member(key.clone(), principal.clone()),
    ]
}

/// So many reads of the origin go on at once; a flush must not become a stampede.
const READS_AT_ONCE: usize = 64;

/// Nobody waits longer for a turn: the origin hangs, and whoever is refused now may ask again.
const LONGEST_TURN: Duration = Duration::from_secs(2);
