//! The pages about what people prove themselves by.

use askama::Template;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;

use crate::control::page::nav::{Here, SECURITY};
use crate::control::page::{FormTarget, Label, Page, Visitor};
use crate::store::KeptPasskey;
use crate::token::random::Secret;

/// What somebody has, at `/me/security`.
#[derive(Template)]
#[template(path = "security/security.html", config = ".askama.toml")]
pub struct Security {
    /// The person.
    pub visitor: Option<Visitor>,
    /// The CSRF field.
    pub csrf: String,
    /// Their login.
    pub login: Label,
    /// Whether they have a password here; who has none is signed in by somebody else.
    pub has_password: bool,
    /// Whether they have signed in lately, so that they may change something.
    pub recent: bool,
    /// Their passkeys.
    pub passkeys: Vec<PasskeyRow>,
    /// Whether browsers give passkeys to this site.
    pub passkeys_possible: bool,
    /// Whether codes are asked for.
    pub totp: bool,
    /// How many recovery codes are left.
    pub recovery_codes: u32,
    /// What went wrong the last time.
    pub problem: Option<&'static str>,
}

impl Page for Security {
    fn here(&self) -> Here {
        Here::At(SECURITY)
    }

    fn status(&self) -> StatusCode {
        if self.problem.is_some() { super::me::NOT_TAKEN } else { StatusCode::OK }
    }
}

/// A passkey in the list.
#[derive(Debug, Clone)]
pub struct PasskeyRow {
    /// Its id.
    pub credential: String,
    /// What its owner calls it.
    pub name: Label,
    /// When it was added.
    pub added_at: Timestamp,
    /// When it was last used.
    pub used_at: Option<Timestamp>,
}

impl From<&KeptPasskey> for PasskeyRow {
    fn from(kept: &KeptPasskey) -> Self {
        Self {
            credential: URL_SAFE_NO_PAD.encode(&kept.credential),
            name: Label::new(&kept.name),
            added_at: kept.added_at,
            used_at: kept.used_at,
        }
    }
}

/// Shows the key of a new authenticator and asks for its first code. Posts `csrf`, `transaction`, `continue`, `code`.
#[derive(Template)]
#[template(path = "security/set_up.html", config = ".askama.toml")]
pub struct SetUp {
    /// The person, once there is a session.
    pub visitor: Option<Visitor>,
    /// Where the form posts to.
    pub action: String,
    /// The CSRF field.
    pub csrf: String,
    /// Which key this is about.
    pub transaction: String,
    /// Where to go on.
    pub continue_to: String,
    /// Whose it will be.
    pub login: Label,
    /// The key as a picture: an `svg` element of our own making.
    pub picture: Secret,
    /// The key to be typed.
    pub text: Secret,
    /// Whether the account demands it.
    pub demanded: bool,
    /// Whether the last code was wrong.
    pub failed: bool,
}

impl Page for SetUp {
    fn here(&self) -> Here {
        Here::At(SECURITY)
    }

    fn status(&self) -> StatusCode {
        if self.failed { StatusCode::FORBIDDEN } else { StatusCode::OK }
    }
}

/// Shows recovery codes, this once.
#[derive(Template)]
#[template(path = "security/codes.html", config = ".askama.toml")]
pub struct Codes {
    /// The person.
    pub visitor: Option<Visitor>,
    /// The codes.
    pub codes: Vec<Secret>,
    /// Where to go on: a path of ours.
    pub onward: String,
}

impl Page for Codes {
    fn here(&self) -> Here {
        Here::At(SECURITY)
    }
}

/// Asks for a code at the log-in. Posts `csrf`, `transaction`, `continue` and `code`.
#[derive(Template)]
#[template(path = "security/code.html", config = ".askama.toml")]
pub struct Code {
    /// Nobody yet.
    pub visitor: Option<Visitor>,
    /// Where the form posts to.
    pub action: String,
    /// The CSRF field.
    pub csrf: String,
    /// Which log-in this is.
    pub transaction: String,
    /// Where to go on.
    pub continue_to: String,
    /// Whether the last code was wrong.
    pub failed: bool,
    /// Where an application will be returned to.
    pub form_target: Option<FormTarget>,
}

impl Page for Code {
    fn status(&self) -> StatusCode {
        if self.failed { StatusCode::FORBIDDEN } else { StatusCode::OK }
    }

    fn form_target(&self) -> Option<&FormTarget> {
        self.form_target.as_ref()
    }
}

/// Has the browser asked for a passkey at the log-in. Posts `csrf`, `transaction`, `continue` and `answer`.
#[derive(Template)]
#[template(path = "security/ask_passkey.html", config = ".askama.toml")]
pub struct AskPasskey {
    /// Nobody yet.
    pub visitor: Option<Visitor>,
    /// Where the form posts to.
    pub action: String,
    /// The CSRF field.
    pub csrf: String,
    /// Which question this is.
    pub transaction: String,
    /// Where to go on.
    pub continue_to: String,
    /// What the browser is asked, as JSON.
    pub options: String,
    /// Where an application will be returned to.
    pub form_target: Option<FormTarget>,
}

impl Page for AskPasskey {
    fn form_target(&self) -> Option<&FormTarget> {
        self.form_target.as_ref()
    }

    fn script(&self) -> bool {
        true
    }
}

/// Has the browser make a passkey. Posts `csrf`, `transaction` and `answer`.
#[derive(Template)]
#[template(path = "security/new_passkey.html", config = ".askama.toml")]
pub struct NewPasskey {
    /// The person.
    pub visitor: Option<Visitor>,
    /// Where the form posts to.
    pub action: String,
    /// The CSRF field.
    pub csrf: String,
    /// Which question this is.
    pub transaction: String,
    /// What it will be called.
    pub name: Label,
    /// What the browser is asked, as JSON.
    pub options: String,
}

impl Page for NewPasskey {
    fn here(&self) -> Here {
        Here::At(SECURITY)
    }

    fn script(&self) -> bool {
        true
    }
}

/// Sets a password by a one-time link. Posts `csrf`, `link`, `password` and `again`.
#[derive(Template)]
#[template(path = "security/set_password.html", config = ".askama.toml")]
pub struct SetPassword {
    /// Nobody yet.
    pub visitor: Option<Visitor>,
    /// Where the form posts to.
    pub action: String,
    /// The CSRF field.
    pub csrf: String,
    /// The link's secret.
    pub link: String,
    /// Whose password it is.
    pub login: Label,
    /// Why the last one was not taken.
    pub problem: Option<&'static str>,
}

impl Page for SetPassword {
    fn status(&self) -> StatusCode {
        if self.problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK }
    }
}
