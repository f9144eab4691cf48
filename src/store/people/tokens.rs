//! API tokens as they are managed: given, listed, ended. A token is known again by the first bytes of its hash.

use jiff::Timestamp;
use serde_json::json;

use super::write::{audit, live};
use super::{By, KeptToken};
use crate::model::id::AccountId;
use crate::store::backend::{Row, sql};
use crate::store::sql::directory::of;
use crate::store::sql::link::{Asks, Writing};
use crate::store::{ApiToken, StoreError};

/// Keeps a token.
pub(super) async fn give(
    writing: &mut Writing,
    token: &ApiToken,
    by: By<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let whom = live(writing, &token.principal).await?;
    let query = sql("INSERT INTO api_tokens (account, principal_kind, principal_id, hash, label, expires_at)
                     VALUES ($1, $2, $3, $4, $5, $6)");
    let query = of(&token.principal, query).bind(&token.hash[..]).bind(&token.label);
    writing.run(query.bind(token.expires_at.map(Timestamp::as_microsecond))).await?;
    let detail = json!({ "token": id(&token.hash), "label": token.label, "expires_at": token.expires_at });
    audit(writing, &whom.key.account, by, ("directory.token.add", &whom.login), detail, now).await
}

/// The live tokens of an account, by whose they are.
pub(super) async fn list(
    asks: &mut impl Asks,
    account: &AccountId,
    now: Timestamp,
) -> Result<Vec<KeptToken>, StoreError> {
    let query = sql("SELECT t.hash, t.label, t.expires_at, p.login FROM api_tokens t
         JOIN principals p ON p.account = t.account AND p.kind = t.principal_kind AND p.id = t.principal_id
         WHERE t.account = $1 AND (t.expires_at IS NULL OR t.expires_at > $2)
         ORDER BY p.login_key, t.hash LIMIT 1000");
    let rows = asks.rows(query.bind(account.as_str()).bind(now.as_microsecond())).await?;
    let kept = |row: &Row| {
        Ok(KeptToken {
            id: id(&row.hash("hash")?),
            login: row.get("login")?,
            label: row.get("label")?,
            expires_at: row.time_any("expires_at")?,
        })
    };
    rows.iter().map(kept).collect()
}

/// Ends the one token that `known` tells.
pub(super) async fn revoke(
    writing: &mut Writing,
    account: &AccountId,
    known: &str,
    by: By<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let all = sql("SELECT hash, label FROM api_tokens WHERE account = $1").bind(account.as_str());
    for row in writing.rows(all).await? {
        let hash = row.hash("hash")?;
        if id(&hash) == known {
            writing.run(sql("DELETE FROM api_tokens WHERE hash = $1").bind(&hash[..])).await?;
            let detail = json!({ "label": row.get::<&str>("label")? });
            return audit(writing, account, by, ("directory.token.revoke", known), detail, now).await;
        }
    }
    Err(StoreError::Missing(format!("token {known} in account {account}")))
}

fn id(hash: &[u8; 32]) -> String {
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
