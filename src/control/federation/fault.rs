//! Why logging in at a provider came to nothing: a page with the next step, and a line in the log without tokens.

use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Response};

use super::claims::Meaningless;
use super::fetch::Unanswered;
use super::id_token::Unproven;
use super::provider::Provider;
use crate::control::browser::Shown;
use crate::control::browser::session::{Cookie, set_cookie};
use crate::control::page::stop::Stopped;
use crate::control::page::{Label, respond};
use crate::control::{Control, Problem};
use crate::store::StoreError;

/// Why there is no session. Nothing has been granted.
#[derive(Debug)]
pub(super) enum Fault {
    /// There is no provider of that name.
    NoProvider,
    /// The answer belongs to no attempt of this browser: too old, used already, or begun elsewhere.
    Lost,
    /// The person said no at the provider.
    Declined,
    /// The provider gave another error, by this code.
    Refused(String),
    /// The provider cannot be asked.
    Unanswered(Unanswered),
    /// What came as its answer is not believed.
    Distrusted(Distrust),
    /// Its claims mean nothing here.
    Meaningless(Meaningless),
    /// The operator's settings name an account or a role that is not there.
    NotThere(String),
    /// It is not for this person.
    NoMember,
    /// Nobody knows this person, and nobody is made by logging in.
    Unknown {
        /// The provider's word for them.
        subject: String,
    },
    /// The claims give no name that a user could have.
    Nameless,
    /// Somebody else has the login.
    Taken {
        /// The login.
        login: String,
        /// The provider's word for the person.
        subject: String,
    },
    /// The user is disabled.
    Disabled,
    /// Anything that is not the provider's doing.
    Own(Problem),
}

/// Why an answer is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Distrust {
    /// It is from another issuer (RFC 9207), or does not say from which.
    #[error("the answer names another issuer, or none")]
    Issuer,
    /// The person was not asked to prove who they are anew, or it does not say when they did.
    #[error("the log-in is not as fresh as was asked, or its time is not told (auth_time)")]
    Stale,
    /// Its token proves nothing.
    #[error("{0}")]
    Unproven(Unproven),
}

impl Distrust {
    /// The stable code, and how the sentence goes on after the provider's name.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Issuer | Self::Unproven(Unproven::Issuer) => ("wrong_issuer", "comes from somewhere else"),
            Self::Stale => ("login_not_fresh", "does not say that you have just proved who you are"),
            Self::Unproven(Unproven::Nonce) => ("wrong_nonce", "belongs to another attempt"),
            Self::Unproven(Unproven::Audience) => ("wrong_audience", "was meant for somebody else"),
            Self::Unproven(Unproven::Expired | Unproven::NotYet) => ("wrong_time", "is not of this time"),
            Self::Unproven(
                Unproven::Shape
                | Unproven::Algorithm
                | Unproven::UnknownKey
                | Unproven::Signature
                | Unproven::Claims,
            ) => ("not_proven", "is not signed as it has to be"),
        }
    }
}

impl From<Unanswered> for Fault {
    fn from(why: Unanswered) -> Self {
        Self::Unanswered(why)
    }
}

impl From<Unproven> for Fault {
    fn from(why: Unproven) -> Self {
        Self::Distrusted(Distrust::Unproven(why))
    }
}

impl From<Meaningless> for Fault {
    fn from(why: Meaningless) -> Self {
        Self::Meaningless(why)
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self::Own(problem)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Own(error.into())
    }
}

/// A refusal as its page says it.
struct Words {
    status: StatusCode,
    code: &'static str,
    title: String,
    why: String,
    next: String,
}

impl Fault {
    /// Whether somebody should look at it before anybody asks.
    fn for_operators(&self) -> bool {
        match self {
            Self::Unanswered(_)
            | Self::Distrusted(_)
            | Self::Meaningless(_)
            | Self::NotThere(_)
            | Self::Refused(_) => true,
            Self::NoProvider
            | Self::Lost
            | Self::Declined
            | Self::NoMember
            | Self::Unknown { .. }
            | Self::Nameless
            | Self::Taken { .. }
            | Self::Disabled
            | Self::Own(_) => false,
        }
    }

    /// Logs it, and makes the page.
    pub(super) fn page(self, control: &Control, provider: Option<&Provider>) -> Response {
        let name = provider.map_or("", |provider| provider.settings.name.as_str());
        let label = Label::new(provider.map_or("", |provider| provider.settings.label())).to_string();
        if let Self::Own(problem) = self {
            return Shown::from(problem).into_response();
        }
        let words = self.words(&label);
        let (code, detail) = (words.code, self.to_log());
        if self.for_operators() {
            tracing::warn!(provider = name, code, detail, "a log-in at a provider was refused");
        } else {
            tracing::info!(provider = name, code, detail, "a log-in at a provider was refused");
        }
        let mut page = Stopped::refused(words.status, words.code, words.why, words.next);
        page.title = words.title;
        page.retry_after = words.status.is_server_error().then_some(5);
        let mut response = respond(&page);
        // Whatever comes next begins anew; a cookie that cannot be taken away is no reason for another page.
        if !matches!(self, Self::Lost | Self::NoProvider)
            && let Ok(gone) = set_cookie(control, Cookie::Provider, None)
        {
            response.headers_mut().append(SET_COOKIE, gone);
        }
        response
    }

