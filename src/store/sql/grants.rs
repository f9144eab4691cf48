//! Grants, assignments and personal consents.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::json;

use super::Tables;
use super::directory::{missing as missing_principal, of, principal};
use super::link::{Asks, Writing};
use super::tokens;
use crate::model::account::PrincipalKey;
use crate::model::grant::{Grant, GrantState, Installed};
use crate::model::id::{AccountId, GrantKey, Revision, Seq};
use crate::model::member::Member;
use crate::model::scope::ScopeSet;
use crate::store::backend::{Query, Row, sql};
use crate::store::provisioning::sql::{Reassigned, add, assigned, reassign};
use crate::store::tenant::installing::authorized;
use crate::store::{
    Actor, Assignees, Assignment, AuditEvent, Grants, Install, InstallRefused, PersonalConsent, StoreError,
    Subject, requests, tenant,
};

#[async_trait]
impl Grants for Tables {
    async fn install(&self, install: &Install, now: Timestamp) -> Result<(Grant, Seq), InstallRefused> {
        let mut writing = self.writing().await?;
        let done = async {
            let grant = authorized(&mut writing, install, now).await?;
            let seq = put(&mut writing, &grant, (event_of(&grant), &install.by.login), None, now).await?;
            requests::settle(&mut writing, &install.key, &install.by, now).await?;
            Ok((grant, seq))
        }
        .await;
        writing.end(done).await
    }

