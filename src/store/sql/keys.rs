//! Signing keys.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Tables;
use super::link::Asks;
use crate::store::backend::{Row, sql};
use crate::store::{KeyPurpose, Keys, SealedKey, SidecarKey, StoreError, Subject};

#[async_trait]
impl Keys for Tables {
    async fn signing_keys(&self, now: Timestamp) -> Result<Vec<SealedKey>, StoreError> {
        let query = sql("SELECT * FROM signing_keys
             WHERE withdrawn_at IS NULL AND (published_until IS NULL OR published_until > $1)
             ORDER BY purpose, active_from, kid")
        .bind(now.as_microsecond());
        let rows = self.rows(query).await?;
        rows.iter().map(signing_key).collect()
    }

    async fn add_signing_key(
        &self,
        key: &SealedKey,
        predecessor_published_until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            writing
                .run(
                    sql("UPDATE signing_keys SET retired_at = $2, published_until = $3
                     WHERE purpose = $1 AND retired_at IS NULL AND withdrawn_at IS NULL")
                    .bind(key.purpose.as_str())
                    .bind(key.active_from.as_microsecond())
                    .bind(predecessor_published_until.as_microsecond()),
                )
                .await?;
            let added = writing
                .run(
                    sql("INSERT INTO signing_keys
                         (kid, purpose, public_jwk, sealed, active_from, retired_at, published_until)
                     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING")
                    .bind(&key.kid)
                    .bind(key.purpose.as_str())
                    .bind(&key.public_jwk)
                    .bind(&key.sealed)
                    .bind(key.active_from.as_microsecond())
                    .bind(key.retired_at.map(Timestamp::as_microsecond))
                    .bind(key.published_until.map(Timestamp::as_microsecond)),
                )
                .await?;
            if added == 0 {
                return Err(StoreError::Exists(format!("the signing key {}", key.kid)));
            }
            writing.log(&Subject::Keys, now).await?;
            Ok(())
        }
        .await;
        writing.end(done).await
    }

    async fn withdraw_key(&self, kid: &str, now: Timestamp) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let mut withdrawn = 0;
            for statement in WITHDRAW {
                withdrawn += writing.run(sql(statement).bind(kid).bind(now.as_microsecond())).await?;
            }
            if withdrawn == 0 {
                return Err(StoreError::Missing(format!("key {kid} in use")));
            }
            writing.log(&Subject::Keys, now).await?;
            Ok(())
        }
        .await;
        writing.end(done).await
    }

    async fn publish_sidecar_key(&self, key: &SidecarKey, now: Timestamp) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let revoked = sql("SELECT 1 FROM sidecars WHERE id = $1 AND revoked_at IS NOT NULL");
            if writing.row(revoked.bind(key.sidecar.as_str())).await?.is_some() {
                return Err(StoreError::Conflict(format!(
                    "the enrolment of the sidecar {} was revoked; invite it again",
                    key.sidecar
                )));
            }
            let known = sql("SELECT 1 FROM sidecar_keys WHERE kid = $1").bind(&key.kid);
            let is_new = writing.row(known).await?.is_none();
            if is_new {
                let live = sql("SELECT COUNT(*) AS live FROM sidecar_keys
                     WHERE sidecar = $1 AND withdrawn_at IS NULL AND published_until > $2")
                .bind(key.sidecar.as_str())
                .bind(now.as_microsecond());
                let live = writing.row(live).await?.map_or(Ok(0), |row| row.get::<i64>("live"))?;
                if live >= MOST_KEYS {
                    return Err(StoreError::Conflict(format!(
                        "the sidecar {} has {live} keys already, and they end by themselves; give processes that \
                         share its name a state folder that stays, or names of their own",
                        key.sidecar
                    )));
                }
            }
            let published = writing
                .run(
                    sql("INSERT INTO sidecar_keys (kid, sidecar, public_jwk, published_until)
                     VALUES ($1, $2, $3, $4)
                     ON CONFLICT (kid) DO UPDATE SET published_until = excluded.published_until
                     WHERE sidecar_keys.sidecar = excluded.sidecar
                         AND sidecar_keys.public_jwk = excluded.public_jwk
                         AND sidecar_keys.withdrawn_at IS NULL")
                    .bind(&key.kid)
                    .bind(key.sidecar.as_str())
                    .bind(&key.public_jwk)
                    .bind(key.published_until.as_microsecond()),
                )
                .await?;
            if published == 0 {
                return Err(StoreError::Conflict(format!(
                    "the key id {} is another key's or was withdrawn; make a new key",
                    key.kid
                )));
            }
            if is_new {
                writing.log(&Subject::Keys, now).await?;
            }
            Ok(())
        }
        .await;
        writing.end(done).await
    }

    async fn sidecar_keys(&self, now: Timestamp) -> Result<Vec<SidecarKey>, StoreError> {
        let query = sql("SELECT * FROM sidecar_keys
                         WHERE withdrawn_at IS NULL AND published_until > $1 ORDER BY kid")
        .bind(now.as_microsecond());
        let rows = self.rows(query).await?;
        rows.iter()
            .map(|row| {
                Ok(SidecarKey {
                    kid: row.get("kid")?,
                    sidecar: row.parse("sidecar")?,
                    public_jwk: row.get("public_jwk")?,
                    published_until: row.time("published_until")?,
                })
            })
            .collect()
    }
}

fn signing_key(row: &Row) -> Result<SealedKey, StoreError> {
    let word: &str = row.get("purpose")?;
    let purpose = KeyPurpose::ALL
        .into_iter()
        .find(|purpose| purpose.as_str() == word)
        .ok_or_else(|| row.unreadable("purpose", format!("no key is for {word:?}")))?;
    Ok(SealedKey {
        kid: row.get("kid")?,
        purpose,
        public_jwk: row.get("public_jwk")?,
        sealed: row.get("sealed")?,
        active_from: row.time("active_from")?,
        retired_at: row.time_any("retired_at")?,
        published_until: row.time_any("published_until")?,
    })
}

/// Live keys of one sidecar's name: each of its processes has one, and one that lost its folder makes another. A hostile
/// one must not fill the key set that everybody reads.
const MOST_KEYS: i64 = 500;

const WITHDRAW: [&str; 2] = [
    "UPDATE signing_keys SET withdrawn_at = $2 WHERE kid = $1 AND withdrawn_at IS NULL",
    "UPDATE sidecar_keys SET withdrawn_at = $2 WHERE kid = $1 AND withdrawn_at IS NULL",
];
