//! The account's rules in SQL.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::json;

use super::installing::{Rescoped, administers, authorized, available, rescoped};
use super::{MOST_RULES, Manner, Rescope, Rule, Standing, TenantPolicy, TenantRules, Terms};
use crate::model::account::PrincipalKey;
use crate::model::application::Relation;
use crate::model::grant::{Grant, GrantState};
use crate::model::id::{AccountId, ApplicationId, GrantKey, Seq};
use crate::model::scope::ScopeSet;
use crate::store::backend::{Row, sql};
use crate::store::sql::Tables;
use crate::store::sql::grants::{about, find, put};
use crate::store::sql::link::{Asks, Writing};
use crate::store::{Actor, AuditEvent, Install, InstallRefused, Lasting, StoreError, requests};

#[async_trait]
impl TenantRules for Tables {
    async fn tenant_policy(&self, account: &AccountId) -> Result<TenantPolicy, StoreError> {
        let mut reading = self.reading().await?;
        let (revision, manner) = manner(&mut reading, account).await?;
        let query =
            sql("SELECT r.account, r.rule, r.scopes, r.word, r.by_kind, r.by_id, r.by_login, r.set_at, a.*
                         FROM application_rules r JOIN applications a ON a.id = r.application
                         WHERE r.account = $1 ORDER BY a.name, a.id")
            .bind(account.as_str());
        let rows = reading.rows(query).await?;
        let rules: Result<_, StoreError> =
            rows.iter().map(|row| Ok((row.application()?, rule(row)?))).collect();
        Ok(TenantPolicy { revision, manner, rules: rules? })
    }

    async fn terms(&self, key: &GrantKey) -> Result<Terms, StoreError> {
        let mut reading = self.reading().await?;
        terms(&mut reading, key).await
    }

    async fn set_tenant_policy(
        &self,
        account: &AccountId,
        wanted: &Manner,
        rules: &[(ApplicationId, Standing)],
        seen: u64,
        by: &Actor,
        now: Timestamp,
    ) -> Result<Seq, InstallRefused> {
        let mut writing = self.writing().await?;
        let done = async {
            let (revision, _) = manner(&mut writing, account).await?;
            if revision != seen {
                let changed = "the policy was changed by someone else meanwhile; read it again".to_owned();
                return Err(InstallRefused::Store(StoreError::Conflict(changed)));
            }
            let query = sql("SELECT * FROM application_rules WHERE account = $1").bind(account.as_str());
            let mut present = Vec::new();
            for row in writing.rows(query).await? {
                present.push((row.parse::<ApplicationId>("application")?, rule(&row)?.standing));
            }
            let key = |application: &ApplicationId| GrantKey {
                account: account.clone(),
                application: application.clone(),
            };
            for (application, _) in present.iter().filter(|(id, _)| !rules.iter().any(|(one, _)| one == id)) {
                take_back(&mut writing, &key(application), by, now).await?;
            }
            for (application, standing) in rules.iter().filter(|rule| !present.contains(rule)) {
                set(&mut writing, &key(application), standing, by, now).await?;
            }
            keep_manner(&mut writing, account, wanted).await?;
            let detail = json!({
                "unknown_applications": wanted.unknown.as_str(),
                "request_days": wanted.request_days,
                "message": wanted.message,
            });
            audit(&mut writing, account, by, "policy.change", account.as_str(), &detail, now).await?;
            Ok(writing.newest().await?)
        }
        .await;
        writing.end(done).await
    }

    async fn set_rule(
        &self,
        key: &GrantKey,
        standing: Option<&Standing>,
        by: &Actor,
        now: Timestamp,
    ) -> Result<(Option<Grant>, Seq), InstallRefused> {
        let mut writing = self.writing().await?;
        let done = async {
            let suspended = match standing {
                Some(standing) => set(&mut writing, key, standing, by, now).await?,
                None => {
                    take_back(&mut writing, key, by, now).await?;
                    None
                }
            };
            let (_, manner) = manner(&mut writing, &key.account).await?;
            keep_manner(&mut writing, &key.account, &manner).await?;
            Ok((suspended, writing.newest().await?))
        }
        .await;
        writing.end(done).await
    }

    async fn install_pre_approved(
        &self,
        key: &GrantKey,
        visitor: &Actor,
        now: Timestamp,
    ) -> Result<Option<(Grant, Seq)>, StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let Some((grant, by)) = pre_approved(&mut writing, key, now).await? else { return Ok(None) };
            let seq = put(&mut writing, &grant, ("grant.install", &by.login), None, now).await?;
            requests::settle(&mut writing, key, &by, now).await?;
            let detail = json!({ "approved_by": by.login });
            let what = "application.preapproval.used";
            audit(&mut writing, &key.account, visitor, what, &key.to_string(), &detail, now).await?;
            Ok(Some((grant, seq)))
        }
        .await;
        writing.end(done).await
    }

    async fn rescope(&self, wish: &Rescope, now: Timestamp) -> Result<(Grant, Seq), InstallRefused> {
        let mut writing = self.writing().await?;
        let done = async {
            let Rescoped { grant, changed, complete } = rescoped(&mut writing, wish, now).await?;
            if !changed {
                return Ok((grant, writing.newest().await?));
            }
            let seq = put(&mut writing, &grant, ("grant.replace", &wish.by.login), None, now).await?;
            if complete {
                requests::settle(&mut writing, &wish.key, &wish.by, now).await?;
            }
            Ok((grant, seq))
        }
        .await;
        writing.end(done).await
    }
}

