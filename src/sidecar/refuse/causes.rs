//! What is answered for each cause: a status, a code that stays as it is, one sentence, and the next step.

use http::StatusCode;

use super::{Answer, Place};
use crate::grants::NoStanding;
use crate::model::decision::Outcome;
use crate::net::body::Broken;
use crate::net::upstream::ForwardError;
use crate::policy::Denial;
use crate::sidecar::adapter::NotUnderstood;
use crate::sidecar::signed::NotProven;
use crate::sidecar::sts::NotGiven;

pub(super) fn not_understood(why: &NotUnderstood) -> Answer {
    let detail = why.to_string();
    match why {
        NotUnderstood::Method { allowed, .. } => {
            let next = format!("Use one of: {allowed}.");
            let mut answer = Answer::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail, next);
            answer.allow = Some(allowed.clone());
            answer
        }
        NotUnderstood::NoOperation => {
            Answer::new(StatusCode::BAD_REQUEST, "action_missing", detail, "Name the operation.")
        }
        NotUnderstood::Ambiguous(_) => {
            Answer::new(StatusCode::BAD_REQUEST, "action_ambiguous", detail, "Name the operation once.")
        }
        NotUnderstood::Unknown(_) => {
            let next = "Ask for an operation that this route takes.";
            Answer::new(StatusCode::BAD_REQUEST, "action_unknown", detail, next)
        }
        NotUnderstood::NoSession => {
            let next = "Begin a session of your own.";
            Answer::new(StatusCode::NOT_FOUND, "unknown_session", detail, next)
        }
        NotUnderstood::Malformed { .. } => {
            Answer::new(StatusCode::BAD_REQUEST, "malformed_request", detail, "Correct the request.")
        }
    }
}

pub(super) fn token_refused(place: &Place<'_>, why: &str, next: &str) -> Answer {
    let challenge = format!(
        "Bearer error=\"invalid_token\", error_description=\"{}\", resource_metadata=\"{}\"",
        why.replace(['"', '\\'], "'"),
        place.metadata
    );
    Answer::new(StatusCode::UNAUTHORIZED, "invalid_token", why, next).challenged(challenge)
}

pub(super) fn not_proven(why: &NotProven, place: &Place<'_>) -> Answer {
    let again = "Exchange an access token for a new credential at /v1/exchange.";
    let sign = "Sign the request as it is sent, with a secret and security token of the same exchange.";
    let (code, next) = match why {
        NotProven::Full => return unavailable(&why.to_string()),
        // With this status clients try again, and sign anew for it.
        NotProven::Unremembered => {
            let next = "Sign the request anew and send it again; if that is refused too, correct the clock.";
            let status = StatusCode::SERVICE_UNAVAILABLE;
            return Answer::new(status, "signature_unremembered", why.to_string(), next);
        }
        NotProven::Incomplete(_) => ("signature_incomplete", sign),
        NotProven::TwoCredentials => ("credential_ambiguous", "Send one credential only."),
        NotProven::UnknownKey => ("access_key_unknown", again),
        NotProven::OtherKey => ("security_token_of_another_key", sign),
        NotProven::Token(_) => ("security_token_invalid", again),
        NotProven::Expired => ("security_token_expired", again),
        NotProven::Skewed => ("signature_expired", "Correct the clock, and sign the request anew."),
        NotProven::Wrong | NotProven::OtherBody => ("signature_invalid", sign),
        NotProven::Replayed => ("signature_replayed", "Sign each request anew, with a nonce of its own."),
    };
    Answer::new(StatusCode::UNAUTHORIZED, code, why.to_string(), next)
        .challenged(format!("Bearer resource_metadata=\"{}\"", place.metadata))
}

pub(super) fn no_standing(why: &NoStanding, place: &Place<'_>) -> Answer {
    let detail = why.to_string();
    let refused = |code, next: &str| Answer::new(StatusCode::FORBIDDEN, code, detail.clone(), next);
    match why {
        NoStanding::NotInstalled => refused(
            "not_installed",
            "An administrator of the account can authorize the application on the page named here.",
        )
        .on(install_page(place)),
        NoStanding::Expired => refused(
            "not_installed",
            "An administrator of the account can authorize the application again on the page named here.",
        )
        .on(install_page(place)),
        NoStanding::Suspended => {
            refused("access_denied", "Ask an administrator of the account to resume it.")
                .on(application_page(place))
        }
        NoStanding::Disabled => refused("access_denied", "Ask the application's publisher."),
        NoStanding::TokenEnded => token_refused(place, &detail, "Log in to the application again."),
        // Why is in the log: it can name machines that are none of the caller's business.
        NoStanding::Unavailable(_) => unavailable("authorization cannot be checked at the moment"),
    }
}

