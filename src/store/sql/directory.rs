//! Accounts, principals and admin API tokens.

use async_trait::async_trait;
use jiff::Timestamp;

use super::Tables;
use super::link::{Asks, Writing};
use crate::model::account::{Account, Principal, PrincipalKey};
use crate::model::id::{AccountId, GroupName};
use crate::store::backend::{Query, sql};
use crate::store::{ApiToken, Credential, Directory, NewPrincipal, StoreError, Subject};

#[async_trait]
impl Directory for Tables {
    async fn add_account(&self, account: &Account) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = add_account(&mut writing, account).await;
        writing.end(done).await
    }

    async fn account(&self, id: &AccountId) -> Result<Option<Account>, StoreError> {
        let query = sql("SELECT * FROM accounts WHERE id = $1").bind(id.as_str());
        let row = self.row(query).await?;
        row.map(|row| Ok(Account { id: row.parse("id")?, alias: row.get("alias")? })).transpose()
    }

    async fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        let rows = self.rows(sql("SELECT * FROM accounts ORDER BY id")).await?;
        rows.iter().map(|row| Ok(Account { id: row.parse("id")?, alias: row.get("alias")? })).collect()
    }

    async fn add_principal(&self, new: &NewPrincipal) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            insert(&mut writing, new).await?;
            Ok(())
        }
        .await;
        writing.end(done).await
    }

    async fn principal(&self, key: &PrincipalKey) -> Result<Option<Principal>, StoreError> {
        principal(&mut &*self, key).await
    }

    async fn credential(&self, login: &str) -> Result<Option<Credential>, StoreError> {
        let query = sql("SELECT * FROM people WHERE login_key = $1").bind(login.to_lowercase());
        let row = self.row(query).await?;
        row.map(|row| {
            Ok(Credential { principal: row.principal()?, password_hash: row.get("password_hash")? })
        })
        .transpose()
    }

    async fn administrators(&self, account: &AccountId, limit: u32) -> Result<Vec<Principal>, StoreError> {
        let query = sql("SELECT * FROM people
             WHERE account = $1 AND enabled AND (kind = 'account' OR (kind = 'user' AND full_access))
             ORDER BY CASE kind WHEN 'account' THEN 0 ELSE 1 END, login_key LIMIT $2")
        .bind(account.as_str())
        .bind(limit);
        let rows = self.rows(query).await?;
        rows.iter().map(|row| row.principal()).collect()
    }

    async fn enable_principal(
        &self,
        key: &PrincipalKey,
        enabled: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done =
            async {
                let before = principal(&mut writing, key).await?.ok_or_else(|| missing(key))?;
                if before.enabled == enabled {
                    return Ok(());
                }
                writing
            .run(
                of(
                    key,
                    sql("UPDATE principals SET enabled = $4 WHERE account = $1 AND kind = $2 AND id = $3"),
                )
                .bind(enabled),
            )
            .await?;
                if !enabled {
                    // Whoever is enabled again logs in again.
                    writing
                        .run(of(
                            key,
                            sql("DELETE FROM sessions
                         WHERE account = $1 AND principal_kind = $2 AND principal_id = $3"),
                        ))
                        .await?;
                }
                writing.log(&Subject::Principal(key.clone()), now).await?;
                Ok(())
            }
            .await;
        writing.end(done).await
    }

    async fn set_full_access(
        &self,
        key: &PrincipalKey,
        full_access: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let before = principal(&mut writing, key).await?.ok_or_else(|| missing(key))?;
            if before.full_access == full_access {
                return Ok(());
            }
            writing
            .run(
                of(
                    key,
                    sql(
                        "UPDATE principals SET full_access = $4 WHERE account = $1 AND kind = $2 AND id = $3",
                    ),
                )
                .bind(full_access),
            )
            .await?;
            writing.log(&Subject::Principal(key.clone()), now).await?;
            Ok(())
        }
        .await;
        writing.end(done).await
    }

    async fn add_api_token(&self, token: &ApiToken) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
        writing
            .run(
                of(
                    &token.principal,
                    sql("INSERT INTO api_tokens (account, principal_kind, principal_id, hash, label, expires_at)
                         VALUES ($1, $2, $3, $4, $5, $6)
                         ON CONFLICT (hash) DO UPDATE SET account = excluded.account,
                             principal_kind = excluded.principal_kind, principal_id = excluded.principal_id,
                             label = excluded.label, expires_at = excluded.expires_at"),
                )
                .bind(&token.hash[..])
                .bind(&token.label)
                .bind(token.expires_at.map(Timestamp::as_microsecond)),
            )
            .await?;
        Ok(())
        }
        .await;
        writing.end(done).await
    }

    async fn api_token(&self, hash: &[u8; 32], now: Timestamp) -> Result<Option<Principal>, StoreError> {
        let query = sql("SELECT p.* FROM api_tokens t
             JOIN people p ON p.account = t.account AND p.kind = t.principal_kind AND p.id = t.principal_id
             WHERE t.hash = $1 AND (t.expires_at IS NULL OR t.expires_at > $2) AND p.enabled")
        .bind(&hash[..])
        .bind(now.as_microsecond());
        let row = self.row(query).await?;
        row.map(|row| row.principal()).transpose()
    }
}

