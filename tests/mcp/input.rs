//! What is no plain message is refused in the protocol's own shape, recorded, and never reaches the server.

use serde_json::json;

use super::{SERVER, authorized, error, message, request, session};
use crate::support::{Call, World, eventually, get, post};

#[tokio::test]
async fn a_message_that_could_be_read_in_two_ways_reaches_no_server() {
    let world = World::start().await;
    let (application, tokens) = authorized(&world, "/acs/mcp-server:read").await;
    let url = format!("{}{SERVER}", world.sidecar);
    let session = session(&url, &tokens.access).await;
    let (before, _) = world.seen().await;
    let raw = |body: &str| raw(&url, &tokens.access, &session, body);
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let call = |name: &str| request(1, "tools/call", &json!({ "name": name })).to_string();
    let allowed = call("list_buckets");
    for (refused, status, code, why) in [
        // Twice, in whatever spelling, at whatever depth.
        (raw(&allowed.replace("{\"name\"", "{\"name\":\"stop_instance\",\"name\"")), 400, -32600, "twice"),
        (
            raw(&allowed.replace("{\"name\"", "{\"n\\u0061me\":\"stop_instance\",\"name\"")),
            400,
            -32600,
            "escaped",
        ),
        (raw(&ping.replace("\"id\"", "\"method\":\"tools/call\",\"id\"")), 400, -32600, "two methods"),
        (raw(&format!("[{ping}]")), 400, -32600, "a batch"),
        (raw(allowed.get(..allowed.len() - 3).unwrap()), 400, -32700, "truncated"),
        (raw(&format!("{ping}{}", " ".repeat(2 << 20))), 413, -32600, "oversized"),
        // Headers that say something else, or twice.
        (raw(&allowed).header("mcp-method", "tools/list"), 400, -32020, "another method"),
        (raw(&allowed).header("mcp-name", "describe_instances"), 400, -32020, "another name"),
        (raw(ping).header("mcp-method", "ping").header("mcp-method", "ping"), 400, -32020, "a header twice"),
        (raw(ping).header("content-encoding", "gzip"), 400, -32600, "encoded"),
        (raw(ping).header("mcp-session-id", "another"), 400, -32020, "two sessions"),
    ] {
        let answer = refused.send().await;
        assert_eq!(
            error(&answer, status, code)["data"]["decision"],
            answer.header("x-consentry-decision"),
            "{why}"
        );
    }
    assert_eq!(world.seen().await.0, before, "nothing reached the server");
    raw(&allowed)
        .header("mcp-method", "tools/call")
        .header("mcp-name", "list_buckets")
        .send()
        .await
        .expect(200);
    let path = format!("/decisions?application={}&limit=100", application.client_id);
    eventually("the refusals are recorded", || async {
        let told = world.api("acme", "GET", &path).send().await.expect(200).to_string();
        (told.contains("action_ambiguous") && told.contains("malformed_request")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn names_that_some_servers_read_otherwise_reach_none() {
    let world = World::start().await;
    let (_, tokens) = authorized(&world, "/acs/mcp-server:read").await;
    let url = format!("{}{SERVER}", world.sidecar);
    let session = session(&url, &tokens.access).await;
    let (before, _) = world.seen().await;
    let raw = |body: &str| raw(&url, &tokens.access, &session, body);
    let call = |name: &str| request(1, "tools/call", &json!({ "name": name })).to_string();
    let allowed = call("list_buckets");
    for (refused, status, code, why) in [
        (raw(&allowed).header("mcp-param-region", "eu"), 400, -32020, "a parameter that is none"),
        (raw(&call("list_buckets\u{0}")), 400, -32600, "a control character"),
        (
            raw(&allowed.replace("{\"name\"", "{\"name\\u0000\":\"stop_instance\",\"name\"")),
            400,
            -32600,
            "a name that some readers cut off",
        ),
        (
            raw(&request(1, "resources/read", &json!({ "uri": "demo://a/%0a" })).to_string()),
            400,
            -32600,
            "a URI",
        ),
        (
            raw(&request(
                1,
                "subscriptions/listen",
                &json!({ "notifications": { "resourceSubscriptions": "a://b" } }),
            )
            .to_string()),
            400,
            -32600,
            "what is watched",
        ),
    ] {
        let answer = refused.send().await;
        let told = error(&answer, status, code);
        assert_eq!(told["data"]["decision"], answer.header("x-consentry-decision"), "{why}");
    }
    assert_eq!(world.seen().await.0, before, "nothing reached the server");
}

#[tokio::test]
async fn who_has_no_token_is_told_where_to_get_one_and_for_what() {
    let world = World::start().await;
    let url = format!("{}{SERVER}", world.sidecar);
    let answer = post(&url).json(&request(1, "ping", &json!({}))).send().await;
    error(&answer, 401, -32003);
    let metadata = format!("{}/.well-known/oauth-protected-resource/mcp", world.sidecar);
    assert_eq!(answer.header("www-authenticate"), format!("Bearer resource_metadata=\"{metadata}\""));
    let told = get(&metadata).send().await.expect(200);
    assert_eq!(told["resource"], json!(url), "{told}");
    assert_eq!(told["authorization_servers"], json!([world.issuer]), "{told}");
    assert_eq!(told["scopes_supported"], json!(["/acs/mcp-server:read"]), "{told}");
    let issuer =
        get(format!("{}/.well-known/oauth-authorization-server", world.issuer)).send().await.expect(200);
    assert_eq!(issuer["registration_endpoint"], json!(format!("{}/v1/register", world.issuer)), "{issuer}");
    assert_eq!(issuer["client_id_metadata_document_supported"], true, "{issuer}");
}

#[tokio::test]
async fn what_more_scopes_would_allow_is_challenged_and_what_none_would_is_an_error_of_the_protocol() {
    let world = World::start().await;
    let (application, tokens) = authorized(&world, "/acs/mcp-server:read").await;
    let url = format!("{}{SERVER}", world.sidecar);
    let call =
        |name: &str| message(&url, &tokens.access, &request(7, "tools/call", &json!({ "name": name })));
    let (before, _) = world.seen().await;
    let more = call("stop_instance").send().await;
    error(&more, 403, -32003);
    let challenge = more.header("www-authenticate");
    assert!(challenge.contains("error=\"insufficient_scope\""), "{challenge}");
    assert!(challenge.contains("scope=\"/acs/mcp-server:read /acs/mcp-server:write\""), "{challenge}");
    for name in ["close_account", "no_such_tool", "LIST_BUCKETS"] {
        let never = call(name).send().await;
        assert_eq!(error(&never, 200, -32003)["data"]["code"], "access_denied", "{name}");
        assert_eq!(never.json()["id"], 7);
        assert_eq!(never.header("www-authenticate"), "", "authorizing anew would not help");
    }
    // What wants no answer can only be refused by HTTP.
    let told = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": {} });
    message(&url, "no.such.token", &told).send().await.expect(401);
    assert_eq!(world.seen().await.0, before, "nothing reached the server");

    // Deleted: its token is worth nothing, and to authorize anew is what helps.
    let path = format!("/applications/{}", application.client_id);
    world.api("acme", "DELETE", &path).send().await.expect(200);
    let gone = call("list_buckets").send().await;
    error(&gone, 401, -32003);
    assert!(gone.header("www-authenticate").contains("error=\"invalid_token\""));
}

#[tokio::test]
async fn another_accounts_server_is_not_reached_by_its_address() {
    let world = World::start().await;
    let (_, tokens) = authorized(&world, "/acs/mcp-server").await;
    let at = |alias: &str| {
        let account = &world.account(alias).id;
        format!("{}/accounts/{account}/custom/x/id/1/mcp", world.sidecar)
    };
    session(&at("acme"), &tokens.access).await;
    let refused = message(&at("globex"), &tokens.access, &request(1, "ping", &json!({}))).send().await;
    assert_eq!(error(&refused, 200, -32003)["data"]["code"], "access_denied");
}

/// These bytes, as a message in a session.
fn raw(url: &str, token: &str, session: &str, body: &str) -> Call {
    let call = post(url).bearer(token).header("content-type", "application/json");
    call.header("mcp-session-id", session).body(body.to_owned())
}
