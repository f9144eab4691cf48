//! PDP: pure functions from facts to a permit. No I/O but reading policy files, no async but telling of a change.
//!
//! Comes in: a policy folder ([`Policies`], followed by [`reload::Current`]), an installed application, a member, the
//! token's scopes, a call. Goes out: a [`Permit`] or a [`Denial`].
//!
//! ```text
//! policies/ -load-> Policies -compile(Installed)-> CompiledGrant -session(Member, scopes)-> Session
//!                                                          decide(Session, Call, Surroundings) -> Permit | Denial
//! ```
//!
//! Two layers by construction: permits are generated from grants ([`generate`]), authors' guardrails can only forbid.
//! A user's own rights are the upstream's to enforce.

pub mod calls;
pub mod cases;
pub mod catalogue;
pub mod cloud;
mod compile;
mod console;
mod decide;
mod denial;
mod exchange;
pub mod explain;
pub mod generate;
pub mod load;
pub mod reload;
mod session;
mod surroundings;
#[cfg(test)]
mod tests;

pub use catalogue::{Risk, RiskLevel, ScopeEntry};
pub use compile::CompiledGrant;
pub use console::ConsoleAction;
pub use decide::{Permit, decide};
pub use denial::{Cause, Denial, Ground, MissingScope};
pub use exchange::{Exchange, Exchanging, decide_exchange};
pub use load::problem::{Problem, Problems};
pub use load::{Policies, PolicyVersion};
pub use session::Session;
pub use surroundings::Surroundings;
