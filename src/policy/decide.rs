//! The decision: a session's call in its surroundings becomes a permit or a denial.
//!
//! Comes in: a [`Session`], a [`Call`], [`Surroundings`]. Goes out: a [`Permit`], once for one request, or a
//! [`Denial`]. Two walls stand one behind the other: plain comparisons of the grant's facts, then Cedar over the
//! grant's compiled policies. Each alone holds the grant's limits; guardrails stand in the second. Any evaluation
//! error denies, because Cedar leaves out a policy that fails, and a `forbid` left out is an open door.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use cedar_policy::{
    Authorizer, Decision, Entities, Entity, EntityUid, Request, Response, RestrictedExpression,
};

use super::console::uid;
use super::denial::{Cause, Denial, Ground, MissingScope};
use super::generate::{needs_assignment, needs_consent};
use super::session::{Base, Session, Verdict};
use super::surroundings::{Field, Surroundings, context};
use crate::model::call::Call;
use crate::model::grant::GrantState;
use crate::model::scope::ScopeSet;

/// Policy's yes, for one request. What forwards a request takes it by value.
///
/// Nothing outside `policy` can make one:
/// ```compile_fail,E0451
/// # use std::sync::Arc;
/// use consentry::policy::{Permit, Session};
/// fn forge<'a>(session: &'a Arc<Session>, call: &'a consentry::model::call::Call) -> Permit<'a> {
///     Permit { session, call, policies: Arc::new([]), remembered: false }
/// }
/// ```
/// nor use one twice:
/// ```compile_fail,E0599
/// # use consentry::policy::Permit;
/// fn twice(permit: Permit<'_>) -> (Permit<'_>, Permit<'_>) {
///     (permit.clone(), permit)
/// }
/// ```
#[derive(Debug)]
#[must_use = "a permit that is not used forwards nothing"]
pub struct Permit<'a> {
    session: &'a Arc<Session>,
    call: &'a Call,
    policies: Arc<[Arc<str>]>,
    remembered: bool,
}

impl Permit<'_> {
    /// Who may make the call.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        self.session
    }

    /// The call that it is for, and for no other.
    #[must_use]
    pub fn call(&self) -> &Call {
        self.call
    }

    /// The scopes that count.
    #[must_use]
    pub fn scopes(&self) -> &Arc<ScopeSet> {
        self.session.scopes()
    }

    /// The policies that allowed it, by id.
    #[must_use]
    pub fn policies(&self) -> &[Arc<str>] {
        &self.policies
    }

    /// The same, to keep.
    #[must_use]
    pub fn shared_policies(&self) -> Arc<[Arc<str>]> {
        Arc::clone(&self.policies)
    }

    /// Whether it was decided before for the same session, action and resource.
    #[must_use]
    pub fn remembered(&self) -> bool {
        self.remembered
    }
}

/// Decides `call`.
///
/// # Errors
/// A [`Denial`], in every case of doubt too.
pub fn decide<'a>(
    session: &'a Arc<Session>,
    call: &'a Call,
    around: &Surroundings<'_>,
) -> Result<Permit<'a>, Denial> {
    settle(session, call, around, |scopes| session.grant.policies.catalogue().allows(scopes, &call.action))
}

/// The same, where `gives` says whether scopes give the call's action.
pub(super) fn settle<'a>(
    session: &'a Arc<Session>,
    call: &'a Call,
    around: &Surroundings<'_>,
    gives: impl Fn(&ScopeSet) -> bool,
) -> Result<Permit<'a>, Denial> {
    let grant = &session.grant.installed().grant;
    if grant.has_ended(around.time) {
        return Err(Denial::new(Cause::NotInstalled, []));
    }
    if let Some(verdict) = session.recall(call) {
        return conclude(session, call, verdict, true);
    }
    let fields = session.slice.fields(&call.action, session.grant.policies.catalogue());
    let verdict = match wall(session, call, gives) {
        Some(denial) => Verdict::Denied(denial),
        None => ask(session, call, around, &fields)
            .unwrap_or_else(|error| Verdict::Denied(Denial::new(Cause::PolicyError(vec![error]), []))),
    };
    if fields.is_empty() {
        session.remember(call, &verdict);
    }
    conclude(session, call, verdict, false)
}

fn conclude<'a>(
    session: &'a Arc<Session>,
    call: &'a Call,
    verdict: Verdict,
    remembered: bool,
) -> Result<Permit<'a>, Denial> {
    match verdict {
        Verdict::Allowed(policies) => Ok(Permit { session, call, policies, remembered }),
        Verdict::Denied(denial) => Err(denial),
    }
}

