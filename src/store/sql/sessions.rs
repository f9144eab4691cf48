//! Browser sessions and pending consents.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Tables;
use super::directory::{missing, of, principal};
use super::link::{Asks, Writing};
use crate::model::account::{Principal, PrincipalKey};
use crate::model::id::AccountId;
use crate::store::backend::{Query, Row, built, sql};
use crate::store::factors::stand;
use crate::store::{
    Actor, AuditEvent, BrowserSession, Entry, PendingConsent, SessionFilter, SessionId, Sessions, StoreError,
    TakenBack, Vouched,
};

#[async_trait]
impl Sessions for Tables {
    async fn enter(&self, entry: &Entry) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            stand(&mut writing, &entry.session, &entry.grounds).await?;
            if let Some(event) = &entry.event {
                writing.audit(event).await?;
            }
            if let Some(before) = &entry.instead_of {
                delete(&mut writing, &before[..]).await?;
            }
            insert(&mut writing, &entry.session).await
        }
        .await;
        writing.end(done).await
    }

    async fn open_session(&self, session: &BrowserSession) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let whom = principal(&mut writing, &session.principal).await?;
            if whom.is_none_or(|whom| !whom.enabled) {
                return Err(missing(&session.principal));
            }
            insert(&mut writing, session).await
        }
        .await;
        writing.end(done).await
    }

    async fn session(
        &self,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<(BrowserSession, Principal)>, StoreError> {
        let query =
            sql("SELECT p.*, s.hash, s.authenticated_at, s.expires_at, s.factors, s.address, s.user_agent,
                    s.provider, s.issuer, s.subject, s.provider_session,
                    COALESCE(s.opened_at, s.authenticated_at) AS opened_at
             FROM sessions s
             JOIN people p ON p.account = s.account AND p.kind = s.principal_kind AND p.id = s.principal_id
             WHERE s.hash = $1 AND s.expires_at > $2 AND p.enabled")
            .bind(&hash[..])
            .bind(now.as_microsecond());
        self.row(query).await?.map(|row| row.session()).transpose()
    }

    async fn close_session(&self, hash: &[u8; 32]) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = async { delete(&mut writing, &hash[..]).await }.await;
        writing.end(done).await
    }

    async fn sessions(
        &self,
        filter: &SessionFilter,
        now: Timestamp,
    ) -> Result<Vec<(BrowserSession, Principal)>, StoreError> {
        let after = filter.after.map(|place| (place.opened_at.as_microsecond(), place.id.bounds().1));
        let (before, beyond) = after.unwrap_or((i64::MAX, [0; 32]));
        let query =
            sql("SELECT p.*, s.hash, s.authenticated_at, s.expires_at, s.factors, s.address, s.user_agent,
                    s.provider, s.issuer, s.subject, s.provider_session,
                    COALESCE(s.opened_at, s.authenticated_at) AS opened_at
             FROM sessions s
             JOIN people p ON p.account = s.account AND p.kind = s.principal_kind AND p.id = s.principal_id
             WHERE s.account = $1 AND s.expires_at > $2 AND p.enabled
               AND ($3 OR (s.principal_kind = $4 AND s.principal_id = $5))
               AND (COALESCE(s.opened_at, s.authenticated_at) < $6
                    OR (COALESCE(s.opened_at, s.authenticated_at) = $6 AND s.hash > $7))
             ORDER BY COALESCE(s.opened_at, s.authenticated_at) DESC, s.hash LIMIT $8")
            .bind(filter.account.as_str())
            .bind(now.as_microsecond())
            .bind(filter.of.is_none())
            .bind(filter.of.as_ref().map_or("", |key| key.kind.as_str()))
            .bind(filter.of.as_ref().map_or("", |key| key.id.as_str()))
            .bind(before)
            .bind(&beyond[..])
            .bind(filter.limit);
        self.rows(query).await?.iter().map(Row::session).collect()
    }

    async fn end_session(
        &self,
        account: &AccountId,
        whose: Option<&PrincipalKey>,
        id: SessionId,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let (least, greatest) = id.bounds();
            let query = ending("s.hash BETWEEN $2 AND $3 AND s.account = $1").bind(account.as_str());
            let rows = writing.rows(query.bind(&least[..]).bind(&greatest[..])).await?;
            let found = rows.into_iter().next().map(Ended::read).transpose()?;
            let ended = found.filter(|ended| whose.is_none_or(|whose| *whose == ended.of));
            let ended = ended.ok_or_else(|| StoreError::Missing(format!("session {id}")))?;
            end(&mut writing, &[ended], &by.login, now).await.map(|_| ())
        }
        .await;
        writing.end(done).await
    }

    async fn end_sessions(
        &self,
        whose: &PrincipalKey,
        but: Option<&[u8; 32]>,
        by: &Actor,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let query = of(
                whose,
                ending("s.account = $1 AND s.principal_kind = $2 AND s.principal_id = $3 AND s.hash <> $4"),
            );
            let rows = writing.rows(query.bind(but.map_or(&[][..], |hash| &hash[..]))).await?;
            let ended: Result<Vec<_>, _> = rows.into_iter().map(Ended::read).collect();
            end(&mut writing, &ended?, &by.login, now).await
        }
        .await;
        writing.end(done).await
    }

    async fn take_back(
        &self,
        taken: &TakenBack,
        accounts: &[AccountId],
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        if taken.subject.is_none() && taken.session.is_none() {
            return Ok(0);
        }
        let mut writing = self.writing().await?;
        let done = async {
            let query = ending(
                "s.issuer = $1 AND ($2 OR s.subject = $3) AND ($4 OR s.provider_session = $5)
                 AND COALESCE(s.opened_at, s.authenticated_at) <= $6",
            )
            .bind(&taken.issuer)
            .bind(taken.subject.is_none())
            .bind(taken.subject.as_deref().unwrap_or_default())
            .bind(taken.session.is_none())
            .bind(taken.session.as_deref().unwrap_or_default())
            .bind(taken.until.as_microsecond());
            let ended: Result<Vec<_>, _> = writing.rows(query).await?.into_iter().map(Ended::read).collect();
            let ended: Vec<_> = ended?.into_iter().filter(|one| accounts.contains(&one.of.account)).collect();
            end(&mut writing, &ended, &taken.issuer, now).await
        }
        .await;
        writing.end(done).await
    }

    async fn end_roles(
        &self,
        of: &Vouched,
        but: Option<&PrincipalKey>,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let query = || {
            ending(
                "s.issuer = $1 AND s.subject = $2 AND s.provider = $3 AND s.principal_kind = 'role'
                 AND (s.account <> $4 OR s.principal_id <> $5)",
            )
            .bind(&of.issuer)
            .bind(&of.subject)
            .bind(&of.provider)
            .bind(but.map_or("", |key| key.account.as_str()))
            .bind(but.map_or("", |key| key.id.as_str()))
        };
        // Nearly always there is none, and nobody has to wait.
        if self.row(query()).await?.is_none() {
            return Ok(0);
        }
        let mut writing = self.writing().await?;
        let done = async {
            let ended: Result<Vec<_>, _> =
                writing.rows(query()).await?.into_iter().map(Ended::read).collect();
            end(&mut writing, &ended?, &of.provider, now).await
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

impl Row {
    /// A session with whose it is, of the columns that the questions here name.
    fn session(&self) -> Result<(BrowserSession, Principal), StoreError> {
        let principal = self.principal()?;
        let factors: Result<_, _> =
            self.get::<&str>("factors")?.split_ascii_whitespace().map(str::parse).collect();
        let vouched = match self.get::<Option<String>>("provider")? {
            None => None,
            Some(provider) => Some(Vouched {
                provider,
                issuer: self.get("issuer")?,
                subject: self.get("subject")?,
                session: self.get("provider_session")?,
            }),
        };
        let session = BrowserSession {
            hash: self.hash("hash")?,
            principal: principal.key.clone(),
            authenticated_at: self.time("authenticated_at")?,
            opened_at: self.time("opened_at")?,
            expires_at: self.time("expires_at")?,
            factors: factors.map_err(|error| self.unreadable("factors", error))?,
            address: self.get("address")?,
            user_agent: self.get("user_agent")?,
            vouched,
        };
        Ok((session, principal))
    }
}

async fn insert(writing: &mut Writing, session: &BrowserSession) -> Result<(), StoreError> {
    let query = of(
        &session.principal,
        sql("INSERT INTO sessions
             (account, principal_kind, principal_id, hash, authenticated_at, expires_at, opened_at, factors, address,
              user_agent, provider, issuer, subject, provider_session)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"),
    )
    .bind(&session.hash[..])
    .bind(session.authenticated_at.as_microsecond())
    .bind(session.expires_at.as_microsecond())
    .bind(session.opened_at.as_microsecond())
    .bind(words(session))
    .bind(&session.address)
    .bind(&session.user_agent)
    .bind(session.vouched.as_ref().map(|vouched| vouched.provider.as_str()))
    .bind(session.vouched.as_ref().map(|vouched| vouched.issuer.as_str()))
    .bind(session.vouched.as_ref().map(|vouched| vouched.subject.as_str()))
    .bind(session.vouched.as_ref().and_then(|vouched| vouched.session.as_deref()));
    writing.run(query).await.map(drop)
}

fn words(session: &BrowserSession) -> String {
    session.factors.iter().map(|factor| factor.as_str()).collect::<Vec<_>>().join(" ")
}

/// A session that is to end.
struct Ended {
    hash: Vec<u8>,
    of: PrincipalKey,
    login: String,
}

impl Ended {
    fn read(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            hash: row.get::<&[u8]>("hash")?.to_vec(),
            of: row.principal_key()?,
            login: row.get("login")?,
        })
    }
}

/// The question for the sessions that are to end; `which` is a fixed piece of SQL.
fn ending(which: &'static str) -> Query {
    built(format!(
        "SELECT s.hash, s.account, s.principal_kind, s.principal_id, p.login FROM sessions s
         JOIN principals p ON p.account = s.account AND p.kind = s.principal_kind AND p.id = s.principal_id
         WHERE {which}"
    ))
}

/// Ends them; one audit row for each person, not for each browser.
async fn end(
    writing: &mut Writing,
    sessions: &[Ended],
    actor: &str,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut count = 0;
    for (index, session) in sessions.iter().enumerate() {
        delete(writing, &session.hash).await?;
        count += 1;
        if sessions.iter().take(index).any(|earlier| earlier.of == session.of) {
            continue;
        }
        let ended = sessions.iter().filter(|other| other.of == session.of).count();
        let event = AuditEvent {
            at: now,
            account: session.of.account.clone(),
            actor: actor.to_owned(),
            event: "session.ended".to_owned(),
            subject: session.login.clone(),
            detail: serde_json::json!({ "sessions": ended }).to_string(),
        };
        writing.audit(&event).await?;
    }
    Ok(count)
}

async fn delete(writing: &mut Writing, hash: &[u8]) -> Result<(), StoreError> {
    writing.run(sql("DELETE FROM pending_consents WHERE session = $1").bind(hash)).await?;
    writing.run(sql("DELETE FROM sessions WHERE hash = $1").bind(hash)).await?;
    Ok(())
}
