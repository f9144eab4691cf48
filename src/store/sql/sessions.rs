//! Browser sessions and pending consents.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Tables;
use super::directory::of;
use super::link::Asks;
use crate::model::account::Principal;
use crate::store::backend::sql;
use crate::store::{BrowserSession, PendingConsent, Sessions, StoreError};

#[async_trait]
impl Sessions for Tables {
    async fn open_session(&self, session: &BrowserSession) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            writing
                .run(
                    of(
                        &session.principal,
                        sql("INSERT INTO sessions
                             (account, principal_kind, principal_id, hash, authenticated_at, expires_at)
                         VALUES ($1, $2, $3, $4, $5, $6)"),
                    )
                    .bind(&session.hash[..])
                    .bind(session.authenticated_at.as_microsecond())
                    .bind(session.expires_at.as_microsecond()),
                )
                .await?;
            Ok(())
        }
        .await;
        writing.end(done).await
    }

    async fn session(
        &self,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<(BrowserSession, Principal)>, StoreError> {
        let query = sql("SELECT p.*, s.hash, s.authenticated_at, s.expires_at FROM sessions s
             JOIN people p ON p.account = s.account AND p.kind = s.principal_kind AND p.id = s.principal_id
             WHERE s.hash = $1 AND s.expires_at > $2 AND p.enabled")
        .bind(&hash[..])
        .bind(now.as_microsecond());
        let Some(row) = self.row(query).await? else { return Ok(None) };
        let principal = row.principal()?;
        let session = BrowserSession {
            hash: row.hash("hash")?,
            principal: principal.key.clone(),
            authenticated_at: row.time("authenticated_at")?,
            expires_at: row.time("expires_at")?,
        };
        Ok(Some((session, principal)))
    }

    async fn close_session(&self, hash: &[u8; 32]) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            writing.run(sql("DELETE FROM pending_consents WHERE session = $1").bind(&hash[..])).await?;
            writing.run(sql("DELETE FROM sessions WHERE hash = $1").bind(&hash[..])).await?;
            Ok(())
        }
        .await;
        writing.end(done).await
    }

    async fn keep_pending(&self, pending: &PendingConsent) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
        writing
            .run(
                sql("INSERT INTO pending_consents (hash, session, request, expires_at) VALUES ($1, $2, $3, $4)")
                    .bind(&pending.hash[..])
                    .bind(&pending.session[..])
                    .bind(&pending.request)
                    .bind(pending.expires_at.as_microsecond()),
            )
            .await?;
        Ok(())
        }
        .await;
        writing.end(done).await
    }

    async fn take_pending(
        &self,
        hash: &[u8; 32],
        session: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<PendingConsent>, StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let query = sql("DELETE FROM pending_consents WHERE hash = $1 AND session = $2 RETURNING *");
            let Some(row) = writing.row(query.bind(&hash[..]).bind(&session[..])).await? else {
                return Ok(None);
            };
            let taken = PendingConsent {
                hash: row.hash("hash")?,
                session: row.hash("session")?,
                request: row.get("request")?,
                expires_at: row.time("expires_at")?,
            };
            Ok(Some(taken).filter(|pending| now < pending.expires_at))
        }
        .await;
        writing.end(done).await
    }
}
