//! Sidecars: their invitations, enrolments and presumed leases.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::broadcast;

use super::Tables;
use super::link::{Asks, Writing};
use crate::model::id::SidecarId;
use crate::store::backend::{Row, sql};
use crate::store::{
    Acknowledged, Enrolled, Instance, Invitation, NewRecord, Presumed, SidecarStatus, Sidecars, StoreError,
    Subject,
};

#[async_trait]
impl Sidecars for Tables {
    async fn invite(&self, invitation: &Invitation, now: Timestamp) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let old = sql("DELETE FROM invitations WHERE expires_at <= $1").bind(now.as_microsecond());
            writing.run(old).await?;
            writing
                .run(
                    sql("INSERT INTO invitations (sidecar, token_hash, expires_at) VALUES ($1, $2, $3)
                     ON CONFLICT (sidecar)
                     DO UPDATE SET token_hash = excluded.token_hash, expires_at = excluded.expires_at")
                    .bind(invitation.sidecar.as_str())
                    .bind(&invitation.token_hash[..])
                    .bind(invitation.expires_at.as_microsecond()),
                )
                .await?;
            let detail = json!({ "expires_at": invitation.expires_at });
            tell(&mut writing, "sidecar.invite", &invitation.sidecar, &detail, now).await?;
            Ok(())
        }
        .await;
        writing.end(done).await
    }

    async fn enrol(
        &self,
        sidecar: &Enrolled,
        token_hash: Option<&[u8; 32]>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            if !admitted(&mut writing, &sidecar.sidecar, token_hash, now).await? {
                return Ok(false);
            }
            put(&mut writing, sidecar, now).await?;
            let by = if token_hash.is_some() { "invitation" } else { "certificate" };
            let detail = json!({ "key": sidecar.kid, "by": by });
            tell(&mut writing, "sidecar.enrol", &sidecar.sidecar, &detail, now).await?;
            writing.log(&Subject::Keys, now).await?;
            Ok(true)
        }
        .await;
        writing.end(done).await
    }

    async fn revoke_sidecar(&self, sidecar: &SidecarId, now: Timestamp) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let revoke = sql("UPDATE sidecars SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL");
            let revoked = writing.run(revoke.bind(sidecar.as_str()).bind(now.as_microsecond())).await?;
            if revoked == 0 {
                return Err(missing(sidecar));
            }
            let withdraw =
                sql("UPDATE sidecar_keys SET withdrawn_at = $2 WHERE sidecar = $1 AND withdrawn_at IS NULL");
            writing.run(withdraw.bind(sidecar.as_str()).bind(now.as_microsecond())).await?;
            writing.run(sql("DELETE FROM invitations WHERE sidecar = $1").bind(sidecar.as_str())).await?;
            tell(&mut writing, "sidecar.revoke", sidecar, &json!({}), now).await?;
            writing.log(&Subject::Keys, now).await?;
            Ok(())
        }
        .await;
        writing.end(done).await
    }

    async fn enrolled(&self, sidecar: &SidecarId) -> Result<Option<Enrolled>, StoreError> {
        find(&mut &*self, sidecar).await
    }

    async fn all_enrolled(&self) -> Result<Vec<Enrolled>, StoreError> {
        let rows = self.rows(sql(ALL)).await?;
        rows.iter().map(Row::enrolled).collect()
    }

    async fn instances(&self) -> Result<Vec<Instance>, StoreError> {
        let rows = self.rows(sql("SELECT * FROM sidecar_leases ORDER BY instance")).await?;
        let instance = |row: &Row| {
            Ok(Instance {
                instance: row.parse("instance")?,
                sidecar: row.parse("sidecar")?,
                presumed_until: row.time("presumed_until")?,
                status: row.json("status")?,
            })
        };
        rows.iter().map(instance).collect()
    }

    async fn presume(
        &self,
        sidecar: &SidecarId,
        lease: Duration,
        status: &SidecarStatus,
    ) -> Result<(), StoreError> {
        let said = serde_json::to_string(status).map_err(|error| {
            StoreError::Unavailable(format!("a sidecar's status makes no JSON ({error})"))
        })?;
        let mut writing = self.writing().await?;
        let done = async {
            let lease = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX / 4000);
            let presume =
                sql(PRESUME).bind(sidecar.as_str()).bind(lease).bind(said).bind(sidecar.enrolment());
            if writing.run(presume).await? == 0 {
                return Err(missing(sidecar));
            }
            Ok(())
        }
        .await;
        writing.end(done).await
    }

    async fn left(&self, sidecar: &SidecarId) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let left = sql("DELETE FROM sidecar_leases WHERE instance = $1").bind(sidecar.as_str());
            writing.run(left).await?;
            Ok(())
        }
        .await;
        writing.end(done).await
    }

    async fn presumed(&self) -> Result<Vec<Presumed>, StoreError> {
        let rows = self.rows(sql("SELECT instance, renewed, lease_ms FROM sidecar_leases")).await?;
        let presumed = |row: &Row| {
            Ok(Presumed {
                instance: row.parse("instance")?,
                renewed: row.number("renewed")?,
                lease_ms: row.number("lease_ms")?,
            })
        };
        rows.iter().map(presumed).collect()
    }

    async fn forget_presumed(&self, presumed: &Presumed) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let forget = sql("DELETE FROM sidecar_leases WHERE instance = $1 AND renewed = $2");
            let renewed = i64::try_from(presumed.renewed).unwrap_or(i64::MAX);
            writing.run(forget.bind(presumed.instance.as_str()).bind(renewed)).await?;
            Ok(())
        }
        .await;
        writing.end(done).await
    }

    async fn announce(&self, word: &Acknowledged) -> Result<(), StoreError> {
        self.backend.announce(word).await
    }

    fn announcements(&self) -> broadcast::Receiver<Acknowledged> {
        self.backend.announcements()
    }
}

