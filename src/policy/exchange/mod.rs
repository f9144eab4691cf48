//! Whether an application may exchange what it holds: its token for a narrower one, or for a key to sign with.
//!
//! Comes in: a grant, a member, what the exchange would give. Goes out: yes, or a [`Denial`]. Neither exchange gives
//! anything that was not held before, so both are the grant's as long as it holds any scope at all; what can be said
//! against them is said by guardrails. That is why their two actions stand in no scope file and in no scope: no scope's
//! guardrail catches them, no page lists them, and a call at a sidecar can never be one.

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use super::decide::settle;
use super::denial::{Cause, Denial};
use super::load::Policies;
use super::surroundings::{Field, Surroundings};
use crate::model::call::{Action, Call, Resource};
use crate::model::grant::Installed;
use crate::model::member::Member;
use crate::model::scope::ScopeSet;

/// What is exchanged for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exchanging {
    /// An access token for a narrower one (RFC 8693).
    Token,
    /// An access token for an access key (`POST /v1/exchange`).
    Credential,
}

impl Exchanging {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Token, Self::Credential];

    /// Its action, as guardrails name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "identity:ExchangeToken",
            Self::Credential => "identity:ExchangeCredential",
        }
    }

    /// Whether `action` is that of an exchange, which belongs to no scope.
    #[must_use]
    pub fn is(action: &Action) -> bool {
        Self::ALL.iter().any(|one| one.as_str() == action.as_str())
    }
}

/// One exchange, before it is made.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'a> {
    /// Of which kind.
    pub exchanging: Exchanging,
    /// The place that what comes of it is for; nothing, if it is for all of them.
    pub target: Option<&'a str>,
    /// What it will carry.
    pub scopes: &'a ScopeSet,
    /// Where the request came from, if that is known.
    pub ip: Option<IpAddr>,
    /// When it is decided.
    pub time: Timestamp,
    /// The host that was asked.
    pub host: &'a str,
    /// The path that was asked.
    pub path: &'a str,
}

/// Decides about one exchange.
///
/// # Errors
/// Why it is not allowed. Anything that cannot be told, such as the address that a guardrail asks for, is a denial.
pub fn decide_exchange(
    policies: &Arc<Policies>,
    installed: Installed,
    member: &Member,
    exchange: &Exchange<'_>,
) -> Result<(), Denial> {
    let action = Action::new(exchange.exchanging.as_str());
    let name = exchange.target.unwrap_or("*").to_owned();
    let account = installed.grant.key.account.clone();
    let call = Call { action, resource: Resource { account, region: None, name } };
    let session = Arc::new(policies.compile(&Arc::new(installed)).exchange_session(member, exchange.scopes));
    let reads_ip = session.slice.fields(&call.action, policies.catalogue()).contains(&Field::Ip);
    let ip = match exchange.ip {
        Some(ip) => ip,
        // Nobody looks at it.
        None if !reads_ip => IpAddr::from([0, 0, 0, 0]),
        None => {
            let why = "a guardrail asks where the request came from, which is not known".to_owned();
            return Err(Denial::new(Cause::PolicyError(vec![why]), []));
        }
    };
    let Exchange { time, host, path, .. } = *exchange;
    let around = Surroundings { ip, time, method: "POST", host, path };
    // Any scope that there is will do.
    let catalogue = policies.catalogue();
    let gives = |scopes: &ScopeSet| scopes.iter().any(|scope| catalogue.knows(scope));
    settle(&session, &call, &around, gives).map(drop)
}
