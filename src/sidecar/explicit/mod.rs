//! Explicit assume-identity calls: what a client asks a cloud's STS for, and the sidecar answers itself.
//!
//! Comes in: a permitted call of `sts:AssumeRole`, `sts:AssumeRoleWithOIDC`, `sts:AssumeRoleWithWebIdentity` or
//! `sts:GetCallerIdentity`, in either cloud's protocol. Goes out: that cloud's answer, with credentials of ours that
//! work at a sidecar alone, for what the caller's own token allows, for 15 minutes at most; they die with the grant. The
//! role is a name: nobody becomes anybody else by naming one, and one of another account is denied like every resource of
//! another account.
//!
//! A policy that comes along is refused, since it would not be kept to.

mod acs;
mod adapter;
mod answer;
mod aws;
mod parameters;
#[cfg(test)]
mod tests;
mod way;

pub(super) use adapter::Explicit;
pub(super) use answer::{Answering, Subject};

use super::adapter::NotUnderstood;
use crate::config::route::Dialect;
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
    /// For how long, in seconds.
    seconds: u32,
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
    /// Reads the parameters of an operation.
    fn read(
        dialect: Dialect,
        operation: Operation,
        parameters: &Parameters<'_>,
    ) -> Result<Self, NotUnderstood> {
        let token = match (operation, dialect) {
            (Operation::WithToken, Dialect::Acs) => Some(parameters.must("OIDCToken")?),
            (Operation::WithToken, Dialect::Aws) => Some(parameters.must("WebIdentityToken")?),
            (Operation::AssumeRole | Operation::GetCallerIdentity, Dialect::Acs | Dialect::Aws) => None,
        };
        let token = token.map(|text| Secret::new(text.to_owned()));
        if operation == Operation::GetCallerIdentity {
            return Ok(Self { operation, role: None, session: String::new(), seconds: LONGEST, token });
        }
        // Whoever sends a policy counts on having no more than it says.
        if parameters.any(|name| name == "Policy" || name.starts_with("PolicyArns")) {
            let expected = "left out: what the credentials allow follows from what was granted";
            return Err(NotUnderstood::Malformed { what: "Policy", expected });
        }
        let role = Role::read(dialect, parameters.must("RoleArn")?)?;
        let session = parameters.must("RoleSessionName")?;
        let named = |byte: u8| byte.is_ascii_alphanumeric() || b"=,.@-_".contains(&byte);
        if !(2..=64).contains(&session.len()) || !session.bytes().all(named) {
            let expected = "2 to 64 letters, digits and = , . @ - _";
            return Err(NotUnderstood::Malformed { what: "RoleSessionName", expected });
        }
        let seconds = match parameters.get("DurationSeconds") {
            None => LONGEST,
            Some(text) => {
                let expected = "a whole number of seconds, 900 to 43200";
                let seconds = text.parse().ok().filter(|seconds| (LONGEST..=43_200).contains(seconds));
                seconds.ok_or(NotUnderstood::Malformed { what: "DurationSeconds", expected })?.min(LONGEST)
            }
        };
        Ok(Self { operation, role: Some(role), session: session.to_owned(), seconds, token })
    }
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

/// The longest life, and the shortest that either cloud lets anybody ask for, in seconds.
const LONGEST: u32 = crate::token::exchange::LONGEST;