    async fn set_state(
        &self,
        key: &GrantKey,
        state: GrantState,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(Grant, Seq), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let mut grant = live(&mut writing, key).await?;
            if grant.state == state {
                let newest = writing.newest().await?;
                return Ok((grant, newest));
            }
            grant.state = state;
            grant.revision = grant.revision.next();
            let event = match state {
                GrantState::Active => {
                    if tenant::is_blocked(&mut writing, key).await? {
                        return Err(StoreError::Conflict(BLOCKED.to_owned()));
                    }
                    "grant.resume"
                }
                GrantState::Suspended => "grant.suspend",
                GrantState::Revoked => {
                    writing
                        .run(about(
                            key,
                            sql("DELETE FROM assignments WHERE account = $1 AND application = $2"),
                        ))
                        .await?;
                    writing
                        .run(about(key, sql("DELETE FROM consents WHERE account = $1 AND application = $2")))
                        .await?;
                    tokens::end_all_of(&mut writing, key, now).await?;
                    tenant::lift_pre_approval(&mut writing, key, by, now).await?;
                    "grant.revoke"
                }
            };
            let seq = put(&mut writing, &grant, (event, &by.login), None, now).await?;
            Ok((grant, seq))
        }
        .await;
        writing.end(done).await
    }

    async fn installed(&self, key: &GrantKey) -> Result<Option<Installed>, StoreError> {
        let query = about(
            key,
            sql("SELECT * FROM grants g JOIN applications a ON a.id = g.application
                 WHERE g.account = $1 AND g.application = $2"),
        );
        let row = self.row(query).await?;
        row.map(|row| row.installed()).transpose()
    }

    async fn installed_in(&self, account: &AccountId) -> Result<Vec<Installed>, StoreError> {
        let query = sql("SELECT * FROM grants g JOIN applications a ON a.id = g.application
                         WHERE g.account = $1 AND g.state <> 'revoked'
                         ORDER BY g.authorized_at DESC, g.application")
        .bind(account.as_str());
        let rows = self.rows(query).await?;
        rows.iter().map(Row::installed).collect()
    }

    async fn member(
        &self,
        key: &GrantKey,
        whom: &PrincipalKey,
        now: Timestamp,
    ) -> Result<Option<Member>, StoreError> {
        let query = of(whom, sql(MEMBER))
            .bind(key.account.as_str())
            .bind(key.application.as_str())
            .bind(now.as_microsecond());
        let Some(row) = self.row(query).await? else { return Ok(None) };
        let ended = row.get::<Option<&str>>("ended")?.unwrap_or_default();
        let ended: Result<_, _> = ended.split_ascii_whitespace().map(str::parse).collect();
        Ok(Some(Member {
            principal: row.principal()?,
            assigned: row.get("assigned")?,
            consented: row.get::<Option<&str>>("consented")?.map(|_| row.parse("consented")).transpose()?,
            ended: ended.map_err(|error| row.unreadable("ended", error))?,
        }))
    }

    async fn assignment(&self, key: &GrantKey) -> Result<Assignment, StoreError> {
        let mut reading = self.reading().await?;
        let grant = live(&mut reading, key).await?;
        let query = about(
            key,
            sql("SELECT kind, name FROM assignments WHERE account = $1 AND application = $2 ORDER BY name"),
        );
        let mut found =
            Assignment { mode: grant.assignment, users: Vec::new(), groups: Vec::new(), roles: Vec::new() };
        for row in reading.rows(query).await? {
            match row.get::<&str>("kind")? {
                "user" => found.users.push(row.parse("name")?),
                "role" => found.roles.push(row.parse("name")?),
                "group" => found.groups.push(row.parse("name")?),
                word => return Err(row.unreadable("kind", format!("{word:?} cannot be assigned"))),
            }
        }
        Ok(found)
    }

    async fn assign(
        &self,
        key: &GrantKey,
        assignment: &Assignment,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(Grant, Seq), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let grant = live(&mut writing, key).await?;
            let before = assigned(&mut writing, key).await?;
            writing
                .run(about(key, sql("DELETE FROM assignments WHERE account = $1 AND application = $2")))
                .await?;
            let Assignment { users, groups, roles, .. } = assignment.clone();
            add(&mut writing, key, &Assignees { users, groups, roles }).await?;
            let after = assigned(&mut writing, key).await?;
            let differs = Reassigned {
                mode: assignment.mode,
                added: after.difference(&before).cloned().collect(),
                removed: before.difference(&after).cloned().collect(),
            };
            reassign(&mut writing, grant, &differs, by, now).await
        }
        .await;
        writing.end(done).await
    }

    async fn consent_in_person(
        &self,
        key: &GrantKey,
        whom: &PrincipalKey,
        scopes: &ScopeSet,
        now: Timestamp,
    ) -> Result<Seq, StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            live(&mut writing, key).await?;
            let person = principal(&mut writing, whom).await?;
            let person = person
                .filter(|person| person.enabled && whom.account == key.account)
                .ok_or_else(|| missing_principal(whom))?;
            writing
                .run(
                    member(
                        key,
                        whom,
                        sql("INSERT INTO consents
                             (account, application, principal_kind, principal_id, scopes, consented_at)
                         SELECT $1, $2, $3, $4, $6, $7 WHERE $1 = $5
                         ON CONFLICT (account, application, principal_kind, principal_id)
                         DO UPDATE SET scopes = excluded.scopes, consented_at = excluded.consented_at"),
                    )
                    .bind(scopes.to_string())
                    .bind(now.as_microsecond()),
                )
                .await?;
            let detail = json!({ "principal": person.login, "scopes": scopes });
            audit(&mut writing, key, "consent.personal", &person.login, detail, now).await?;
            let seq = writing.log(&Subject::Member(key.clone(), whom.clone()), now).await?;
            Ok(seq)
        }
        .await;
        writing.end(done).await
    }

    async fn withdraw_consent(
        &self,
        key: &GrantKey,
        whom: &PrincipalKey,
        by: &Actor,
        now: Timestamp,
    ) -> Result<Seq, StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let deleted = writing
                .run(member(
                    key,
                    whom,
                    sql("DELETE FROM consents WHERE account = $1 AND application = $2
                     AND principal_kind = $3 AND principal_id = $4 AND account = $5"),
                ))
                .await?;
            if deleted == 0 {
                return Err(StoreError::Missing(format!(
                    "personal consent of {} {} to {key}",
                    whom.kind, whom.id
                )));
            }
            tokens::end_those_of(&mut writing, key, whom, now).await?;
            let detail = json!({ "principal": format!("{}/{}", whom.kind, whom.id) });
            audit(&mut writing, key, "consent.withdraw", &by.login, detail, now).await?;
            let seq = writing.log(&Subject::Member(key.clone(), whom.clone()), now).await?;
            Ok(seq)
        }
        .await;
        writing.end(done).await
    }

    async fn personal_consents(&self, key: &GrantKey) -> Result<Vec<PersonalConsent>, StoreError> {
        let query = about(
            key,
            sql("SELECT p.*, c.scopes, c.consented_at FROM consents c
                 JOIN people p ON p.account = c.account AND p.kind = c.principal_kind AND p.id = c.principal_id
                 WHERE c.account = $1 AND c.application = $2 ORDER BY p.login_key"),
        );
        let rows = self.rows(query).await?;
        rows.iter()
            .map(|row| {
                Ok(PersonalConsent {
                    principal: row.principal()?,
                    scopes: row.parse("scopes")?,
                    at: row.time("consented_at")?,
                })
            })
            .collect()
    }
}

/// Binds a grant's key as `$1` and `$2`.
pub(in crate::store) fn about(key: &GrantKey, query: Query) -> Query {
    query.bind(key.account.as_str()).bind(key.application.as_str())
}

/// Binds a grant's key and a principal's kind, id and account as `$1` to `$5`.
pub(in crate::store) fn member(key: &GrantKey, whom: &PrincipalKey, query: Query) -> Query {
    about(key, query).bind(whom.kind.as_str()).bind(whom.id.as_str()).bind(whom.account.as_str())
}

/// The grant, whatever its state.
pub(in crate::store) async fn find(
    reading: &mut impl Asks,
    key: &GrantKey,
) -> Result<Option<Grant>, StoreError> {
    let query = about(key, sql("SELECT * FROM grants WHERE account = $1 AND application = $2"));
    reading.row(query).await?.map(|row| row.grant()).transpose()
}

