//! Explicit assume-identity calls: what a client asks a cloud's STS for, and the sidecar answers itself.
//!
//! Comes in: a permitted call of `sts:AssumeRole`, `sts:AssumeRoleWithOIDC`, `sts:AssumeRoleWithWebIdentity` or
//! `sts:GetCallerIdentity`, in either cloud's protocol. Goes out: that cloud's answer, with credentials. One of another
//! account's roles is denied like every resource of another account. Whose they are is the route's to say:
//!
//! - ours (`answers = "exchanged"`): they work at a sidecar alone, for what the caller's own token allows, for 15 minutes
//!   at most, and die with the grant. The role is a name: nobody becomes anybody else by naming one. A policy that comes
//!   along is refused, since it would not be kept to.
//! - the cloud's (`answers = "sts"`): its STS is asked for a role that the settings name ([`super::sts`]), and held to what
//!   was granted and to the policy that came along. They work until they end, whatever becomes of the grant.
//!
//! What says more than either keeps to (session tags, a source identity of the caller's own) is refused.

mod acs;
mod adapter;
mod answer;
mod aws;
mod parameters;
#[cfg(test)]
mod tests;
mod way;

pub(super) use adapter::Explicit;
pub(super) use answer::{Answering, Manner, Subject};

use super::adapter::NotUnderstood;
use crate::config::route::{Answers, Dialect};
use crate::config::sts::SHORTEST;
use crate::model::call::Action;
use crate::token::random::Secret;
use parameters::Parameters;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// Credentials, for who proves itself like every caller.
    AssumeRole,
    /// Credentials, for who shows its token among the parameters.
    WithToken,
    /// Who the caller is.
    GetCallerIdentity,
}

/// One such request, read.
pub(super) struct Wanted {
    operation: Operation,
    /// The role's ARN and its name; none where nobody is assumed.
    role: Option<Role>,
    session: String,
    /// A policy that came along.
    policy: Option<String>,
    /// For how long, in seconds, where that is said.
    seconds: Option<u32>,
    /// The token among the parameters.
    token: Option<Secret>,
}

struct Role {
    arn: String,
    account: String,
    name: String,
}

impl Operation {
    /// The operation that an action is, in the words of `dialect`; none where it is another.
    pub(super) fn of(dialect: Dialect, action: &Action) -> Option<Self> {
        match (dialect, action.as_str()) {
            (_, "sts:AssumeRole") => Some(Self::AssumeRole),
            (Dialect::Acs, "sts:AssumeRoleWithOIDC") => Some(Self::WithToken),
            (Dialect::Aws, "sts:AssumeRoleWithWebIdentity") => Some(Self::WithToken),
            (_, "sts:GetCallerIdentity") => Some(Self::GetCallerIdentity),
            (Dialect::Acs | Dialect::Aws, _) => None,
        }
    }
}

impl Wanted {
    /// Reads the parameters of an operation, for one way of answering.
    fn read(
        (dialect, answers): (Dialect, Answers),
        operation: Operation,
        parameters: &Parameters<'_>,
    ) -> Result<Self, NotUnderstood> {
        let token = match (operation, dialect) {
            (Operation::WithToken, Dialect::Acs) => Some(parameters.must("OIDCToken")?),
            (Operation::WithToken, Dialect::Aws) => Some(parameters.must("WebIdentityToken")?),
            (Operation::AssumeRole | Operation::GetCallerIdentity, Dialect::Acs | Dialect::Aws) => None,
        };
        let token = token.map(|text| Secret::new(text.to_owned()));
        let mut wanted =
            Self { operation, role: None, session: String::new(), policy: None, seconds: None, token };
        if operation == Operation::GetCallerIdentity {
            return Ok(wanted);
        }
        wanted.policy = policy(answers, parameters)?;
        wanted.role = Some(Role::read(dialect, parameters.must("RoleArn")?)?);
        let session = parameters.must("RoleSessionName")?;
        let named = |byte: u8| byte.is_ascii_alphanumeric() || b"=,.@-_".contains(&byte);
        if !(2..=64).contains(&session.len()) || !session.bytes().all(named) {
            let expected = "2 to 64 letters, digits and = , . @ - _";
            return Err(NotUnderstood::Malformed { what: "RoleSessionName", expected });
        }
        session.clone_into(&mut wanted.session);
        if let Some(text) = parameters.get("DurationSeconds") {
            let expected = "a whole number of seconds, 900 to 43200";
            let seconds = text.parse().ok().filter(|seconds| (SHORTEST..=43_200).contains(seconds));
            let seconds = seconds.ok_or(NotUnderstood::Malformed { what: "DurationSeconds", expected })?;
            wanted.seconds = Some(seconds);
        }
        Ok(wanted)
    }

