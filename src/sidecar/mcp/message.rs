//! One JSON-RPC message of a client (JSON-RPC 2.0 §4; MCP, "Base Protocol").
//!
//! Comes in: the bytes of a body. Goes out: what it asks for, or why it is not understood. A body holds one message: a
//! batch would be several calls with one decision. Members whose names differ from the protocol's in letter case alone
//! are refused too, for some readers take them for the same.

use serde_json::Value;

use super::json::{Json, Unreadable};
use super::resource::Uri;
use crate::sidecar::adapter::NotUnderstood;

/// A message, as far as a decision needs it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::sidecar) struct Message {
    /// Its id, to be said in the answer; none of what wants no answer.
    pub(in crate::sidecar) id: Option<Value>,
    /// What it is.
    pub(in crate::sidecar) said: Said,
    /// The protocol's version, where the message itself says it.
    pub(in crate::sidecar) version: Option<String>,
    /// What a tool is called with.
    pub(super) arguments: Option<Json>,
}

/// What a message is.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::sidecar) enum Said {
    /// It wants something done, and an answer.
    Request(String, Option<Target>),
    /// It tells something.
    Notification(String),
    /// It answers what the server has asked.
    Response,
}

/// What a request is about, by its name at the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sidecar) enum Target {
    Tool(String),
    Prompt(String),
    /// By its URI, or the template of one.
    Resource(Uri),
    /// Resources whose changes are to be told.
    Watched(Vec<Uri>),
}

/// Why a body is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sidecar) enum Unfit {
    /// It is no JSON.
    Syntax,
    /// A member stands twice, or in two spellings.
    Twice,
    /// It holds several.
    Batch,
    /// A part of it is not what it should be.
    Part(&'static str, &'static str),
}

impl Message {
    /// Reads a body.
    pub(in crate::sidecar) fn parse(body: &[u8]) -> Result<Self, Unfit> {
        let json = Json::parse(body).map_err(|why| match why {
            Unreadable::Syntax => Unfit::Syntax,
            Unreadable::Twice => Unfit::Twice,
        })?;
        match &json {
            Json::Object(_) => {}
            Json::Array(_) => return Err(Unfit::Batch),
            Json::Text(_) | Json::Number(_) | Json::Null | Json::Bool(_) => {
                return Err(Unfit::Part("the body", "a JSON-RPC message"));
            }
        }
        if json.names().any(|name| !MEMBERS.contains(&name)) {
            return Err(Unfit::Part("a member of the message", "one that JSON-RPC knows"));
        }
        if json.get("jsonrpc").and_then(Json::text) != Some("2.0") {
            return Err(Unfit::Part("jsonrpc", "\"2.0\""));
        }
        let id = id(&json)?;
        let version = version(json.get("params"))?;
        let answers = json.get("result").is_some() || json.get("error").is_some();
        let said = match (json.get("method"), id.is_some()) {
            (Some(_), _) if answers => {
                return Err(Unfit::Part("the message", "either a request or an answer"));
            }
            (Some(method), wants_answer) => {
                let method = method.text().filter(|text| is_method(text)).ok_or(METHOD)?.to_owned();
                if wants_answer {
                    let target = target(&method, json.get("params"))?;
                    Said::Request(method, target)
                } else if method.starts_with("notifications/") {
                    Said::Notification(method)
                } else {
                    // Some servers do what is asked whether or not an answer is wanted.
                    return Err(Unfit::Part("a request without an id", "a notification"));
                }
            }
            (None, _) if answers => Said::Response,
            (None, _) => return Err(METHOD),
        };
        let arguments = json.into_member("params").and_then(|params| params.into_member("arguments"));
        Ok(Self { id: id.filter(|_| said != Said::Response), said, version, arguments })
    }

    /// The method, unless it is an answer.
    pub(super) fn method(&self) -> Option<&str> {
        match &self.said {
            Said::Request(method, _) | Said::Notification(method) => Some(method),
            Said::Response => None,
        }
    }

    /// What it is about.
    pub(in crate::sidecar) fn target(&self) -> Option<&Target> {
        match &self.said {
            Said::Request(_, target) => target.as_ref(),
            Said::Notification(_) | Said::Response => None,
        }
    }
}

impl Target {
    /// How many decisions it takes to know whether it may be called, by all of its names.
    pub(super) fn decisions(&self) -> usize {
        match self {
            Self::Tool(_) | Self::Prompt(_) => 1,
            Self::Resource(uri) => uri.others().len().saturating_add(1),
            Self::Watched(uris) => uris.iter().map(|uri| uri.others().len().saturating_add(1)).sum(),
        }
    }

    /// Its one name, if it is one thing.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Tool(name) | Self::Prompt(name) => Some(name),
            Self::Resource(uri) => Some(uri.as_str()),
            Self::Watched(_) => None,
        }
    }
}

