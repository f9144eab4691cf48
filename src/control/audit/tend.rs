//! What has to be done for the audit all the time: signing how far it has come, and letting old records go.
//!
//! A checkpoint is signed when a thousand records have come since the last one, and otherwise each second in which some
//! have. Before that the last one is compared with what is there now: somebody who cuts the chain off while its node runs
//! leaves a record of that.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::marks::{Mark, Seen};
use crate::control::Control;
use crate::model::audit::Hash;
use crate::store::{Checkpoint, Cut, Head, NewRecord, Run, StoreError};
use crate::token::keys::{KeyError, Purpose};

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum Unsigned {
    /// The store's own.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no key, or it did not sign.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// What was signed last.
#[derive(Default)]
struct Signed {
    own: Option<(u64, Hash)>,
    others: BTreeMap<String, u64>,
    at: Option<Timestamp>,
}

impl Control {
    /// Everything that the audit needs. Never ends.
    pub(in crate::control) async fn tend_audit(&self) {
        tokio::join!(self.tend_refusals(), self.tend_chain());
    }

    /// Records what was refused last, and signs how far the chain has come: before the process ends.
    pub async fn close_audit(&self) {
        let closing = async {
            self.record_refusals().await?;
            self.sign(&mut Signed::default()).await
        };
        if let Err(error) = closing.await {
            tracing::warn!(%error, "the audit's last checkpoint could not be signed; the next start signs it");
        }
    }

    async fn tend_chain(&self) {
        let mut signed = Signed::default();
        let mut chained = self.store.chained();
        let mut cut_at = Timestamp::UNIX_EPOCH;
        loop {
            if let Err(error) = self.sign(&mut signed).await {
                tracing::error!(%error, "the audit's checkpoint could not be signed; it will be tried again");
                tokio::time::sleep(PAUSE).await;
            }
            let now = self.clock.now();
            if now.duration_since(cut_at).as_secs().abs() >= CUT_EVERY {
                cut_at = now;
                if let Err(error) = self.cut_audit().await {
                    tracing::warn!(%error, "old records of the audit could not be removed; it will be tried again");
                }
            }
            let last = signed.own.map_or(0, |(number, _)| number);
            let many = async {
                // Without its sender there are no more records.
                let many = chained.wait_for(|newest| newest.saturating_sub(last) >= SIGNED_AT).await.is_err();
                if many {
                    std::future::pending::<()>().await;
                }
            };
            let _ = tokio::time::timeout(SIGNED_EVERY, many).await;
        }
    }

    /// Signs how far this node's chain has come, if it has.
    async fn sign(&self, signed: &mut Signed) -> Result<(), Unsigned> {
        let (node, now) = (self.store.node(), self.clock.now());
        self.compare(&node, signed).await?;
        let heads = self.store.chains().await?;
        let Some(own) = heads.iter().find(|head| *head.node == *node) else { return Ok(()) };
        let moved = signed.own != Some((own.number, own.hash));
        let others = heads.iter().filter(|head| head.node != own.node);
        let others: Vec<&Head> =
            others.filter(|head| signed.others.get(&head.node) != Some(&head.number)).collect();
        let long_ago = signed.at.is_none_or(|at| now.duration_since(at).as_secs().abs() >= OTHERS_EVERY);
        if !moved && (others.is_empty() || !long_ago) {
            return Ok(());
        }
        let seen = |head: &&Head| Seen { node: head.node.clone(), number: head.number, hash: head.hash };
        let mark = Mark::Checkpoint {
            node: own.node.clone(),
            number: own.number,
            hash: own.hash,
            at: now,
            others: others.iter().map(seen).collect(),
        };
        let token = self.signed(&mark)?;
        let (node, number) = (own.node.clone(), own.number);
        self.store.keep_checkpoint(&Checkpoint { node, number, at: now, token }).await?;
        (signed.own, signed.at) = (Some((own.number, own.hash)), Some(now));
        signed.others.extend(others.iter().map(|head| (head.node.clone(), head.number)));
        Ok(())
    }

    /// Whether what was signed last is still there; an event says so when it is not.
    async fn compare(&self, node: &str, signed: &Signed) -> Result<(), StoreError> {
        let Some((number, hash)) = signed.own else { return Ok(()) };
        let found = self.store.chain(node, number.saturating_sub(1), 1).await?;
        let found = found.first().map(|found| (found.record.number, found.record.hash));
        if found == Some((number, hash)) {
            return Ok(());
        }
        let cut = self.store.cuts().await?.into_iter().map(|cut| cut.run);
        if cut.into_iter().any(|run| run.node == node && (run.first..=run.last).contains(&number)) {
            return Ok(());
        }
        tracing::error!(
            node,
            number,
            "a record of the audit that was signed is gone; run `consentry audit verify`"
        );
        let detail = json!({ "node": node, "number": number, "signed": hash });
        let broken = NewRecord {
            at: self.clock.now(),
            account: None,
            actor: "consentry".to_owned(),
            event: "audit.broken".to_owned(),
            subject: String::new(),
            detail: detail.to_string(),
        };
        self.store.note(&[broken]).await
    }

    /// Lets records go that are too many, with a signature in their place.
    ///
    /// # Errors
    /// [`Unsigned`]; nothing is removed then.
    pub async fn cut_audit(&self) -> Result<(), Unsigned> {
        let now = self.clock.now();
        let runs = self.store.surplus().await?;
        for some in runs.chunks(CUTS_AT_ONCE) {
            let cuts: Result<Vec<Cut>, KeyError> = some
                .iter()
                .map(|run| Ok(Cut { token: self.signed(&cut(run, now))?, run: run.clone() }))
                .collect();
            self.store.cut(&cuts?).await?;
        }
        Ok(())
    }

    /// A statement, signed by the key that signs the audit now.
    pub(super) fn signed(&self, mark: &Mark) -> Result<String, KeyError> {
        self.ring().keys.signer(Purpose::Audit, self.clock.now())?.sign(mark)
    }
}

fn cut(run: &Run, at: Timestamp) -> Mark {
    let Run { node, first, last, before, after } = run.clone();
    Mark::Cut { node, first, last, before, after, at }
}

/// After so many records a checkpoint is signed at once.
const SIGNED_AT: u64 = 1000;
const SIGNED_EVERY: Duration = Duration::from_secs(1);
/// In seconds: how often a node that records nothing says what it sees of the others.
const OTHERS_EVERY: i64 = 60;
/// In seconds.
const CUT_EVERY: i64 = 20;
const CUTS_AT_ONCE: usize = 100;
const PAUSE: Duration = Duration::from_secs(2);