/// Whether the account has blocked the application.
pub(in crate::store) async fn is_blocked(
    reading: &mut impl Asks,
    key: &GrantKey,
) -> Result<bool, StoreError> {
    let query = about(
        key,
        sql("SELECT 1 FROM application_rules WHERE account = $1 AND application = $2 AND rule = 'blocked'"),
    );
    Ok(reading.row(query).await?.is_some())
}

/// A deletion is a decision too: what was approved before it does not install the application again.
pub(in crate::store) async fn lift_pre_approval(
    writing: &mut Writing,
    key: &GrantKey,
    by: &Actor,
    now: Timestamp,
) -> Result<(), StoreError> {
    let query = about(
        key,
        sql("DELETE FROM application_rules WHERE account = $1 AND application = $2 AND rule = 'preapproved'"),
    );
    if writing.run(query).await? == 0 {
        return Ok(());
    }
    let (_, manner) = manner(writing, &key.account).await?;
    keep_manner(writing, &key.account, &manner).await?;
    let (event, detail) = ("application.preapproval.withdraw", json!({ "because": "grant.revoke" }));
    audit(writing, &key.account, by, event, &key.to_string(), &detail, now).await
}

/// What counts for one application.
pub(in crate::store) async fn terms(reading: &mut impl Asks, key: &GrantKey) -> Result<Terms, StoreError> {
    let (_, manner) = manner(reading, &key.account).await?;
    Ok(Terms { manner, rule: find_rule(reading, key).await? })
}

/// The grant that a pre-approval makes, and in whose name; none when it does not hold.
async fn pre_approved(
    writing: &mut Writing,
    key: &GrantKey,
    now: Timestamp,
) -> Result<Option<(Grant, Actor)>, StoreError> {
    let Some(rule) = find_rule(writing, key).await? else { return Ok(None) };
    let Standing::PreApproved { scopes: approved } = rule.standing else { return Ok(None) };
    let by = Actor { principal: rule.by, login: rule.by_login };
    let application = match available(writing, &key.application).await {
        Ok(application) => application,
        Err(refused) => return no_pre_approval(refused),
    };
    let foreign = match application.relation_to(&key.account) {
        Relation::FirstParty => false,
        Relation::ThirdParty | Relation::Official => true,
    };
    if !foreign || !application.required.beyond(&approved).is_empty() {
        return Ok(None);
    }
    let offered = application.offered();
    let scopes: ScopeSet = approved.iter().filter(|scope| offered.contains(scope)).cloned().collect();
    let declined = offered.beyond(&scopes);
    let install = Install {
        key: key.clone(),
        scopes,
        declined,
        at_most: Some(approved),
        by: by.clone(),
        seen: None,
        lasting: Lasting::AsItWas,
    };
    match authorized(writing, &install, now).await {
        Ok(grant) => Ok(Some((grant, by))),
        Err(refused) => no_pre_approval(refused),
    }
}