pub(super) fn denied(denial: &Denial, place: &Place<'_>) -> Answer {
    let answer = Answer::new(StatusCode::FORBIDDEN, denial.code(), denial.to_string(), denial.next_step())
        .on(application_page(place))
        .ending(Outcome::Denied);
    match denial.missing() {
        None => answer,
        // The full set that the next token needs, so that a client which asks for exactly this loses nothing.
        Some(missing) => {
            let needed = place.scopes.cloned().unwrap_or_default().union(&missing.least());
            let challenge = format!(
                "Bearer error=\"insufficient_scope\", scope=\"{needed}\", resource_metadata=\"{}\"",
                place.metadata
            );
            let attainable = !missing.offered.is_empty();
            Answer { needed: Some(needed), attainable, ..answer.challenged(challenge) }
        }
    }
}

pub(super) fn not_given(why: &NotGiven) -> Answer {
    let denied = |next: &str| Answer::new(StatusCode::FORBIDDEN, "access_denied", why.to_string(), next);
    match why {
        NotGiven::Role => denied("Ask for a role that the platform team names."),
        NotGiven::Policy(_) => {
            let next = "Leave the policy out, or say it in plain statements of Effect, Action and Resource.";
            Answer::new(StatusCode::BAD_REQUEST, "malformed_request", why.to_string(), next)
        }
        NotGiven::Life(_) => denied("Get a new token, and ask with that one."),
        NotGiven::Place => {
            denied("Ask with a token that names no resource, neither a sidecar nor a place of one.")
        }
        NotGiven::Policyless(_) => {
            denied("Ask for less by a policy of your own, or for a role of other services.")
        }
    }
}

pub(super) fn unavailable(why: &str) -> Answer {
    Answer::new(StatusCode::SERVICE_UNAVAILABLE, "authorization_unavailable", why, TRY_AGAIN)
}

pub(super) fn broken_body(why: Broken) -> Answer {
    let (status, code) = match why {
        Broken::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
        Broken::Idle => (StatusCode::REQUEST_TIMEOUT, "body_timeout"),
        Broken::Other => (StatusCode::UNAUTHORIZED, "signature_invalid"),
        Broken::Framing(_) | Broken::Gone | Broken::Cut => (StatusCode::BAD_REQUEST, "malformed_body"),
    };
    Answer::new(status, code, why.to_string(), "Send the body whole, well framed and without long pauses.")
}

pub(super) fn upstream(error: &ForwardError) -> Answer {
    let (status, code) = match error {
        ForwardError::Request(why) => return broken_body(*why).ending(Outcome::Failed),
        ForwardError::Cut => {
            let why = "what the call rested on has changed while it was under way";
            return unavailable(why);
        }
        ForwardError::Unreachable(_) => (StatusCode::BAD_GATEWAY, "upstream_unreachable"),
        ForwardError::BrokenHead(_) => (StatusCode::BAD_GATEWAY, "upstream_broken"),
        ForwardError::ConnectTimeout | ForwardError::HeadTimeout => {
            (StatusCode::GATEWAY_TIMEOUT, "upstream_timeout")
        }
    };
    let next = "Try again; if it stays, look at the upstream.";
    Answer::new(status, code, error.to_string(), next).ending(Outcome::Failed)
}

fn application_page(place: &Place<'_>) -> String {
    let issuer = place.issuer;
    place
        .application
        .map_or_else(|| format!("{issuer}/console"), |id| format!("{issuer}/console/applications/{id}"))
}

/// Where an administrator authorizes an application without coming from it.
fn install_page(place: &Place<'_>) -> String {
    let issuer = place.issuer;
    place.application.map_or_else(
        || format!("{issuer}/console"),
        |id| format!("{issuer}/oauth2/v1/install?client_id={id}"),
    )
}

pub(super) const TRY_AGAIN: &str = "Try again in a moment.";
