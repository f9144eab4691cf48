//! Lists of an account, a page at a time: what is installed, what could be, who is assigned, who has agreed.
//!
//! Comes in: what is looked for, how the list is ordered, and the place after which the page begins. Goes out: that
//! page, and whether there is more. Nothing here reads a whole list: the places are keys, not numbers, so that a page
//! costs the same wherever it is, and nothing is shown twice or left out because something was added before it.

pub(super) mod sql;

use async_trait::async_trait;
use jiff::Timestamp;

use super::StoreError;
use crate::model::application::Application;
use crate::model::grant::{GrantState, Installed};
use crate::model::id::{AccountId, ApplicationId, GrantKey};
use crate::model::scope::ScopeSet;

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What stands on it, in order.
    pub items: Vec<T>,
    /// Whether there is more after it.
    pub more: bool,
}

/// Which page of a list that is ordered by one text.
#[derive(Debug, Clone, Default)]
pub struct PageOf {
    /// Only what this is a part of, in either letter case of ASCII.
    pub search: Option<String>,
    /// Only after this place.
    pub after: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// Which of the installed applications.
#[derive(Debug, Clone)]
pub struct InstalledPage {
    /// Only what this is a part of: of the name, of either name of the publisher, of the client ID.
    pub search: Option<String>,
    /// Only in this state.
    pub state: Option<GrantState>,
    /// What the list is ordered by.
    pub order: Order,
    /// The last first.
    pub falling: bool,
    /// Only after this place.
    pub after: Option<Place>,
    /// At most so many.
    pub limit: u32,
}

/// What the list of the installed applications is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// What people see.
    Name,
    /// When the present scopes were authorized.
    Authorized,
    /// When it last was allowed a call; never counts as longest ago.
    LastUsed,
    /// Active, then suspended.
    State,
}

/// A place in the list of the installed applications.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What it is ordered by, there.
    pub key: PlaceKey,
    /// The application there.
    pub application: ApplicationId,
}

/// What a list is ordered by, at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaceKey {
    /// A name or a word.
    Text(String),
    /// A time in microseconds.
    Number(i64),
}

/// An installed application in its list.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The grant and the application.
    pub installed: Installed,
    /// When it last was allowed a call.
    pub last_used: Option<Timestamp>,
    /// Where it stands.
    pub place: Place,
}

/// An official application, and what it is to the account.
#[derive(Debug, Clone)]
pub struct Offered {
    /// The application.
    pub application: Application,
    /// The state of the account's live grant, if there is one.
    pub installed: Option<GrantState>,
}

/// What can be assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AssigneeKind {
    /// A user.
    User,
    /// A group.
    Group,
    /// A role.
    Role,
}

impl AssigneeKind {
    /// The word used in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Role => "role",
        }
    }
}

/// A user, group or role that is assigned, or could be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignee {
    /// A user's or role's id, a group's name.
    pub id: String,
    /// A user's or role's login, a group's name.
    pub login: String,
    /// Its place in a list.
    pub place: String,
    /// What people see; nothing for a group.
    pub display_name: String,
    /// Whether it can log in; a group always.
    pub enabled: bool,
}

/// How many are assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AssigneeCounts {
    /// Users.
    pub users: u64,
    /// Groups.
    pub groups: u64,
    /// Roles.
    pub roles: u64,
}

/// One person's own consent, in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// Who, by login.
    pub login: String,
    /// Its place in the list.
    pub place: String,
    /// What people see.
    pub display_name: String,
    /// To what.
    pub scopes: ScopeSet,
    /// When.
    pub at: Timestamp,
}

/// The lists.
#[async_trait]
pub trait Listing {
    /// The account's grants that are not revoked.
    async fn installed_page(
        &self,
        account: &AccountId,
        page: &InstalledPage,
    ) -> Result<Page<Listed>, StoreError>;
    /// How many grants of the account are in each state but revoked.
    async fn installed_counts(&self, account: &AccountId) -> Result<Vec<(GrantState, u64)>, StoreError>;
    /// The enabled official applications by name; a place is `name/id`.
    async fn official_page(&self, account: &AccountId, page: &PageOf) -> Result<Page<Offered>, StoreError>;
    /// Who is assigned, by login or name.
    async fn assignees(
        &self,
        key: &GrantKey,
        kind: AssigneeKind,
        page: &PageOf,
    ) -> Result<Page<Assignee>, StoreError>;
    /// How many are assigned.
    async fn assignee_counts(&self, key: &GrantKey) -> Result<AssigneeCounts, StoreError>;
    /// Who of the account could be assigned and is not: enabled users and roles, groups that somebody is in.
    async fn assignable(
        &self,
        key: &GrantKey,
        kind: AssigneeKind,
        page: &PageOf,
    ) -> Result<Page<Assignee>, StoreError>;
    /// The personal consents of a grant, by login.
    async fn consents_page(&self, key: &GrantKey, page: &PageOf) -> Result<Page<Agreed>, StoreError>;
    /// How many have agreed in person.
    async fn consents_count(&self, key: &GrantKey) -> Result<u64, StoreError>;
}
