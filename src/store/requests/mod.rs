//! Requests for approval: who may not authorize an application asks those who may.
//!
//! Requests for one application in one account are one, with everybody's own reason. It is open until somebody
//! decides, the application is installed by any way, or nobody has asked any more for the account's time; whoever asks
//! after that opens another round.

mod sql;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

pub(super) use self::sql::{block, settle};
use super::StoreError;
use super::grants::Actor;
use crate::model::account::PrincipalKey;
use crate::model::application::Application;
use crate::model::grant::NotAWordOf;
use crate::model::id::{AccountId, ApplicationId, GrantKey};

/// One round of requests for an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalRequest {
    /// Which account, which application.
    pub key: GrantKey,
    /// Its number; a later round has a higher one.
    pub round: u64,
    /// How it stands.
    pub state: RequestState,
    /// How many have asked.
    pub askers: u64,
    /// When the first one did.
    pub opened_at: Timestamp,
    /// When the last one did.
    pub last_asked_at: Timestamp,
    /// From then on it is expired, if nobody asks or decides before.
    pub expires_at: Timestamp,
    /// Who has decided, once somebody has.
    pub decided: Option<Decided>,
}

/// A decision about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// When.
    pub at: Timestamp,
    /// The login of who did.
    pub by: String,
    /// What they said about it; may be empty.
    pub word: String,
}

/// How a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestState {
    /// Nobody has decided yet.
    Open,
    /// Nobody has decided in time.
    Expired,
    /// An administrator said no.
    Denied,
    /// The application was authorized.
    Approved,
    /// The application was blocked.
    Blocked,
}

impl RequestState {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Open, Self::Expired, Self::Denied, Self::Approved, Self::Blocked];

    /// The word used in the store and the admin API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Expired => "expired",
            Self::Denied => "denied",
            Self::Approved => "approved",
            Self::Blocked => "blocked",
        }
    }
}

impl std::str::FromStr for RequestState {
    type Err = NotAWordOf;
    fn from_str(text: &str) -> Result<Self, NotAWordOf> {
        let words = "open, expired, denied, approved, blocked";
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| NotAWordOf::new(text, words))
    }
}

/// One person's request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Who asks.
    pub principal: PrincipalKey,
    /// Their login at the time.
    pub login: String,
    /// What for, in their words.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// What became of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskOutcome {
    /// It is with the administrators.
    Taken(ApprovalRequest),
    /// It was already: nothing was changed.
    Already(ApprovalRequest),
    /// There is nothing to ask for: the application is installed as it is, or is the account's own.
    NotNeeded,
    /// The account takes no requests for this application.
    Refused,
    /// The person has asked too often.
    TooOften {
        /// When they can ask again.
        again_at: Timestamp,
    },
}

/// Which requests are wanted, the latest asked for first.
#[derive(Debug, Clone, Default)]
pub struct RequestFilter {
    /// Only those that stand so.
    pub state: Option<RequestState>,
    /// Only those after this one in the list: when it was last asked for, its application and round.
    pub after: Option<(Timestamp, ApplicationId, u64)>,
    /// At most so many.
    pub limit: u32,
}

/// The requests.
#[async_trait]
pub trait ApprovalRequests {
    /// Asks, for an enabled principal of the account. `Missing` when there is none, or no such application.
    async fn ask(
        &self,
        key: &GrantKey,
        who: &Actor,
        reason: &str,
        now: Timestamp,
    ) -> Result<AskOutcome, StoreError>;
    /// A person's own last request for an application, and what became of it.
    async fn own_ask(
        &self,
        key: &GrantKey,
        who: &PrincipalKey,
        now: Timestamp,
    ) -> Result<Option<(Ask, ApprovalRequest)>, StoreError>;
    /// The account's requests.
    async fn approval_requests(
        &self,
        account: &AccountId,
        filter: &RequestFilter,
        now: Timestamp,
    ) -> Result<Vec<(Application, ApprovalRequest)>, StoreError>;
    /// The latest round for an application.
    async fn approval_request(
        &self,
        key: &GrantKey,
        now: Timestamp,
    ) -> Result<Option<(Application, ApprovalRequest)>, StoreError>;
    /// Who has asked in a round, the latest first; only those after the one that asked at this time under this login.
    async fn askers(
        &self,
        key: &GrantKey,
        round: u64,
        after: Option<(Timestamp, &str)>,
        limit: u32,
    ) -> Result<Vec<Ask>, StoreError>;
    /// Says no. `Missing` when nobody has asked, `Conflict` when this round is not open (any more).
    async fn deny(
        &self,
        key: &GrantKey,
        round: u64,
        word: &str,
        by: &Actor,
        now: Timestamp,
    ) -> Result<ApprovalRequest, StoreError>;
}

/// How many applications one person can ask for in [`ASKING_WINDOW`].
pub const MOST_ASKED: u64 = 10;

/// The time in which requests of one person are counted, and after which one that was denied can be made again.
pub const ASKING_WINDOW: SignedDuration = SignedDuration::from_hours(24);
