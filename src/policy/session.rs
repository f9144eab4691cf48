//! A session: one application acting for one member with one token's scopes, and what was decided for it before.
//!
//! Comes in: a compiled grant and a member, loaded whole. Goes out: the principal of Cedar requests, built once, and a
//! memory of decisions that depend on nothing but action and resource. The memory lives and dies with the session, so
//! it can never speak for another grant revision, policy set, member or scope set.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use cedar_policy::{Entities, Entity, EntityUid, RestrictedExpression};
use parking_lot::RwLock;

use super::catalogue::Catalogue;
use super::compile::{CompiledGrant, Slice};
use super::console::uid;
use super::denial::Denial;
use super::generate::needs_consent;
use crate::model::account::{Principal, PrincipalKind};
use crate::model::call::Call;
use crate::model::grant::Installed;
use crate::model::member::Member;
use crate::model::scope::ScopeSet;

/// An application acting for one member.
#[derive(Debug)]
pub struct Session {
    pub(super) grant: Arc<CompiledGrant>,
    pub(super) slice: Arc<Slice>,
    member: Member,
    /// The session and its application; an error here denies every call.
    pub(super) base: Result<Base, String>,
    remembered: RwLock<Remembered>,
}

/// Decisions by call. The hash is quick, and not proof against names that were chosen to collide: who chooses them is
/// the session's own application, and looking through all that is remembered costs it about one new decision.
type Remembered = HashMap<Call, Verdict, foldhash::fast::RandomState>;

/// What Cedar is told about the session.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) uid: EntityUid,
    pub(super) account: EntityUid,
    pub(super) entities: Entities,
}

/// A decision as it is remembered.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    /// With the policies that allowed it.
    Allowed(Arc<[Arc<str>]>),
    /// With its reasons.
    Denied(Denial),
}

impl Session {
    pub(super) fn new(grant: Arc<CompiledGrant>, slice: Arc<Slice>, member: &Member) -> Self {
        let base = base(grant.installed(), member, grant.policies.catalogue())
            .ok_or_else(|| "the session's entities could not be built".to_owned());
        Self { grant, slice, member: member.clone(), base, remembered: RwLock::default() }
    }

    /// The grant that it rests on.
    #[must_use]
    pub fn grant(&self) -> &Arc<CompiledGrant> {
        &self.grant
    }

    /// The scopes that count: those of the token that the grant holds.
    #[must_use]
    pub fn scopes(&self) -> &Arc<ScopeSet> {
        &self.slice.scopes
    }

    /// The same, less what the user of an official application has not agreed to in person.
    #[must_use]
    pub fn counting(&self) -> ScopeSet {
        if !needs_consent(self.grant.installed()) {
            return (**self.scopes()).clone();
        }
        let agreed = self.member.consented.as_ref();
        agreed.map(|agreed| self.scopes().meet(agreed)).unwrap_or_default()
    }

    /// For whom the application acts.
    #[must_use]
    pub fn member(&self) -> &Member {
        &self.member
    }

    pub(super) fn recall(&self, call: &Call) -> Option<Verdict> {
        self.remembered.read().get(call).cloned()
    }

    pub(super) fn remember(&self, call: &Call, verdict: &Verdict) {
        // Names come from outside and may be as long as a target: what is kept for a session must stay small.
        if call.resource.name.len() > LONGEST_REMEMBERED {
            return;
        }
        let mut remembered = self.remembered.write();
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(call.clone(), verdict.clone());
    }
}

/// All ancestors stand on the session itself, so that no entity between is needed to find one.
fn base(installed: &Installed, member: &Member, catalogue: &Catalogue) -> Option<Base> {
    let principal = &member.principal;
    let key = &principal.key;
    let account = uid("Account", key.account.as_str())?;
    let application = uid("Application", installed.application.id.as_str())?;
    let name = format!("{}/{}/{}", installed.grant.key, key.kind, key.id);
    let session = uid("Session", &name)?;
    let mut ancestors = HashSet::from([
        uid("Grant", &installed.grant.key.to_string())?,
        application.clone(),
        account.clone(),
    ]);
    let identity = format!("{}/{}", key.account, key.id);
    match key.kind {
        PrincipalKind::Account => {}
        PrincipalKind::User => {
            ancestors.insert(uid("User", &identity)?);
        }
        PrincipalKind::Role => {
            ancestors.insert(uid("Role", &identity)?);
        }
    }
    for group in &principal.groups {
        ancestors.insert(uid("Group", &format!("{}/{group}", key.account))?);
    }
    let attributes = session_attributes(&account, &application, principal, member, catalogue)?;
    let entities = [
        Entity::new(session.clone(), attributes, ancestors).ok()?,
        application_entity(installed, application)?,
    ];
    let entities = Entities::from_entities(entities, None).ok()?;
    Some(Base { uid: session, account, entities })
}

fn session_attributes(
    account: &EntityUid,
    application: &EntityUid,
    principal: &Principal,
    member: &Member,
    catalogue: &Catalogue,
) -> Option<HashMap<String, RestrictedExpression>> {
    let agreed = member.consented.as_ref().map(|scopes| catalogue.spelled_out(scopes)).unwrap_or_default();
    let mut consented = Vec::new();
    for scope in agreed.iter() {
        consented.push(RestrictedExpression::new_entity_uid(uid("Action", scope.as_str())?));
    }
    let pairs = [
        ("account", RestrictedExpression::new_entity_uid(account.clone())),
        ("application", RestrictedExpression::new_entity_uid(application.clone())),
        ("kind", RestrictedExpression::new_string(principal.key.kind.as_str().to_owned())),
        ("login", RestrictedExpression::new_string(principal.login.clone())),
        ("administrator", RestrictedExpression::new_bool(principal.is_administrator())),
        ("assigned", RestrictedExpression::new_bool(member.assigned)),
        ("consented", RestrictedExpression::new_set(consented)),
    ];
    Some(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn application_entity(installed: &Installed, name: EntityUid) -> Option<Entity> {
    let application = &installed.application;
    let publisher = uid("Account", application.publisher.as_str())?;
    let attributes = HashMap::from([
        ("name".to_owned(), RestrictedExpression::new_string(application.name.clone())),
        ("official".to_owned(), RestrictedExpression::new_bool(application.official)),
        ("publisher".to_owned(), RestrictedExpression::new_entity_uid(publisher)),
    ]);
    Entity::new(name, attributes, HashSet::new()).ok()
}

/// Decisions remembered by one session. Past it the memory starts again.
const REMEMBERED: usize = 1024;

/// The longest resource name that is remembered, in bytes.
const LONGEST_REMEMBERED: usize = 256;
