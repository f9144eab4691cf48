//! The pages at which a way ends: an administrator is needed, or the request cannot be met.

use askama::Template;
use axum::http::StatusCode;
use jiff::Timestamp;

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
    /// What the application has come to require since it was authorized; empty when it is not installed.
    pub newly: Vec<ScopeLine>,
    /// The address that an administrator opens to decide.
    pub link: String,
    /// The person's own request.
    pub asking: Asking,
}

impl Page for NeedsAdministrator {
    fn status(&self) -> StatusCode {
        if self.asking.problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::FORBIDDEN }
    }
}

/// A person's request to the administrators: what became of it, and the form. Posts `csrf`, `client_id` and `reason`.
pub struct Asking {
    /// Where the form posts to.
    pub action: String,
    /// The CSRF field.
    pub csrf: String,
    /// What became of the last one.
    pub state: AskState,
    /// Whether there is a form.
    pub may_ask: bool,
    /// Whether the account takes no requests for it.
    pub refused: bool,
    /// The account's own words to those who are refused; may be empty.
    pub message: Label,
    /// After how many days a request expires.
    pub days: u32,
    /// What was typed before, after it was not taken.
    pub reason: String,
    /// Why it was not taken.
    pub problem: Option<String>,
}

/// What became of a person's last request.
pub enum AskState {
    /// There is none that counts.
    Never,
    /// Nobody has decided yet.
    Open {
        /// When it was made.
        at: Timestamp,
        /// Until when it waits.
        expires_at: Timestamp,
        /// How many others have asked.
        others: u64,
    },
    /// An administrator said no.
    Denied {
        /// When it was made.
        at: Timestamp,
        /// When that was.
        decided_at: Timestamp,
        /// Who.
        by: Label,
        /// Why.
        word: Label,
    },
    /// Nobody decided in time.
    Expired {
        /// When it was made.
        at: Timestamp,
        /// Until when it waited.
        expired_at: Timestamp,
    },
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
    /// The account's own words about it; may be empty.
    pub message: Label,
    /// Where to do it: an address of ours and its name.
    pub onward: Option<(String, String)>,
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
            message: Label::default(),
            onward: None,
        }
    }

    /// The account has blocked the application. `unblock` is where that can be taken back, for who may.
    #[must_use]
    pub fn blocked(
        visitor: Visitor,
        application: Label,
        message: Label,
        administrators: Vec<Label>,
        unblock: Option<String>,
    ) -> Self {
        let next = if unblock.is_some() {
            "Nobody can authorize or use it while it is blocked, you neither. If that is to change, take the block \
             back first; then open the application again."
        } else {
            "Nobody can authorize it for you while it is blocked. Ask an administrator if you think that it should \
             not be."
        };
        Self {
            title: "The application is blocked in your account".to_owned(),
            application: Some(application),
            administrators: if unblock.is_some() { Vec::new() } else { administrators },
            visitor: Some(visitor),
            message,
            onward: unblock.map(|address| (address, "Look at the policy about it".to_owned())),
            ..Self::refused(
                StatusCode::FORBIDDEN,
                "application_blocked",
                "An administrator of your account has decided that this application is not to be used.",
                next,
            )
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
    fn status(&self) -> StatusCode {
        self.status
    }

    fn retry_after(&self) -> Option<u32> {
        self.retry_after
    }
}
