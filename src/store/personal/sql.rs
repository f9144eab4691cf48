//! A person's applications, in tables.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::json;

use super::{Acting, Personal};
use crate::model::account::PrincipalKey;
use crate::model::id::{ApplicationId, GrantKey, Seq};
use crate::store::backend::{Row, sql};
use crate::store::sql::directory::of;
use crate::store::sql::grants::{live, member};
use crate::store::sql::link::Asks;
use crate::store::sql::{Tables, tokens};
use crate::store::{Actor, AuditEvent, StoreError, Subject};

#[async_trait]
impl Personal for Tables {
    async fn acting_as(
        &self,
        whom: &PrincipalKey,
        after: Option<&ApplicationId>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Acting>, StoreError> {
        let query = of(whom, sql(ACTING))
            .bind(now.as_microsecond())
            .bind(after.map(|id| id.as_str()))
            .bind(limit.min(MOST_ASKED));
        let rows = self.rows(query).await?;
        rows.iter().map(acting).collect()
    }

    async fn sign_out_of(
        &self,
        key: &GrantKey,
        whom: &PrincipalKey,
        by: &Actor,
        now: Timestamp,
    ) -> Result<Seq, StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            live(&mut writing, key).await?;
            let alive = member(
                key,
                whom,
                sql("SELECT 1 FROM families WHERE account = $1 AND application = $2 AND principal_kind = $3
                     AND principal_id = $4 AND account = $5 AND ended_at IS NULL AND forget_at > $6 LIMIT 1"),
            );
            if writing.row(alive.bind(now.as_microsecond())).await?.is_none() {
                return Err(StoreError::Missing(format!("sign-in of {} {} at {key}", whom.kind, whom.id)));
            }
            tokens::end_those_of(&mut writing, key, whom, now).await?;
            let event = AuditEvent {
                at: now,
                account: key.account.clone(),
                actor: by.login.clone(),
                event: "sign-in.end".to_owned(),
                subject: key.to_string(),
                detail: json!({ "principal": format!("{}/{}", whom.kind, whom.id) }).to_string(),
            };
            writing.audit(&event).await?;
            writing.log(&Subject::Member(key.clone(), whom.clone()), now).await
        }
        .await;
        writing.end(done).await
    }
}

fn acting(row: &Row) -> Result<Acting, StoreError> {
    let consented = match row.time_any("consented_at")? {
        Some(at) => Some((row.parse("own_scopes")?, at)),
        None => None,
    };
    Ok(Acting {
        installed: row.installed()?,
        consented,
        last_used: row.time_any("used_at")?,
        signed_in: row.get("signed_in")?,
    })
}

const MOST_ASKED: u32 = 1000;

/// Of the principal `$1 $2 $3`, at `$4`.
const ACTING: &str = "SELECT g.*, a.*, c.scopes AS own_scopes, c.consented_at, u.used_at,
        EXISTS (
            SELECT 1 FROM families f
            WHERE f.account = g.account AND f.application = g.application
                AND f.principal_kind = $2 AND f.principal_id = $3
                AND f.ended_at IS NULL AND f.forget_at > $4 AND f.revision >= g.since
        ) AS signed_in
    FROM (
        SELECT application FROM consents WHERE account = $1 AND principal_kind = $2 AND principal_id = $3
        UNION SELECT application FROM person_uses
            WHERE account = $1 AND principal_kind = $2 AND principal_id = $3
        UNION SELECT application FROM families
            WHERE account = $1 AND principal_kind = $2 AND principal_id = $3 AND ended_at IS NULL
                AND forget_at > $4
    ) mine
    JOIN grants g ON g.account = $1 AND g.application = mine.application
    JOIN applications a ON a.id = g.application
    LEFT JOIN consents c ON c.account = g.account AND c.application = g.application
        AND c.principal_kind = $2 AND c.principal_id = $3
    LEFT JOIN person_uses u ON u.account = g.account AND u.application = g.application
        AND u.principal_kind = $2 AND u.principal_id = $3
    WHERE g.state <> 'revoked' AND g.application > coalesce($5, '')
    ORDER BY g.application LIMIT $6";
