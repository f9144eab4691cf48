//! Codes, refresh tokens and their families.
//!
//! A token is spent by a transaction that holds the only writer, so that of any number of presenters one wins and
//! every other one is seen to reuse it.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::Tables;
use super::directory::principal;
use super::grants::{about, find, member};
use super::link::{Asks, Writing};
use crate::model::account::PrincipalKey;
use crate::model::id::{ApplicationId, FamilyId, GrantKey};
use crate::store::backend::{Row, sql};
use crate::store::{
    AuditEvent, Authorization, Code, CodeOutcome, LONGEST_ACCESS_TOKEN, Refresh, RefreshOutcome, StoreError,
    Subject, Tokens,
};

#[async_trait]
impl Tokens for Tables {
    async fn keep_code(&self, code: &Code) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            insert_family(&mut writing, &code.authorization, code.expires_at).await?;
            writing
                .run(
                    sql("INSERT INTO codes (hash, family, redirect_uri, challenge, expires_at)
                     VALUES ($1, $2, $3, $4, $5)")
                    .bind(&code.hash[..])
                    .bind(code.authorization.family.as_str())
                    .bind(&code.redirect_uri)
                    .bind(&code.challenge)
                    .bind(code.expires_at.as_microsecond()),
                )
                .await?;
            Ok(())
        }
        .await;
        writing.end(done).await
    }

    async fn redeem_code(&self, hash: &[u8; 32], now: Timestamp) -> Result<CodeOutcome, StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let query = sql("SELECT * FROM codes c JOIN families f ON f.id = c.family WHERE c.hash = $1");
            let Some(row) = writing.row(query.bind(&hash[..])).await? else {
                return Ok(CodeOutcome::Unknown);
            };
            let authorization = row.authorization()?;
            if row.time_any("spent_at")?.is_some() {
                let family = authorization.family.clone();
                reused(&mut writing, &authorization, "code.reused", now).await?;
                return Ok(CodeOutcome::Reused(family));
            }
            let expires_at = row.time("expires_at")?;
            let usable =
                now < expires_at && rests_on_something(&mut writing, &row, &authorization, now).await?;
            let spend = sql("UPDATE codes SET spent_at = $2 WHERE hash = $1");
            writing.run(spend.bind(&hash[..]).bind(now.as_microsecond())).await?;
            // However long after its code this is, its access tokens may live for their longest life from now on.
            prolong(&mut writing, &authorization.family, now).await?;
            if !usable {
                return Ok(CodeOutcome::Unknown);
            }
            Ok(CodeOutcome::Redeemed(Code {
                hash: *hash,
                authorization,
                redirect_uri: row.get("redirect_uri")?,
                challenge: row.get("challenge")?,
                expires_at,
            }))
        }
        .await;
        writing.end(done).await
    }

    async fn keep_refresh(&self, refresh: &Refresh) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let family = &refresh.authorization.family;
            let live = sql("SELECT 1 FROM families WHERE id = $1 AND ended_at IS NULL").bind(family.as_str());
            if writing.row(live).await?.is_none() {
                return Err(StoreError::Missing(format!("live token family {family}")));
            }
            insert_refresh(&mut writing, &refresh.hash, family, refresh.expires_at).await?;
            Ok(())
        }
        .await;
        writing.end(done).await
    }

    async fn refresh(&self, hash: &[u8; 32], now: Timestamp) -> Result<Option<Refresh>, StoreError> {
        let mut reading = self.reading().await?;
        let Some(row) = presented(&mut reading, hash).await? else { return Ok(None) };
        let (authorization, expires_at) = (row.authorization()?, row.time("expires_at")?);
        let live = row.time_any("spent_at")?.is_none()
            && now < expires_at
            && rests_on_something(&mut reading, &row, &authorization, now).await?;
        Ok(live.then_some(Refresh { hash: *hash, authorization, expires_at }))
    }

    async fn rotate_refresh(
        &self,
        hash: &[u8; 32],
        application: &ApplicationId,
        successor: &[u8; 32],
        successor_expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<RefreshOutcome, StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let Some(row) = presented(&mut writing, hash).await? else { return Ok(RefreshOutcome::Unknown) };
            let authorization = row.authorization()?;
            if authorization.grant.application != *application {
                return Ok(RefreshOutcome::Unknown);
            }
            if row.time_any("spent_at")?.is_some() {
                let family = authorization.family.clone();
                reused(&mut writing, &authorization, "refresh.reused", now).await?;
                return Ok(RefreshOutcome::Reused(family));
            }
            if now >= row.time("expires_at")?
                || !rests_on_something(&mut writing, &row, &authorization, now).await?
            {
                return Ok(RefreshOutcome::Unknown);
            }
            let spend = sql("UPDATE refresh_tokens SET spent_at = $2 WHERE hash = $1");
            writing.run(spend.bind(&hash[..]).bind(now.as_microsecond())).await?;
            insert_refresh(&mut writing, successor, &authorization.family, successor_expires_at).await?;
            prolong(&mut writing, &authorization.family, now).await?;
            Ok(RefreshOutcome::Rotated(authorization))
        }
        .await;
        writing.end(done).await
    }

    async fn end_family(
        &self,
        family: &FamilyId,
        remember_until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let known = sql("SELECT 1 FROM families WHERE id = $1").bind(family.as_str());
            if writing.row(known).await?.is_none() {
                return Err(StoreError::Missing(format!("token family {family}")));
            }
            end(&mut writing, family, remember_until, now).await?;
            Ok(())
        }
        .await;
        writing.end(done).await
    }

    async fn family_is_live(&self, family: &FamilyId) -> Result<bool, StoreError> {
        let query = sql("SELECT 1 FROM families WHERE id = $1 AND ended_at IS NULL").bind(family.as_str());
        Ok(self.row(query).await?.is_some())
    }

    async fn forget_old_tokens(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let mut forgotten = 0;
            for statement in FORGET {
                forgotten += writing.run(sql(statement).bind(now.as_microsecond())).await?;
            }
            Ok(forgotten)
        }
        .await;
        writing.end(done).await
    }
}

