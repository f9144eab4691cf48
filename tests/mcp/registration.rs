//! Applications that register themselves are strangers: authorized like any other, under the account's own rules.

use serde_json::{Value, json};

use super::{authorized, registered};
use crate::support::fleet::Fleet;
use crate::support::world::run;
use crate::support::{Answer, Person, World, eventually, post};

async fn register(world: &World, metadata: &Value) -> Answer {
    post(format!("{}/v1/register", world.issuer)).json(metadata).send().await
}

#[tokio::test]
async fn a_stranger_is_shown_as_one_and_does_nothing_before_it_is_authorized() {
    let world = World::start().await;
    let application = registered(&world.issuer, "/acs/mcp-server:read").await;
    let attempt = application.ask();
    let alice = Person::new(&world, "alice@acme").visit(&attempt.url).await;
    let text = alice.text();
    assert!(
        !alice.has_left() && text.contains("administrator") && text.contains("Nobody has verified"),
        "{text}"
    );
    let mut admin = Person::new(&world, "admin@acme");
    let page = admin.visit(&attempt.url).await;
    let text = page.text();
    assert!(text.contains("Nobody has verified") && text.contains("not verified"), "{text}");
    assert!(text.contains("http://127.0.0.1:45672/callback"), "{text}");
    let page = admin.reject(&page).await;
    assert_eq!(page.returned("error").as_deref(), Some("access_denied"));
    assert!(world.installed("acme").await.is_empty());
    // What it has not registered does not get an answer.
    let elsewhere = application.ask_for("openid", &[("redirect_uri", "https://evil.example/")]);
    assert!(!admin.visit(&elsewhere.url).await.has_left());
}

#[tokio::test]
async fn the_accounts_own_rules_hold_for_strangers() {
    let world = World::start().await;
    let before = world.api("acme", "GET", "/tenant-policy").send().await.expect(200);
    let refuse = json!({
        "revision": before["revision"], "unknown_applications": "refuse", "request_days": 7,
        "message": "Ask the help desk.", "blocked": [], "preapproved": [],
    });
    let put = world.api("acme", "PUT", "/tenant-policy").json(&refuse).send().await;
    assert!([200, 204].contains(&put.status), "{} {}", put.status, put.text());
    let application = registered(&world.issuer, "/acs/mcp-server:read").await;
    let page = Person::new(&world, "alice@acme").visit(&application.ask().url).await;
    assert!(page.text().contains("Ask the help desk."), "{}", page.text());
    // Blocked: for administrators too.
    let rule = format!("/tenant-policy/applications/{}", application.client_id);
    let blocked = json!({ "rule": "blocked", "word": "Not this one." });
    let answer = world.api("acme", "PUT", &rule).json(&blocked).send().await;
    assert!(answer.status < 300, "{} {}", answer.status, answer.text());
    let page = Person::new(&world, "admin@acme").visit(&application.ask().url).await;
    assert!(!page.asks_consent() && page.text().contains("Not this one."), "{}", page.text());
}

#[tokio::test]
async fn what_cannot_be_registered_is_told_why_and_too_many_are_refused() {
    let world = World::start().await;
    for (metadata, why) in [
        (json!({}), "invalid_redirect_uri"),
        (json!({ "redirect_uris": ["http://evil.example/cb"] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": ["javascript:alert(1)"] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": ["https://a.example/#x"] }), "invalid_redirect_uri"),
        (json!({ "redirect_uris": "https://a.example/" }), "invalid_client_metadata"),
        (json!([1]), "invalid_client_metadata"),
        (
            json!({ "redirect_uris": ["https://a.example/"], "grant_types": ["implicit"] }),
            "invalid_client_metadata",
        ),
    ] {
        register(&world, &metadata).await.expect_oauth_error(400, why);
    }
    // A secret that anybody can ask for proves nothing: none is given.
    let wants = json!({
        "redirect_uris": ["https://a.example/cb"], "token_endpoint_auth_method": "client_secret_basic",
        "client_name": "<b>OpenAPI</b>\u{202e} MCP Server of the cloud", "scope": "openid /acs/ecs /acs/mcp-server",
    });
    let told = register(&world, &wants).await.expect(201);
    assert_eq!((&told["client_secret"], &told["token_endpoint_auth_method"]), (&Value::Null, &json!("none")));
    let scope = told["scope"].as_str().unwrap();
    assert!(scope.contains("/acs/mcp-server") && !scope.contains("/acs/ecs"), "{scope}");
    let name = told["client_name"].as_str().unwrap();
    assert!(name.chars().count() <= 24 && !name.contains('\u{202e}'), "{name}");

    let plain = json!({ "redirect_uris": ["https://a.example/cb"] });
    let mut refused = None;
    for _ in 0..40 {
        let answer = register(&world, &plain).await;
        if answer.status != 201 {
            refused = Some(answer);
            break;
        }
    }
    refused.expect("there is an end").expect_oauth_error(503, "temporarily_unavailable");
}

