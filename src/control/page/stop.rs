//! The pages at which a way ends: an administrator is needed, or the request cannot be met.

use askama::Template;
use axum::http::StatusCode;

use super::consent::Asker;
use super::{Label, Page, ScopeLine, Visitor};

/// The application is not installed, and this person may not install it.
#[derive(Template)]
#[template(path = "page/needs_administrator.html", config = ".askama.toml")]
pub struct NeedsAdministrator {
    /// The person.
    pub visitor: Option<Visitor>,
    /// Who asks.
    pub asker: Asker,
    /// Their login.
    pub login: Label,
    /// The alias of their account.
    pub account: Label,
    /// The logins of administrators who can authorize, the root identity first.
    pub administrators: Vec<Label>,
    /// What the application asks for.
    pub scopes: Vec<ScopeLine>,
    /// The address that an administrator opens to decide.
    pub link: String,
}

impl Page for NeedsAdministrator {
    fn code(&self) -> Option<&'static str> {
        Some("not_installed")
    }

    fn status(&self) -> StatusCode {
        StatusCode::FORBIDDEN
    }
}

/// Any other end: what happened, why, and the next step.
#[derive(Template)]
#[template(path = "page/stopped.html", config = ".askama.toml")]
pub struct Stopped {
    /// The person, if known.
    pub visitor: Option<Visitor>,
    /// The status of the answer.
    pub status: StatusCode,
    /// What happened, as a heading.
    pub title: String,
    /// The application that this is about, by its display name.
    pub application: Option<Label>,
    /// Why, in a sentence or two.
    pub why: String,
    /// What to do next.
    pub next: String,
    /// Who can help, by login.
    pub administrators: Vec<Label>,
    /// The stable code, for support.
    pub code: &'static str,
    /// Seconds to wait, where waiting helps.
    pub retry_after: Option<u32>,
}

impl Stopped {
    /// A request that cannot be met and must not be sent on: a bad client, a bad redirect URI, a spent form.
    #[must_use]
    pub fn refused(
        status: StatusCode,
        code: &'static str,
        why: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self {
            visitor: None,
            status,
            title: "This request cannot be carried out".to_owned(),
            application: None,
            why: why.into(),
            next: next.into(),
            administrators: Vec::new(),
            code,
            retry_after: None,
        }
    }

    /// The account has the application, but nobody has assigned it to this person.
    #[must_use]
    pub fn not_assigned(visitor: Visitor, application: Label, administrators: Vec<Label>) -> Self {
        Self {
            title: "The application is not assigned to you".to_owned(),
            application: Some(application),
            administrators,
            visitor: Some(visitor),
            ..Self::refused(
                StatusCode::FORBIDDEN,
                "not_assigned",
                "Your account has installed this application, and an administrator decides who may use it. \
                 You are not among them yet.",
                "Ask an administrator to assign it to you, to a group of yours or to your role. Then open the \
                 application again.",
            )
        }
    }

    /// An administrator has suspended the application.
    #[must_use]
    pub fn suspended(visitor: Visitor, application: Label, administrators: Vec<Label>) -> Self {
        Self {
            title: "The application is suspended".to_owned(),
            application: Some(application),
            administrators,
            visitor: Some(visitor),
            ..Self::refused(
                StatusCode::FORBIDDEN,
                "suspended",
                "An administrator of your account has stopped this application for the time being. What was \
                 authorized is kept, but nothing of it can be used.",
                "An administrator can resume it in the console. Then open the application again.",
            )
        }
    }

    /// The page is for administrators of the account.
    #[must_use]
    pub fn administrators_only(visitor: Visitor, administrators: Vec<Label>) -> Self {
        Self {
            title: "This page is for administrators".to_owned(),
            administrators,
            visitor: Some(visitor),
            ..Self::refused(
                StatusCode::FORBIDDEN,
                "forbidden",
                "Only the root identity of the account, or a user with the policy AliyunRAMFullAccess, can see \
                 and change the applications of an account.",
                "Ask an administrator, or sign out and sign in as one.",
            )
        }
    }

    /// Too many failed attempts to sign in.
    #[must_use]
    pub fn throttled(seconds: u32) -> Self {
        Self {
            title: "Too many attempts to sign in".to_owned(),
            retry_after: Some(seconds),
            ..Self::refused(
                StatusCode::TOO_MANY_REQUESTS,
                "throttled",
                "Signing in failed too often, so further attempts are refused for a while, right or wrong.",
                format!(
                    "Wait {seconds} seconds, then try again. If you have forgotten your password, ask an administrator of your account."
                ),
            )
        }
    }

    /// The store or something else that is needed does not answer.
    #[must_use]
    pub fn unavailable() -> Self {
        Self {
            title: "This does not work at the moment".to_owned(),
            retry_after: Some(5),
            ..Self::refused(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "Something that is needed to answer does not respond. Nothing has been changed.",
                "Wait a moment, then load the page again.",
            )
        }
    }
}

impl Page for Stopped {
    fn code(&self) -> Option<&'static str> {
        Some(self.code)
    }

    fn status(&self) -> StatusCode {
        self.status
    }

    fn retry_after(&self) -> Option<u32> {
        self.retry_after
    }
}
