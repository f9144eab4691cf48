//! Who stands on older scopes, in tables.

use async_trait::async_trait;

use super::{AccountsBehind, Behind, Publishing};
use crate::model::account::Account;
use crate::model::application::Application;
use crate::model::id::AccountId;
use crate::model::scope::ScopeSet;
use crate::store::StoreError;
use crate::store::backend::sql;
use crate::store::sql::Tables;

#[async_trait]
impl Publishing for Tables {
    async fn behind(
        &self,
        application: &Application,
        after: Option<&AccountId>,
        limit: usize,
    ) -> Result<AccountsBehind, StoreError> {
        let offered = application.offered();
        let mut found = AccountsBehind { accounts: Vec::new(), next: after.cloned() };
        for _ in 0..ROUNDS {
            let query = sql(INSTALLED)
                .bind(application.id.as_str())
                .bind(found.next.as_ref().map(|id| id.as_str()))
                .bind(AT_ONCE);
            let rows = self.rows(query).await?;
            for row in &rows {
                let id: AccountId = row.parse("account")?;
                found.next = Some(id.clone());
                let (granted, declined): (ScopeSet, ScopeSet) =
                    (row.parse("scopes")?, row.parse("declined")?);
                let decided = granted.union(&declined);
                if offered.beyond(&decided).is_empty() && granted.beyond(&offered).is_empty() {
                    continue;
                }
                let account = Account { id, alias: row.get("alias")? };
                found.accounts.push(Behind { account, since: row.time("authorized_at")? });
                if found.accounts.len() >= limit {
                    return Ok(found);
                }
            }
            if rows.len() < usize::try_from(AT_ONCE).unwrap_or(usize::MAX) {
                found.next = None;
                return Ok(found);
            }
        }
        Ok(found)
    }
}

const INSTALLED: &str = "SELECT g.account, c.alias, g.scopes, g.declined, g.authorized_at
    FROM grants g JOIN accounts c ON c.id = g.account
    WHERE g.application = $1 AND g.state <> 'revoked' AND g.account > coalesce($2, '')
    ORDER BY g.account LIMIT $3";

/// So many grants are looked at for one page at most: the rest is asked for with the next.
const AT_ONCE: u32 = 500;
const ROUNDS: usize = 10;
