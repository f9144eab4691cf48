//! Requests for approval in SQL.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{
    ASKING_WINDOW, ApprovalRequest, ApprovalRequests, Ask, AskOutcome, Decided, MOST_ASKED, RequestFilter,
    RequestState,
};
use crate::model::account::PrincipalKey;
use crate::model::application::{Application, Relation};
use crate::model::grant::GrantState;
use crate::model::id::{AccountId, GrantKey};
use crate::store::backend::{Query, Row, sql};
use crate::store::sql::Tables;
use crate::store::sql::grants::{about, find};
use crate::store::sql::link::{Asks, Writing};
use crate::store::tenant::installing::belongs;
use crate::store::tenant::{self, Unknown};
use crate::store::{Actor, AuditEvent, StoreError};

#[async_trait]
impl ApprovalRequests for Tables {
    async fn ask(
        &self,
        key: &GrantKey,
        who: &Actor,
        reason: &str,
        now: Timestamp,
    ) -> Result<AskOutcome, StoreError> {
        let mut writing = self.writing().await?;
        let done = ask(&mut writing, key, who, reason, now).await;
        writing.end(done).await
    }

    async fn own_ask(
        &self,
        key: &GrantKey,
        who: &PrincipalKey,
        now: Timestamp,
    ) -> Result<Option<(Ask, ApprovalRequest)>, StoreError> {
        let row = self.row(person(key, who, sql(OWN))).await?;
        row.map(|row| Ok((asked(&row)?, request(&row, now)?))).transpose()
    }

    async fn approval_requests(
        &self,
        account: &AccountId,
        filter: &RequestFilter,
        now: Timestamp,
    ) -> Result<Vec<(Application, ApprovalRequest)>, StoreError> {
        let after = filter.after.as_ref();
        let query = sql(LIST)
            .bind(account.as_str())
            .bind(now.as_microsecond())
            .bind(filter.state.map_or("", RequestState::as_str))
            .bind(after.map_or(i64::MAX, |(at, _, _)| at.as_microsecond()))
            .bind(after.map_or("", |(_, application, _)| application.as_str()))
            .bind(after.map_or(0, |(_, _, round)| i64::try_from(*round).unwrap_or(i64::MAX)))
            .bind(filter.limit);
        let rows = self.rows(query).await?;
        rows.iter().map(|row| Ok((row.application()?, request(row, now)?))).collect()
    }

    async fn approval_request(
        &self,
        key: &GrantKey,
        now: Timestamp,
    ) -> Result<Option<(Application, ApprovalRequest)>, StoreError> {
        let row = self.row(about(key, sql(LATEST))).await?;
        row.map(|row| Ok((row.application()?, request(&row, now)?))).transpose()
    }

    async fn askers(
        &self,
        key: &GrantKey,
        round: u64,
        after: Option<(Timestamp, &str)>,
        limit: u32,
    ) -> Result<Vec<Ask>, StoreError> {
        let query = about(key, sql(ASKERS))
            .bind(i64::try_from(round).unwrap_or(i64::MAX))
            .bind(after.map_or(i64::MAX, |(at, _)| at.as_microsecond()))
            .bind(after.map_or("", |(_, login)| login))
            .bind(limit);
        let rows = self.rows(query).await?;
        rows.iter().map(asked).collect()
    }

    async fn deny(
        &self,
        key: &GrantKey,
        round: u64,
        word: &str,
        by: &Actor,
        now: Timestamp,
    ) -> Result<ApprovalRequest, StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let latest = latest(&mut writing, key, now).await?;
            let latest =
                latest.ok_or_else(|| StoreError::Missing(format!("request for {}", key.application)))?;
            if latest.round != round || latest.state != RequestState::Open {
                return Err(StoreError::Conflict(
                    "this request is not open any more: somebody has decided, or it has expired".to_owned(),
                ));
            }
            close(&mut writing, key, RequestState::Denied, by, word, now).await?;
            let decided = Some(Decided { at: now, by: by.login.clone(), word: word.to_owned() });
            Ok(ApprovalRequest { state: RequestState::Denied, decided, ..latest })
        }
        .await;
        writing.end(done).await
    }
}

