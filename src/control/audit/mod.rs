//! The audit: every change, every consent and every refusal, in an order that cannot be changed unnoticed.
//!
//! Comes in: what the store has chained, what handlers refuse, and questions. Goes out: signed checkpoints and cuts,
//! records by account (API, console), exports, and whether all of it is still what was written. An account is shown its
//! own records only; those that are nobody's are for the operator's command line.
//!
//! **What is hashed.** A record's hash covers the node's name, its number in that node's chain, when, whose, who, what,
//! about what, the detail, and the hash of the record before it. **What is signed.** A checkpoint names a chain's newest
//! record and its hash, and how far the node has seen other chains come: who cuts a chain off after it is found. Only what
//! came after the last checkpoint, a second's records, can be cut off unseen, and a whole store can be put back to what it
//! was; against that a checkpoint is kept elsewhere (`consentry audit checkpoint`). **Retention.** Events stay for ever.
//! Refusals, and the records that vouch for decision records, go when an account has too many: a signed cut stands in
//! their place, so that what is missing without one was taken away. **Cost.** Decision records are vouched for by batch,
//! one record of the chain for each account in it.

pub(in crate::control) mod api;
mod export;
mod exported;
mod marks;
mod pages;
mod refusals;
mod sentence;
mod stored;
mod tend;
mod verify;
pub mod view;

use std::sync::Arc;

use axum::Router;
use axum::middleware::map_response;
use axum::routing::get;

use super::Control;
use super::admin::finish;
pub use export::{Scope, Unended, export, signer};
pub use exported::{Exported, verify as verify_export};
pub use marks::{AuditKeys, Mark, NoKeys, Seen};
pub(in crate::control) use refusals::{Because, Refusals, watch, watch_heads};
pub use sentence::sentence;
pub use stored::{Unverified, verify as verify_store};
pub use tend::Unsigned;
pub use verify::{Broken, ChainReport, Report, Verifier};

/// The audit's routes of the admin API and the console.
pub(super) fn routes() -> Router<Arc<Control>> {
    let api = Router::new()
        .route("/api/v1/audit", get(api::list))
        .route("/api/v1/audit/{id}", get(api::show))
        .layer(map_response(finish));
    let console = Router::new()
        .route(super::page::nav::AUDIT, get(pages::list))
        .route("/console/audit/{id}", get(pages::event))
        .route("/console/audit/calls/{id}", get(pages::call));
    api.merge(console)
}
