//! The SDKs of MCP as clients, unmodified: from nothing but the server's address to tool calls and their end.

use serde_json::{Value, json};

use super::{SERVER, error, message, request, session, signed_in, until_ended};
use crate::support::script::Script;
use crate::support::{Person, World, eventually, html};

#[tokio::test]
async fn the_typescript_sdk_of_version_1_finds_its_way_and_asks_for_more_when_it_needs_more() {
    finds_its_way("mcp.mjs", &json!({ "library": "v1" }), false).await;
}

#[tokio::test]
async fn the_typescript_sdk_of_version_2_finds_its_way_and_asks_for_more_when_it_needs_more() {
    finds_its_way("mcp.mjs", &json!({ "library": "v2", "mode": "auto" }), true).await;
}

#[tokio::test]
async fn the_python_sdk_finds_its_way_and_asks_for_more_when_it_needs_more() {
    finds_its_way("mcp_client.py", &json!({ "mode": "auto" }), true).await;
}

/// `refresh`: whether the client asks for a refresh token by itself.
async fn finds_its_way(name: &str, facts: &Value, refresh: bool) {
    let world = World::start().await;
    let mut admin = Person::new(&world, "admin@acme");
    let mut script = start(&world, name, facts, SERVER);

    // 401, discovery, registration: and a person is asked for what the server's own metadata names, and no more.
    let asked = authorize(&script.hear());
    assert!(asked.contains("resource=") && asked.contains("mcp-server%3Aread"), "{asked}");
    let page = admin.visit(&asked).await;
    let text = page.text();
    assert!(text.contains("Nobody has verified") && text.contains("127.0.0.1:45673"), "{text}");
    let consent = page.consent();
    assert!(consent.required.contains(&"/acs/mcp-server:read".to_owned()), "{consent:?}");
    assert!(!consent.required.contains(&"/acs/mcp-server:write".to_owned()), "{consent:?}");
    let page = admin.authorize(&page, &[]).await;
    let connected = script.ask(&json!({ "redirect": page.left().as_str() }));
    assert_eq!(connected["connected"], true, "{connected}");
    assert_eq!(connected["refresh"], refresh, "{connected}");

    // What is shown is what can be called, and what is called says for whom.
    let mut order = |order: Value| script.ask(&order);
    let looking = json!(["describe_instances", "list_buckets", "watch_instances"]);
    assert_eq!(order(json!({ "do": "list" }))["tools"], looking);
    assert_eq!(order(json!({ "do": "prompts" }))["prompts"], json!(["review_servers"]));
    assert_eq!(order(json!({ "do": "resources" }))["resources"], json!(["demo://guide"]));
    let said = order(json!({ "do": "call", "tool": "list_buckets" }));
    let text = said["content"][0]["text"].as_str().unwrap_or_default();
    assert!(text.contains(connected["client_id"].as_str().unwrap()), "{said}");

    // No scope gives it: an error, and nobody is sent to authorize.
    let never = order(json!({ "do": "call", "tool": "close_account" }));
    assert_eq!(never["error"]["code"], -32003, "{never}");
    assert_eq!(never["error"]["data"]["code"], "access_denied", "{never}");

    // Another scope gives it: somebody is asked for it, and what was asked for goes on.
    let asked = authorize(&order(json!({ "do": "call", "tool": "stop_instance" })));
    assert!(asked.contains("mcp-server%3Aread") && asked.contains("mcp-server%3Awrite"), "{asked}");
    let page = admin.visit(&asked).await;
    assert!(page.consent().checked.contains(&"/acs/mcp-server:write".to_owned()), "{:?}", page.consent());
    let page = admin.authorize(&page, &["/acs/mcp-server:write"]).await;
    let said = order(json!({ "redirect": page.left().as_str() }));
    let text = said["content"][0]["text"].as_str().unwrap_or_default();
    assert!(text.contains("stop_instance"), "{said}");
    let all = order(json!({ "do": "list" }));
    assert_eq!(all["tools"].as_array().map(Vec::len), Some(5), "{all}");

    // Deleted in the middle of a stream: it ends, and what comes after is a new beginning.
    assert_eq!(order(json!({ "do": "watch", "tool": "watch_instances" }))["watching"], true);
    let path = format!("/applications/{}", connected["client_id"].as_str().unwrap());
    let receipt = world.api("acme", "DELETE", &path).send().await.expect(200);
    assert!(receipt["streams_closed"].as_u64() >= Some(1), "{receipt}");
    until_ended(&mut script);
}

#[tokio::test]
async fn the_official_application_works_as_it_is_shipped() {
    official("mcp_client.py", &json!({ "mode": "auto" })).await;
}

#[tokio::test]
async fn the_official_application_works_with_the_typescript_sdk_of_version_1() {
    official("mcp.mjs", &json!({ "library": "v1" })).await;
}

