//! What requests to AWS mean, protocol by protocol: which operation of which service, on what, of whose account.
//!
//! Comes in: the head of a request, and its body where only that says it. Goes out: what is asked for. An operation is
//! named in one of four ways: `Action` in a form (`query`: STS, EC2, and SQS of old), `x-amz-target` (`json`: DynamoDB,
//! SQS), or method, path and query (`rest`: S3, Lambda). What is named in two places must be the same in both; what is
//! not in the tables, or cannot be read with certainty, is refused.
//!
//! What an operation touches is named in the places that the tables say, and each of it must be allowed: never is
//! something decided on less, or on something else, than the upstream acts upon.
//!
//! To add a service: a line in `tests/clients/aws_tables.py`, a variant of [`Service`], and in
//! `tests/clients/aws_places.py` of which [`kinds`] the members are that name something.

mod json;
mod kinds;
mod names;
mod places;
mod query;
mod requests;
mod rest;
mod tell;
#[cfg(test)]
mod tests;
mod xml;

pub(super) use json::{in_json, target};
pub(super) use names::Names;
pub(super) use places::Places;
pub(super) use query::{check_form, in_form};
pub(super) use requests::Requests;
pub(super) use rest::{function, object};
pub(super) use tell::{Shape, tell};

use http::HeaderMap;

use super::adapter::NotUnderstood;
use crate::config::route::Service;
use crate::token::signature::sigv4::Claim;

/// The service that the signature is for, if there is one that can be read. Nothing of it is believed here: it must say
/// the same as all else, and be verified after.
pub(super) fn signed_for(headers: &HeaderMap) -> Result<Option<Service>, NotUnderstood> {
    let authorization = headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(Ok(claim)) = authorization.map(Claim::read) else { return Ok(None) };
    let known = Service::ALL.into_iter().find(|service| service.as_str() == claim.scope.service);
    known.map(Some).ok_or(NotUnderstood::Unknown("the service"))
}

/// The one service that all places name.
pub(super) fn agreed(
    named: impl IntoIterator<Item = Option<Service>>,
) -> Result<Option<Service>, NotUnderstood> {
    let mut agreed = None;
    for service in named.into_iter().flatten() {
        if agreed.replace(service).is_some_and(|earlier| earlier != service) {
            return Err(NotUnderstood::Ambiguous("the service"));
        }
    }
    Ok(agreed)
}

/// The one value of a header.
fn single<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<Option<&'h str>, NotUnderstood> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(NotUnderstood::Ambiguous(name));
    }
    value.to_str().map(Some).map_err(|_| NotUnderstood::Malformed { what: name, expected: "text" })
}

/// Whether it can be the name of an operation.
fn is_operation(name: &str) -> bool {
    !name.is_empty() && name.len() <= 100 && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
