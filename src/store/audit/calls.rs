//! Decision records in the chain: what one account's calls of a batch come to is one link.
//!
//! A link for many records, so that the chain costs next to nothing beside them; one account's only, so that what is
//! removed for an account's sake goes link by link.

use std::collections::BTreeMap;

use super::NewRecord;
use crate::model::audit::{CALLS, CallsKept};
use crate::model::decision::Decision;
use crate::store::StoreError;
use crate::store::sql::link::Writing;

/// Vouches for records that were just kept, each with its place and its text.
pub(in crate::store) async fn vouch(
    writing: &mut Writing,
    mut kept: Vec<(u64, &Decision, String)>,
) -> Result<(), StoreError> {
    kept.sort_unstable_by_key(|(place, _, _)| *place);
    let same_account =
        |one: &(u64, &Decision, String), next: &(u64, &Decision, String)| one.1.account == next.1.account;
    let runs = kept.chunk_by(same_account).flat_map(|run| run.chunks(MOST));
    let links: Vec<NewRecord> = runs.filter_map(link).collect();
    writing.chain(&links).await
}

fn link(kept: &[(u64, &Decision, String)]) -> Option<NewRecord> {
    let (_, first, _) = kept.first()?;
    let said = CallsKept::of(kept.iter().map(|(place, _, text)| (*place, text.as_str())))?;
    let mut detail = serde_json::to_value(&said).ok()?;
    let mut outcomes = BTreeMap::<&str, u64>::new();
    for (_, decision, _) in kept {
        *outcomes.entry(decision.outcome.as_str()).or_default() += 1;
    }
    if let Some(members) = detail.as_object_mut() {
        members.insert("outcomes".to_owned(), serde_json::json!(outcomes));
    }
    Some(NewRecord {
        at: kept.iter().map(|(_, decision, _)| decision.at).max()?,
        // A sidecar tells what it was told; one that is no account is nobody's.
        account: first.account.as_ref().and_then(|account| account.parse().ok()),
        actor: first.sidecar.to_string(),
        event: CALLS.to_owned(),
        subject: String::new(),
        detail: detail.to_string(),
    })
}

/// A link for more of them would be too long.
const MOST: usize = 1000;
