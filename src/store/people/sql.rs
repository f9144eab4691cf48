//! The managed directory in SQL: what is read, and each change as one transaction.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{
    By, Group, KeptToken, PasswordLink, People, PeopleFilter, Person, PersonChange, Rules, tokens, write,
};
use crate::model::account::{Account, Principal, PrincipalKey};
use crate::model::id::{AccountId, GroupName, Seq};
use crate::store::backend::{Row, built};
use crate::store::sql::Tables;
use crate::store::sql::directory::of;
use crate::store::{ApiToken, NewPrincipal, StoreError};

/// Makes a change within a transaction, and ends it.
macro_rules! change {
    ($tables:ident, |$writing:ident| $work:expr) => {{
        let mut $writing = $tables.writing().await?;
        let done = $work.await;
        $writing.end(done).await
    }};
}
pub(in crate::store) use change;

#[async_trait]
impl People for Tables {
    async fn people(&self, account: &AccountId, filter: &PeopleFilter) -> Result<Vec<Person>, StoreError> {
        let mut text = PERSON.to_owned();
        text.push_str(if filter.roles { " AND p.kind = 'role'" } else { " AND p.kind <> 'role'" });
        text.push_str(
            " AND p.login_key > $2
              AND ($3 = '' OR p.login_key LIKE $3 ESCAPE '\\' OR lower(p.display_name) LIKE $3 ESCAPE '\\')
              AND ($4 = '' OR EXISTS (SELECT 1 FROM memberships m WHERE m.account = p.account
                   AND m.group_name = $4 AND m.kind = p.kind AND m.id = p.id))
             ORDER BY p.login_key LIMIT $5",
        );
        let query = built(text)
            .bind(account.as_str())
            .bind(filter.after.as_deref().unwrap_or_default().to_lowercase())
            .bind(filter.search.as_deref().map(pattern).unwrap_or_default())
            .bind(filter.group.as_ref().map(GroupName::as_str).unwrap_or_default())
            .bind(filter.limit);
        self.rows(query).await?.iter().map(person).collect()
    }

    async fn person(&self, key: &PrincipalKey) -> Result<Option<Person>, StoreError> {
        let query = of(key, built(format!("{PERSON} AND p.kind = $2 AND p.id = $3")));
        self.row(query).await?.as_ref().map(person).transpose()
    }

    async fn found_account(
        &self,
        account: &Account,
        root: &NewPrincipal,
        link: Option<&PasswordLink>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        change!(self, |writing| write::found(&mut writing, account, root, link, now))
    }

    async fn add_person(
        &self,
        new: &NewPrincipal,
        link: Option<&PasswordLink>,
        by: By<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        change!(self, |writing| write::add(&mut writing, new, link, by, now))
    }

    async fn change_person(
        &self,
        key: &PrincipalKey,
        change: &PersonChange,
        by: By<'_>,
        now: Timestamp,
    ) -> Result<Seq, StoreError> {
        change!(self, |writing| write::change(&mut writing, key, change, by, now))
    }

    async fn set_password(
        &self,
        key: &PrincipalKey,
        hash: &str,
        expected: Option<&str>,
        keep: Option<&[u8; 32]>,
        by: By<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        change!(self, |writing| write::set_password(&mut writing, key, hash, expected, keep, by, now))
    }

    async fn offer_password(
        &self,
        key: &PrincipalKey,
        link: &PasswordLink,
        by: By<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        change!(self, |writing| write::offer(&mut writing, key, link, by, now))
    }

    async fn password_link(&self, hash: &[u8; 32], now: Timestamp) -> Result<Option<Principal>, StoreError> {
        let query = built(format!(
            "SELECT p.* FROM password_links l
             JOIN people p ON p.account = l.account AND p.kind = l.kind AND p.id = l.id
             WHERE l.hash = $1 AND l.expires_at > $2 AND p.enabled AND {}",
            write::made_well("l")
        ));
        let row = self.row(query.bind(&hash[..]).bind(now.as_microsecond())).await?;
        row.map(|row| row.principal()).transpose()
    }

