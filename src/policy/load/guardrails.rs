//! Guardrails: what policy authors write, and every rule that their files must keep.
//!
//! Comes in: the text of `guardrails/*.cedar` (and of `console.cedar`). Goes out: checked policies, named by their
//! `@id`, or every problem with its place. A guardrail only forbids, so no edit of a file can widen a grant.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use cedar_policy::{Effect, EntityUid, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};

use super::problem::{Problem, Source};
use super::split::pieces;
use crate::policy::catalogue::Catalogue;
use crate::policy::surroundings::{Field, fields_read};

/// One policy of an author's file.
#[derive(Debug, Clone)]
pub(in crate::policy) struct Authored {
    /// The policy; its id is its `@id`.
    pub(in crate::policy) policy: Policy,
    /// Its `@reason`.
    pub(in crate::policy) reason: String,
    /// What of the context it reads.
    pub(in crate::policy) fields: BTreeSet<Field>,
    source: Source,
    span: Range<usize>,
}

impl Authored {
    /// Its `@id`.
    pub(in crate::policy) fn id(&self) -> &str {
        self.policy.id().as_ref()
    }

    /// Its text, as its file holds it.
    pub(in crate::policy) fn text(&self) -> &str {
        self.source.text.get(self.span.clone()).unwrap_or_default()
    }
}

/// What a file may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::policy) enum Kind {
    /// Only `forbid`.
    Guardrails,
    /// `permit` too.
    Console,
}

/// Reads files of one kind together: ids are unique over all of them. They are held against the schema if there is one,
/// and else were before.
pub(in crate::policy) fn read(
    kind: Kind,
    sources: &[Source],
    schema: Option<&Schema>,
    catalogue: &Catalogue,
    warnings: &mut Vec<Problem>,
) -> Result<Vec<Authored>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut taken: Vec<Authored> = Vec::new();
    for source in sources {
        for span in pieces(&source.text) {
            match parse(kind, source, span) {
                Ok(policy) if taken.iter().any(|other| other.id() == policy.id()) => {
                    let message = format!("the id {:?} is taken by another policy", policy.id());
                    let span = policy.span.clone();
                    problems.push(Problem::new(source, span, message, "Give each policy an @id of its own."));
                }
                Ok(policy) => taken.push(policy),
                Err(problem) => problems.push(problem),
            }
        }
    }
    if let Some(schema) = schema {
        for policy in &taken {
            lint(policy, schema, catalogue, &mut problems, warnings);
        }
        if problems.is_empty() {
            problems.extend(validate(&taken, schema));
        }
    }
    if problems.is_empty() { Ok(taken) } else { Err(problems) }
}

fn parse(kind: Kind, source: &Source, span: Range<usize>) -> Result<Authored, Problem> {
    let object = |message: &str, mend: &str| Problem::new(source, span.clone(), message, mend);
    let text = source.text.get(span.clone()).unwrap_or_default();
    let policy = Policy::parse(None, text).map_err(|errors| match errors.iter().next() {
        Some(error) => Problem::of_cedar(
            source,
            span.start,
            span.clone(),
            error,
            "See https://docs.cedarpolicy.com for the language; templates (`?principal`) have no place here.",
        ),
        None => object("this is no Cedar policy", "See https://docs.cedarpolicy.com for the language."),
    })?;
    if kind == Kind::Guardrails && policy.effect() == Effect::Permit {
        return Err(object(
            "a guardrail forbids, and this policy permits",
            "What an application may do comes from its grant. Write a `forbid`, or delete this policy.",
        ));
    }
    let told = |key: &str| policy.annotation(key).map(str::trim).filter(|text| !text.is_empty());
    let Some(id) = told("id") else {
        return Err(object("the policy has no @id", "Add @id(\"topic.what-it-forbids\") before it."));
    };
    if id.contains(':') || id.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
        let mend =
            "Letters, digits, dots and dashes read best; ids with a colon are those of generated policies.";
        return Err(object("the policy's @id holds a colon or a space", mend));
    }
    let Some(reason) = told("reason").map(str::to_owned) else {
        let mend = "Add @reason(\"…\"): the sentence that the refused application and its user will read.";
        return Err(object("the policy has no @reason", mend));
    };
    let policy = policy.new_id(PolicyId::new(id));
    let fields = fields_read(&policy);
    Ok(Authored { policy, reason, fields, source: source.clone(), span })
}

