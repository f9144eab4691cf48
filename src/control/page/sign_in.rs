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
}

impl Page for SignIn {
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
        }
    }
}

impl Page for Done {}
