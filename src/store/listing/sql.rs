//! The lists in SQL. What is searched for is bound, never written into a statement; `%`, `_` and `\` in it stand for
//! themselves.

use async_trait::async_trait;

use super::{
    Agreed, Assignee, AssigneeCounts, AssigneeKind, InstalledPage, Listed, Listing, Offered, Order, Page,
    PageOf, Place, PlaceKey,
};
use crate::model::grant::GrantState;
use crate::model::id::{AccountId, GrantKey};
use crate::store::StoreError;
use crate::store::backend::{Query, Row, Value, built, sql};
use crate::store::sql::Tables;
use crate::store::sql::grants::about;

#[async_trait]
impl Listing for Tables {
    async fn installed_page(
        &self,
        account: &AccountId,
        page: &InstalledPage,
    ) -> Result<Page<Listed>, StoreError> {
        let (key, numbers) = match page.order {
            Order::Name => ("lower(a.display_name)", false),
            Order::Authorized => ("g.authorized_at", true),
            Order::LastUsed => ("coalesce(u.used_at, 0)", true),
            Order::State => ("g.state", false),
        };
        let (beyond, way) = if page.falling { ("<", "DESC") } else { (">", "ASC") };
        let text = format!(
            "SELECT g.*, a.*, u.used_at, {key} AS place_key
             FROM grants g JOIN applications a ON a.id = g.application
             LEFT JOIN uses u ON u.account = g.account AND u.application = g.application
             WHERE g.account = $1 AND g.state <> 'revoked' AND ($2 IS NULL OR g.state = $2)
                 AND ($3 IS NULL OR lower(a.name) LIKE $3 ESCAPE '\\'
                     OR lower(a.display_name) LIKE $3 ESCAPE '\\'
                     OR lower(a.publisher_name) LIKE $3 ESCAPE '\\' OR lower(a.id) LIKE $3 ESCAPE '\\')
                 AND ($5 IS NULL OR ({key}, g.application) {beyond} ($4, $5))
             ORDER BY {key} {way}, g.application {way} LIMIT $6"
        );
        let after = page.after.as_ref();
        let query = built(text)
            .bind(account.as_str())
            .bind(page.state.map(GrantState::as_str))
            .bind(pattern(page.search.as_deref()))
            .bind(match after.map(|place| &place.key) {
                Some(PlaceKey::Text(text)) if !numbers => Value::from(text),
                Some(PlaceKey::Number(number)) if numbers => Value::from(*number),
                Some(PlaceKey::Text(_) | PlaceKey::Number(_)) => return Err(not_a_place()),
                None if numbers => Value::Number(None),
                None => Value::Text(None),
            })
            .bind(after.map(|place| place.application.as_str()))
            .bind(page.limit.saturating_add(1));
        page_of(&self.rows(query).await?, page.limit, |row| {
            let installed = row.installed()?;
            let key = if numbers {
                PlaceKey::Number(row.get("place_key")?)
            } else {
                PlaceKey::Text(row.get("place_key")?)
            };
            let place = Place { key, application: installed.application.id.clone() };
            Ok(Listed { installed, last_used: row.time_any("used_at")?, place })
        })
    }