/// An application that is installed needs no approval any more, by whichever way that came.
pub(in crate::store) async fn settle(
    writing: &mut Writing,
    key: &GrantKey,
    by: &Actor,
    now: Timestamp,
) -> Result<(), StoreError> {
    close(writing, key, RequestState::Approved, by, "", now).await
}

/// A block answers those who have asked.
pub(in crate::store) async fn block(
    writing: &mut Writing,
    key: &GrantKey,
    by: &Actor,
    word: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    close(writing, key, RequestState::Blocked, by, word, now).await
}

/// What there is to be asked for.
enum Question {
    /// Nothing.
    None,
    /// What the application has come to require.
    More,
    /// The application.
    All,
    /// Nothing that asking could bring: an administrator has suspended it.
    Suspended,
}

async fn question(
    writing: &mut Writing,
    key: &GrantKey,
    application: &Application,
    now: Timestamp,
) -> Result<Question, StoreError> {
    let first_party = match application.relation_to(&key.account) {
        Relation::FirstParty => true,
        Relation::ThirdParty | Relation::Official => false,
    };
    let Some(grant) = find(writing, key).await? else {
        return Ok(if first_party { Question::None } else { Question::All });
    };
    Ok(match grant.state {
        GrantState::Active if grant.expires_at.is_none_or(|end| now < end) => {
            let waiting =
                if first_party { grant.waiting_of_own(application) } else { grant.waiting(application) };
            if waiting.required.is_empty() { Question::None } else { Question::More }
        }
        GrantState::Suspended => Question::Suspended,
        GrantState::Active | GrantState::Revoked => Question::All,
    })
}

async fn ask(
    writing: &mut Writing,
    key: &GrantKey,
    who: &Actor,
    reason: &str,
    now: Timestamp,
) -> Result<AskOutcome, StoreError> {
    let missing = |what: &str| StoreError::Missing(what.to_owned());
    if !belongs(writing, &who.principal, &key.account).await? {
        return Err(missing(&who.login));
    }
    let application = crate::store::sql::applications::find(writing, &key.application).await?;
    let application = application.filter(|found| found.enabled);
    let application = application.ok_or_else(|| missing(&format!("application {}", key.application)))?;
    let terms = tenant::terms(writing, key).await?;
    let question = question(writing, key, &application, now).await?;
    // It is not for a user to have a suspension lifted by this way.
    if matches!(question, Question::Suspended) {
        return Ok(AskOutcome::Refused);
    }
    if terms.blocked() || (matches!(question, Question::All) && terms.manner.unknown == Unknown::Refuse) {
        // Asking for nothing is asking too: each is a record, and there must be an end to them.
        if let Some(again_at) = too_many(writing, who, now).await? {
            return Ok(AskOutcome::TooOften { again_at });
        }
        audit(writing, key, who, "refused.request", &json!({ "reason": reason }), now).await?;
        return Ok(AskOutcome::Refused);
    }
    if matches!(question, Question::None) {
        return Ok(AskOutcome::NotNeeded);
    }
    let latest = latest(writing, key, now).await?;
    let own = writing.row(person(key, &who.principal, sql(OWN))).await?;
    if let Some(row) = &own {
        let (before, about) = (asked(row)?, request(row, now)?);
        let again_at = before.at.saturating_add(ASKING_WINDOW).unwrap_or(Timestamp::MAX);
        match about.state {
            RequestState::Open => return Ok(AskOutcome::Already(about)),
            RequestState::Denied | RequestState::Blocked if now < again_at => {
                return Ok(AskOutcome::TooOften { again_at });
            }
            RequestState::Denied | RequestState::Blocked | RequestState::Expired | RequestState::Approved => {
            }
        }
    }
    if let Some(again_at) = too_many(writing, who, now).await? {
        return Ok(AskOutcome::TooOften { again_at });
    }
    let life = SignedDuration::from_hours(24 * i64::from(terms.manner.request_days));
    let request = join(writing, key, latest, life, now).await?;
    writing
        .run(
            person(key, &who.principal, sql(PUT_ASKER))
                .bind(&who.login)
                .bind(number(request.round))
                .bind(reason)
                .bind(now.as_microsecond()),
        )
        .await?;
    // Rounds that nobody's last request belongs to are of no use to anybody.
    writing.run(about(key, sql(FORGET)).bind(number(request.round))).await?;
    audit(writing, key, who, "request.ask", &json!({ "reason": reason }), now).await?;
    Ok(AskOutcome::Taken(request))
}