#[tokio::test]
async fn a_stranger_gets_a_refresh_token_only_if_it_asks_for_one() {
    let world = World::start().await;
    let (application, _) = authorized(&world, "/acs/mcp-server:read").await;
    let without = [("access_type", "")];
    let attempt = application.ask_for("/acs/mcp-server:read", &without);
    let page = Person::new(&world, "alice@acme").visit(&attempt.url).await;
    let tokens = application.tokens(&attempt, &page).await;
    assert!(tokens.refresh.is_empty(), "so that a client which only refreshes asks its person instead");
    let attempt = application.ask_for("/acs/mcp-server:read offline_access", &without);
    let page = Person::new(&world, "alice@acme").visit(&attempt.url).await;
    let tokens = application.tokens(&attempt, &page).await;
    assert!(!tokens.refresh.is_empty());
    application.refresh(&tokens.refresh).await.expect(200);
}

#[tokio::test]
async fn what_the_operator_narrows_binds_who_registered_before() {
    let settings = "[registration]\ndynamic = true\nscopes = [\"/acs/mcp-server\"]";
    let mut fleet = Fleet::asleep_with(settings, "").await;
    fleet.wake().await;
    let application = registered(&fleet.world.issuer, "/acs/mcp-server:read").await;
    let mut admin = Person::new(&fleet.world, "admin@acme");
    let more = application.ask_for("/acs/mcp-server:read /acs/mcp-server:write offline_access", &[]);
    let offers = |page: &crate::support::Page| page.text().contains("/acs/mcp-server:write");
    assert!(offers(&admin.visit(&more.url).await));

    fleet.kill_control().await;
    fleet.set("[\"/acs/mcp-server\"]", "[\"/acs/mcp-server:read\"]");
    fleet.wake().await;
    let refused = admin.visit(&more.url).await;
    assert_eq!(refused.returned("error").as_deref(), Some("invalid_scope"));
    let less = application.ask_for("/acs/mcp-server:read offline_access", &[]);
    let page = admin.visit(&less.url).await;
    assert!(!offers(&page), "{}", page.text());
    let page = admin.authorize(&page, &[]).await;
    let tokens = application.tokens(&less, &page).await;
    assert_eq!(tokens.scope, ["/acs/mcp-server:read"]);
    // Nor by the admin API.
    let path = format!("/applications/{}/scopes", application.client_id);
    let add = json!({ "add": ["/acs/mcp-server:write"] });
    fleet.world.api("acme", "PATCH", &path).json(&add).send().await.expect(400);

    // And where no request is enough any more, one that came by a request gets nothing more.
    fleet.kill_control().await;
    fleet.set("dynamic = true", "dynamic = false");
    fleet.wake().await;
    let page = admin.visit(&less.url).await;
    assert!(page.status == 400 && page.text().contains("not registered"), "{}", page.text());
    application.refresh(&tokens.refresh).await.expect_oauth_error(401, "invalid_client");
}

#[tokio::test]
async fn an_operator_ends_one_stranger_in_every_account_and_no_other() {
    let world = World::start().await;
    let (one, of_one) = authorized(&world, "/acs/mcp-server:read offline_access").await;
    let (_, of_another) = authorized(&world, "/acs/mcp-server:read").await;
    let url = format!("{}{}", world.sidecar, super::SERVER);
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" } });
    let initialize = super::request(0, "initialize", &params);
    let works = async |token: &str| {
        let answer = super::message(&url, token, &initialize).send().await;
        answer.status == 200 && answer.text().contains("serverInfo")
    };
    assert!(works(&of_one.access).await);
    let data = world.data();
    let says = |word: &str, id: &str| run(&["registrations", "--data", data.to_str().unwrap(), word, id]);
    let client_id = one.client_id.as_str();

    let done = says("disable", client_id);
    assert!(done.status.success(), "{done:?}");
    eventually("it is refused", async || (!works(&of_one.access).await).then_some(())).await;
    one.refresh(&of_one.refresh).await.expect_oauth_error(401, "invalid_client");
    let page = Person::new(&world, "alice@acme").visit(&one.ask().url).await;
    assert!(page.status == 400 && page.text().contains("not registered"), "{}", page.text());
    assert!(works(&of_another.access).await);

    assert!(says("enable", client_id).status.success());
    eventually("it is let in again", async || works(&of_one.access).await.then_some(())).await;
    // What somebody has published is not an operator's to disable by this.
    let published = says("disable", &world.seed("report-hub").client_id);
    assert_eq!(published.status.code(), Some(1), "{published:?}");
    assert_eq!(says("disable", "https://app.example/never-seen").status.code(), Some(1));
}