/// The principal with this key.
pub(in crate::store) async fn principal(
    reading: &mut impl Asks,
    key: &PrincipalKey,
) -> Result<Option<Principal>, StoreError> {
    let query = of(key, sql("SELECT * FROM people WHERE account = $1 AND kind = $2 AND id = $3"));
    reading.row(query).await?.map(|row| row.principal()).transpose()
}

/// Binds a principal's key as `$1`, `$2` and `$3`.
pub(in crate::store) fn of(key: &PrincipalKey, query: Query) -> Query {
    query.bind(key.account.as_str()).bind(key.kind.as_str()).bind(key.id.as_str())
}

/// There is no such principal.
pub(in crate::store) fn missing(key: &PrincipalKey) -> StoreError {
    StoreError::Missing(format!("{} {} in account {}", key.kind, key.id, key.account))
}

/// Adds an account.
pub(in crate::store) async fn add_account(
    writing: &mut Writing,
    account: &Account,
) -> Result<(), StoreError> {
    let query = sql("INSERT INTO accounts (id, alias, alias_key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING");
    let query = query.bind(account.id.as_str()).bind(&account.alias).bind(account.alias.to_lowercase());
    if writing.run(query).await? == 0 {
        return Err(StoreError::Exists(format!("an account {} or {}", account.id, account.alias)));
    }
    Ok(())
}

/// Puts somebody into a group, which is made when it is not there.
pub(in crate::store) async fn join(
    writing: &mut Writing,
    key: &PrincipalKey,
    group: &GroupName,
) -> Result<(), StoreError> {
    let make = sql("INSERT INTO people_groups (account, name, description) VALUES ($1, $2, '')
                    ON CONFLICT DO NOTHING");
    writing.run(make.bind(key.account.as_str()).bind(group.as_str())).await?;
    let query = sql("INSERT INTO memberships (account, kind, id, group_name) VALUES ($1, $2, $3, $4)
                     ON CONFLICT DO NOTHING");
    writing.run(of(key, query).bind(group.as_str())).await?;
    Ok(())
}

/// Adds a principal with its groups.
pub(in crate::store) async fn insert(writing: &mut Writing, new: &NewPrincipal) -> Result<(), StoreError> {
    let principal = &new.principal;
    let added = writing
        .run(
            of(
                &principal.key,
                sql("INSERT INTO principals
                         (account, kind, id, login, login_key, display_name, enabled, full_access, password_hash)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING"),
            )
            .bind(&principal.login)
            .bind(principal.login.to_lowercase())
            .bind(&principal.display_name)
            .bind(principal.enabled)
            .bind(principal.full_access)
            .bind(new.password_hash.as_deref()),
        )
        .await?;
    if added == 0 {
        return Err(StoreError::Exists(format!("the principal {}", principal.login)));
    }
    for group in &principal.groups {
        join(writing, &principal.key, group).await?;
    }
    Ok(())
}
