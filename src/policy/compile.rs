//! A grant made ready for decisions: its own few policies and the guardrails that can concern it, compiled once.
//!
//! Comes in: an installed application and the loaded policies. Goes out: a [`CompiledGrant`], from which each member
//! gets a [`Session`]. The cost of a decision follows from the size of this set, never from the number of grants. A
//! grant is compiled anew when its revision or the policy version changes; this type never changes itself.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use cedar_policy::{ActionConstraint, EntityUid, Policy, PolicySet, PrincipalConstraint, ResourceConstraint};
use parking_lot::RwLock;

use super::catalogue::Catalogue;
use super::exchange::Exchanging;
use super::generate;
use super::load::{Policies, PolicyVersion};
use super::session::Session;
use super::surroundings::Field;
use crate::model::call::Action;
use crate::model::grant::Installed;
use crate::model::member::Member;
use crate::model::scope::{Scope, ScopeSet};

/// One grant's policies, ready to decide.
#[derive(Debug)]
pub struct CompiledGrant {
    installed: Arc<Installed>,
    pub(super) policies: Arc<Policies>,
    full: Arc<Slice>,
    /// For tokens that carry less than the grant, by what remains.
    narrower: RwLock<HashMap<ScopeSet, Arc<Slice>>>,
}

/// The policies for one set of effective scopes.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) scopes: Arc<ScopeSet>,
    /// An error here is a mistake of ours, and denies every call.
    pub(super) set: Result<PolicySet, String>,
    /// The policies that read the context: for which actions, and what of it.
    readers: Vec<Reader>,
}

type Reader = (ActionConstraint, BTreeSet<Field>);

impl Policies {
    /// Compiles `installed`.
    #[must_use]
    pub fn compile(self: &Arc<Self>, installed: &Arc<Installed>) -> Arc<CompiledGrant> {
        let full = Slice::of(self, installed, installed.grant.scopes.clone());
        Arc::new(CompiledGrant {
            installed: Arc::clone(installed),
            policies: Arc::clone(self),
            full: Arc::new(full),
            narrower: RwLock::default(),
        })
    }
}

impl CompiledGrant {
    /// The facts that it was compiled from.
    #[must_use]
    pub fn installed(&self) -> &Arc<Installed> {
        &self.installed
    }

    /// The policy set that it was compiled with. When another is current, it is out of date.
    #[must_use]
    pub fn version(&self) -> &PolicyVersion {
        self.policies.version()
    }

    /// What `member` may do through the application with a token that carries `token_scopes`.
    #[must_use]
    pub fn session(self: &Arc<Self>, member: &Member, token_scopes: &ScopeSet) -> Session {
        let effective = token_scopes.meet(&self.installed.grant.scopes);
        Session::new(Arc::clone(self), self.slice(effective), member)
    }

    /// What `member` may exchange that carries `scopes`. It can do nothing else.
    #[must_use]
    pub(super) fn exchange_session(self: &Arc<Self>, member: &Member, scopes: &ScopeSet) -> Session {
        let effective = scopes.meet(&self.installed.grant.scopes);
        let slice = Slice::of_exchanges(&self.policies, &self.installed, effective);
        Session::new(Arc::clone(self), Arc::new(slice), member)
    }

    fn slice(&self, effective: ScopeSet) -> Arc<Slice> {
        if effective == *self.full.scopes {
            return Arc::clone(&self.full);
        }
        if let Some(known) = self.narrower.read().get(&effective) {
            return Arc::clone(known);
        }
        let made = Arc::new(Slice::of(&self.policies, &self.installed, effective.clone()));
        let mut narrower = self.narrower.write();
        if narrower.len() >= NARROWER_SLICES {
            narrower.clear();
        }
        Arc::clone(narrower.entry(effective).or_insert(made))
    }
}

impl Slice {
    fn of(policies: &Policies, installed: &Installed, scopes: ScopeSet) -> Self {
        let text = generate::policies(installed, &scopes, policies.catalogue());
        let concerns = |one: &Policy| concerns(one, installed, &scopes, policies.catalogue());
        let (set, readers) = Self::joined(policies, &text, concerns);
        Self { scopes: Arc::new(scopes), set, readers }
    }

    fn of_exchanges(policies: &Policies, installed: &Installed, scopes: ScopeSet) -> Self {
        let text = generate::exchanges(installed, &scopes, policies.catalogue());
        let concerns = |one: &Policy| concerns_exchanges(one, installed, policies.catalogue());
        let (set, readers) = Self::joined(policies, &text, concerns);
        Self { scopes: Arc::new(scopes), set, readers }
    }

