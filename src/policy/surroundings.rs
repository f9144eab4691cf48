//! What is known of a call beside who, what and to what, and how little of it a decision looks at.
//!
//! Comes in: the request's address, time and head, borrowed. Goes out: a Cedar context that holds only what the
//! policies at hand read. Building a whole context costs more than deciding, and a decision that read nothing of it
//! may be remembered.

use std::collections::BTreeSet;
use std::net::IpAddr;

use cedar_policy::{Context, Policy, RestrictedExpression};
use jiff::Timestamp;
use serde_json::Value;

use crate::model::scope::ScopeSet;

/// The circumstances of one call.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// Where it came from.
    pub ip: IpAddr,
    /// When it is decided.
    pub time: Timestamp,
    /// The request's method.
    pub method: &'a str,
    /// The host that it was sent to.
    pub host: &'a str,
    /// Its path, without the query.
    pub path: &'a str,
}

/// One attribute of `CallContext` in `schemas/model.cedarschema`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    Scopes,
    Ip,
    Time,
    Method,
    Host,
    Path,
}

impl Field {
    const ALL: [Self; 6] = [Self::Scopes, Self::Ip, Self::Time, Self::Method, Self::Host, Self::Path];

    fn name(self) -> &'static str {
        match self {
            Self::Scopes => "scopes",
            Self::Ip => "ip",
            Self::Time => "time",
            Self::Method => "method",
            Self::Host => "host",
            Self::Path => "path",
        }
    }

    fn value(self, around: &Surroundings<'_>, scopes: &ScopeSet) -> RestrictedExpression {
        let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
        match self {
            Self::Scopes => RestrictedExpression::new_set(scopes.iter().map(|scope| text(scope.as_str()))),
            Self::Ip => RestrictedExpression::new_ip(around.ip.to_canonical().to_string()),
            Self::Time => {
                RestrictedExpression::new_datetime(around.time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
            }
            Self::Method => text(around.method),
            Self::Host => text(around.host),
            Self::Path => text(around.path),
        }
    }
}

/// Which attributes of the context a policy reads. A policy that uses the context as a whole, or that cannot be
/// looked into, counts as reading all.
pub(super) fn fields_read(policy: &Policy) -> BTreeSet<Field> {
    let mut names = Some(BTreeSet::new());
    match policy.to_json() {
        Ok(json) => collect(&json, &mut names),
        Err(_) => names = None,
    }
    let Some(names) = names else { return Field::ALL.into_iter().collect() };
    Field::ALL.into_iter().filter(|field| names.contains(field.name())).collect()
}

fn collect(value: &Value, names: &mut Option<BTreeSet<String>>) {
    match value {
        Value::Object(object) => {
            if object.get("Var").and_then(Value::as_str) == Some("context") {
                *names = None;
                return;
            }
            for (key, inner) in object {
                let read = inner.get("attr").and_then(Value::as_str).filter(|_| {
                    (key == "." || key == "has")
                        && inner.pointer("/left/Var").and_then(Value::as_str) == Some("context")
                });
                match (read, names.as_mut()) {
                    (Some(name), Some(names)) => {
                        names.insert(name.to_owned());
                    }
                    (Some(_), None) => {}
                    (None, _) => collect(inner, names),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The context for policies that read `fields`.
pub(super) fn context(
    fields: &BTreeSet<Field>,
    around: &Surroundings<'_>,
    scopes: &ScopeSet,
) -> Result<Context, String> {
    if fields.is_empty() {
        return Ok(Context::empty());
    }
    let pairs = fields.iter().map(|field| (field.name().to_owned(), field.value(around, scopes)));
    Context::from_pairs(pairs).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_by(condition: &str) -> Vec<Field> {
        let text = format!("forbid (principal, action, resource) when {{ {condition} }};");
        fields_read(&Policy::parse(None, text).unwrap()).into_iter().collect()
    }

    #[test]
    fn only_what_a_policy_reads_is_found() {
        assert_eq!(read_by("context.ip.isInRange(ip(\"10.0.0.0/8\"))"), [Field::Ip]);
        assert_eq!(read_by("context has time && context.path like \"/x*\""), [Field::Time, Field::Path]);
        assert_eq!(read_by("principal.kind == \"context\""), []);
    }

    #[test]
    fn a_policy_that_takes_the_context_whole_reads_all_of_it() {
        assert_eq!(read_by("context == {}"), Field::ALL);
        assert_eq!(read_by("{ a: context }.a.host == \"x\" && context.ip.isIpv4()"), Field::ALL);
    }
}