#[tokio::test]
async fn the_official_application_works_with_the_typescript_sdk_of_version_2() {
    official("mcp.mjs", &json!({ "library": "v2", "mode": "auto" })).await;
}

/// Provisioned, assigned, agreed to, used, withdrawn in person, agreed to again, and assigned no more.
async fn official(name: &str, facts: &Value) {
    let world = World::start().await;
    crate::official::provision(&world).await;
    let application = world.application("openapi-mcp-server");
    let assign = async |change: Value| {
        let path = format!("/applications/{}/assignments", application.client_id);
        world.api("acme", "PATCH", &path).json(&change).send().await.expect(200);
    };
    assign(json!({ "add": { "users": ["alice@acme"] } })).await;
    let bob = world.first_access(&application, "bob@acme").await;
    assert!(bob.status == 403 && bob.text().contains("not assigned"), "{} {}", bob.status, bob.text());
    let account = &world.account("acme").id;
    let path = format!("/accounts/{account}/system/ecs/servers/id/17/mcp");
    let mut facts = facts.clone();
    facts["client_id"] = json!(application.client_id);
    let mut script = start(&world, name, &facts, &path);

    // Its user is asked in person; everybody else has been decided about.
    let mut alice = Person::new(&world, "alice@acme");
    let agreed = agrees(&mut alice, &authorize(&script.hear())).await;
    assert_eq!(script.ask(&agreed)["connected"], true);
    let mut order = |order: Value| script.ask(&order);
    let stop = || json!({ "do": "call", "tool": "stop_instance" });
    let works = |said: &Value| {
        let text = said["content"][0]["text"].as_str().unwrap_or_default();
        assert!(text.contains(account.as_str()) && text.contains(&application.client_id), "{said}");
    };
    let listed = order(json!({ "do": "list" }));
    let listed = listed["tools"].as_array().unwrap();
    assert!(
        listed.contains(&json!("stop_instance")) && !listed.contains(&json!("close_account")),
        "{listed:?}"
    );
    works(&order(stop()));
    eventually("the call is recorded", || async {
        let told = world.api("acme", "GET", "/decisions?limit=20").send().await.expect(200).to_string();
        let whole = "system/ecs/servers/17/tools/stop_instance";
        (told.contains("mcp-server:CallTool/stop_instance") && told.contains(whole)).then_some(())
    })
    .await;

    // Withdrawn by herself: her tokens are over, and the next call asks her again, in the protocol's own shape.
    let url = format!("{}{path}", world.sidecar);
    let tokens = signed_in(&world, &application, "alice@acme").await;
    session(&url, &tokens.access).await;
    withdraws(&world, &mut alice, &application.client_id).await;
    let call = request(7, "tools/call", &json!({ "name": "stop_instance", "arguments": {} }));
    let refused = message(&url, &tokens.access, &call).send().await;
    assert_eq!(error(&refused, 401, -32003)["data"]["code"], "invalid_token");
    let challenge = refused.header("www-authenticate");
    assert!(challenge.contains("invalid_token") && challenge.contains("resource_metadata"), "{challenge}");
    let asked = authorize(&order(stop()));
    works(&order(agrees(&mut alice, &asked).await));

    // Assigned no more: an error that sends nobody to authorize.
    assign(json!({ "remove": { "users": ["alice@acme"] } })).await;
    let said = order(stop());
    assert_eq!(said["error"]["code"], -32003, "{said}");
    assert_eq!(said["error"]["data"]["code"], "not_assigned", "{said}");
}

/// Asked in person, somebody agrees; what the client is told of it.
async fn agrees(person: &mut Person, asked: &str) -> Value {
    let page = person.visit(asked).await;
    assert!(page.text().contains("Your own consent"), "{}", page.text());
    let page = person.submit(&page, &page.consent().form, &[("decision", "authorize")]).await;
    json!({ "redirect": page.left().as_str() })
}

/// Takes their consent back, on their own page.
async fn withdraws(world: &World, person: &mut Person, client_id: &str) {
    let page = person.visit(format!("{}/me", world.issuer)).await;
    let action = format!("/me/applications/{client_id}/withdraw");
    let form = html::forms(&page.html).into_iter().find(|form| form.action == action);
    let page = person.submit(&page, &form.unwrap_or_else(|| panic!("{}", page.text())), &[]).await;
    assert!(page.status < 400, "{} {}", page.status, page.text());
}

fn start(world: &World, name: &str, facts: &Value, path: &str) -> Script {
    let mut facts = facts.clone();
    facts["server"] = json!(format!("{}{path}", world.sidecar));
    facts["redirect_uri"] = json!("http://127.0.0.1:45673/callback");
    Script::start(name, &facts)
}

/// The address that the client sends its person to.
#[track_caller]
fn authorize(said: &Value) -> String {
    said["authorize"].as_str().unwrap_or_else(|| panic!("nobody is sent to authorize: {said}")).to_owned()
}