impl From<Unfit> for NotUnderstood {
    fn from(unfit: Unfit) -> Self {
        match unfit {
            Unfit::Syntax => Self::Malformed { what: "the body", expected: "JSON that can be read" },
            Unfit::Twice => Self::Ambiguous("a member of the message"),
            Unfit::Batch => {
                Self::Malformed { what: "a batch", expected: "taken here: send its messages one by one" }
            }
            Unfit::Part(what, expected) => Self::Malformed { what, expected },
        }
    }
}

fn id(json: &Json) -> Result<Option<Value>, Unfit> {
    match json.get("id") {
        None => Ok(None),
        Some(Json::Text(text)) if text.len() <= LONGEST_NAME => Ok(Some(Value::from(text.as_str()))),
        Some(Json::Number(number)) => Ok(Some(Value::Number(number.clone()))),
        Some(Json::Text(_) | Json::Object(_) | Json::Array(_) | Json::Null | Json::Bool(_)) => {
            Err(Unfit::Part("id", "a short text or a number"))
        }
    }
}

fn version(params: Option<&Json>) -> Result<Option<String>, Unfit> {
    let said = params.and_then(|params| params.get("_meta")).and_then(|meta| meta.get(VERSION));
    said.map(|said| said.text().map(str::to_owned).ok_or(Unfit::Part("the protocol's version", "a text")))
        .transpose()
}

fn target(method: &str, params: Option<&Json>) -> Result<Option<Target>, Unfit> {
    if let Some(params) = params {
        if !matches!(params, Json::Object(_)) {
            return Err(Unfit::Part("params", "an object"));
        }
        only_spelled(params, &["name", "uri", "ref", "arguments", "notifications", "_meta", "task"])?;
    }
    let target = match method {
        "tools/call" => Target::Tool(name(params, "name")?),
        "prompts/get" => Target::Prompt(name(params, "name")?),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => Target::Resource(uri(params)?),
        "subscriptions/listen" => return watched(params),
        "completion/complete" => {
            let about = params.and_then(|params| params.get("ref"));
            about.map_or(Ok(()), |about| only_spelled(about, &["type", "name", "uri"]))?;
            match about.and_then(|about| about.get("type")).and_then(Json::text) {
                Some("ref/prompt") => Target::Prompt(name(about, "name")?),
                Some("ref/resource") => Target::Resource(uri(about)?),
                Some(_) | None => {
                    return Err(Unfit::Part("params.ref", "a reference to a prompt or a resource"));
                }
            }
        }
        _ => return Ok(None),
    };
    Ok(Some(target))
}

/// Refuses members that some readers would take for one of `names`: no name of the protocol has a character that is not
/// printable ASCII, and readers differ in what they fold and where they stop.
fn only_spelled(object: &Json, names: &[&str]) -> Result<(), Unfit> {
    if !object.names().all(|found| found.bytes().all(|byte| matches!(byte, b' '..=b'~'))) {
        return Err(Unfit::Part("the name of a parameter", "printable ASCII"));
    }
    let alike = |found: &str| names.iter().any(|name| *name != found && found.eq_ignore_ascii_case(name));
    if object.names().any(alike) { Err(Unfit::Twice) } else { Ok(()) }
}

fn name(params: Option<&Json>, member: &str) -> Result<String, Unfit> {
    let text = params.and_then(|params| params.get(member)).and_then(Json::text);
    let fits =
        |text: &&str| !text.is_empty() && text.len() <= LONGEST_NAME && !text.chars().any(char::is_control);
    let expected = "a text of 1 to 256 bytes without control characters";
    text.filter(fits).map(str::to_owned).ok_or(Unfit::Part("the name", expected))
}

fn uri(params: Option<&Json>) -> Result<Uri, Unfit> {
    let text = params.and_then(|params| params.get("uri")).and_then(Json::text);
    text.and_then(Uri::read).ok_or(URI)
}

/// The resources whose changes are asked for.
fn watched(params: Option<&Json>) -> Result<Option<Target>, Unfit> {
    let Some(asked) = params.and_then(|params| params.get("notifications")) else { return Ok(None) };
    if !matches!(asked, Json::Object(_)) {
        return Err(Unfit::Part("params.notifications", "an object"));
    }
    only_spelled(asked, &["resourceSubscriptions"])?;
    let Some(list) = asked.get("resourceSubscriptions") else { return Ok(None) };
    let texts = list.texts().ok_or(Unfit::Part("resourceSubscriptions", "a list of at most 256 URIs"))?;
    let uris: Option<Vec<Uri>> = texts.iter().map(|text| Uri::read(text)).collect();
    uris.map(|uris| Some(Target::Watched(uris))).ok_or(URI)
}

fn is_method(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-' | b'.' | b'$');
    !text.is_empty() && text.len() <= LONGEST_NAME && text.bytes().all(plain)
}

const METHOD: Unfit = Unfit::Part("method", "a method's name");
const MEMBERS: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];
/// Where a request of the modern era says which version it speaks.
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const LONGEST_NAME: usize = 256;
const URI: Unfit = Unfit::Part(
    "the resource's URI",
    "a URI in its plain form: at most 2048 bytes, no dot segments, nothing escaped that need not be",
);
