//! The consent pages: an administrator's, for the account, and a person's own, for an official application.

use askama::Template;
use jiff::Timestamp;

use crate::model::application::Application;
use crate::model::id::AccountId;
use crate::model::scope::{Scope, ScopeSet};

use super::nav::Here;
use super::{FormTarget, Label, Page, ScopeLine, Visitor};

/// Who asks, as both pages show it.
#[derive(Debug, Clone)]
pub struct Asker {
    /// Its display name.
    pub display_name: Label,
    /// Its name, which is unique for its publisher.
    pub name: Label,
    /// Its `client_id`.
    pub client_id: String,
    /// `third-party`, `official` or `first-party`.
    pub relation: &'static str,
    /// The publisher's name.
    pub publisher: Label,
    /// The publisher's account number.
    pub publisher_id: String,
    /// Its publisher's sentence about it, or nothing.
    pub description: Label,
    /// Whom to ask when it does not work, or nothing.
    pub contact: Label,
    /// Where the browser goes afterwards: the redirect URI.
    pub redirect_uri: Label,
    /// Whether it registered itself, so that nobody vouches for it.
    pub unverified: bool,
}

impl Asker {
    /// `application` as it presents itself to `account`; the answer will go to `redirect_uri`.
    #[must_use]
    pub fn of(application: &Application, account: &AccountId, redirect_uri: &str) -> Self {
        Self {
            display_name: Label::new(&application.display_name),
            name: Label::new(&application.name),
            client_id: application.id.to_string(),
            relation: application.relation_to(account).as_str(),
            publisher: Label::new(&application.publisher_name),
            publisher_id: application.publisher.to_string(),
            description: Label::long(&application.description),
            contact: Label::long(&application.contact),
            redirect_uri: Label::long(redirect_uri),
            unverified: application.is_unverified(),
        }
    }
}

/// A scope to be chosen.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The scope.
    pub line: ScopeLine,
    /// Whether its box is checked beforehand: only what is granted already.
    pub checked: bool,
    /// How it differs from what is granted now; none on a first authorization.
    pub mark: Option<Mark>,
}

/// How a scope differs from what is granted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It is granted.
    Granted,
    /// It is granted as a part of another scope, and goes with that one.
    Included,
    /// It would be added.
    New,
}

impl Mark {
    /// How `scope` differs from what is granted.
    #[must_use]
    pub fn of(granted: &ScopeSet, scope: &Scope) -> Self {
        if granted.contains(scope) {
            Self::Granted
        } else if granted.covers(scope) {
            Self::Included
        } else {
            Self::New
        }
    }

    /// The words on the page.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Granted => "granted now",
            Self::Included => "now a part of another",
            Self::New => "new",
        }
    }

    /// The class that styles it.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::Granted | Self::Included => "granted",
            Self::New => "new",
        }
    }
}

/// The administrator's page. Posts `csrf`, `transaction`, `decision=authorize|reject` and a `scope` for each optional
/// scope that was chosen; the required ones are locked boxes that a browser does not post.
#[derive(Template)]
#[template(path = "page/consent.html", config = ".askama.toml")]
pub struct Consent {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// Where the form posts to.
    pub action: String,
    /// The CSRF field.
    pub csrf: String,
    /// Which request is decided.
    pub transaction: String,
    /// Who asks.
    pub asker: Asker,
    /// The alias of the account that would authorize.
    pub account: Label,
    /// Its number.
    pub account_id: String,
    /// What an authorization always includes.
    pub required: Vec<Choice>,
    /// What may be added.
    pub optional: Vec<Choice>,
    /// Scopes granted now that the application does not offer any more; they would go.
    pub dropped: Vec<String>,
    /// What the application has come to require since it was authorized.
    pub newly: Vec<String>,
    /// Whether the application is installed already, so that this changes a grant.
    pub again: bool,
    /// When what is granted now ends by itself.
    pub ends_at: Option<Timestamp>,
    /// Where the answer leads.
    pub form_target: Option<FormTarget>,
}

/// For so many days an authorization can be given on its page; the console sets any other end.
pub const LASTS_DAYS: [i64; 4] = [7, 30, 90, 365];

impl Page for Consent {
    fn form_target(&self) -> Option<&FormTarget> {
        self.form_target.as_ref()
    }

    fn here(&self) -> Here {
        Here::Deciding
    }
}

/// A person's own page, at the first use of an official application. Posts like [`Consent`], without choices.
#[derive(Template)]
#[template(path = "page/personal.html", config = ".askama.toml")]
pub struct Personal {
    /// The person.
    pub visitor: Option<Visitor>,
    /// Where the form posts to.
    pub action: String,
    /// The CSRF field.
    pub csrf: String,
    /// Which request is decided.
    pub transaction: String,
    /// Who asks.
    pub asker: Asker,
    /// Their login.
    pub login: Label,
    /// The alias of their account.
    pub account: Label,
    /// What the application will know and do.
    pub scopes: Vec<ScopeLine>,
    /// Where the answer leads.
    pub form_target: Option<FormTarget>,
}

impl Page for Personal {
    fn form_target(&self) -> Option<&FormTarget> {
        self.form_target.as_ref()
    }

    fn here(&self) -> Here {
        Here::Deciding
    }
}
