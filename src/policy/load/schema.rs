//! The schema: `schemas/model.cedarschema` joined with the actions of the scope catalogue.
//!
//! Comes in: a catalogue. Goes out: one schema for calls, against which guardrails are checked, and one for the
//! console. They are apart so that a guardrail on every action is not held against people at the console.

use cedar_policy::{Entities, Schema, SchemaFragment};
use serde_json::{Map, Value, json};

use crate::policy::catalogue::Catalogue;

/// Both halves of the vocabulary.
#[derive(Debug)]
pub(in crate::policy) struct Vocabulary {
    /// What guardrails and generated policies may speak of.
    pub(in crate::policy) calls: Schema,
    /// What `console.cedar` may speak of.
    pub(in crate::policy) console: Schema,
}

/// The hand-written part.
pub const MODEL: &str = include_str!("../../../schemas/model.cedarschema");

impl Vocabulary {
    /// Joins the hand-written part with `catalogue`. An error is ours: the catalogue was checked before.
    pub(in crate::policy) fn of(catalogue: &Catalogue) -> Result<Self, String> {
        let (console, calls) = documents(catalogue)?;
        let read = |document| Schema::from_json_value(document).map_err(|error| error.to_string());
        Ok(Self { calls: read(calls)?, console: read(console)? })
    }
}

/// The actions of the console, each inside those that it is a part of. An error is ours.
pub(in crate::policy) fn console_actions() -> Result<Entities, String> {
    let (schema, _) = Schema::from_cedarschema_str(MODEL).map_err(|error| error.to_string())?;
    schema.action_entities().map_err(|error| error.to_string())
}

/// The whole schema as one Cedar text, for editors.
pub fn combined(catalogue: &Catalogue) -> Result<String, String> {
    let (console, mut calls) = documents(catalogue)?;
    if let (Some(all), Some(more)) =
        (actions(&mut calls), console.pointer("//actions").and_then(Value::as_object))
    {
        all.extend(more.clone());
    }
    let fragment = SchemaFragment::from_json_value(calls).map_err(|error| error.to_string())?;
    fragment.to_cedarschema().map_err(|error| error.to_string())
}

fn documents(catalogue: &Catalogue) -> Result<(Value, Value), String> {
    let (fragment, _) = SchemaFragment::from_cedarschema_str(MODEL).map_err(|error| error.to_string())?;
    let console = fragment.to_json_value().map_err(|error| error.to_string())?;
    let mut calls = console.clone();
    let all = actions(&mut calls).ok_or("schemas/model.cedarschema has no actions")?;
    all.clear();
    for entry in catalogue.scopes() {
        let whole = entry.scope.whole();
        all.insert(entry.scope.to_string(), json!({ "memberOf": members(whole.iter()) }));
    }
    for (action, scopes) in catalogue.actions() {
        let applies = json!({
            "principalTypes": ["Session"], "resourceTypes": ["Resource"], "context": { "type": "CallContext" },
        });
        all.insert(action.to_string(), json!({ "memberOf": members(scopes.iter()), "appliesTo": applies }));
    }
    Ok((console, calls))
}

fn actions(document: &mut Value) -> Option<&mut Map<String, Value>> {
    document.pointer_mut("//actions").and_then(Value::as_object_mut)
}

fn members<'a>(scopes: impl Iterator<Item = &'a crate::model::scope::Scope>) -> Vec<Value> {
    scopes.map(|scope| json!({ "id": scope.as_str() })).collect()
}
