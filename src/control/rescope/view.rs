//! What the pages about a change of scope show.

use askama::Template;

use crate::control::page::consent::Choice;
use crate::control::page::nav::{self, Here};
use crate::control::page::{Label, Page, ScopeLine, Visitor};

/// What a grant is to hold, to be chosen.
#[derive(Template)]
#[template(path = "rescope/choose.html", config = ".askama.toml")]
pub struct Choose {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The session's CSRF field.
    pub csrf: String,
    /// The account's alias.
    pub account: Label,
    /// The application, as people see it.
    pub display_name: Label,
    /// Its `client_id`.
    pub client_id: String,
    /// The revision that is changed.
    pub revision: u64,
    /// Required and granted: it stays.
    pub required: Vec<ScopeLine>,
    /// Required by now, to be accepted.
    pub newly: Vec<ScopeLine>,
    /// What may be granted.
    pub optional: Vec<Choice>,
    /// Granted, and not offered any more.
    pub withdrawn: Vec<ScopeLine>,
}

impl Page for Choose {
    fn here(&self) -> Here {
        Here::At(nav::APPLICATIONS)
    }
}

/// What a change would do, to be confirmed.
#[derive(Template)]
#[template(path = "rescope/review.html", config = ".askama.toml")]
pub struct Review {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The session's CSRF field.
    pub csrf: String,
    /// The account's alias.
    pub account: Label,
    /// The application, as people see it.
    pub display_name: Label,
    /// Its `client_id`.
    pub client_id: String,
    /// The revision that is changed.
    pub revision: u64,
    /// All that the grant would hold.
    pub scopes: Vec<String>,
    /// What it would hold that it does not now, newly required ones among it.
    pub added: Vec<(ScopeLine, bool)>,
    /// What it would not hold any more.
    pub removed: Vec<ScopeLine>,
    /// What stays.
    pub kept: Vec<String>,
    /// Required by now, and not accepted by this.
    pub unaccepted: Vec<String>,
}

impl Page for Review {
    fn here(&self) -> Here {
        Here::At(nav::APPLICATIONS)
    }
}
