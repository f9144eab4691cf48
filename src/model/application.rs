//! An application: what its publisher registered.

use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::grant::{AssignmentMode, NotAWordOf};
use super::id::{AccountId, ApplicationId};
use super::scope::ScopeSet;

/// A registered OAuth client (RFC 6749 §2), in our words an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// Its `client_id`.
    pub id: ApplicationId,
    /// Its name: at most 64 of `A-Z a-z 0-9 . _ -`, unique for its publisher.
    pub name: String,
    /// What people see: at most 24 characters.
    pub display_name: String,
    /// One plain sentence from its publisher, or nothing.
    pub description: String,
    /// The account that published it.
    pub publisher: AccountId,
    /// That account's name, as people see it.
    pub publisher_name: String,
    /// Whom to ask when the application does not work: an address or a page, or nothing.
    pub contact: String,
    /// Published by a cloud service.
    pub official: bool,
    /// What it runs on.
    pub kind: ApplicationType,
    /// Where codes may be sent: matched to the letter, except the port of a loopback address (RFC 8252 §7.3).
    pub redirect_uris: Vec<String>,
    /// Scopes that an authorization always includes.
    pub required: ScopeSet,
    /// Scopes that the administrator may add.
    pub optional: ScopeSet,
    /// Life of an access token in seconds, 900 to 10800.
    pub access_token_seconds: u32,
    /// Life of a refresh token in seconds, 7200 to 31536000.
    pub refresh_token_seconds: u32,
    /// False once its publisher has disabled it: nothing works for it any more.
    pub enabled: bool,
    /// When it was registered.
    pub created_at: Timestamp,
}

/// The publisher of applications that registered themselves: nobody. No account is of this name.
pub const UNVERIFIED: &str = "self-registered";

impl Application {
    /// Whether it registered itself, so that nobody vouches for what it says.
    #[must_use]
    pub fn is_unverified(&self) -> bool {
        self.publisher.as_str() == UNVERIFIED
    }

    /// What the application is to `account`.
    #[must_use]
    pub fn relation_to(&self, account: &AccountId) -> Relation {
        if self.is_unverified() {
            // It is nobody's own, whatever an account may be called.
            Relation::ThirdParty
        } else if self.official {
            Relation::Official
        } else if self.publisher == *account {
            Relation::FirstParty
        } else {
            Relation::ThirdParty
        }
    }

    /// Every scope that the application may ever be granted.
    #[must_use]
    pub fn offered(&self) -> ScopeSet {
        self.required.union(&self.optional)
    }

    /// The assignment that a fresh installation starts with: official applications are used by whom an
    /// administrator names, others by everybody of the account.
    #[must_use]
    pub fn initial_assignment(&self) -> AssignmentMode {
        if self.official { AssignmentMode::Assigned } else { AssignmentMode::All }
    }
}

/// What an application is to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// Published by the account itself: its users are asked nothing.
    FirstParty,
    /// Published by another account.
    ThirdParty,
    /// Published by a cloud service: assigned, and agreed to in person.
    Official,
}

impl Relation {
    /// The word used in the ready file and the admin API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FirstParty => "first-party",
            Self::ThirdParty => "third-party",
            Self::Official => "official",
        }
    }
}

/// What an application runs on, which decides how it can keep a secret (RFC 6749 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ApplicationType {
    /// A web server: confidential, always authenticates with its secret.
    WebApp,
    /// A program on a person's device: public, has no secret.
    NativeApp,
    /// A service that acts for nobody.
    ServerApp,
}

impl ApplicationType {
    /// The word used in the store and the admin API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WebApp => "WebApp",
            Self::NativeApp => "NativeApp",
            Self::ServerApp => "ServerApp",
        }
    }

    /// Whether it must authenticate with a secret (RFC 6749 §2.1 "confidential").
    #[must_use]
    pub fn is_confidential(self) -> bool {
        match self {
            Self::WebApp | Self::ServerApp => true,
            Self::NativeApp => false,
        }
    }
}

impl FromStr for ApplicationType {
    type Err = NotAWordOf;
    fn from_str(text: &str) -> Result<Self, NotAWordOf> {
        [Self::WebApp, Self::NativeApp, Self::ServerApp]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| NotAWordOf::new(text, "WebApp, NativeApp, ServerApp"))
    }
}
