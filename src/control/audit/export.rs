//! The audit as lines of JSON, with a signature over them at the end.
//!
//! The first line says what is exported. The whole holds every chain from its first record to its last, with its cuts and
//! checkpoints, and can be verified with nothing but the public keys. A part, such as one account's records, cannot show
//! that nothing is left out of it by its records alone; the last line's signature says that these are the lines that the
//! control plane has given.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;
use tokio::sync::mpsc::Sender;

use super::marks::Mark;
use crate::model::audit::{AuditKind, AuditRecord, CallsKept, Hashing, harmless};
use crate::model::id::AccountId;
use crate::store::{AuditFilter, Audited, Shared, Span, StoreError};
use crate::token::keys::{KeyError, Signer};

/// What is to be exported.
pub enum Scope {
    /// Every chain; with the decision records if they are wanted.
    Whole {
        /// Whether the decision records stand after the links that vouch for them.
        decisions: bool,
    },
    /// The records that fit.
    Part(Box<AuditFilter>),
}

/// Why an export has no end. Without its last line it is seen to be cut off.
#[derive(Debug, thiserror::Error)]
pub enum Unended {
    /// The store's own.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing could be signed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Who reads it has gone away.
    #[error("nobody reads the export any more")]
    Unread,
}

/// Exports into `lines`, each with its line feed.
///
/// # Errors
/// [`Unended`].
pub async fn export(
    store: &Shared,
    signer: &Signer,
    scope: &Scope,
    now: Timestamp,
    lines: Sender<String>,
) -> Result<(), Unended> {
    let mut out = Out { lines, hashing: Hashing::new(DOMAIN), count: 0 };
    let account = match scope {
        Scope::Whole { decisions } => {
            let head = json!({ "consentry_audit": 1, "scope": "whole", "decisions": decisions, "at": now });
            out.line(head.to_string()).await?;
            whole(store, *decisions, &mut out).await?;
            None
        }
        Scope::Part(filter) => {
            let head = json!({ "consentry_audit": 1, "scope": "part", "account": filter.account, "at": now });
            out.line(head.to_string()).await?;
            part(store, filter, &mut out).await?;
            filter.account.clone()
        }
    };
    out.end(signer, account, now).await
}

struct Out {
    lines: Sender<String>,
    hashing: Hashing,
    count: u64,
}

impl Out {
    async fn line(&mut self, line: String) -> Result<(), Unended> {
        let mut line = harmless(line);
        self.hashing.text(&line);
        self.count += 1;
        line.push('\n');
        self.lines.send(line).await.map_err(|_| Unended::Unread)
    }

    async fn end(self, signer: &Signer, account: Option<AccountId>, at: Timestamp) -> Result<(), Unended> {
        let mark = Mark::Export { account, lines: self.count, digest: self.hashing.end(), at };
        let line = format!("{}\n", json!({ "export": signer.sign(&mark)? }));
        self.lines.send(line).await.map_err(|_| Unended::Unread)
    }
}

async fn whole(store: &Shared, decisions: bool, out: &mut Out) -> Result<(), Unended> {
    for cut in store.cuts().await? {
        out.line(json!({ "cut": cut.token }).to_string()).await?;
    }
    for checkpoint in store.checkpoints().await? {
        out.line(json!({ "checkpoint": checkpoint.token }).to_string()).await?;
    }
    for node in store.audit_nodes().await? {
        let mut after = 0;
        loop {
            let page = store.chain(&node, after, 500).await?;
            for Audited { record, .. } in &page {
                out.line(record.line()).await?;
                if decisions && record.kind == AuditKind::Calls {
                    calls(store, record, out).await?;
                }
                after = record.number;
            }
            if page.is_empty() {
                break;
            }
        }
    }
    Ok(())
}

async fn calls(store: &Shared, record: &AuditRecord, out: &mut Out) -> Result<(), Unended> {
    let Ok(said) = serde_json::from_str::<CallsKept>(record.detail.get()) else { return Ok(()) };
    let mut from = said.from;
    loop {
        let page = store.decisions_between(from, said.to, 500).await?;
        for kept in &page {
            // The record's own text, which is JSON, and not another spelling of it: it is hashed.
            out.line(json!({ "decision": kept.text, "place": kept.place }).to_string()).await?;
            from = kept.place.saturating_add(1);
        }
        if page.is_empty() {
            return Ok(());
        }
    }
}

async fn part(store: &Shared, filter: &AuditFilter, out: &mut Out) -> Result<(), Unended> {
    let mut filter = AuditFilter { page: Span::After(0), limit: 500, ..filter.clone() };
    loop {
        let page = store.audit_records(&filter).await?;
        let Some(last) = page.last() else { return Ok(()) };
        filter.page = Span::After(last.place);
        for Audited { record, .. } in &page {
            out.line(record.line()).await?;
        }
    }
}

/// The key that signs the audit now, for who has the store and the operator's secret beside it.
///
/// # Errors
/// What is missing, in a sentence.
pub async fn signer(
    store: &Shared,
    sealer: &crate::token::seal::Sealer,
    now: Timestamp,
) -> Result<Arc<Signer>, crate::control::StartError> {
    crate::control::signing::make_missing(store, sealer, now).await?;
    let ring = crate::control::signing::Ring::load(store, sealer, now).await?;
    Ok(Arc::clone(ring.keys.signer(crate::token::keys::Purpose::Audit, now)?))
}

pub(super) const DOMAIN: &[u8] = b"consentry audit export 1";
