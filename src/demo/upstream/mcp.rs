//! A small MCP server (streamable HTTP, version 2025-11-25 and before): tools that look, tools that change, one that no
//! scope gives, a prompt and a document. What a tool answers says for whom it was called.

use std::collections::HashSet;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{Method, StatusCode, header};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::streams::Events;
use crate::token::assertion::Assertion;
use crate::token::random::identifier;

/// The server with its sessions.
#[derive(Default)]
pub(super) struct Server {
    sessions: Mutex<HashSet<String>>,
}

impl Server {
    /// Answers one request.
    pub(super) fn answer(&self, head: &Parts, body: &str, identity: &Assertion) -> Response {
        let session = head.headers.get(SESSION).and_then(|value| value.to_str().ok());
        let known = session.is_some_and(|session| self.sessions.lock().contains(session));
        let message: Value = serde_json::from_str(body).unwrap_or_default();
        let method = message.get("method").and_then(Value::as_str).unwrap_or_default();
        if head.method == Method::POST && method == "initialize" {
            return self.initialize(&message);
        }
        if !known {
            let status = if session.is_some() { StatusCode::NOT_FOUND } else { StatusCode::BAD_REQUEST };
            return failed(status, &Value::Null, -32000, "Bad Request: no valid session");
        }
        if head.method == Method::DELETE {
            self.sessions.lock().remove(session.unwrap_or_default());
            return StatusCode::OK.into_response();
        }
        if head.method == Method::GET {
            return said(json!({
                "jsonrpc": "2.0", "method": "notifications/message",
                "params": { "level": "info", "data": "nothing has changed" },
            }));
        }
        let Some(id) = message.get("id") else { return StatusCode::ACCEPTED.into_response() };
        request(method, id, message.get("params").unwrap_or(&Value::Null), identity)
    }

    fn initialize(&self, message: &Value) -> Response {
        let Ok(session) = identifier() else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
        let mut sessions = self.sessions.lock();
        if sessions.len() >= MOST_SESSIONS {
            sessions.clear();
        }
        sessions.insert(session.clone());
        drop(sessions);
        let asked = message.pointer("/params/protocolVersion").and_then(Value::as_str).unwrap_or_default();
        let version = if VERSIONS.contains(&asked) { asked } else { "2025-11-25" };
        let result = json!({
            "protocolVersion": version,
            "capabilities": { "tools": {}, "prompts": {}, "resources": {}, "logging": {} },
            "serverInfo": { "name": "consentry-demo", "version": env!("CARGO_PKG_VERSION") },
        });
        let mut response = done(message.get("id").unwrap_or(&Value::Null), &result);
        if let Ok(value) = session.parse() {
            response.headers_mut().insert(SESSION, value);
        }
        response
    }
}

fn request(method: &str, id: &Value, params: &Value, identity: &Assertion) -> Response {
    let text = |name: &str| params.get(name).and_then(Value::as_str).unwrap_or_default();
    match method {
        "ping" | "logging/setLevel" => done(id, &json!({})),
        "tools/list" => done(id, &json!({ "tools": TOOLS.iter().map(tool).collect::<Vec<_>>() })),
        "tools/call" => call(text("name"), id, params, identity),
        "prompts/list" => done(
            id,
            &json!({ "prompts": [{ "name": PROMPT, "description": "Asks for a look at all servers." }] }),
        ),
        "prompts/get" if text("name") == PROMPT => {
            let content = json!({ "type": "text", "text": "Look at all servers and say what is unusual." });
            done(id, &json!({ "messages": [{ "role": "user", "content": content }] }))
        }
        "resources/list" => {
            done(id, &json!({ "resources": [{ "uri": GUIDE, "name": "guide", "mimeType": "text/plain" }] }))
        }
        "resources/templates/list" => done(id, &json!({ "resourceTemplates": [] })),
        "resources/read" if text("uri") == GUIDE => {
            let content =
                json!({ "uri": GUIDE, "mimeType": "text/plain", "text": "Look first, change later." });
            done(id, &json!({ "contents": [content] }))
        }
        "prompts/get" | "resources/read" => failed(StatusCode::OK, id, -32602, "there is none of this name"),
        _ => failed(StatusCode::OK, id, -32601, "Method not found"),
    }
}

fn call(name: &str, id: &Value, params: &Value, identity: &Assertion) -> Response {
    if !TOOLS.iter().any(|(known, _)| *known == name) {
        return failed(StatusCode::OK, id, -32602, "there is no tool of this name");
    }
    if name == "watch_instances" {
        let token = params.pointer("/_meta/progressToken").unwrap_or(id);
        return said(json!({
            "jsonrpc": "2.0", "method": "notifications/progress",
            "params": { "progressToken": token, "progress": 0 },
        }));
    }
    let arguments = params.get("arguments").unwrap_or(&Value::Null);
    let told = json!({
        "tool": name, "arguments": arguments, "account": identity.aid, "user": identity.uid,
        "application": identity.act.sub, "scope": identity.scope,
    });
    done(id, &json!({ "content": [{ "type": "text", "text": told.to_string() }] }))
}

fn tool((name, description): &(&str, &str)) -> Value {
    let instance = json!({ "type": "object", "properties": { "instance": { "type": "string" } } });
    json!({ "name": name, "description": description, "inputSchema": instance })
}

fn done(id: &Value, result: &Value) -> Response {
    json_body(StatusCode::OK, &json!({ "jsonrpc": "2.0", "id": id, "result": result }))
}

fn failed(status: StatusCode, id: &Value, code: i32, message: &str) -> Response {
    let error = json!({ "code": code, "message": message });
    json_body(status, &json!({ "jsonrpc": "2.0", "id": id, "error": error }))
}

fn json_body(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// The same message again and again, without end; a progress rises.
fn said(mut message: Value) -> Response {
    let events = Events::new(move |count| {
        if let Some(progress) = message.pointer_mut("/params/progress") {
            *progress = json!(count);
        }
        format!("event: message\ndata: {message}\n\n")
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    (headers, Body::new(events)).into_response()
}

const SESSION: &str = "mcp-session-id";
const VERSIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
const PROMPT: &str = "review_servers";
const GUIDE: &str = "demo://guide";
const MOST_SESSIONS: usize = 10_000;

const TOOLS: [(&str, &str); 6] = [
    ("describe_instances", "Shows the servers."),
    ("list_buckets", "Shows the buckets."),
    ("watch_instances", "Tells what the servers do, without end."),
    ("start_instance", "Starts a server."),
    ("stop_instance", "Stops a server."),
    ("close_account", "Ends everything. No scope gives it."),
];
