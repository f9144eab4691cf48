//! Rows to facts. Whatever cannot be read as the fact it should be is `Corrupt`, never guessed.

use std::fmt::Display;
use std::str::FromStr;

use jiff::Timestamp;

use crate::model::account::{Principal, PrincipalKey};
use crate::model::application::Application;
use crate::model::grant::{Grant, Installed};
use crate::model::id::{GrantKey, GroupName, Revision};
use crate::model::scope::ScopeSet;
use crate::store::backend::Row;
use crate::store::{Authorization, StoreError};

/// A time as it will be read again: in whole microseconds.
pub(in crate::store) fn kept(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

impl Row {
    /// A column of text that is read as something.
    pub(in crate::store) fn parse<T>(&self, column: &'static str) -> Result<T, StoreError>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.get::<&str>(column)?.parse().map_err(|error: T::Err| self.unreadable(column, error))
    }

    /// A point in time.
    pub(in crate::store) fn time(&self, column: &'static str) -> Result<Timestamp, StoreError> {
        Timestamp::from_microsecond(self.get(column)?).map_err(|error| self.unreadable(column, error))
    }

    /// A point in time where there may be none.
    pub(in crate::store) fn time_any(&self, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
        let at = self.get::<Option<i64>>(column)?;
        at.map(Timestamp::from_microsecond).transpose().map_err(|error| self.unreadable(column, error))
    }

    /// A SHA-256.
    pub(in crate::store) fn hash(&self, column: &'static str) -> Result<[u8; 32], StoreError> {
        self.get::<&[u8]>(column)?.try_into().map_err(|error| self.unreadable(column, error))
    }

    /// A column of JSON.
    pub(in crate::store) fn json<T: serde::de::DeserializeOwned>(
        &self,
        column: &'static str,
    ) -> Result<T, StoreError> {
        serde_json::from_str(self.get(column)?).map_err(|error| self.unreadable(column, error))
    }

    /// The key of the grant that the row is about.
    pub(in crate::store) fn grant_key(&self) -> Result<GrantKey, StoreError> {
        Ok(GrantKey { account: self.parse("account")?, application: self.parse("application")? })
    }

    /// The principal that the row refers to.
    pub(in crate::store) fn principal_key(&self) -> Result<PrincipalKey, StoreError> {
        Ok(PrincipalKey {
            account: self.parse("account")?,
            kind: self.parse("principal_kind")?,
            id: self.parse("principal_id")?,
        })
    }

    /// A principal, of the view `people`.
    pub(in crate::store) fn principal(&self) -> Result<Principal, StoreError> {
        let groups = self.get::<Option<&str>>("group_names")?.unwrap_or_default();
        let groups: Result<Vec<GroupName>, _> = groups.split_ascii_whitespace().map(str::parse).collect();
        Ok(Principal {
            key: PrincipalKey {
                account: self.parse("account")?,
                kind: self.parse("kind")?,
                id: self.parse("id")?,
            },
            login: self.get("login")?,
            display_name: self.get("display_name")?,
            enabled: self.get("enabled")?,
            full_access: self.get("full_access")?,
            groups: groups.map_err(|error| self.unreadable("group_names", error))?,
        })
    }

    /// An application.
    pub(in crate::store) fn application(&self) -> Result<Application, StoreError> {
        Ok(Application {
            id: self.parse("id")?,
            name: self.get("name")?,
            display_name: self.get("display_name")?,
            description: self.get("description")?,
            publisher: self.parse("publisher")?,
            publisher_name: self.get("publisher_name")?,
            contact: self.get("contact")?,
            official: self.get("official")?,
            kind: self.parse("type")?,
            redirect_uris: self.json("redirect_uris")?,
            required: self.parse("required_scopes")?,
            optional: self.parse("optional_scopes")?,
            access_token_seconds: self.get("access_token_seconds")?,
            refresh_token_seconds: self.get("refresh_token_seconds")?,
            enabled: self.get("enabled")?,
            created_at: self.time("created_at")?,
        })
    }

    /// A grant.
    pub(in crate::store) fn grant(&self) -> Result<Grant, StoreError> {
        let key = self.grant_key()?;
        Ok(Grant {
            revision: Revision(self.number("revision")?),
            since: Revision(self.number("since")?),
            state: self.parse("state")?,
            scopes: self.parse("scopes")?,
            declined: self.parse("declined")?,
            authorized_at: self.time("authorized_at")?,
            authorized_by: PrincipalKey {
                account: key.account.clone(),
                kind: self.parse("by_kind")?,
                id: self.parse("by_id")?,
            },
            authorized_by_login: self.get("by_login")?,
            assignment: self.parse("assignment_mode")?,
            expires_at: self.time_any("ends_at")?,
            key,
        })
    }

    /// A grant with its application, of the two tables joined: they share no column.
    pub(in crate::store) fn installed(&self) -> Result<Installed, StoreError> {
        Ok(Installed { grant: self.grant()?, application: self.application()? })
    }

    /// What a token family carries. The family's own id stands in the column `family`.
    pub(in crate::store) fn authorization(&self) -> Result<Authorization, StoreError> {
        Ok(Authorization {
            family: self.parse("family")?,
            grant: self.grant_key()?,
            principal: self.principal_key()?,
            scopes: self.parse::<ScopeSet>("scopes")?,
            revision: Revision(self.number("revision")?),
            resource: self.get("audience")?,
            nonce: self.get("nonce")?,
            authenticated_at: self.time("authenticated_at")?,
            offline: self.get("offline")?,
        })
    }
}