/// The grant, unless there is none or it is revoked.
pub(in crate::store) async fn live(reading: &mut impl Asks, key: &GrantKey) -> Result<Grant, StoreError> {
    let grant = find(reading, key).await?.filter(|grant| grant.state != GrantState::Revoked);
    grant.ok_or_else(|| StoreError::Missing(format!("grant {key}")))
}

/// What the audit calls an authorization.
pub(in crate::store) fn event_of(grant: &Grant) -> &'static str {
    if grant.since == grant.revision { "grant.install" } else { "grant.replace" }
}

/// Writes the grant with its audit row, which may say more, and its change-log row.
pub(in crate::store) async fn put(
    writing: &mut Writing,
    grant: &Grant,
    (event, actor): (&str, &str),
    more: Option<serde_json::Value>,
    now: Timestamp,
) -> Result<Seq, StoreError> {
    if grant.since == grant.revision {
        // It begins anew: of one that came to its own end something may be left.
        tokens::end_all_of(writing, &grant.key, now).await?;
    }
    let number = |revision: Revision| i64::try_from(revision.0).unwrap_or(i64::MAX);
    writing
        .run(
            about(&grant.key, sql(PUT))
                .bind(number(grant.revision))
                .bind(number(grant.since))
                .bind(grant.state.as_str())
                .bind(grant.scopes.to_string())
                .bind(grant.declined.to_string())
                .bind(grant.authorized_at.as_microsecond())
                .bind(grant.authorized_by.kind.as_str())
                .bind(grant.authorized_by.id.as_str())
                .bind(&grant.authorized_by_login)
                .bind(grant.assignment.as_str())
                .bind(grant.expires_at.map(Timestamp::as_microsecond)),
        )
        .await?;
    tell(writing, grant, (event, actor), more, now).await?;
    writing.log(&Subject::Grant(grant.key.clone()), now).await
}

/// Writes the audit row of a change of the grant, which says how it stands then and may say more.
pub(in crate::store) async fn tell(
    writing: &mut Writing,
    grant: &Grant,
    (event, actor): (&str, &str),
    more: Option<serde_json::Value>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut detail = json!({
        "revision": grant.revision,
        "state": grant.state,
        "scopes": grant.scopes,
        "declined": grant.declined,
        "assignment": grant.assignment,
        "expires_at": grant.expires_at,
    });
    if let (Some(detail), Some(serde_json::Value::Object(more))) = (detail.as_object_mut(), more) {
        detail.extend(more);
    }
    audit(writing, &grant.key, event, actor, detail, now).await
}

async fn audit(
    writing: &mut Writing,
    key: &GrantKey,
    event: &str,
    actor: &str,
    detail: serde_json::Value,
    at: Timestamp,
) -> Result<(), StoreError> {
    let event = AuditEvent {
        at,
        account: key.account.clone(),
        actor: actor.to_owned(),
        event: event.to_owned(),
        subject: key.to_string(),
        detail: detail.to_string(),
    };
    writing.audit(&event).await
}

const BLOCKED: &str = "the application is blocked in this account; unblock it first, then resume it";

/// The principal `$1 $2 $3` beside the grant `$4 $5`, at `$6`: one question, so that all of it is of one moment.
const MEMBER: &str = "SELECT p.*,
        EXISTS (
            SELECT 1 FROM grants g
            WHERE g.account = $4 AND g.application = $5 AND g.account = p.account AND g.state <> 'revoked'
                AND (g.assignment_mode = 'all' OR p.kind = 'account' OR EXISTS (
                    SELECT 1 FROM assignments a
                    WHERE a.account = g.account AND a.application = g.application
                        AND ((a.kind = p.kind AND a.name = p.id) OR (a.kind = 'group' AND EXISTS (
                            SELECT 1 FROM memberships m
                            WHERE m.account = p.account AND m.kind = p.kind AND m.id = p.id
                                AND m.group_name = a.name)))))
        ) AS assigned,
        (
            SELECT c.scopes FROM consents c
            WHERE c.account = $4 AND c.application = $5 AND c.account = p.account
                AND c.principal_kind = p.kind AND c.principal_id = p.id
        ) AS consented,
        (
            SELECT string_agg(f.id, ' ' ORDER BY f.id) FROM families f
            WHERE f.account = $4 AND f.application = $5 AND f.account = p.account
                AND f.principal_kind = p.kind AND f.principal_id = p.id
                AND f.remember_until > $6
        ) AS ended
    FROM people p WHERE p.account = $1 AND p.kind = $2 AND p.id = $3";

const PUT: &str = "INSERT INTO grants (account, application, revision, since, state, scopes, declined,
        authorized_at, by_kind, by_id, by_login, assignment_mode, ends_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
    ON CONFLICT (account, application) DO UPDATE SET revision = excluded.revision, since = excluded.since,
        state = excluded.state, scopes = excluded.scopes, declined = excluded.declined,
        authorized_at = excluded.authorized_at, by_kind = excluded.by_kind, by_id = excluded.by_id,
        by_login = excluded.by_login, assignment_mode = excluded.assignment_mode, ends_at = excluded.ends_at";