    async fn installed_counts(&self, account: &AccountId) -> Result<Vec<(GrantState, u64)>, StoreError> {
        let query = sql("SELECT state, count(*) AS grants FROM grants
                         WHERE account = $1 AND state <> 'revoked' GROUP BY state ORDER BY state")
        .bind(account.as_str());
        let rows = self.rows(query).await?;
        rows.iter().map(|row| Ok((row.parse("state")?, row.number("grants")?))).collect()
    }

    async fn official_page(&self, account: &AccountId, page: &PageOf) -> Result<Page<Offered>, StoreError> {
        let (name, id) = match page.after.as_deref().map(|place| place.split_once('/')) {
            Some(Some((name, id))) => (Some(name), Some(id)),
            Some(None) => return Err(not_a_place()),
            None => (None, None),
        };
        let query = sql(OFFICIAL)
            .bind(account.as_str())
            .bind(pattern(page.search.as_deref()))
            .bind(name)
            .bind(id)
            .bind(page.limit.saturating_add(1));
        page_of(&self.rows(query).await?, page.limit, |row| {
            let word = row.get::<Option<&str>>("grant_state")?;
            let state = word.map(|_| row.parse("grant_state")).transpose()?;
            Ok(Offered { application: row.application()?, installed: state })
        })
    }

    async fn assignees(
        &self,
        key: &GrantKey,
        kind: AssigneeKind,
        page: &PageOf,
    ) -> Result<Page<Assignee>, StoreError> {
        let text = match kind {
            AssigneeKind::User | AssigneeKind::Role => ASSIGNED_PEOPLE,
            AssigneeKind::Group => ASSIGNED_GROUPS,
        };
        let rows = self.rows(paged(about(key, sql(text)).bind(kind.as_str()), page)).await?;
        page_of(&rows, page.limit, assignee)
    }

    async fn assignee_counts(&self, key: &GrantKey) -> Result<AssigneeCounts, StoreError> {
        let query = about(
            key,
            sql("SELECT kind, count(*) AS assigned FROM assignments
                 WHERE account = $1 AND application = $2 GROUP BY kind"),
        );
        let mut counts = AssigneeCounts::default();
        for row in self.rows(query).await? {
            let count = row.number("assigned")?;
            match row.get::<&str>("kind")? {
                "user" => counts.users = count,
                "group" => counts.groups = count,
                "role" => counts.roles = count,
                word => return Err(row.unreadable("kind", format!("{word:?} cannot be assigned"))),
            }
        }
        Ok(counts)
    }

    async fn assignable(
        &self,
        key: &GrantKey,
        kind: AssigneeKind,
        page: &PageOf,
    ) -> Result<Page<Assignee>, StoreError> {
        let text = match kind {
            AssigneeKind::User | AssigneeKind::Role => OTHER_PEOPLE,
            AssigneeKind::Group => OTHER_GROUPS,
        };
        let rows = self.rows(paged(about(key, sql(text)).bind(kind.as_str()), page)).await?;
        page_of(&rows, page.limit, assignee)
    }

    async fn consents_page(&self, key: &GrantKey, page: &PageOf) -> Result<Page<Agreed>, StoreError> {
        // Its third value says nothing: the pages of all lists are bound alike.
        let rows = self.rows(paged(about(key, sql(AGREED)).bind(""), page)).await?;
        page_of(&rows, page.limit, |row| {
            Ok(Agreed {
                login: row.get("login")?,
                place: row.get("place")?,
                display_name: row.get("display_name")?,
                scopes: row.parse("scopes")?,
                at: row.time("consented_at")?,
            })
        })
    }

    async fn consents_count(&self, key: &GrantKey) -> Result<u64, StoreError> {
        let query = about(
            key,
            sql("SELECT count(*) AS consents FROM consents WHERE account = $1 AND application = $2"),
        );
        self.row(query).await?.map_or(Ok(0), |row| row.number("consents"))
    }
}

/// Binds what is searched for, the place and the number of rows.
fn paged(query: Query, page: &PageOf) -> Query {
    query.bind(pattern(page.search.as_deref())).bind(page.after.as_deref()).bind(page.limit.saturating_add(1))
}

/// Makes a page of the rows, of which one more than fits was asked for.
fn page_of<T>(
    rows: &[Row],
    limit: u32,
    read: impl Fn(&Row) -> Result<T, StoreError>,
) -> Result<Page<T>, StoreError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let items: Result<Vec<T>, StoreError> = rows.iter().take(limit).map(read).collect();
    Ok(Page { items: items?, more: rows.len() > limit })
}

fn assignee(row: &Row) -> Result<Assignee, StoreError> {
    Ok(Assignee {
        id: row.get("name")?,
        login: row.get("login")?,
        place: row.get("place")?,
        display_name: row.get("display_name")?,
        enabled: row.get("enabled")?,
    })
}

/// The pattern for LIKE that finds what holds `text`, in lower case as far as ASCII goes.
fn pattern(text: Option<&str>) -> Option<String> {
    let text = text?.to_ascii_lowercase();
    let plain = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    Some(format!("%{plain}%"))
}

fn not_a_place() -> StoreError {
    StoreError::Conflict("that place is of another list; begin at its first page".to_owned())
}

const OFFICIAL: &str = "SELECT a.*, g.state AS grant_state FROM applications a
    LEFT JOIN grants g ON g.account = $1 AND g.application = a.id AND g.state <> 'revoked'
    WHERE a.official AND a.enabled
        AND ($2 IS NULL OR lower(a.name) LIKE $2 ESCAPE '\\' OR lower(a.display_name) LIKE $2 ESCAPE '\\'
            OR lower(a.publisher_name) LIKE $2 ESCAPE '\\' OR lower(a.id) LIKE $2 ESCAPE '\\')
        AND ($3 IS NULL OR (a.name, a.id) > ($3, $4))
    ORDER BY a.name, a.id LIMIT $5";

// Of people, whether they are on a list is asked for each of them, in the order of their logins: before PostgreSQL knows
// how many rows there are, it would join the two tables by comparing each with each.
const ASSIGNED_PEOPLE: &str = "SELECT p.id AS name, p.login, p.login_key AS place, p.display_name, p.enabled
    FROM principals p
    WHERE p.account = $1 AND p.kind = $3
        AND (SELECT s.name FROM assignments s WHERE s.account = p.account AND s.application = $2
            AND s.kind = p.kind AND s.name = p.id) IS NOT NULL
        AND ($4 IS NULL OR p.login_key LIKE $4 ESCAPE '\\' OR lower(p.display_name) LIKE $4 ESCAPE '\\')
        AND ($5 IS NULL OR p.login_key > $5)
    ORDER BY p.login_key LIMIT $6";

const ASSIGNED_GROUPS: &str =
    "SELECT s.name, s.name AS login, s.name AS place, '' AS display_name, (1 = 1) AS enabled
    FROM assignments s
    WHERE s.account = $1 AND s.application = $2 AND s.kind = $3
        AND ($4 IS NULL OR lower(s.name) LIKE $4 ESCAPE '\\') AND ($5 IS NULL OR s.name > $5)
    ORDER BY s.name LIMIT $6";

const OTHER_PEOPLE: &str = "SELECT p.id AS name, p.login, p.login_key AS place, p.display_name, p.enabled
    FROM principals p
    WHERE p.account = $1 AND p.kind = $3 AND p.enabled
        AND ($4 IS NULL OR p.login_key LIKE $4 ESCAPE '\\' OR lower(p.display_name) LIKE $4 ESCAPE '\\')
        AND ($5 IS NULL OR p.login_key > $5)
        AND (SELECT s.name FROM assignments s WHERE s.account = p.account AND s.application = $2
            AND s.kind = p.kind AND s.name = p.id) IS NULL
    ORDER BY p.login_key LIMIT $6";

const OTHER_GROUPS: &str =
    "SELECT DISTINCT m.group_name AS name, m.group_name AS login, m.group_name AS place,
        '' AS display_name, (1 = 1) AS enabled
    FROM memberships m
    WHERE m.account = $1 AND ($4 IS NULL OR lower(m.group_name) LIKE $4 ESCAPE '\\')
        AND ($5 IS NULL OR m.group_name > $5)
        AND (SELECT s.name FROM assignments s WHERE s.account = m.account AND s.application = $2
            AND s.kind = $3 AND s.name = m.group_name) IS NULL
    ORDER BY m.group_name LIMIT $6";

const AGREED: &str = "SELECT p.login, p.login_key AS place, p.display_name,
        (SELECT c.scopes FROM consents c WHERE c.account = p.account AND c.application = $2
            AND c.principal_kind = p.kind AND c.principal_id = p.id) AS scopes,
        (SELECT c.consented_at FROM consents c WHERE c.account = p.account AND c.application = $2
            AND c.principal_kind = p.kind AND c.principal_id = p.id) AS consented_at
    FROM principals p
    WHERE p.account = $1 AND $3 = ''
        AND (SELECT c.consented_at FROM consents c WHERE c.account = p.account AND c.application = $2
            AND c.principal_kind = p.kind AND c.principal_id = p.id) IS NOT NULL
        AND ($4 IS NULL OR p.login_key LIKE $4 ESCAPE '\\' OR lower(p.display_name) LIKE $4 ESCAPE '\\')
        AND ($5 IS NULL OR p.login_key > $5)
    ORDER BY p.login_key LIMIT $6";
