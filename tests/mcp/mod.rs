//! MCP servers behind a sidecar, and the clients that find them from nothing but their address.

mod clients;
mod documents;
mod input;
mod registration;
mod servers;
mod sessions;

use serde_json::{Value, json};

use crate::support::script::Script;
use crate::support::{Answer, Application, Call, Person, Tokens, World, post};

/// Where the demo's MCP server stands.
const SERVER: &str = "/mcp";

/// A client that registered itself at the issuer.
async fn registered(issuer: &str, scope: &str) -> Application {
    let redirect_uri = "http://127.0.0.1:45672/callback";
    let metadata = json!({
        "client_name": "Assistant", "redirect_uris": [redirect_uri], "scope": scope,
        "token_endpoint_auth_method": "none",
    });
    let answer = post(format!("{issuer}/v1/register")).json(&metadata).send().await.expect(201);
    assert_eq!(answer["token_endpoint_auth_method"], "none", "{answer}");
    assert!(answer["client_secret"].is_null(), "{answer}");
    Application {
        issuer: issuer.to_owned(),
        client_id: answer["client_id"].as_str().unwrap().to_owned(),
        secret: None,
        redirect_uri: redirect_uri.to_owned(),
        scopes: scope.split(' ').map(str::to_owned).collect(),
    }
}

/// The tokens of a client that registered itself, once an administrator has authorized it.
async fn authorized(world: &World, scope: &str) -> (Application, Tokens) {
    let application = registered(&world.issuer, scope).await;
    let attempt = application.ask();
    let mut admin = Person::new(world, "admin@acme");
    let page = admin.visit(&attempt.url).await;
    let page = admin.authorize(&page, &[]).await;
    let tokens = application.tokens(&attempt, &page).await;
    (application, tokens)
}

/// `login`'s own tokens of an application that the account has authorized.
async fn signed_in(world: &World, application: &Application, login: &str) -> Tokens {
    let attempt = application.ask();
    let page = Person::new(world, login).visit(&attempt.url).await;
    application.tokens(&attempt, &page).await
}

/// A message to an MCP server.
fn message(url: &str, token: &str, body: &Value) -> Call {
    post(url).bearer(token).header("accept", "application/json, text/event-stream").json(body)
}

fn request(id: u64, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// Begins a session; gives its id.
async fn session(url: &str, token: &str) -> String {
    let params = json!({
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" },
    });
    let answer = message(url, token, &request(0, "initialize", &params)).send().await;
    answer.expect(200);
    answer.header("mcp-session-id").to_owned()
}

/// The JSON-RPC error of an answer.
#[track_caller]
fn error(answer: &Answer, status: u16, code: i64) -> Value {
    let body = answer.expect(status);
    assert_eq!(answer.header("content-type"), "application/json", "{body}");
    assert!(!answer.header("x-consentry-decision").is_empty());
    assert_eq!(body["jsonrpc"], "2.0", "{body}");
    assert_eq!(body["error"]["code"], code, "{body}");
    assert!(body["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    body["error"].clone()
}

/// The client's words about the end of what it watched, which is no lapse of its own patience: it may first try to
/// resume.
fn until_ended(script: &mut Script) -> Value {
    for _ in 0..5 {
        let said = script.hear();
        if said["watching"].is_null() {
            let words = said["error"].to_string().to_lowercase();
            assert!(!words.contains("timed out") && !words.contains("timeout"), "{said}");
            assert!(
                said["error"].is_object() || said["authorize"].is_string() || said["cut"] == true,
                "{said}"
            );
            return said;
        }
    }
    panic!("it never ended");
}
