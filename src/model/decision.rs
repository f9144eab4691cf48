//! The decision record: what became of one call, whatever its end. One shape for every outcome
//! (`schemas/decision.json`), written by the sidecar, read by administrators.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::id::DecisionId;

/// One call's record. What was not known when the call ended is absent. Texts that many records share are shared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Decision {
    /// Its id, which the answer carried in `x-consentry-decision`.
    #[schema(value_type = String)]
    pub id: DecisionId,
    /// When the call arrived.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The sidecar that took it.
    #[schema(value_type = String)]
    pub sidecar: Arc<str>,
    /// How it ended.
    pub outcome: Outcome,
    /// The stable code of a refusal: `insufficient_scope`, `not_installed`, …; `ok` for what was forwarded.
    #[schema(value_type = String)]
    pub code: Cow<'static, str>,
    /// The status that the application saw.
    pub status: u16,
    /// The route's path template.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub route: Option<Arc<str>>,
    /// The request's method.
    pub method: String,
    /// The request's path, without its query.
    pub path: String,
    /// The caller's account.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub account: Option<Arc<str>>,
    /// The application (`client_id`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub application: Option<Arc<str>>,
    /// The principal, `kind/id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub principal: Option<Arc<str>>,
    /// The action, `service:Operation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub action: Option<Arc<str>>,
    /// The resource's full name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// The grant, `account/application`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub grant: Option<Arc<str>>,
    /// The grant's revision.
    #[serde(rename = "grant.revision", skip_serializing_if = "Option::is_none")]
    pub grant_revision: Option<u64>,
    /// The scopes that counted: those of the token that the grant still holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub scopes: Option<Arc<str>>,
    /// The policies that decided, by id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub policy: Vec<Arc<str>>,
    /// The scopes one of which would have allowed it, for a denial that a scope can mend.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Where the grant came from: `held` beside the token, `near`, `origin`; or `memo` when the decision itself was
    /// remembered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub cache: Option<Cow<'static, str>>,
    /// The W3C trace id, in or made here.
    pub trace: String,
    /// Microseconds by phase.
    pub took: Took,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was passed on to the upstream.
    Forwarded,
    /// The sidecar answered it itself: metadata.
    Answered,
    /// Policy said no.
    Denied,
    /// It was refused for another reason: not understood, not authenticated, not installed, unavailable.
    Refused,
    /// It was permitted, and the upstream failed.
    Failed,
}

impl Outcome {
    /// The word used in records and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Answered => "answered",
            Self::Denied => "denied",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Microseconds that each phase took; a phase that was not reached counts 0. One that was answered from memory
/// takes no time of its own: it counts with the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Took {
    /// Canonicaliser and adapter, where they waited for a body; else they count with the next.
    pub read: u32,
    /// Token.
    pub identify: u32,
    /// Grant.
    pub find: u32,
    /// Policy.
    pub decide: u32,
    /// Assumed identity.
    pub assume: u32,
    /// Until the upstream's head.
    pub forward: u32,
    /// All together.
    pub total: u32,
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema;
    use utoipa::openapi::{OpenApiBuilder, schema::Components};

    use super::*;

    /// With `BLESS=1` in the environment the file is rewritten, and the change is read in the diff.
    #[test]
    fn the_schema_of_a_record_stays_as_it_is() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/decision.json");
        let mut schemas = vec![(Decision::name().into_owned(), Decision::schema())];
        Decision::schemas(&mut schemas);
        let mut components = Components::new();
        components.schemas.extend(schemas);
        let document = OpenApiBuilder::new().components(Some(components)).build();
        let found = serde_json::to_value(document).unwrap()["components"]["schemas"].clone();
        let mut found = serde_json::to_string_pretty(&found).unwrap();
        found.push('\n');
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, &found).unwrap();
        }
        assert_eq!(found, std::fs::read_to_string(path).unwrap_or_default(), "rewrite {path} with BLESS=1");
    }
}