/// Ends every family of a revoked grant. Nobody need be told one by one: the grant's new `since` stands above them.
pub(in crate::store) async fn end_all_of(
    writing: &mut Writing,
    key: &GrantKey,
    now: Timestamp,
) -> Result<(), StoreError> {
    let query = about(
        key,
        sql("UPDATE families SET ended_at = $3 WHERE account = $1 AND application = $2 AND ended_at IS NULL"),
    );
    writing.run(query.bind(now.as_microsecond())).await?;
    Ok(())
}

/// Ends every family of one principal under a grant.
pub(in crate::store) async fn end_those_of(
    writing: &mut Writing,
    key: &GrantKey,
    whom: &PrincipalKey,
    now: Timestamp,
) -> Result<(), StoreError> {
    let query = member(
        key,
        whom,
        sql("UPDATE families SET ended_at = $6, remember_until = $7
             WHERE account = $1 AND application = $2 AND principal_kind = $3 AND principal_id = $4
             AND account = $5 AND ended_at IS NULL"),
    );
    let until = longest_access_from(now);
    writing.run(query.bind(now.as_microsecond()).bind(until.as_microsecond())).await?;
    Ok(())
}

async fn end(
    writing: &mut Writing,
    family: &FamilyId,
    remember_until: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    let ended = writing
        .row(
            sql("UPDATE families SET ended_at = $2, remember_until = $3, forget_at = CASE WHEN forget_at < $3 THEN $3 ELSE forget_at END
                 WHERE id = $1 AND ended_at IS NULL
                 RETURNING account, application, principal_kind, principal_id")
            .bind(family.as_str())
            .bind(now.as_microsecond())
            .bind(remember_until.as_microsecond()),
        )
        .await?;
    if let Some(row) = ended {
        writing.log(&Subject::Member(row.grant_key()?, row.principal_key()?), now).await?;
    }
    Ok(())
}

/// Somebody presented what was spent already: of two holders one is a thief, and nobody knows which.
async fn reused(
    writing: &mut Writing,
    authorization: &Authorization,
    event: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    end(writing, &authorization.family, longest_access_from(now), now).await?;
    let principal = &authorization.principal;
    let event = AuditEvent {
        at: now,
        account: authorization.grant.account.clone(),
        actor: authorization.grant.application.to_string(),
        event: event.to_owned(),
        subject: authorization.grant.to_string(),
        detail: json!({
            "family": authorization.family,
            "principal": format!("{}/{}", principal.kind, principal.id),
        })
        .to_string(),
    };
    writing.audit(&event).await
}

/// Whether the family, its grant, its principal and its application still stand.
async fn rests_on_something(
    reading: &mut impl Asks,
    row: &Row,
    authorization: &Authorization,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if row.time_any("ended_at")?.is_some() {
        return Ok(false);
    }
    let key = &authorization.grant;
    let grant = find(reading, key).await?;
    let application = super::applications::find(reading, &key.application).await?;
    let principal = principal(reading, &authorization.principal).await?;
    Ok(grant.is_some_and(|grant| grant.honours(authorization.revision, now))
        && application.is_some_and(|application| application.enabled)
        && principal.is_some_and(|principal| principal.enabled))
}

async fn presented(reading: &mut impl Asks, hash: &[u8; 32]) -> Result<Option<Row>, StoreError> {
    let query = sql("SELECT * FROM refresh_tokens r JOIN families f ON f.id = r.family WHERE r.hash = $1");
    reading.row(query.bind(&hash[..])).await
}

async fn insert_family(
    writing: &mut Writing,
    authorization: &Authorization,
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    let query = member(
        &authorization.grant,
        &authorization.principal,
        sql("INSERT INTO families (account, application, principal_kind, principal_id, id, scopes, revision,
                 audience, nonce, authenticated_at, offline, forget_at)
             SELECT $1, $2, $3, $4, $6, $7, $8, $9, $10, $11, $12, $13 WHERE $1 = $5"),
    );
    let added = writing
        .run(
            query
                .bind(authorization.family.as_str())
                .bind(authorization.scopes.to_string())
                .bind(i64::try_from(authorization.revision.0).unwrap_or(i64::MAX))
                .bind(authorization.resource.as_deref())
                .bind(authorization.nonce.as_deref())
                .bind(authorization.authenticated_at.as_microsecond())
                .bind(authorization.offline)
                .bind(longest_access_from(expires_at).as_microsecond()),
        )
        .await?;
    if added == 0 {
        return Err(super::directory::missing(&authorization.principal));
    }
    Ok(())
}

async fn insert_refresh(
    writing: &mut Writing,
    hash: &[u8; 32],
    family: &FamilyId,
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    writing
        .run(
            sql("INSERT INTO refresh_tokens (hash, family, expires_at) VALUES ($1, $2, $3)")
                .bind(&hash[..])
                .bind(family.as_str())
                .bind(expires_at.as_microsecond()),
        )
        .await?;
    prolong(writing, family, expires_at).await
}

/// Keeps the family for as long as an access token given at `last` could live.
async fn prolong(writing: &mut Writing, family: &FamilyId, last: Timestamp) -> Result<(), StoreError> {
    let query = sql(
        "UPDATE families SET forget_at = CASE WHEN forget_at < $2 THEN $2 ELSE forget_at END WHERE id = $1",
    )
    .bind(family.as_str());
    writing.run(query.bind(longest_access_from(last).as_microsecond())).await?;
    Ok(())
}

fn longest_access_from(at: Timestamp) -> Timestamp {
    at.saturating_add(SignedDuration::from_secs(LONGEST_ACCESS_TOKEN)).unwrap_or(Timestamp::MAX)
}

/// A family takes its codes and refresh tokens with it.
const FORGET: [&str; 5] = [
    "DELETE FROM refresh_tokens WHERE expires_at <= $1",
    "DELETE FROM families WHERE forget_at <= $1",
    "DELETE FROM sessions WHERE expires_at <= $1",
    "DELETE FROM pending_consents WHERE expires_at <= $1",
    "DELETE FROM api_tokens WHERE expires_at <= $1",
];