    fn joined(
        policies: &Policies,
        generated: &str,
        concerns: impl Fn(&Policy) -> bool,
    ) -> (Result<PolicySet, String>, Vec<Reader>) {
        let guardrails: Vec<_> = policies.guardrails.iter().filter(|one| concerns(&one.policy)).collect();
        let readers = guardrails
            .iter()
            .filter(|one| !one.fields.is_empty())
            .map(|one| (one.policy.action_constraint(), one.fields.clone()))
            .collect();
        (joined(generated, guardrails.iter().map(|one| &one.policy)), readers)
    }

    /// What of the context the policies read that can match `action`.
    pub(super) fn fields(&self, action: &Action, catalogue: &Catalogue) -> BTreeSet<Field> {
        let matching = self.readers.iter().filter(|(constraint, _)| names(constraint, action, catalogue));
        matching.flat_map(|(_, fields)| fields).copied().collect()
    }
}

/// Generated policies, each named by its `@id`, with guardrails in one set.
fn joined<'a>(generated: &str, guardrails: impl Iterator<Item = &'a Policy>) -> Result<PolicySet, String> {
    let parsed: PolicySet = generated.parse().map_err(|error| format!("generated policies: {error}"))?;
    let mut set = PolicySet::new();
    for policy in parsed.policies() {
        let id = policy.annotation("id").ok_or("a generated policy has no @id")?;
        set.add(policy.new_id(cedar_policy::PolicyId::new(id))).map_err(|error| error.to_string())?;
    }
    for guardrail in guardrails {
        set.add(guardrail.clone()).map_err(|error| error.to_string())?;
    }
    Ok(set)
}

/// Whether `policy` could match any call that this grant can allow. When in doubt it could.
pub(super) fn concerns(
    policy: &Policy,
    installed: &Installed,
    scopes: &ScopeSet,
    catalogue: &Catalogue,
) -> bool {
    let constraint = policy.action_constraint();
    let action = matches!(constraint, ActionConstraint::Any)
        || catalogue
            .actions()
            .any(|(action, _)| catalogue.allows(scopes, action) && names(&constraint, action, catalogue));
    action && reaches(policy, installed)
}

/// Whether `policy` could match an exchange of this grant's tokens.
pub(super) fn concerns_exchanges(policy: &Policy, installed: &Installed, catalogue: &Catalogue) -> bool {
    let constraint = policy.action_constraint();
    let named = |one: &Exchanging| names(&constraint, &Action::new(one.as_str()), catalogue);
    Exchanging::ALL.iter().any(named) && reaches(policy, installed)
}

/// Whether `policy` could match anything of this grant, whatever the action.
pub(super) fn reaches(policy: &Policy, installed: &Installed) -> bool {
    let principal = match policy.principal_constraint() {
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) | PrincipalConstraint::Eq(_) => true,
        PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => {
            holds_sessions_of(&uid, installed)
        }
    };
    let resource = match policy.resource_constraint() {
        ResourceConstraint::Any | ResourceConstraint::Is(_) | ResourceConstraint::Eq(_) => true,
        ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => {
            uid.type_name().basename() != "Account" || uid.id().unescaped() == account(installed)
        }
    };
    principal && resource
}

fn holds_sessions_of(uid: &EntityUid, installed: &Installed) -> bool {
    let id = uid.id().unescaped();
    match uid.type_name().basename() {
        "Application" => id == installed.application.id.as_str(),
        "Account" => id == account(installed),
        "Grant" => id == installed.grant.key.to_string(),
        "User" | "Role" | "Group" => id.split_once('/').is_some_and(|(owner, _)| owner == account(installed)),
        _ => true,
    }
}

fn account(installed: &Installed) -> &str {
    installed.grant.key.account.as_str()
}

/// Whether a policy's action constraint takes in `action`, itself or by a scope that gives it.
pub(super) fn names(constraint: &ActionConstraint, action: &Action, catalogue: &Catalogue) -> bool {
    let takes_in = |uid: &EntityUid| {
        let name = uid.id().unescaped();
        let giving = catalogue.scopes_for(action);
        name == action.as_str()
            || name.parse::<Scope>().is_ok_and(|scope| giving.iter().any(|given| scope.covers(given)))
    };
    match constraint {
        ActionConstraint::Any => true,
        ActionConstraint::In(uids) => uids.iter().any(takes_in),
        ActionConstraint::Eq(uid) => takes_in(uid),
    }
}

/// More distinct narrowings than this of one grant are compiled again.
const NARROWER_SLICES: usize = 16;