/// The first wall: the grant's own limits, as comparisons. The same limits stand in the generated policies.
fn wall(session: &Session, call: &Call, gives: impl Fn(&ScopeSet) -> bool) -> Option<Denial> {
    let installed = session.grant.installed();
    let member = session.member();
    let generated = |part: &str| [format!("grant:{}:{part}", installed.grant.key)];
    let no = |cause: Cause, part: &str| Some(Denial::new(cause, generated(part)));
    let structural = |reason: &str| {
        let [id] = generated("ceiling");
        no(Cause::AccessDenied(vec![Ground { id, reason: reason.to_owned() }]), "ceiling")
    };
    match installed.grant.state {
        GrantState::Active => {}
        GrantState::Suspended | GrantState::Revoked => return no(Cause::NotInstalled, "ceiling"),
    }
    if !member.principal.enabled || member.principal.key.account != installed.grant.key.account {
        return structural("The identity is disabled, or belongs to another account than the grant.");
    }
    if needs_assignment(installed) && !member.assigned {
        return no(Cause::NotAssigned, "assigned");
    }
    let consent = needs_consent(installed).then_some(member.consented.as_ref());
    if consent == Some(None) {
        return no(Cause::ConsentRequired, "consent");
    }
    if !gives(session.scopes()) {
        return match missing(session, call) {
            Some(missing) => no(Cause::InsufficientScope(missing), "ceiling"),
            None => structural("No scope gives this action."),
        };
    }
    if consent.flatten().is_some_and(|agreed| !gives(agreed)) {
        return no(Cause::ConsentRequired, "consent");
    }
    if call.resource.account != installed.grant.key.account {
        return structural("The resource belongs to another account.");
    }
    None
}

fn missing(session: &Session, call: &Call) -> Option<MissingScope> {
    let needed = session.grant.policies.catalogue().scopes_for(&call.action);
    (!needed.is_empty()).then(|| MissingScope::of(needed, session.grant.installed()))
}

/// The second wall: Cedar. An error is a doubt that the caller turns into a denial.
fn ask(
    session: &Session,
    call: &Call,
    around: &Surroundings<'_>,
    fields: &BTreeSet<Field>,
) -> Result<Verdict, String> {
    let base = session.base.as_ref().map_err(Clone::clone)?;
    let set = session.slice.set.as_ref().map_err(Clone::clone)?;
    let (action, action_uid) =
        session.grant.policies.action(&call.action).ok_or("the action is not known")?;
    let (resource, resource_uid) = resource(base, call).ok_or("the resource's entity could not be built")?;
    let entities: Entities = base
        .entities
        .clone()
        .add_entities([action.clone(), resource], None)
        .map_err(|error| error.to_string())?;
    let context = context(fields, around, session.scopes())?;
    let request = Request::new(base.uid.clone(), action_uid, resource_uid, context, None)
        .map_err(|error| error.to_string())?;
    let answer = Authorizer::new().is_authorized(&request, set, &entities);
    Ok(read(session, &answer))
}

fn read(session: &Session, answer: &Response) -> Verdict {
    let errors: Vec<String> = answer.diagnostics().errors().map(ToString::to_string).collect();
    if !errors.is_empty() {
        let failed = answer.diagnostics().errors().map(|error| match error {
            cedar_policy::AuthorizationError::PolicyEvaluationError(error) => error.policy_id().to_string(),
        });
        return Verdict::Denied(Denial::new(Cause::PolicyError(errors), failed));
    }
    let ids = answer.diagnostics().reason();
    match answer.decision() {
        Decision::Allow => Verdict::Allowed(ids.map(|id| Arc::from(AsRef::<str>::as_ref(id))).collect()),
        Decision::Deny => {
            let mut ids: Vec<String> = ids.map(ToString::to_string).collect();
            ids.sort();
            let policies = &session.grant.policies;
            let ground = |id: &String| Ground {
                id: id.clone(),
                reason: policies.reason(id).unwrap_or("It is outside of what was granted.").to_owned(),
            };
            let grounds = ids.iter().map(ground).collect();
            Verdict::Denied(Denial::new(Cause::AccessDenied(grounds), ids))
        }
    }
}

fn resource(base: &Base, call: &Call) -> Option<(Entity, EntityUid)> {
    let account = if base.account.id().unescaped() == call.resource.account.as_str() {
        base.account.clone()
    } else {
        uid("Account", call.resource.account.as_str())?
    };
    let name = uid("Resource", &call.resource_name())?;
    let service = call.action.service();
    let mut attributes = HashMap::from([
        ("name".to_owned(), RestrictedExpression::new_string(call.resource.name.clone())),
        ("service".to_owned(), RestrictedExpression::new_string(service.to_owned())),
    ]);
    if let Some(region) = &call.resource.region {
        attributes.insert("region".to_owned(), RestrictedExpression::new_string(region.to_string()));
    }
    let parents = HashSet::from([account, uid("Service", service)?]);
    Some((Entity::new(name.clone(), attributes, parents).ok()?, name))
}

/// What Cedar alone would say, for the test that each wall holds without the other.
#[cfg(test)]
pub(super) fn second_wall_alone(session: &Session, call: &Call, around: &Surroundings<'_>) -> bool {
    let fields = session.slice.fields(&call.action, session.grant.policies.catalogue());
    matches!(ask(session, call, around, &fields), Ok(Verdict::Allowed(_)))
}