    async fn use_password_link(
        &self,
        hash: &[u8; 32],
        password_hash: &str,
        now: Timestamp,
    ) -> Result<Option<Principal>, StoreError> {
        change!(self, |writing| write::use_link(&mut writing, hash, password_hash, now))
    }

    async fn groups(
        &self,
        account: &AccountId,
        after: Option<&GroupName>,
        limit: u32,
    ) -> Result<Vec<Group>, StoreError> {
        let query = built(format!("{GROUP} AND g.name > $2 ORDER BY g.name LIMIT $3"))
            .bind(account.as_str())
            .bind(after.map(GroupName::as_str).unwrap_or_default())
            .bind(limit);
        self.rows(query).await?.iter().map(group).collect()
    }

    async fn group(&self, account: &AccountId, name: &GroupName) -> Result<Option<Group>, StoreError> {
        let query = built(format!("{GROUP} AND g.name = $2")).bind(account.as_str()).bind(name.as_str());
        self.row(query).await?.as_ref().map(group).transpose()
    }

    async fn put_group(
        &self,
        account: &AccountId,
        name: &GroupName,
        description: &str,
        fresh: bool,
        by: By<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        change!(self, |writing| write::put_group(&mut writing, account, name, description, fresh, by, now))
    }

    async fn delete_group(
        &self,
        account: &AccountId,
        name: &GroupName,
        by: By<'_>,
        now: Timestamp,
    ) -> Result<Seq, StoreError> {
        change!(self, |writing| write::delete_group(&mut writing, account, name, by, now))
    }

    async fn rules(&self, account: &AccountId) -> Result<Rules, StoreError> {
        write::rules(&mut &*self, account).await
    }

    async fn set_rules(
        &self,
        account: &AccountId,
        rules: Rules,
        by: By<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        change!(self, |writing| write::set_rules(&mut writing, account, rules, by, now))
    }

    async fn give_token(&self, token: &ApiToken, by: By<'_>, now: Timestamp) -> Result<(), StoreError> {
        change!(self, |writing| tokens::give(&mut writing, token, by, now))
    }

    async fn tokens(&self, account: &AccountId, now: Timestamp) -> Result<Vec<KeptToken>, StoreError> {
        tokens::list(&mut &*self, account, now).await
    }

    async fn revoke_token(
        &self,
        account: &AccountId,
        id: &str,
        by: By<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        change!(self, |writing| tokens::revoke(&mut writing, account, id, by, now))
    }
}

fn person(row: &Row) -> Result<Person, StoreError> {
    Ok(Person {
        principal: row.principal()?,
        has_password: row.get::<Option<&str>>("password_hash")?.is_some(),
        link_until: row.time_any("link_until")?,
        passkeys: row.get("passkeys")?,
        totp: row.get("totp")?,
    })
}

fn group(row: &Row) -> Result<Group, StoreError> {
    Ok(Group {
        name: row.parse("name")?,
        description: row.get("description")?,
        members: row.number("members")?,
    })
}

/// What is looked for, as a pattern of LIKE: nothing in it means anything but itself.
fn pattern(search: &str) -> String {
    let mut pattern = String::from("%");
    for c in search.to_lowercase().chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

const PERSON: &str = "SELECT p.*,
        (SELECT l.expires_at FROM password_links l
         WHERE l.account = p.account AND l.kind = p.kind AND l.id = p.id) AS link_until,
        (SELECT count(*) FROM passkeys k
         WHERE k.account = p.account AND k.kind = p.kind AND k.id = p.id) AS passkeys,
        EXISTS (SELECT 1 FROM totps t WHERE t.account = p.account AND t.kind = p.kind AND t.id = p.id) AS totp
    FROM people p WHERE p.account = $1";

const GROUP: &str = "SELECT g.name, g.description,
        (SELECT count(*) FROM memberships m WHERE m.account = g.account AND m.group_name = g.name) AS members
    FROM people_groups g WHERE g.account = $1";
