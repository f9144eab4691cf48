//! What an MCP server answers to `tools/list`: each tool is an operation, by its own name.
//!
//! What reads follows from `readOnlyHint` alone. It is the server's own word: a server that says so and does otherwise
//! is caught by nothing here, so the reason says whose word it is.

use serde::Deserialize;

use super::document;
use super::operation::{NotAProduct, Operation, Part, Product, plain};

#[derive(Deserialize)]
struct Answer {
    result: Option<List>,
    tools: Option<Vec<Tool>>,
    #[serde(rename = "nextCursor")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct List {
    tools: Vec<Tool>,
    #[serde(rename = "nextCursor")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Tool {
    name: String,
    #[serde(default)]
    annotations: Annotations,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Annotations {
    read_only_hint: Option<bool>,
    destructive_hint: Option<bool>,
}

/// Reads an answer, with or without the JSON-RPC around it.
pub(super) fn read(text: &str) -> Result<Product, NotAProduct> {
    let answer: Answer = document::json(text, EXPECTED)?;
    let (tools, next) = match (answer.result, answer.tools) {
        (Some(list), None) => (list.tools, list.next),
        (None, Some(tools)) => (tools, answer.next),
        (Some(_), Some(_)) | (None, None) => {
            let why = "it has one list of `tools`, by itself or in `result`".to_owned();
            return Err(NotAProduct::Unreadable { expected: EXPECTED, why });
        }
    };
    if next.is_some_and(|cursor| !cursor.is_empty()) {
        let why =
            "the list goes on (`nextCursor`): ask for the rest, and put all tools into one list".to_owned();
        return Err(NotAProduct::Operation(why));
    }
    if tools.len() > document::MOST {
        return Err(NotAProduct::Operation(format!("there are more than {} tools", document::MOST)));
    }
    let operations = tools.iter().map(operation).collect::<Result<_, _>>()?;
    Ok(Product { name: None, title: None, operations, always: PROTOCOL })
}

fn operation(tool: &Tool) -> Result<Operation, NotAProduct> {
    let shown = plain(&tool.name);
    let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b'$');
    if !(1..=128).contains(&tool.name.len()) || !tool.name.bytes().all(named) {
        return Err(NotAProduct::Operation(format!(
            "the tool {shown:?} has a name that no action can have: letters, digits, _ - . / and $ only, at most 128"
        )));
    }
    let Annotations { read_only_hint, destructive_hint } = tool.annotations;
    let (part, why) = match (read_only_hint, destructive_hint) {
        // Who says both says nothing.
        (Some(true), Some(true)) => (Part::Write, "the server says that it only reads, and that it destroys"),
        (Some(true), Some(false) | None) => (Part::Read, "the server says that it only reads"),
        (Some(false) | None, Some(true)) => (Part::Write, "the server says that it may destroy"),
        (Some(false) | None, Some(false)) => {
            (Part::Write, "the server says that it changes, and destroys nothing")
        }
        (Some(false), None) => (Part::Write, "the server says that it changes"),
        (None, None) => (Part::Write, "the server does not say that it only reads"),
    };
    let name = format!("CallTool/{}", tool.name);
    Ok(Operation { name, part, why: format!("the tool {shown}: {why}"), origin: format!("the tool {shown}") })
}

/// What a client needs to talk to a server at all, and to see what there is.
const PROTOCOL: &[&str] = &[
    "Initialize",
    "Discover",
    "Ping",
    "Notify",
    "Respond",
    "OpenStream",
    "Listen",
    "CloseSession",
    "SetLevel",
    "ListTools",
];
const EXPECTED: &str = "an MCP server's answer to tools/list";