    /// For how long credentials of ours are asked for, in seconds.
    fn exchanged_seconds(&self) -> u32 {
        self.seconds.map_or(LONGEST, |seconds| seconds.min(LONGEST))
    }
}

/// The policy that came along, where it is kept to. Whoever sends one counts on having no more than it says; and what
/// would say more than who asks is not taken either.
fn policy(answers: Answers, parameters: &Parameters<'_>) -> Result<Option<String>, NotUnderstood> {
    let left_out = |what: &'static str, expected: &'static str| -> Result<Option<String>, NotUnderstood> {
        Err(NotUnderstood::Malformed { what, expected })
    };
    if parameters.any(|name| name.starts_with("PolicyArns")) {
        return left_out("PolicyArns", "left out: what the credentials allow follows from what was granted");
    }
    if parameters.any(|name| name == "SourceIdentity") {
        return left_out("SourceIdentity", "left out: it names the user");
    }
    if parameters.any(is_tag) {
        return left_out("Tags", "left out: the cloud may go by them");
    }
    match answers {
        Answers::Exchanged if parameters.any(|name| name == "Policy") => {
            left_out("Policy", "left out: what the credentials allow follows from what was granted")
        }
        Answers::Exchanged => Ok(None),
        Answers::Sts => Ok(parameters.get("Policy").map(str::to_owned)),
    }
}

fn is_tag(name: &str) -> bool {
    ["Tags", "Tag.", "TransitiveTagKeys", "ProvidedContexts"].iter().any(|begin| name.starts_with(begin))
}

impl Role {
    fn read(dialect: Dialect, arn: &str) -> Result<Self, NotUnderstood> {
        let expected = match dialect {
            Dialect::Acs => "acs:ram::<account>:role/<name>",
            Dialect::Aws => "arn:aws:iam::<account>:role/<name>",
        };
        let parts: Vec<&str> = arn.split(':').collect();
        let (account, rest) = match (dialect, parts.as_slice()) {
            (Dialect::Acs, ["acs", "ram", "", account, rest]) => (account, rest),
            (Dialect::Aws, ["arn", partition, "iam", "", account, rest]) if partition.starts_with("aws") => {
                (account, rest)
            }
            (Dialect::Acs | Dialect::Aws, _) => {
                return Err(NotUnderstood::Malformed { what: "RoleArn", expected });
            }
        };
        let named = |byte: u8| byte.is_ascii_alphanumeric() || b"=,.@-_/+".contains(&byte);
        let name = rest.strip_prefix("role/").filter(|name| {
            (1..=128).contains(&name.len())
                && name.bytes().all(named)
                && !name.starts_with('/')
                && !name.ends_with('/')
        });
        let plain = !account.is_empty() && account.bytes().all(|byte| byte.is_ascii_digit());
        let name = name.filter(|_| plain).ok_or(NotUnderstood::Malformed { what: "RoleArn", expected })?;
        Ok(Self { arn: arn.to_owned(), account: (*account).to_owned(), name: name.to_owned() })
    }

    /// The name without the path before it.
    fn last(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }
}

/// The longest life of credentials of ours, in seconds.
const LONGEST: u32 = crate::token::exchange::LONGEST;
