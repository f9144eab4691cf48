//! Whether policy allows an exchange, asked before anything is made of a token.
//!
//! Comes in: a caller whose token stands, and what the exchange would give. Goes out: yes, or a refusal in words that name
//! the guardrail and the next step, once it is in the account's audit. What a sidecar asks for is not asked about here: it
//! has decided the call, by an action of its own.

use std::net::IpAddr;

use serde_json::json;

use crate::control::Control;
use crate::control::oauth::live::Live;
use crate::model::caller::Caller;
use crate::model::scope::ScopeSet;
use crate::net::canonical;
use crate::policy::{Cause, Denial, Exchange, Exchanging, decide_exchange};
use crate::store::{AuditEvent, StoreError};

/// What would be given.
#[derive(Debug, Clone, Copy)]
pub(in crate::control) struct Giving<'a> {
    pub(in crate::control) exchanging: Exchanging,
    /// For whom it is meant (`aud`).
    pub(in crate::control) audience: &'a str,
    pub(in crate::control) scopes: &'a ScopeSet,
    /// Where the request came from.
    pub(in crate::control) ip: Option<IpAddr>,
}

/// Why it is not.
#[derive(Debug)]
pub(in crate::control) enum NotPermitted {
    /// Policy said no: its word, and what the application's developer reads.
    Denied { code: &'static str, text: String },
    /// Nor could that be recorded.
    Unrecorded(StoreError),
}

/// Asks the policies in force.
pub(in crate::control) async fn permitted(
    control: &Control,
    caller: &Caller,
    live: &Live,
    giving: &Giving<'_>,
) -> Result<(), NotPermitted> {
    let issuer = control.issuer();
    let path = match giving.exchanging {
        Exchanging::Token => "/v1/token",
        Exchanging::Credential => super::PATH,
    };
    let target = place(issuer.as_str(), giving.audience);
    let exchange = Exchange {
        exchanging: giving.exchanging,
        target: target.as_deref(),
        scopes: giving.scopes,
        ip: giving.ip,
        time: control.clock().now(),
        host: issuer.origin().split_once("://").map_or("", |(_, host)| host),
        path: &format!("{}{path}", issuer.path()),
    };
    let decided = decide_exchange(&control.policies(), live.installed.clone(), &live.member, &exchange);
    let Err(denial) = decided else { return Ok(()) };
    record(control, caller, &exchange, &denial).await.map_err(NotPermitted::Unrecorded)?;
    Err(NotPermitted::Denied { code: denial.code(), text: text(&denial) })
}

/// The place that something with this audience is good at; none for all of them. It is spelled in one way, however the
/// audience is: guardrails go by its name.
fn place(issuer: &str, audience: &str) -> Option<String> {
    if audience == issuer {
        return None;
    }
    let one_way = || {
        let (scheme, rest) = audience.split_once("://")?;
        let (host, path) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len()))?;
        let path = path.strip_suffix('/').unwrap_or(path);
        let segments = if path.is_empty() { Vec::new() } else { canonical::segments(path)? };
        let path: String = segments.iter().flat_map(|segment| ["/", segment]).collect();
        Some(format!("{scheme}://{host}{path}"))
    };
    // Where no request can be, nothing is given away.
    Some(one_way().unwrap_or_else(|| audience.to_owned()))
}

/// Which policies forbid it stands beside why: who asks for help can say what it is about.
fn text(denial: &Denial) -> String {
    let named = match denial.cause() {
        Cause::AccessDenied(grounds) => {
            grounds.iter().map(|ground| ground.id.as_str()).collect::<Vec<_>>().join(", ")
        }
        Cause::NotInstalled
        | Cause::NotAssigned
        | Cause::ConsentRequired
        | Cause::InsufficientScope(_)
        | Cause::PolicyError(_) => String::new(),
    };
    let named = if named.is_empty() { named } else { format!(" (forbidden by {named})") };
    format!("{denial}{named} {}", denial.next_step())
}

/// In the account's own audit: whoever keeps its guardrails sees what they do.
async fn record(
    control: &Control,
    caller: &Caller,
    exchange: &Exchange<'_>,
    denial: &Denial,
) -> Result<(), StoreError> {
    if let Cause::PolicyError(why) = denial.cause() {
        tracing::error!(?why, action = exchange.exchanging.as_str(), "the policies could not be evaluated");
    }
    let principal = &caller.principal;
    let detail = json!({
        "action": exchange.exchanging.as_str(),
        "resource": exchange.target.unwrap_or("*"),
        "principal": format!("{}/{}", principal.kind, principal.id),
        "scopes": exchange.scopes,
        "code": denial.code(),
        "policies": denial.policies(),
        "address": exchange.ip,
    });
    let refused = AuditEvent::of_caller("refused.exchange", caller, &detail, control.clock().now());
    control.store().note(&[(&refused).into()]).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_goes_by_one_name_however_it_is_spelled() {
        let of = |audience: &str| place("https://login.example", audience);
        assert_eq!(of("https://login.example"), None);
        for spelled in ["https://a.example/oss", "https://a.example/oss/", "https://a.example/%6fss"] {
            assert_eq!(of(spelled).as_deref(), Some("https://a.example/oss"), "{spelled}");
        }
        assert_eq!(of("https://a.example/").as_deref(), Some("https://a.example"));
        assert_eq!(of("https://a.example").as_deref(), Some("https://a.example"));
        for odd in ["https://a.example/a/../oss", "https://a.example/oss?x", "https://a.example//oss"] {
            assert_ne!(of(odd).as_deref(), Some("https://a.example"), "{odd}");
        }
    }
}
