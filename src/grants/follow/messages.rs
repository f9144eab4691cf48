//! What else passes over the internal API between a sidecar and its control plane: enrolments, facts and keys. Both
//! ends read and write these types, so that they never differ.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::grants::origin::SessionSecret;
use crate::model::change::Epoch;
use crate::model::grant::Installed;
use crate::model::id::{Seq, SidecarId};
use crate::model::member::Member;

/// A sidecar asks to be enrolled. A proof by the key goes with it, so that nobody enrols another's key.
#[derive(Clone, Serialize, Deserialize)]
pub struct Enrol {
    /// The one-time token of its invitation; none for who shows a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The name that it is to have.
    pub name: SidecarId,
    /// The key that it will prove itself with, a JWK.
    pub public_jwk: serde_json::Value,
    /// Its program's version.
    pub version: String,
}

/// It is enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// Its name.
    pub sidecar: SidecarId,
    /// The issuer whose tokens it is to take.
    pub issuer: String,
}

/// A grant as it stands in the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoundGrant {
    /// The log's place that was read before the grant was.
    pub as_of: Seq,
    /// In which life of the store.
    pub epoch: Epoch,
    /// The grant with its application; none when there never was one.
    pub installed: Option<Installed>,
}

/// What a principal is to a grant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoundMember {
    /// The log's place that was read before the facts were.
    pub as_of: Seq,
    /// In which life of the store.
    pub epoch: Epoch,
    /// None when there is no such principal.
    pub member: Option<Member>,
}

/// The keys that a sidecar has to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Keys {
    /// The issuer's keys, and those that the asking sidecar has published: a JWK set.
    pub jwks: serde_json::Value,
    /// The keys that the shared tier's records are signed with: a JWK set.
    pub record_keys: serde_json::Value,
    /// What access keys' secrets are made with. None from a control plane that exchanges nothing.
    #[serde(default)]
    pub exchange: Vec<ExchangeKey>,
    /// The secret that sessions are bound under.
    #[serde(default)]
    pub sessions: Option<SessionSecret>,
}

/// What the secrets of access keys under one of the issuer's keys are made with. Only for sidecars that have proved
/// themselves.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeKey {
    /// The issuer's key.
    pub kid: String,
    /// The secret.
    pub secret: String,
}

impl fmt::Debug for ExchangeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExchangeKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// A sidecar publishes a key for assumed identities, or prolongs it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnKeyPublished {
    /// The public half, a JWK.
    pub public_jwk: serde_json::Value,
}

/// The policy authors' files, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyFiles {
    /// The set's version.
    pub version: String,
    /// Each file's path in the policy folder, and its text.
    pub files: Vec<(String, String)>,
}

/// The code of the answer to who is not enrolled: an invitation or a certificate mends it.
pub const UNKNOWN: &str = "enrolment_unknown";
/// The code of the answer to whose enrolment was ended.
pub const REVOKED: &str = "enrolment_revoked";
/// The code of the answer to who may not enrol.
pub const REFUSED: &str = "enrolment_refused";
/// The code of the answer to who would exchange a token that is not good, or rests on nothing any more.
pub const EXCHANGE_TOKEN: &str = "exchange_token";
/// The code of the answer to who asks for scopes that the token does not have.
pub const EXCHANGE_SCOPE: &str = "exchange_scope";
/// The code of the answer to who exchanges too often.
pub const EXCHANGE_TOO_OFTEN: &str = "exchange_too_often";
/// The code of the answer to a request without a good proof.
pub const UNPROVEN: &str = "unproven";
