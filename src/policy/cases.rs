//! Guardrail cases: what an author expects of the guardrails, kept beside them and run by `consentry policy test`.
//!
//! Comes in: `guardrails/<topic>.test.json`, in the format of `cedar run-tests`. Goes out: which cases hold, and which
//! guardrails no case has seen forbid. Guardrails are run with one more policy, `grant`, that permits everything and
//! stands for a grant that allows the call. What a case's context leaves out is filled in.

use std::collections::BTreeSet;
use std::path::Path;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityUid, Policy, PolicyId, PolicySet, Request, Schema,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::load::Policies;
use super::load::problem::{Problem, Problems};
use super::load::schema::Vocabulary;

/// One expectation.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    #[serde(default)]
    name: String,
    request: Asked,
    #[serde(default)]
    entities: Value,
    decision: Expected,
    #[serde(default)]
    reason: BTreeSet<String>,
    #[serde(default)]
    num_errors: usize,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    principal: String,
    action: String,
    resource: String,
    #[serde(default)]
    context: Map<String, Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expected {
    Allow,
    Deny,
}

/// What running all cases brought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Every case.
    pub cases: Vec<Outcome>,
    /// Guardrails that no case has seen forbid anything.
    pub never_seen: Vec<String>,
}

/// One case, run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The file it is in.
    pub file: String,
    /// Its name, or its number.
    pub name: String,
    /// What was otherwise than expected; nothing when the case holds.
    pub failure: Option<String>,
}

impl Report {
    /// Whether every case holds.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.cases.iter().all(|case| case.failure.is_none())
    }
}

/// Runs the cases in `dir`.
///
/// # Errors
/// A case file that cannot be read, with its place.
pub fn run(dir: &Path, policies: &Policies) -> Result<Report, Problems> {
    let ours = |error| Problems(vec![Problem::without_text("guardrails", error, "Please report it.")]);
    let set = with_a_grant(policies).map_err(ours)?;
    let vocabulary = Vocabulary::of(policies.catalogue()).map_err(ours)?;
    let mut cases = Vec::new();
    let mut seen = BTreeSet::new();
    for source in super::load::case_files(dir).map_err(|problem| Problems(vec![problem]))? {
        let file: Vec<Case> = serde_json::from_str(&source.text).map_err(|error| {
            Problems(vec![Problem::of_json(&source, &error, "policies/README.md shows the form.")])
        })?;
        for (index, case) in file.iter().enumerate() {
            let failure = match ask(case, &set, &vocabulary.calls) {
                Ok(answer) => {
                    seen.extend(answer.reason.iter().cloned());
                    answer.differs_from(case)
                }
                Err(error) => Some(error),
            };
            let name = if case.name.is_empty() {
                format!("case {}", index.saturating_add(1))
            } else {
                case.name.clone()
            };
            cases.push(Outcome { file: source.path.to_string(), name, failure });
        }
    }
    let never_seen = policies.guardrails().map(|(id, _)| id).filter(|id| !seen.contains(*id));
    Ok(Report { never_seen: never_seen.map(str::to_owned).collect(), cases })
}

fn with_a_grant(policies: &Policies) -> Result<PolicySet, String> {
    let grant = Policy::parse(Some(PolicyId::new("grant")), "permit (principal, action, resource);");
    let grant = grant.map_err(|error| error.to_string())?;
    let guardrails = policies.guardrails.iter().map(|one| one.policy.clone());
    PolicySet::from_policies(guardrails.chain([grant])).map_err(|error| error.to_string())
}

struct Answer {
    decision: Expected,
    reason: BTreeSet<String>,
    errors: Vec<String>,
}

impl Answer {
    fn differs_from(&self, case: &Case) -> Option<String> {
        if self.decision != case.decision {
            let word = |decision| match decision {
                Expected::Allow => "allow",
                Expected::Deny => "deny",
            };
            return Some(format!("expected {}, but it was {}", word(case.decision), word(self.decision)));
        }
        if self.reason != case.reason {
            return Some(format!("expected the reason {:?}, but it was {:?}", case.reason, self.reason));
        }
        (self.errors.len() != case.num_errors)
            .then(|| format!("expected {} errors, but there were {:?}", case.num_errors, self.errors))
    }
}

fn ask(case: &Case, set: &PolicySet, schema: &Schema) -> Result<Answer, String> {
    let uid = |text: &str| text.parse::<EntityUid>().map_err(|error| format!("{text}: {error}"));
    let action = uid(&case.request.action)?;
    let mut context = ordinary();
    context.extend(case.request.context.clone());
    let context = Context::from_json_value(Value::Object(context), Some((schema, &action)))
        .map_err(|error| format!("context: {}", chain(&error)))?;
    let entities = if case.entities.is_null() { json!([]) } else { case.entities.clone() };
    let entities = Entities::from_json_value(entities, Some(schema))
        .map_err(|error| format!("entities: {}", chain(&error)))?;
    let (principal, resource) = (uid(&case.request.principal)?, uid(&case.request.resource)?);
    let request = Request::new(principal, action, resource, context, Some(schema))
        .map_err(|error| format!("request: {}", chain(&error)))?;
    let answer = Authorizer::new().is_authorized(&request, set, &entities);
    let decision = match answer.decision() {
        Decision::Allow => Expected::Allow,
        Decision::Deny => Expected::Deny,
    };
    Ok(Answer {
        decision,
        reason: answer.diagnostics().reason().map(ToString::to_string).collect(),
        errors: answer.diagnostics().errors().map(ToString::to_string).collect(),
    })
}

/// What a case's context need not repeat.
fn ordinary() -> Map<String, Value> {
    let pairs = [
        ("scopes", json!([])),
        ("ip", json!("127.0.0.1")),
        ("time", json!("2026-01-01T00:00:00Z")),
        ("method", json!("GET")),
        ("host", json!("localhost")),
        ("path", json!("/")),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    std::iter::once(error.to_string()).chain(causes.map(ToString::to_string)).collect::<Vec<_>>().join(": ")
}