/// When somebody can ask again who has asked too much of late: for too many applications, or in vain.
async fn too_many(
    writing: &mut Writing,
    who: &Actor,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let since = now.saturating_sub(ASKING_WINDOW).unwrap_or(Timestamp::MIN);
    let key = &who.principal;
    let query = sql(ASKED)
        .bind(key.account.as_str())
        .bind(key.kind.as_str())
        .bind(key.id.as_str())
        .bind(since.as_microsecond())
        .bind(&who.login);
    let Some(row) = writing.row(query).await? else { return Ok(None) };
    if row.number("asked")? < MOST_ASKED {
        return Ok(None);
    }
    Ok(Some(row.time("earliest")?.saturating_add(ASKING_WINDOW).unwrap_or(Timestamp::MAX)))
}

/// The open round with one asker more, or a new one.
async fn join(
    writing: &mut Writing,
    key: &GrantKey,
    latest: Option<ApprovalRequest>,
    life: SignedDuration,
    now: Timestamp,
) -> Result<ApprovalRequest, StoreError> {
    let expires_at = now.saturating_add(life).unwrap_or(Timestamp::MAX);
    let round = latest.as_ref().map_or(0, |latest| latest.round);
    if let Some(open) = latest.filter(|latest| latest.state == RequestState::Open) {
        let query =
            sql("UPDATE approval_requests SET askers = askers + 1, last_asked_at = $4, lapses_at = $5
                         WHERE account = $1 AND application = $2 AND round = $3");
        let query = about(key, query).bind(number(open.round));
        writing.run(query.bind(now.as_microsecond()).bind(expires_at.as_microsecond())).await?;
        let askers = open.askers.saturating_add(1);
        return Ok(ApprovalRequest { askers, last_asked_at: now, expires_at, ..open });
    }
    let lapsed = sql("UPDATE approval_requests SET state = 'expired'
                      WHERE account = $1 AND application = $2 AND state = 'open'");
    writing.run(about(key, lapsed)).await?;
    let round = round.saturating_add(1);
    let query = sql("INSERT INTO approval_requests
            (account, application, round, state, askers, opened_at, last_asked_at, lapses_at, word)
        VALUES ($1, $2, $3, 'open', 1, $4, $4, $5, '')");
    let query = about(key, query).bind(number(round));
    writing.run(query.bind(now.as_microsecond()).bind(expires_at.as_microsecond())).await?;
    Ok(ApprovalRequest {
        key: key.clone(),
        round,
        state: RequestState::Open,
        askers: 1,
        opened_at: now,
        last_asked_at: now,
        expires_at,
        decided: None,
    })
}

/// Decides the open round, if there is one.
async fn close(
    writing: &mut Writing,
    key: &GrantKey,
    state: RequestState,
    by: &Actor,
    word: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let query = sql("UPDATE approval_requests SET state = $3, decided_at = $4, decided_by = $5, word = $6
                     WHERE account = $1 AND application = $2 AND state = 'open' AND lapses_at > $4");
    let query = about(key, query).bind(state.as_str()).bind(now.as_microsecond());
    if writing.run(query.bind(&by.login).bind(word)).await? == 0 {
        return Ok(());
    }
    let event = format!("request.{}", state.as_str());
    audit(writing, key, by, &event, &json!({ "word": word }), now).await
}

async fn latest(
    reading: &mut impl Asks,
    key: &GrantKey,
    now: Timestamp,
) -> Result<Option<ApprovalRequest>, StoreError> {
    reading.row(about(key, sql(LATEST))).await?.map(|row| request(&row, now)).transpose()
}

fn request(row: &Row, now: Timestamp) -> Result<ApprovalRequest, StoreError> {
    let expires_at = row.time("lapses_at")?;
    let state = match row.parse("state")? {
        RequestState::Open if expires_at <= now => RequestState::Expired,
        state @ (RequestState::Open
        | RequestState::Expired
        | RequestState::Denied
        | RequestState::Approved
        | RequestState::Blocked) => state,
    };
    let decided = match (row.time_any("decided_at")?, row.get::<Option<String>>("decided_by")?) {
        (Some(at), Some(by)) => Some(Decided { at, by, word: row.get("word")? }),
        (None, _) | (_, None) => None,
    };
    Ok(ApprovalRequest {
        key: row.grant_key()?,
        round: row.number("round")?,
        state,
        askers: row.number("askers")?,
        opened_at: row.time("opened_at")?,
        last_asked_at: row.time("last_asked_at")?,
        expires_at,
        decided,
    })
}

fn asked(row: &Row) -> Result<Ask, StoreError> {
    Ok(Ask {
        principal: row.principal_key()?,
        login: row.get("login")?,
        reason: row.get("reason")?,
        at: row.time("asked_at")?,
    })
}

async fn audit(
    writing: &mut Writing,
    key: &GrantKey,
    by: &Actor,
    event: &str,
    detail: &serde_json::Value,
    at: Timestamp,
) -> Result<(), StoreError> {
    let event = AuditEvent {
        at,
        account: key.account.clone(),
        actor: by.login.clone(),
        event: event.to_owned(),
        subject: key.to_string(),
        detail: detail.to_string(),
    };
    writing.audit(&event).await
}

/// Binds a grant's key and a principal's kind and id as `$1` to `$4`.
fn person(key: &GrantKey, who: &PrincipalKey, query: Query) -> Query {
    about(key, query).bind(who.kind.as_str()).bind(who.id.as_str())
}

fn number(round: u64) -> i64 {
    i64::try_from(round).unwrap_or(i64::MAX)
}

const OWN: &str = "SELECT p.principal_kind, p.principal_id, p.login, p.reason, p.asked_at, r.*
    FROM approval_askers p
    JOIN approval_requests r ON r.account = p.account AND r.application = p.application AND r.round = p.round
    WHERE p.account = $1 AND p.application = $2 AND p.principal_kind = $3 AND p.principal_id = $4";

/// What somebody has asked for since `$4`. What was refused is in the audit only, where nobody's refusals are many.
const ASKED: &str = "SELECT count(*) AS asked, coalesce(min(at), 0) AS earliest FROM (
        SELECT asked_at AS at FROM approval_askers
        WHERE account = $1 AND principal_kind = $2 AND principal_id = $3 AND asked_at > $4
        UNION ALL SELECT at FROM audit
        WHERE kind = 'refusal' AND account = $1 AND event = 'refused.request' AND actor = $5 AND at > $4
    ) asked";

const LIST: &str = "SELECT r.*, a.* FROM approval_requests r JOIN applications a ON a.id = r.application
    WHERE r.account = $1
        AND ($3 = '' OR $3 = CASE WHEN r.state = 'open' AND r.lapses_at <= $2 THEN 'expired' ELSE r.state END)
        AND (r.last_asked_at < $4 OR (r.last_asked_at = $4 AND (r.application > $5
            OR (r.application = $5 AND r.round < $6))))
    ORDER BY r.last_asked_at DESC, r.application, r.round DESC LIMIT $7";

const LATEST: &str = "SELECT r.*, a.* FROM approval_requests r JOIN applications a ON a.id = r.application
    WHERE r.account = $1 AND r.application = $2 ORDER BY r.round DESC LIMIT 1";

const ASKERS: &str = "SELECT * FROM approval_askers
    WHERE account = $1 AND application = $2 AND round = $3
        AND (asked_at < $4 OR (asked_at = $4 AND login > $5))
    ORDER BY asked_at DESC, login LIMIT $6";

const PUT_ASKER: &str = "INSERT INTO approval_askers
        (account, application, principal_kind, principal_id, login, round, reason, asked_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (account, application, principal_kind, principal_id) DO UPDATE SET login = excluded.login,
        round = excluded.round, reason = excluded.reason, asked_at = excluded.asked_at";

const FORGET: &str = "DELETE FROM approval_requests WHERE account = $1 AND application = $2 AND round < $3
    AND NOT EXISTS (
        SELECT 1 FROM approval_askers p WHERE p.account = approval_requests.account
            AND p.application = approval_requests.application AND p.round = approval_requests.round)";
