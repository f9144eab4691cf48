//! What the pages about people show.

use askama::Template;
use axum::http::StatusCode;
use jiff::Timestamp;

use crate::control::directory::people::{Link, User};
use crate::control::page::nav::{Here, PEOPLE};
use crate::control::page::{Label, Page, Visitor};
use crate::store::Group;

/// The list of users.
#[derive(Template)]
#[template(path = "people/list.html", config = ".askama.toml")]
pub struct List {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The CSRF field.
    pub csrf: String,
    /// The account's alias.
    pub account: Label,
    /// What was looked for.
    pub search: String,
    /// The users of this page.
    pub rows: Vec<Row>,
    /// The first page, when this is not it.
    pub first: Option<String>,
    /// The next page, when there is one.
    pub next: Option<String>,
    /// Whether administrators need a second factor.
    pub demands: bool,
}

impl Page for List {
    fn here(&self) -> Here {
        Here::At(PEOPLE)
    }
}

/// A user in a list.
#[derive(Debug, Clone)]
pub struct Row {
    /// What they log in with; safe in an address.
    pub login: String,
    /// The name that people see.
    pub name: Label,
    /// Whether it is the root identity.
    pub root: bool,
    /// Whether they are enabled.
    pub enabled: bool,
    /// Whether they administer the account.
    pub administrator: bool,
    /// The groups they are in.
    pub groups: Vec<String>,
    /// What they prove themselves by.
    pub proves: String,
}

impl From<User> for Row {
    fn from(user: User) -> Self {
        Self {
            name: Label::new(&user.display_name),
            root: user.kind == "account",
            enabled: user.enabled,
            administrator: user.administrator,
            proves: proves(&user),
            groups: user.groups,
            login: user.login,
        }
    }
}

/// What somebody logs in with, in words.
fn proves(user: &User) -> String {
    let mut words = Vec::new();
    if user.has_password {
        words.push("password".to_owned());
    }
    if user.authenticator {
        words.push("authenticator".to_owned());
    }
    match user.passkeys {
        0 => {}
        1 => words.push("1 passkey".to_owned()),
        many => words.push(format!("{many} passkeys")),
    }
    if words.is_empty() {
        let invited = user.link_until.is_some();
        return if invited { "invited".to_owned() } else { "no password".to_owned() };
    }
    words.join(", ")
}

/// The form for a new user.
#[derive(Template)]
#[template(path = "people/new.html", config = ".askama.toml")]
pub struct New {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The CSRF field.
    pub csrf: String,
    /// The account's alias.
    pub account: Label,
    /// What was typed before.
    pub name: Label,
    /// What was typed before.
    pub display_name: Label,
    /// What was typed before.
    pub groups: String,
    /// What was chosen before.
    pub administrator: bool,
    /// What went wrong the last time.
    pub problem: Option<String>,
}

impl Page for New {
    fn here(&self) -> Here {
        Here::At(PEOPLE)
    }

    fn status(&self) -> StatusCode {
        if self.problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK }
    }
}

/// A user.
#[derive(Template)]
#[template(path = "people/person.html", config = ".askama.toml")]
pub struct OnePerson {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The CSRF field.
    pub csrf: String,
    /// The account's alias.
    pub account: Label,
    /// The user.
    pub row: Row,
    /// Their number.
    pub id: String,
    /// Until when a link sets their password.
    pub link_until: Option<Timestamp>,
    /// Whether there is something to reset.
    pub resettable: bool,
    /// A link that was made just now, shown this once.
    pub made: Option<Made>,
    /// What went wrong the last time.
    pub problem: Option<String>,
}

/// A link to be handed over.
pub struct Made {
    /// The address.
    pub link: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl From<Link> for Made {
    fn from(link: Link) -> Self {
        Self { link: link.link, expires_at: link.expires_at }
    }
}

impl Page for OnePerson {
    fn here(&self) -> Here {
        Here::At(PEOPLE)
    }

    fn status(&self) -> StatusCode {
        if self.problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK }
    }
}

/// The list of groups.
#[derive(Template)]
#[template(path = "people/groups.html", config = ".askama.toml")]
pub struct Groups {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The CSRF field.
    pub csrf: String,
    /// The account's alias.
    pub account: Label,
    /// The groups of this page.
    pub rows: Vec<Group>,
    /// The first page, when this is not it.
    pub first: Option<String>,
    /// The next page, when there is one.
    pub next: Option<String>,
    /// What went wrong the last time.
    pub problem: Option<String>,
}

impl Page for Groups {
    fn here(&self) -> Here {
        Here::At(PEOPLE)
    }

    fn status(&self) -> StatusCode {
        if self.problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK }
    }
}

/// A group and who is in it.
#[derive(Template)]
#[template(path = "people/group.html", config = ".askama.toml")]
pub struct OneGroup {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The CSRF field.
    pub csrf: String,
    /// The account's alias.
    pub account: Label,
    /// The group.
    pub group: Group,
    /// Its members of this page, roles apart.
    pub rows: Vec<Row>,
    /// The first page, when this is not it.
    pub first: Option<String>,
    /// The next page, when there is one.
    pub next: Option<String>,
    /// What went wrong the last time.
    pub problem: Option<String>,
}

impl Page for OneGroup {
    fn here(&self) -> Here {
        Here::At(PEOPLE)
    }

    fn status(&self) -> StatusCode {
        if self.problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK }
    }
}

/// The roles.
#[derive(Template)]
#[template(path = "people/roles.html", config = ".askama.toml")]
pub struct Roles {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The CSRF field.
    pub csrf: String,
    /// The account's alias.
    pub account: Label,
    /// The roles of this page.
    pub rows: Vec<RoleRow>,
    /// The first page, when this is not it.
    pub first: Option<String>,
    /// The next page, when there is one.
    pub next: Option<String>,
    /// What went wrong the last time.
    pub problem: Option<String>,
}

/// A role in the list.
#[derive(Debug, Clone)]
pub struct RoleRow {
    /// Its id; safe in an address.
    pub id: String,
    /// The name that people see.
    pub name: Label,
    /// Whether it is enabled.
    pub enabled: bool,
    /// The groups it is in.
    pub groups: Vec<String>,
}

impl Page for Roles {
    fn here(&self) -> Here {
        Here::At(PEOPLE)
    }

    fn status(&self) -> StatusCode {
        if self.problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK }
    }
}
