//! What has to be done for the audit all the time: signing how far it has come, and letting old records go.
//!
//! A checkpoint is signed when a thousand records have come since the last one, and otherwise each second in which some
//! have. Before that, what has come is followed from the last one on, and before a run of records is cut, it is followed
//! too: who can write the store cannot have what he wrote signed here in the place of what was written before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::marks::{AuditKeys, Mark, NoKeys, Seen};
use super::stored::{cut_over, followed, is_signed};
use super::verify::Broken;
use crate::control::Control;
use crate::model::audit::Hash;
use crate::store::{Checkpoint, Cut, NewRecord, Run, StoreError};
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
    /// There are no keys that tell what was signed before.
    #[error(transparent)]
    Keys(#[from] NoKeys),
    /// What is there is not what was signed before: to sign it would make it good.
    #[error("the audit is broken, and is signed no further: {0}; run `consentry audit verify`")]
    Broken(#[from] Broken),
}

/// What was signed last, by this process or, at its start, by the one before it. It is remembered here, where nobody
/// changes it who can write the store.
#[derive(Default)]
struct Signed {
    own: Option<Checkpoint>,
    hash: Hash,
    others: BTreeMap<String, (u64, Hash)>,
    at: Option<Timestamp>,
    /// The chains that were found broken, each told once.
    broken: BTreeSet<String>,
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
                if let Err(error) = self.cut_but(&signed.broken).await {
                    tracing::warn!(%error, "old records of the audit could not be removed; it will be tried again");
                }
            }
            let last = signed.own.as_ref().map_or(0, |own| own.number);
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

    /// Signs how far this node's chain has come, if it has, and how far every other one has. What comes after the last
    /// checkpoint is followed from there: a chain that was written anew is not signed, and the mark that shows it stays.
    async fn sign(&self, signed: &mut Signed) -> Result<(), Unsigned> {
        let (node, now) = (self.store.node(), self.clock.now());
        if signed.own.as_ref().is_none_or(|own| *own.node != *node) {
            self.recall(&node, signed).await?;
        }
        let from = signed.own.as_ref().map_or((0, Hash::default()), |own| (own.number, signed.hash));
        let (number, hash) = match followed(&self.store, &self.sealer, &node, from).await {
            Ok(end) => end,
            Err(Unsigned::Broken(broken)) => {
                self.restore(signed).await?;
                self.tell_broken(&node, from, signed).await?;
                return Err(Unsigned::Broken(broken));
            }
            Err(error) => return Err(error),
        };
        if number == 0 {
            return Ok(());
        }
        let moved = (number, hash) != from;
        let long_ago = signed.at.is_none_or(|at| now.duration_since(at).as_secs().abs() >= OTHERS_EVERY);
        if !moved && !long_ago {
            return Ok(());
        }
        let others = self.others(&node, signed).await?;
        if !moved && others == signed.others {
            signed.at = Some(now);
            return Ok(());
        }
        let seen = |(node, (number, hash)): (&String, &(u64, Hash))| Seen {
            node: node.clone(),
            number: *number,
            hash: *hash,
        };
        let others_seen = others.iter().map(seen).collect();
        let mark = Mark::Checkpoint { node: node.to_string(), number, hash, at: now, others: others_seen };
        let token = self.signed(&mark)?;
        let checkpoint = Checkpoint { node: node.to_string(), number, at: now, token };
        self.store.keep_checkpoint(&checkpoint).await?;
        (signed.own, signed.hash, signed.at) = (Some(checkpoint), hash, Some(now));
        signed.others = others;
        Ok(())
    }

    /// What the last process of this name has signed, as far as it can be told from what anybody may have put there.
    async fn recall(&self, node: &str, signed: &mut Signed) -> Result<(), Unsigned> {
        let kept = self.store.last_checkpoints(node, RECALLED).await?;
        let keys = match kept.is_empty() {
            true => None,
            false => Some(AuditKeys::of_store(&self.store, &self.sealer).await?),
        };
        for checkpoint in kept {
            let read = keys.as_ref().and_then(|keys| keys.read(&checkpoint.token).ok());
            let Some((Mark::Checkpoint { node: of, number, hash, others, .. }, true)) = read else {
                continue;
            };
            if of == node && number == checkpoint.number {
                let others = others.into_iter().map(|seen| (seen.node, (seen.number, seen.hash)));
                (signed.own, signed.hash, signed.others) = (Some(checkpoint), hash, others.collect());
                return Ok(());
            }
        }
        (signed.own, signed.hash) = (None, Hash::default());
        Ok(())
    }

    /// How far the other chains have come. One that has lost what this node has seen of it is named as it was seen, so
    /// that what is signed goes on to show it.
    async fn others(
        &self,
        own: &str,
        signed: &mut Signed,
    ) -> Result<BTreeMap<String, (u64, Hash)>, Unsigned> {
        let heads = self.store.chains().await?.into_iter().filter(|head| head.node != own);
        let mut others: BTreeMap<_, _> = heads.map(|head| (head.node, (head.number, head.hash))).collect();
        for (node, seen) in signed.others.clone() {
            if others.get(&node) == Some(&seen) || self.still(&node, seen).await? {
                continue;
            }
            others.insert(node.clone(), seen);
            self.tell_broken(&node, seen, signed).await?;
        }
        Ok(others)
    }

    /// Whether a record that was seen is there, or was cut.
    async fn still(&self, node: &str, (number, hash): (u64, Hash)) -> Result<bool, Unsigned> {
        let found = self.store.chain(node, number.saturating_sub(1), 1).await?;
        if found.first().is_some_and(|found| (found.record.number, found.record.hash) == (number, hash)) {
            return Ok(true);
        }
        Ok(cut_over(&self.store, &self.sealer, node, number).await?.is_some())
    }

    /// Puts the last checkpoint back, if somebody took it away: it is what shows that the chain is another one.
    async fn restore(&self, signed: &Signed) -> Result<(), StoreError> {
        let Some(own) = &signed.own else { return Ok(()) };
        let kept = self.store.last_checkpoints(&own.node, RECALLED).await?;
        if kept.contains(own) { Ok(()) } else { self.store.keep_checkpoint(own).await }
    }

    /// An event says, once, that what was signed or seen is not there any more.
    async fn tell_broken(
        &self,
        node: &str,
        (number, hash): (u64, Hash),
        signed: &mut Signed,
    ) -> Result<(), StoreError> {
        if !signed.broken.insert(node.to_owned()) {
            return Ok(());
        }
        tracing::error!(
            node,
            number,
            "a record of the audit that was signed, or one after it, is not what it was; run `consentry audit verify`"
        );
        let detail = json!({ "node": node, "number": number, "signed": hash });
        self.store.note(&[NewRecord::of_nobody("audit.broken", "", &detail, self.clock.now())]).await
    }

    /// Lets records go that are too many, with a signature in their place.
    ///
    /// # Errors
    /// [`Unsigned`]; nothing more is removed then.
    pub async fn cut_audit(&self) -> Result<(), Unsigned> {
        self.cut_but(&BTreeSet::new()).await
    }

    /// The same, but for the chains that are `broken`. Nothing is signed that was not followed record by record.
    async fn cut_but(&self, broken: &BTreeSet<String>) -> Result<(), Unsigned> {
        let now = self.clock.now();
        let mut runs = self.store.surplus().await?;
        runs.retain(|run| !broken.contains(&run.node));
        if runs.is_empty() {
            return Ok(());
        }
        let keys = AuditKeys::of_store(&self.store, &self.sealer).await?;
        let mut joined: Vec<Run> = Vec::new();
        for run in runs {
            let run = self.joined(&keys, run).await?;
            match joined.last_mut().filter(|last| last.node == run.node && last.last >= run.first) {
                // Two runs with a cut between them have both taken it in: they are one.
                Some(last) => (last.last, last.after) = (run.last, run.after),
                None => joined.push(run),
            }
        }
        for some in joined.chunks(CUTS_AT_ONCE) {
            let mut cuts = Vec::with_capacity(some.len());
            for run in some {
                match self.store.may_go(run).await {
                    Ok(()) => cuts.push(Cut { token: self.signed(&cut(run, now))?, run: run.clone() }),
                    Err(StoreError::Conflict(why)) => tracing::warn!(why, "records of the audit stay"),
                    Err(error) => return Err(error.into()),
                }
            }
            self.store.cut(&cuts).await?;
        }
        Ok(())
    }

    /// A run with the cuts beside it: only those that were signed, for just what they are filed as.
    async fn joined(&self, keys: &AuditKeys, mut run: Run) -> Result<Run, StoreError> {
        for beside in self.store.cuts_beside(&run).await? {
            if !is_signed(keys, &beside) {
                continue;
            }
            if beside.run.last < run.first && beside.run.after == run.before {
                (run.first, run.before) = (beside.run.first, beside.run.before);
            } else if beside.run.first > run.last && beside.run.before == run.after {
                (run.last, run.after) = (beside.run.last, beside.run.after);
            }
        }
        Ok(run)
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
/// Others wait for their turn while these are followed once more.
const CUTS_AT_ONCE: usize = 20;
/// Among so many of the newest checkpoints one is looked for that was signed.
const RECALLED: u32 = 20;
const PAUSE: Duration = Duration::from_secs(2);
