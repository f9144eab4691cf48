//! A denial: why policy said no, and what can be done about it.
//!
//! Comes in: the wall or the guardrail that a call ran into. Goes out: a stable code, the policies that decided, and
//! the next step in plain words. Knows no status code and no page: the sidecar adds both.

use std::fmt;
use std::sync::Arc;

use crate::model::grant::Installed;
use crate::model::scope::{Scope, ScopeSet};

/// Policy's no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    cause: Arc<Cause>,
    policies: Arc<[Arc<str>]>,
}

/// Why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The grant is suspended, revoked or has expired.
    NotInstalled,
    /// The principal is not among those who may use the application.
    NotAssigned,
    /// The principal has not agreed in person, or not to this.
    ConsentRequired,
    /// No effective scope gives the action, and some other scope would.
    InsufficientScope(MissingScope),
    /// A guardrail or a structural limit forbids it, and no scope would help.
    AccessDenied(Vec<Ground>),
    /// The policies could not be evaluated, and what cannot be evaluated is not allowed.
    PolicyError(Vec<String>),
}

/// The scopes that a call lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingScope {
    /// Any one of these would do.
    pub needed: ScopeSet,
    /// Which of them, or of the products that hold them, the application can be granted.
    pub offered: ScopeSet,
    /// Whether the administrator was offered one of them and did not choose it.
    pub declined: bool,
    /// Whether the grant holds one, so that only the token is too narrow.
    pub granted: bool,
}

/// One policy that forbade a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ground {
    /// Its `@id`.
    pub id: String,
    /// Its `@reason`.
    pub reason: String,
}

impl Denial {
    pub(super) fn new(cause: Cause, policies: impl IntoIterator<Item = String>) -> Self {
        Self { cause: Arc::new(cause), policies: policies.into_iter().map(Arc::from).collect() }
    }

    /// Why.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// The policies that decided, by id.
    #[must_use]
    pub fn policies(&self) -> &[Arc<str>] {
        &self.policies
    }

    /// The same, to keep.
    #[must_use]
    pub fn shared_policies(&self) -> Arc<[Arc<str>]> {
        Arc::clone(&self.policies)
    }

    /// The stable word for applications and records.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match &*self.cause {
            Cause::NotInstalled => "not_installed",
            Cause::NotAssigned => "not_assigned",
            Cause::ConsentRequired => "consent_required",
            Cause::InsufficientScope(_) => "insufficient_scope",
            Cause::AccessDenied(_) => "access_denied",
            Cause::PolicyError(_) => "policy_error",
        }
    }

    /// The scopes one of which would have allowed the call; nothing unless that is what is missing.
    #[must_use]
    pub fn missing(&self) -> Option<&MissingScope> {
        match &*self.cause {
            Cause::InsufficientScope(missing) => Some(missing),
            Cause::NotInstalled
            | Cause::NotAssigned
            | Cause::ConsentRequired
            | Cause::AccessDenied(_)
            | Cause::PolicyError(_) => None,
        }
    }

    /// What can be done about it, in one or two sentences.
    #[must_use]
    pub fn next_step(&self) -> String {
        match &*self.cause {
            Cause::NotInstalled => {
                "An administrator of the account can resume the application, or authorize it again.".to_owned()
            }
            Cause::NotAssigned => "An administrator of the account can assign the application to you.".to_owned(),
            Cause::ConsentRequired => "Sign in to the application again and agree to what it asks for.".to_owned(),
            Cause::InsufficientScope(missing) => missing.next_step(),
            Cause::AccessDenied(_) => {
                "No scope changes this. Ask the people who keep the guardrails named here, or make the call by \
                 hand instead of through the application."
                    .to_owned()
            }
            Cause::PolicyError(_) => {
                "The policies could not be evaluated, so nothing was allowed. The operator finds the cause in the \
                 decision record."
                    .to_owned()
            }
        }
    }
}

impl MissingScope {
    /// What a call that needs one of `needed` lacks, as the grant is now.
    pub(super) fn of(needed: ScopeSet, installed: &Installed) -> Self {
        let giving = |held: &ScopeSet| -> ScopeSet {
            held.iter().filter(|scope| needed.iter().any(|one| scope.covers(one))).cloned().collect()
        };
        let offered = giving(&installed.application.offered());
        let declined = !giving(&installed.grant.declined).is_empty();
        let granted = !giving(&installed.grant.scopes).is_empty();
        Self { needed, offered, declined, granted }
    }

    /// The least that would do, for a challenge: what the application offers goes first, a part before its whole.
    #[must_use]
    pub fn least(&self) -> ScopeSet {
        let offered = self.needed.iter().filter(|scope| self.offered.covers(scope));
        let part_first = |scope: &&Scope| (scope.whole().is_none(), (*scope).clone());
        let least = offered.min_by_key(part_first).or_else(|| self.needed.iter().min_by_key(part_first));
        least.cloned().into_iter().collect()
    }

    pub(super) fn next_step(&self) -> String {
        let one = either(&self.needed);
        if self.granted {
            format!(
                "The account granted {one}, but this token does not carry it: the application must ask for it."
            )
        } else if self.declined {
            format!(
                "The administrator was offered {} and declined. An administrator of the account can authorize the \
                 application again and choose it.",
                either(&self.offered)
            )
        } else if self.offered.is_empty() {
            format!("The application does not offer {one}: only its publisher can change that.")
        } else {
            format!(
                "An administrator of the account can authorize the application again with {}.",
                either(&self.offered)
            )
        }
    }
}

fn either(scopes: &ScopeSet) -> String {
    scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" or ")
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.cause {
            Cause::NotInstalled => f.write_str("The application is not in use in this account."),
            Cause::NotAssigned => f.write_str("The application is not assigned to this identity."),
            Cause::ConsentRequired => {
                f.write_str("This identity has not agreed to the application in person.")
            }
            Cause::InsufficientScope(missing) => {
                write!(f, "The call needs the scope {}.", either(&missing.needed))
            }
            Cause::AccessDenied(grounds) => {
                let reasons: Vec<&str> = grounds.iter().map(|ground| ground.reason.as_str()).collect();
                f.write_str(&reasons.join(" "))
            }
            Cause::PolicyError(_) => f.write_str("The policies could not be evaluated."),
        }
    }
}
