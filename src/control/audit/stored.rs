//! Verifying the audit where it is kept: everything of a store, page by page, or what has come since something was signed.

use super::marks::{AuditKeys, Mark};
use super::tend::Unsigned;
use super::verify::{Broken, Report, Verifier, columns};
use crate::model::audit::{ADOPTED, AuditKind, AuditRecord, Hash};
use crate::store::{Audited, Cut, Run, Shared, StoreError, Unchained};
use crate::token::seal::Sealer;

/// Why it was not verified.
#[derive(Debug, thiserror::Error)]
pub enum Unverified {
    /// Something is wrong with it.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// The store did not answer, which says nothing about it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Verifies all that a store holds of the audit, and the decision records with it. `known` are checkpoints that were
/// kept elsewhere: what they have seen must still be there. A store in use may be caught between two questions, so that
/// what looks broken is looked at again.
///
/// # Errors
/// [`Unverified`].
pub async fn verify(store: &Shared, keys: &AuditKeys, known: &[String]) -> Result<Report, Unverified> {
    let mut last = None;
    for _ in 0..LOOKS {
        match once(store, keys, known).await {
            Err(Unverified::Broken(broken)) if last.as_ref() == Some(&broken) => return Err(broken.into()),
            Err(Unverified::Broken(broken)) => last = Some(broken),
            other => return other,
        }
    }
    Err(last.map_or_else(
        || StoreError::Unavailable("it changes faster than it can be read; try again".to_owned()).into(),
        Unverified::Broken,
    ))
}

async fn once(store: &Shared, keys: &AuditKeys, known: &[String]) -> Result<Report, Unverified> {
    let mut verifier = Verifier::new(keys, "place");
    for token in known {
        verifier.checkpoint(token, None, 0)?;
    }
    // Marks first: what is written while the records are read is in none of them.
    for cut in store.cuts().await? {
        verifier.cut(&cut.token, Some((&cut.run.node, cut.run.first)), 0)?;
    }
    for checkpoint in store.checkpoints().await? {
        verifier.checkpoint(&checkpoint.token, Some((&checkpoint.node, checkpoint.number)), 0)?;
    }
    let decisions = store.count_decisions(0).await?;
    let (mut adopted, mut vouched) = (None, 0);
    for node in store.audit_nodes().await? {
        let mut after = 0;
        loop {
            let page = store.chain(&node, after, 500).await?;
            for Audited { place, record } in &page {
                verifier.record(record, *place)?;
                after = record.number;
                if record.event == ADOPTED {
                    adopted = Some((adoption(record, *place)?, *place));
                }
                if record.kind == AuditKind::Calls {
                    vouched += calls(store, &mut verifier, record, *place).await?;
                }
            }
            if page.is_empty() {
                break;
            }
        }
    }
    let adopted = unchained(store, adopted).await?;
    let before = adopted.as_ref().map_or(0, |adopted| adopted.decisions_to);
    let old = decisions.saturating_sub(store.count_decisions(before).await?);
    if decisions > vouched.saturating_add(old)
        && let Some(stray) = store.stray_decision(before).await?
    {
        let whose = format!("the decision record {} (place {})", stray.id, stray.place);
        let why = "no record of the audit vouches for it".to_owned();
        return Err(Broken { whose, what: "inserted", why }.into());
    }
    verifier.found(adopted.map_or(0, |adopted| adopted.records));
    Ok(verifier.finish()?)
}

/// Follows a chain from a record that was signed, or from its beginning (0), to the newest one there is: each has the
/// hash of what it says, and names the one before it; where some are missing, a cut was signed for them.
///
/// # Errors
/// [`Unsigned::Broken`] where that is not so.
pub(super) async fn followed(
    store: &Shared,
    sealer: &Sealer,
    node: &str,
    from: (u64, Hash),
) -> Result<(u64, Hash), Unsigned> {
    let (mut number, mut hash) = from;
    let broken = |number: u64, why: &str| {
        let whose = format!("record {number} of {node}");
        Err(Broken { whose, what: "changed", why: why.to_owned() }.into())
    };
    if number > 0 {
        let found = store.chain(node, number - 1, 1).await?.into_iter().next().map(|found| found.record);
        let there = found.is_some_and(|found| found.number == number && found.computed() == hash);
        if !there {
            match cut_over(store, sealer, node, number).await? {
                Some(cut) => (number, hash) = (cut.last, cut.after),
                None => return broken(number, "it is not the one that was signed"),
            }
        }
    }
    loop {
        let page = store.chain(node, number, 500).await?;
        if page.is_empty() {
            return Ok((number, hash));
        }
        for Audited { record, .. } in page {
            while record.number > number.saturating_add(1) {
                let next = number.saturating_add(1);
                match cut_over(store, sealer, node, next).await? {
                    Some(cut) if cut.first < next || cut.before == hash => {
                        (number, hash) = (cut.last, cut.after);
                    }
                    Some(_) | None => return broken(next, "it is not there, and no cut says why"),
                }
            }
            // A cut that was made meanwhile has taken it.
            if record.number <= number {
                continue;
            }
            if record.computed() != record.hash || record.prev != hash {
                return broken(record.number, "it is not the one that was written there");
            }
            (number, hash) = (record.number, record.hash);
        }
    }
}

/// The cut that has taken a record, if one was signed for it.
pub(super) async fn cut_over(
    store: &Shared,
    sealer: &Sealer,
    node: &str,
    number: u64,
) -> Result<Option<Run>, Unsigned> {
    let mut cuts = store.cuts().await?;
    cuts.retain(|cut| cut.run.node == node && (cut.run.first..=cut.run.last).contains(&number));
    if cuts.is_empty() {
        return Ok(None);
    }
    let keys = AuditKeys::of_store(store, sealer).await?;
    Ok(cuts.into_iter().find(|cut| is_signed(&keys, cut)).map(|cut| cut.run))
}

/// Whether just this cut was signed, by a key that is trusted.
pub(super) fn is_signed(keys: &AuditKeys, cut: &Cut) -> bool {
    match keys.read(&cut.token) {
        Ok((Mark::Cut { node, first, last, before, after, .. }, true)) => {
            cut.run == Run { node, first, last, before, after }
        }
        Ok(_) | Err(_) => false,
    }
}

/// The decision records of one link, and how many.
async fn calls(
    store: &Shared,
    verifier: &mut Verifier<'_>,
    record: &AuditRecord,
    place: u64,
) -> Result<u64, Unverified> {
    #[derive(serde::Deserialize)]
    struct Between {
        from: u64,
        to: u64,
    }
    let between: Option<Between> = serde_json::from_str(record.detail.get()).ok();
    let (from, to) = between.map_or((1, 0), |between| (between.from, between.to));
    let found = store.decisions_between(from, to, MOST_OF_A_LINK).await?;
    let texts: Vec<(u64, String)> = found.iter().map(|kept| (kept.place, kept.text.clone())).collect();
    verifier.calls(record, &texts, place)?;
    found.iter().try_for_each(columns)?;
    Ok(u64::try_from(found.len()).unwrap_or(u64::MAX))
}

fn adoption(record: &AuditRecord, place: u64) -> Result<Unchained, Broken> {
    serde_json::from_str(record.detail.get()).map_err(|error| Broken {
        whose: format!("record {} of {} (place {place})", record.number, record.node),
        what: "changed",
        why: format!("what it says of older records cannot be read ({error})"),
    })
}

/// Whether what stands outside of the chains is what a chain says of it.
async fn unchained(
    store: &Shared,
    adopted: Option<(Unchained, u64)>,
) -> Result<Option<Unchained>, Unverified> {
    let found = store.unchained().await?;
    let (said, whose) = match &adopted {
        Some((said, place)) => (
            (said.records, Some(said.digest)),
            format!("the {} records of before (place {place})", said.records),
        ),
        None => ((0, None), "a record outside of every chain".to_owned()),
    };
    if found.records > said.0 {
        let why = format!("{} were there before there were chains, and {} are there", said.0, found.records);
        return Err(Broken { whose, what: "inserted", why }.into());
    }
    if found.records < said.0 {
        let why = format!("{} of them are left", found.records);
        return Err(Broken { whose, what: "missing", why }.into());
    }
    if said.1.is_some_and(|digest| digest != found.digest) {
        let why = "they do not have the hash that a chain has for them".to_owned();
        return Err(Broken { whose, what: "changed", why }.into());
    }
    Ok(adopted.map(|(said, _)| said))
}

const LOOKS: usize = 3;
/// A batch has no more records.
const MOST_OF_A_LINK: u32 = 100_000;