/// Anything that stands against it makes it none; only a store that cannot answer is an error.
fn no_pre_approval<T>(refused: InstallRefused) -> Result<Option<T>, StoreError> {
    match refused {
        InstallRefused::NotAnAdministrator(_)
        | InstallRefused::NotOffered(_)
        | InstallRefused::Required(_)
        | InstallRefused::Beyond(_)
        | InstallRefused::Blocked(_)
        | InstallRefused::NoApplication(_)
        | InstallRefused::Store(StoreError::Conflict(_)) => Ok(None),
        InstallRefused::Store(error) => Err(error),
    }
}

async fn set(
    writing: &mut Writing,
    key: &GrantKey,
    standing: &Standing,
    by: &Actor,
    now: Timestamp,
) -> Result<Option<Grant>, InstallRefused> {
    let application = crate::store::sql::applications::find(writing, &key.application).await?;
    let application =
        application.ok_or_else(|| InstallRefused::NoApplication(key.application.to_string()))?;
    let (word, scopes, text, event) = match standing {
        Standing::Blocked { word } => ("blocked", String::new(), word.as_str(), "application.block"),
        Standing::PreApproved { scopes } => {
            if !administers(writing, &by.principal, &key.account).await? {
                return Err(InstallRefused::NotAnAdministrator(by.login.clone()));
            }
            if let Some(scope) = scopes.without(&application.offered()).iter().next() {
                return Err(InstallRefused::NotOffered(scope.to_string()));
            }
            if let Some(scope) = application.required.beyond(scopes).iter().next() {
                return Err(InstallRefused::Required(scope.to_string()));
            }
            ("preapproved", scopes.to_string(), "", "application.preapprove")
        }
    };
    room(writing, key).await?;
    writing
        .run(
            about(key, sql(PUT))
                .bind(word)
                .bind(&scopes)
                .bind(text)
                .bind(by.principal.kind.as_str())
                .bind(by.principal.id.as_str())
                .bind(&by.login)
                .bind(now.as_microsecond()),
        )
        .await?;
    let detail = json!({ "scopes": scopes, "word": text });
    audit(writing, &key.account, by, event, &key.to_string(), &detail, now).await?;
    match standing {
        Standing::Blocked { word } => {
            requests::block(writing, key, by, word, now).await?;
            Ok(suspend(writing, key, by, now).await?)
        }
        Standing::PreApproved { .. } => Ok(None),
    }
}

/// Stops what is in use, by the way on which every suspension goes.
async fn suspend(
    writing: &mut Writing,
    key: &GrantKey,
    by: &Actor,
    now: Timestamp,
) -> Result<Option<Grant>, StoreError> {
    let active = |grant: &Grant| match grant.state {
        GrantState::Active => true,
        GrantState::Suspended | GrantState::Revoked => false,
    };
    let Some(grant) = find(writing, key).await?.filter(active) else { return Ok(None) };
    let grant = Grant { state: GrantState::Suspended, revision: grant.revision.next(), ..grant };
    put(writing, &grant, ("grant.suspend", &by.login), None, now).await?;
    Ok(Some(grant))
}

async fn take_back(
    writing: &mut Writing,
    key: &GrantKey,
    by: &Actor,
    now: Timestamp,
) -> Result<(), StoreError> {
    let rule = find_rule(writing, key).await?.ok_or_else(|| {
        StoreError::Missing(format!("rule of this account about the application {}", key.application))
    })?;
    let delete = sql("DELETE FROM application_rules WHERE account = $1 AND application = $2");
    writing.run(about(key, delete)).await?;
    let event = match rule.standing {
        Standing::Blocked { .. } => "application.unblock",
        Standing::PreApproved { .. } => "application.preapproval.withdraw",
    };
    audit(writing, &key.account, by, event, &key.to_string(), &json!({}), now).await
}

