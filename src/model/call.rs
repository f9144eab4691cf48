//! A call: which action on which resource, as an adapter read it from a request.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::id::AccountId;

/// An action of a service, `service:Operation`, such as `oss:GetObject`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Action(Arc<str>);

impl Action {
    /// An action by its full name. Whether a catalogue knows it is policy's question.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The full name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The service's part of the name: `oss` of `oss:GetObject`.
    #[must_use]
    pub fn service(&self) -> &str {
        // The name is short: looking at each byte is quicker than a search that is made for long texts.
        let colon = self.0.bytes().position(|byte| byte == b':');
        colon.and_then(|colon| self.0.get(..colon)).unwrap_or(&self.0)
    }
}

impl From<Action> for Arc<str> {
    fn from(action: Action) -> Self {
        action.0
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is acted upon, by its cloud name: `acs:oss:*:1000000000000001:reports/2026.csv`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Resource {
    /// The account that owns it.
    pub account: AccountId,
    /// The region that it is in, where the call names one. It is no part of the cloud name here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Arc<str>>,
    /// Its name inside service and account: `reports/2026.csv`; `*` for the service's all.
    pub name: String,
}

/// One request's meaning.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Call {
    /// What is done.
    pub action: Action,
    /// To what.
    pub resource: Resource,
}

impl Call {
    /// The resource's full cloud name.
    #[must_use]
    pub fn resource_name(&self) -> String {
        self.resource_parts().concat()
    }

    /// The same, in parts that are to be joined.
    #[must_use]
    pub fn resource_parts(&self) -> [&str; 6] {
        ["acs:", self.action.service(), ":*:", self.resource.account.as_str(), ":", &self.resource.name]
    }
}
