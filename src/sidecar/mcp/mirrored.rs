//! The headers that say again what the body says: they must agree with it, and stand once.
//!
//! A server of the modern era may go by the headers and one of the older by the body: where they differ, what is
//! decided on would not be what is done.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};

use super::message::{Message, Target};
use crate::sidecar::adapter::NotUnderstood;

/// Whether the headers fit the message.
pub(in crate::sidecar) fn agree(headers: &HeaderMap, message: &Message) -> Result<(), NotUnderstood> {
    let method = single(headers, METHOD, "the method")?;
    let name = single(headers, NAME, "the name")?;
    let version = single(headers, VERSION, "the protocol's version")?;
    if method.is_some() && method != message.method() {
        return Err(NotUnderstood::Ambiguous("the method"));
    }
    if let Some(name) = name {
        let decoded = decoded(name).ok_or(NotUnderstood::Ambiguous("the name"))?;
        if message.target().and_then(Target::name) != Some(&*decoded) {
            return Err(NotUnderstood::Ambiguous("the name"));
        }
    }
    mirrored_parameters(headers, message)?;
    match (version, &message.version) {
        (Some(header), Some(body)) if header != body => {
            Err(NotUnderstood::Ambiguous("the protocol's version"))
        }
        (Some(_) | None, _) => Ok(()),
    }
}

/// Whether headers that mirror a tool's arguments say what one of the arguments says. Which one a header stands for is
/// written in the tool's schema, which only its server has: the server compares further. Nothing is decided on them.
fn mirrored_parameters(headers: &HeaderMap, message: &Message) -> Result<(), NotUnderstood> {
    for name in headers.keys().filter(|name| name.as_str().starts_with(PARAMETER)) {
        let value = single(headers, name.as_str(), "a parameter")?.and_then(decoded);
        let value = value.ok_or(NotUnderstood::Ambiguous("a parameter"))?;
        let holds = message.arguments.as_ref().is_some_and(|arguments| arguments.holds(&value));
        if !holds || !matches!(message.target(), Some(Target::Tool(_))) {
            return Err(NotUnderstood::Ambiguous("a parameter"));
        }
    }
    Ok(())
}

/// Whether the head fits the protocol: headers that say one thing stand once, and what is resumed is a session's.
pub(in crate::sidecar) fn once(headers: &HeaderMap) -> Result<(), NotUnderstood> {
    single(headers, VERSION, "the protocol's version")?;
    let session = single(headers, super::session::HEADER, "the session")?;
    let last = single(headers, "last-event-id", "the last event")?;
    // Without one, nothing says whose the stream is.
    if last.is_some() && session.is_none() {
        return Err(NotUnderstood::Malformed { what: "the last event", expected: "one of a session" });
    }
    Ok(())
}

/// Whether the body is JSON in UTF-8 that every reader reads alike.
pub(in crate::sidecar) fn plain_json(headers: &HeaderMap) -> Result<(), NotUnderstood> {
    let kind = single(headers, header::CONTENT_TYPE.as_str(), "the type of the body")?.unwrap_or_default();
    let kind = kind.to_ascii_lowercase();
    let mut parts = kind.split(';').map(str::trim);
    let is_json = parts.next() == Some("application/json");
    let plain = parts.all(|part| matches!(part, "charset=utf-8" | "charset=\"utf-8\""));
    if is_json && plain && !headers.contains_key(header::CONTENT_ENCODING) { Ok(()) } else { Err(BODY) }
}

fn single<'h>(
    headers: &'h HeaderMap,
    name: &str,
    what: &'static str,
) -> Result<Option<&'h str>, NotUnderstood> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(NotUnderstood::Ambiguous(what));
    }
    value.to_str().map(Some).map_err(|_| NotUnderstood::Malformed { what, expected: "printable" })
}

/// A name as it was meant: what a header cannot carry stands in it as `=?base64?…?=`.
fn decoded(text: &str) -> Option<String> {
    let Some(encoded) = text.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) else {
        return Some(text.to_owned());
    };
    String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
}

const METHOD: &str = "mcp-method";
const NAME: &str = "mcp-name";
const VERSION: &str = "mcp-protocol-version";
const PARAMETER: &str = "mcp-param-";
const BODY: NotUnderstood =
    NotUnderstood::Malformed { what: "the body's type", expected: "application/json in UTF-8, not encoded" };