impl Row {
    /// A sidecar.
    fn enrolled(&self) -> Result<Enrolled, StoreError> {
        Ok(Enrolled {
            sidecar: self.parse("id")?,
            public_jwk: self.get("public_jwk")?,
            kid: self.get("kid")?,
            enrolled_at: self.time("enrolled_at")?,
            revoked_at: self.time_any("revoked_at")?,
            presumed_until: self.time_any("presumed_until")?,
            status: self.get::<Option<&str>>("status")?.map(|_| self.json("status")).transpose()?,
        })
    }
}

/// Whether `sidecar` may enrol; uses up the invitation.
async fn admitted(
    writing: &mut Writing,
    sidecar: &SidecarId,
    token_hash: Option<&[u8; 32]>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(hash) = token_hash else {
        // A certificate outlives a revocation; only the operator's word undoes one.
        let known = find(writing, sidecar).await?;
        return Ok(known.is_none_or(|known| known.revoked_at.is_none()));
    };
    let take = sql("DELETE FROM invitations WHERE token_hash = $1 AND sidecar = $2 AND expires_at > $3");
    let taken = take.bind(&hash[..]).bind(sidecar.as_str()).bind(now.as_microsecond());
    Ok(writing.run(taken).await? == 1)
}

/// Keeps the enrolment. What its earlier keys signed is accepted no more; a lease it may hold is still presumed.
async fn put(writing: &mut Writing, sidecar: &Enrolled, now: Timestamp) -> Result<(), StoreError> {
    let used =
        sql("SELECT kid FROM sidecar_keys WHERE kid = $1 AND (sidecar <> $2 OR withdrawn_at IS NOT NULL)
                    UNION ALL SELECT kid FROM sidecars WHERE kid = $1 AND id <> $2");
    if writing.row(used.bind(&sidecar.kid).bind(sidecar.sidecar.as_str())).await?.is_some() {
        return Err(StoreError::Conflict(format!(
            "the key id {} is another sidecar's or was withdrawn; make a new key",
            sidecar.kid
        )));
    }
    let withdraw = sql("UPDATE sidecar_keys SET withdrawn_at = $3
                        WHERE sidecar = $1 AND kid <> $2 AND withdrawn_at IS NULL");
    let withdraw = withdraw.bind(sidecar.sidecar.as_str()).bind(&sidecar.kid).bind(now.as_microsecond());
    writing.run(withdraw).await?;
    let put = sql("INSERT INTO sidecars (id, kid, public_jwk, enrolled_at) VALUES ($1, $2, $3, $4)
                   ON CONFLICT (id) DO UPDATE SET kid = excluded.kid, public_jwk = excluded.public_jwk,
                       enrolled_at = excluded.enrolled_at, revoked_at = NULL");
    let put = put.bind(sidecar.sidecar.as_str()).bind(&sidecar.kid).bind(&sidecar.public_jwk);
    writing.run(put.bind(sidecar.enrolled_at.as_microsecond())).await?;
    Ok(())
}

/// What an operator or a sidecar did is no account's.
async fn tell(
    writing: &mut Writing,
    event: &str,
    sidecar: &SidecarId,
    detail: &serde_json::Value,
    at: Timestamp,
) -> Result<(), StoreError> {
    writing.chain(&[NewRecord::of_nobody(event, sidecar.as_str(), detail, at)]).await
}

async fn find(reading: &mut impl Asks, sidecar: &SidecarId) -> Result<Option<Enrolled>, StoreError> {
    let row = reading.row(sql(ONE).bind(sidecar.as_str())).await?;
    row.map(|row| row.enrolled()).transpose()
}

fn missing(sidecar: &SidecarId) -> StoreError {
    StoreError::Missing(format!("enrolled sidecar {sidecar}"))
}

const ALL: &str = "SELECT s.*,
        (SELECT max(l.presumed_until) FROM sidecar_leases l WHERE l.sidecar = s.id) AS presumed_until,
        (SELECT l.status FROM sidecar_leases l WHERE l.sidecar = s.id
             ORDER BY l.presumed_until DESC LIMIT 1) AS status
    FROM sidecars s ORDER BY s.id";

const ONE: &str = "SELECT s.*,
        (SELECT max(l.presumed_until) FROM sidecar_leases l WHERE l.sidecar = s.id) AS presumed_until,
        (SELECT l.status FROM sidecar_leases l WHERE l.sidecar = s.id
             ORDER BY l.presumed_until DESC LIMIT 1) AS status
    FROM sidecars s WHERE s.id = $1";

const PRESUME: &str =
    "INSERT INTO sidecar_leases (instance, sidecar, renewed, lease_ms, presumed_until, status)
    SELECT $1, id, 1, $2, (SELECT now FROM store_clock) + 3000 * $2, $3
        FROM sidecars WHERE id = $4 AND revoked_at IS NULL
    ON CONFLICT (instance) DO UPDATE SET status = excluded.status, renewed = sidecar_leases.renewed + 1,
        presumed_until = excluded.presumed_until,
        lease_ms = CASE WHEN sidecar_leases.lease_ms > excluded.lease_ms
            THEN sidecar_leases.lease_ms ELSE excluded.lease_ms END";