    /// What the log says beside the code: nothing of a token, nothing that a stranger could have written at length.
    pub(super) fn to_log(&self) -> String {
        match self {
            Self::Unanswered(why) => why.to_string(),
            Self::Distrusted(why) => why.to_string(),
            Self::Meaningless(why) => why.to_string(),
            Self::NotThere(what) | Self::Refused(what) => Label::new(what).to_string(),
            Self::Taken { login, .. } => login.clone(),
            Self::NoProvider
            | Self::Lost
            | Self::Declined
            | Self::NoMember
            | Self::Unknown { .. }
            | Self::Nameless
            | Self::Disabled
            | Self::Own(_) => String::new(),
        }
    }

    fn words(&self, label: &str) -> Words {
        match self {
            Self::NoProvider => Words::of(
                (StatusCode::NOT_FOUND, "no_such_provider"),
                "There is no such way to sign in",
                "The address names a provider that is not known here.",
                AGAIN,
            ),
            Self::Lost => Words::of(
                (StatusCode::BAD_REQUEST, "attempt_unknown"),
                "This attempt to sign in has ended",
                format!(
                    "The answer of {label} belongs to no attempt of this browser: it is too old, was used already, \
                     or was begun elsewhere."
                ),
                AGAIN,
            ),
            Self::Declined => Words::of(
                (StatusCode::FORBIDDEN, "provider_declined"),
                "Signing in was declined",
                format!("{label} says that you, or somebody for you, said no."),
                AGAIN,
            ),
            Self::Refused(_) => Words::of(
                (StatusCode::FORBIDDEN, "provider_refused"),
                "Signing in was refused",
                format!("{label} did not sign you in."),
                OPERATOR,
            ),
            Self::Unanswered(_) => Words::of(
                (StatusCode::SERVICE_UNAVAILABLE, "provider_unavailable"),
                "Signing in there does not work at the moment",
                format!("{label} does not answer as it should."),
                OPERATOR,
            ),
            Self::Distrusted(why) => {
                let (code, what) = why.words();
                let title = "The answer could not be believed";
                Words::of(
                    (StatusCode::FORBIDDEN, code),
                    title,
                    format!("What came from {label} {what}."),
                    OPERATOR,
                )
            }
            Self::Meaningless(_)
            | Self::NotThere(_)
            | Self::NoMember
            | Self::Unknown { .. }
            | Self::Nameless
            | Self::Taken { .. }
            | Self::Disabled
            | Self::Own(_) => self.words_about_person(label),
        }
    }

    /// The provider has vouched for somebody, who does not come in for all that.
    fn words_about_person(&self, label: &str) -> Words {
        let words = |code, title: &str, why: String, next: &str| {
            Words::of((StatusCode::FORBIDDEN, code), title, why, next)
        };
        match self {
            Self::NoMember => words(
                "not_a_member",
                "This is not open to you",
                format!("{label} knows you, but does not count you among those who may sign in here."),
                "Ask whoever gives out access at your organization.",
            ),
            Self::Unknown { subject } => words(
                "unknown_person",
                "You are not known here yet",
                format!(
                    "{label} knows you, but an administrator of your account has not said who you are here."
                ),
                &format!("Ask an administrator to link you. At {label} you are {}.", Label::new(subject)),
            ),
            Self::Nameless => words(
                "no_login",
                "You have no name here",
                format!("What {label} says of you holds no name that a user can have here."),
                ORGANIZATION,
            ),
            Self::Taken { login, subject } => words(
                "login_taken",
                "Your name is somebody else’s here",
                format!(
                    "There is a user {} already, and a name alone does not prove that it is you.",
                    Label::new(login)
                ),
                &format!(
                    "If it is you, sign in with your password, or ask an administrator to link you. At {label} you \
                     are {}.",
                    Label::new(subject)
                ),
            ),
            Self::Disabled => words(
                "disabled",
                "You have been disabled here",
                "An administrator of your account has disabled you.".to_owned(),
                "Ask an administrator of your account.",
            ),
            Self::Meaningless(_)
            | Self::NotThere(_)
            | Self::NoProvider
            | Self::Lost
            | Self::Declined
            | Self::Refused(_)
            | Self::Unanswered(_)
            | Self::Distrusted(_)
            | Self::Own(_) => words(
                "not_for_this_account",
                "You cannot sign in here this way",
                format!("What {label} says of you leads to no account and no identity here."),
                ORGANIZATION,
            ),
        }
    }
}

impl Words {
    fn of(
        (status, code): (StatusCode, &'static str),
        title: &str,
        why: impl std::fmt::Display,
        next: &str,
    ) -> Self {
        Self {
            status,
            code,
            title: title.to_owned(),
            why: format!("{why} Nobody has been signed in by it."),
            next: next.to_owned(),
        }
    }
}

const AGAIN: &str = "Open the page that you came from, and sign in again.";
const OPERATOR: &str = "Try again. If it goes on, tell the operator of this page the code below.";
const ORGANIZATION: &str = "Ask whoever runs sign-in at your organization; tell them the code below.";