/// Strict validation, where a warning counts as an error.
fn validate(policies: &[Authored], schema: &Schema) -> Vec<Problem> {
    let by_id: BTreeMap<&PolicyId, &Authored> = policies.iter().map(|one| (one.policy.id(), one)).collect();
    let Ok(set) = PolicySet::from_policies(policies.iter().map(|one| one.policy.clone())) else {
        return Vec::new(); // two of one id, which has been told already
    };
    let verdict = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
    let mend = "schemas/model.cedarschema and policies/scopes/ hold the words that a policy may use.";
    let at = |id: &PolicyId, complaint: &dyn miette::Diagnostic| {
        let one = by_id.get(id)?;
        let problem = Problem::of_cedar(&one.source, one.span.start, one.span.clone(), complaint, mend);
        // Cedar's text repeats the id, which the place tells better
        let prefix = format!("for policy `{id}`, ");
        let message = problem.message.strip_prefix(&prefix).map(str::to_owned);
        Some(Problem { message: message.unwrap_or(problem.message), ..problem })
    };
    let errors = verdict.validation_errors().filter_map(|error| at(error.policy_id(), error));
    let warnings = verdict.validation_warnings().filter_map(|warning| at(warning.policy_id(), warning));
    errors.chain(warnings).collect()
}

/// Ids that can be known are checked, since Cedar takes a mistyped one for an entity that nothing is in.
fn lint(
    one: &Authored,
    schema: &Schema,
    catalogue: &Catalogue,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<Problem>,
) {
    for uid in one.policy.entity_literals() {
        let name = uid.id().unescaped();
        let say =
            |message: String, mend: &str| Problem::new(&one.source, literal_place(one, &uid), message, mend);
        match uid.type_name().basename() {
            "Action" if !schema.actions().any(|known| *known == uid) => {
                let mend = near(name, schema.actions().map(|known| known.id().unescaped().to_owned()));
                problems.push(say(format!("no scope file knows the action or scope {name:?}"), &mend));
            }
            "Service" if !catalogue.services().any(|(service, _)| service == name) => {
                let mend = near(name, catalogue.services().map(|(service, _)| service.to_owned()));
                problems.push(say(format!("no scope file describes the service {name:?}"), &mend));
            }
            kind @ ("Group" | "User" | "Role" | "Grant") if name.split('/').count() != 2 => {
                let mend =
                    format!("Write {kind}::\"<account>/<name>\"; without its account nothing is in it.");
                problems.push(say(format!("{uid} can never match"), &mend));
            }
            "Session" => {
                let mend = "Name the application, user, role, group or account with `principal in`.";
                problems.push(say(format!("{uid} names a session, which lives for minutes"), mend));
            }
            "Application" | "Account" | "Group" | "User" | "Role" | "Grant" | "Resource" => {
                let mend = "A mistyped id forbids nothing, so check it by hand.";
                warnings.push(say(format!("{uid} cannot be looked up here"), mend));
            }
            _ => {}
        }
    }
}

fn literal_place(one: &Authored, uid: &EntityUid) -> Range<usize> {
    let text = one.text();
    let quoted = format!("\"{}\"", uid.id().unescaped());
    text.find(&quoted).map_or(one.span.clone(), |at| {
        let start = one.span.start.saturating_add(at);
        start..start.saturating_add(quoted.len())
    })
}

/// The known word that shares most with `name`, as a suggestion.
fn near(name: &str, known: impl Iterator<Item = String>) -> String {
    let likeness = |other: &str| {
        let same = |a: &str, b: &str| {
            a.chars().zip(b.chars()).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count()
        };
        let turned = |text: &str| text.chars().rev().collect::<String>();
        same(name, other).saturating_add(same(&turned(name), &turned(other)))
    };
    let best = known.max_by_key(|other| likeness(other)).filter(|other| likeness(other) >= 4);
    match best {
        Some(best) => format!("Did you mean {best:?}? Otherwise add it to policies/scopes/."),
        None => "Add it to policies/scopes/, or correct it.".to_owned(),
    }
}
