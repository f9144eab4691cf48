//! The sign-in page, and the page after signing out.

use askama::Template;
use axum::http::StatusCode;

use super::{FormTarget, Label, Page, Visitor};

/// Asks for login and password. Posts `csrf`, `continue`, `login` and `password` to `action`.
#[derive(Template)]
#[template(path = "page/sign_in.html", config = ".askama.toml")]
pub struct SignIn {
    /// Nobody yet.
    pub visitor: Option<Visitor>,
    /// Where the form posts to.
    pub action: String,
    /// The CSRF field.
    pub csrf: String,
    /// Where to go on, as the hidden field `continue` carries it.
    pub continue_to: String,
    /// What was typed before, after a failure.
    pub login: Label,
    /// Whether the last attempt failed. What of it was wrong is not said.
    pub failed: bool,
    /// Whether a passkey can be used here.
    pub passkeys: bool,
    /// The application that somebody is on the way to, by its display name.
    pub application: Option<Label>,
    /// Where that application will be returned to.
    pub form_target: Option<FormTarget>,
    /// The other ways in.
    pub elsewhere: Elsewhere,
}

/// What there is besides a password: organizations' own providers.
#[derive(Default)]
pub struct Elsewhere {
    /// Those that are offered.
    pub ways: Vec<Way>,
    /// Whether there are more, for those who name their account.
    pub asks: bool,
    /// The account that was named.
    pub account: Label,
    /// Whether the account that was named has none.
    pub none: bool,
    /// Whether whoever comes must prove who they are anew.
    pub fresh: bool,
}

/// One provider to log in at.
pub struct Way {
    /// What people know it as.
    pub label: Label,
    /// The link that leads there, by an address of ours.
    pub address: String,
}

impl Page for SignIn {
    fn code(&self) -> Option<&'static str> {
        self.failed.then_some("wrong_password")
    }

    fn status(&self) -> StatusCode {
        if self.failed { StatusCode::FORBIDDEN } else { StatusCode::OK }
    }

    fn form_target(&self) -> Option<&FormTarget> {
        self.form_target.as_ref()
    }
}

/// Says that something has been done: signed out, or nothing more to do here.
#[derive(Template)]
#[template(path = "page/done.html", config = ".askama.toml")]
pub struct Done {
    /// Who looks at it, if anybody is still signed in.
    pub visitor: Option<Visitor>,
    /// What has been done, as a heading.
    pub title: String,
    /// One sentence more.
    pub sentence: String,
    /// Where to go on: an address of ours and its name.
    pub onward: Option<(String, String)>,
    /// What else could be done, elsewhere: an address and its name.
    pub also: Option<(String, String)>,
}

impl Done {
    /// The page after signing out.
    #[must_use]
    pub fn signed_out() -> Self {
        Self {
            visitor: None,
            title: "You are signed out".to_owned(),
            sentence: "Applications that your account has authorized go on working for those who use them. \
                       On a shared computer, close this window as well."
                .to_owned(),
            onward: Some(("/console".to_owned(), "Sign in again".to_owned())),
            also: None,
        }
    }
}

impl Page for Done {}
