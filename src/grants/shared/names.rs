//! What the keys in Redis are called. What belongs to one grant shares a slot of a cluster, and so does the log.

use crate::model::account::PrincipalKey;
use crate::model::id::GrantKey;

/// The keys' names.
#[derive(Debug, Clone)]
pub struct Names {
    prefix: String,
    log: String,
    watermark: String,
}

impl Names {
    /// Under `prefix`.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            log: format!("{prefix}{{log}}"),
            watermark: format!("{prefix}{{log}}:wm"),
        }
    }

    /// The stream of the change log's last entries, and what the names of all that tells news begin with.
    #[must_use]
    pub fn log(&self) -> &str {
        &self.log
    }

    /// How far the log reaches, and as of when.
    #[must_use]
    pub fn watermark(&self) -> &str {
        &self.watermark
    }

    /// A grant's record.
    #[must_use]
    pub fn grant(&self, key: &GrantKey) -> String {
        format!("{}g:{{{key}}}", self.prefix)
    }

    /// What a principal is to a grant. Identifiers hold neither braces nor slashes, so no two names are alike.
    #[must_use]
    pub fn member(&self, key: &GrantKey, principal: &PrincipalKey) -> String {
        let PrincipalKey { account, kind, id } = principal;
        format!("{}m:{{{key}}}{account}/{kind}/{id}", self.prefix)
    }
}