/// A table of rules that is full takes no new one.
async fn room(writing: &mut Writing, key: &GrantKey) -> Result<(), StoreError> {
    let others =
        sql("SELECT count(*) AS others FROM application_rules WHERE account = $1 AND application <> $2");
    let row = writing.row(about(key, others)).await?;
    let others: u64 = row.map_or(Ok(0), |row| row.number("others"))?;
    if others >= u64::try_from(MOST_RULES).unwrap_or(u64::MAX) {
        return Err(StoreError::Conflict(format!(
            "the account has {MOST_RULES} rules about applications already; take one back first"
        )));
    }
    Ok(())
}

async fn find_rule(reading: &mut impl Asks, key: &GrantKey) -> Result<Option<Rule>, StoreError> {
    let query = about(key, sql("SELECT * FROM application_rules WHERE account = $1 AND application = $2"));
    reading.row(query).await?.map(|row| rule(&row)).transpose()
}

fn rule(row: &Row) -> Result<Rule, StoreError> {
    let standing = match row.get::<&str>("rule")? {
        "blocked" => Standing::Blocked { word: row.get("word")? },
        "preapproved" => Standing::PreApproved { scopes: row.parse("scopes")? },
        other => return Err(row.unreadable("rule", format!("{other:?} is no rule"))),
    };
    Ok(Rule {
        standing,
        by: PrincipalKey {
            account: row.parse("account")?,
            kind: row.parse("by_kind")?,
            id: row.parse("by_id")?,
        },
        by_login: row.get("by_login")?,
        at: row.time("set_at")?,
    })
}

async fn manner(reading: &mut impl Asks, account: &AccountId) -> Result<(u64, Manner), StoreError> {
    let query = sql("SELECT * FROM tenant_policies WHERE account = $1").bind(account.as_str());
    let Some(row) = reading.row(query).await? else { return Ok((0, Manner::default())) };
    let manner = Manner {
        unknown: row.parse("unknown_applications")?,
        request_days: row.get("request_days")?,
        message: row.get("message")?,
    };
    Ok((row.number("revision")?, manner))
}

/// Writes what stands for all applications; the policy's revision rises.
async fn keep_manner(writing: &mut Writing, account: &AccountId, manner: &Manner) -> Result<(), StoreError> {
    writing
        .run(
            sql(
                "INSERT INTO tenant_policies (account, revision, unknown_applications, request_days, message)
                 VALUES ($1, 1, $2, $3, $4)
                 ON CONFLICT (account) DO UPDATE SET revision = tenant_policies.revision + 1,
                     unknown_applications = excluded.unknown_applications,
                     request_days = excluded.request_days, message = excluded.message",
            )
            .bind(account.as_str())
            .bind(manner.unknown.as_str())
            .bind(manner.request_days)
            .bind(&manner.message),
        )
        .await?;
    Ok(())
}

async fn audit(
    writing: &mut Writing,
    account: &AccountId,
    by: &Actor,
    event: &str,
    subject: &str,
    detail: &serde_json::Value,
    at: Timestamp,
) -> Result<(), StoreError> {
    let event = AuditEvent {
        at,
        account: account.clone(),
        actor: by.login.clone(),
        event: event.to_owned(),
        subject: subject.to_owned(),
        detail: detail.to_string(),
    };
    writing.audit(&event).await
}

const PUT: &str = "INSERT INTO application_rules
        (account, application, rule, scopes, word, by_kind, by_id, by_login, set_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    ON CONFLICT (account, application) DO UPDATE SET rule = excluded.rule, scopes = excluded.scopes,
        word = excluded.word, by_kind = excluded.by_kind, by_id = excluded.by_id, by_login = excluded.by_login,
        set_at = excluded.set_at";
