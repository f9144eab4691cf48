//! The console through the router, over the embedded store.

use axum::body::Body;
use axum::http::Request;

use super::{Answer, World};

/// A browser of somebody who is signed in.
pub(in crate::control) struct Browser<'a> {
    world: &'a World,
    cookie: String,
    pub(in crate::control) csrf: String,
}

impl<'a> Browser<'a> {
    pub(in crate::control) async fn of(world: &'a World, login: &str) -> Self {
        let (cookie, csrf) = world.session(login).await;
        Self { world, cookie, csrf }
    }

    pub(in crate::control) async fn open(&self, path: &str) -> Answer {
        let ask = Request::builder().uri(path).header("cookie", &self.cookie);
        self.world.send(ask.body(Body::empty()).unwrap()).await
    }

    pub(in crate::control) async fn post(&self, path: &str, fields: &str) -> Answer {
        self.post_raw(path, &format!("csrf={}&{fields}", self.csrf)).await
    }

    pub(in crate::control) async fn post_raw(&self, path: &str, body: &str) -> Answer {
        let ask = Request::builder()
            .method("POST")
            .uri(path)
            .header("cookie", &self.cookie)
            .header("origin", "http://127.0.0.1:8081")
            .header("content-type", "application/x-www-form-urlencoded");
        self.world.send(ask.body(Body::from(body.to_owned())).unwrap()).await
    }
}

const PAGE: &str = "/console/applications/report-hub";

#[tokio::test]
async fn an_administrator_sees_the_list_and_the_details() {
    let world = World::new().await;
    world.install("report-hub", "/acs/ecs:read").await;
    let admin = Browser::of(&world, "admin@acme").await;
    let list = admin.open("/console").await.expect(200);
    assert!(list.text.contains("Report &#60;Hub&#62;") && list.text.contains(PAGE), "{}", list.text);
    assert!(list.headers["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"));
    let details = admin.open(PAGE).await.expect(200);
    for word in
        ["report-hub", "admin@acme", "/acs/ecs:read", "help@globex.example", "Delete Application", "permit"]
    {
        assert!(details.text.contains(word), "{word}: {}", details.text);
    }
    assert!(!details.text.contains("<Hub>"));
}

#[tokio::test]
async fn nobody_else_sees_or_changes_anything() {
    let world = World::new().await;
    world.install("report-hub", "").await;
    let alice = Browser::of(&world, "alice@acme").await;
    let other = Browser::of(&world, "admin@globex").await;
    for path in ["", "/delete", "/assignments", "/consents"].map(|page| format!("{PAGE}{page}")) {
        let refused = alice.open(&path).await.expect(403);
        assert!(
            refused.text.contains("root@acme") && !refused.text.contains("Delete Application"),
            "{}",
            refused.text
        );
        other.open(&path).await.expect(404);
    }
    for action in ["suspend", "resume", "delete", "assignments", "consents"] {
        alice.post(&format!("{PAGE}/{action}"), "mode=all&login=alice%40acme").await.expect(403);
        other.post(&format!("{PAGE}/{action}"), "mode=all&login=alice%40acme").await.expect(404);
    }
    let grant = world.control.store().installed_in(&super::account(super::ACME)).await.unwrap();
    assert_eq!((grant.len(), grant[0].grant.revision.0), (1, 1));
}

#[tokio::test]
async fn who_is_not_logged_in_is_led_to_the_login_and_back() {
    let world = World::new().await;
    let ask = Request::builder().uri(PAGE).body(Body::empty()).unwrap();
    let answer = world.send(ask).await.expect(303);
    assert_eq!(answer.headers["location"], "/login?continue=%2Fconsole%2Fapplications%2Freport-hub");
    let ask = Request::builder().uri("/").body(Body::empty()).unwrap();
    assert_eq!(world.send(ask).await.expect(303).headers["location"], "/console");
}

#[tokio::test]
async fn a_form_without_its_csrf_field_changes_nothing() {
    let world = World::new().await;
    world.install("report-hub", "").await;
    let admin = Browser::of(&world, "admin@acme").await;
    for action in ["suspend", "resume", "delete", "assignments", "consents"] {
        admin.post_raw(&format!("{PAGE}/{action}"), "mode=all").await.expect(403);
        admin.post_raw(&format!("{PAGE}/{action}"), "csrf=wrong&mode=all").await.expect(403);
    }
    admin.post_raw("/console/official/mcp-server", "scope=openid").await.expect(403);
    let installed = world.control.store().installed_in(&super::account(super::ACME)).await.unwrap();
    assert_eq!((installed.len(), installed[0].grant.revision.0), (1, 1));
}

#[tokio::test]
async fn deleting_asks_once_more_and_ends_in_a_receipt() {
    let world = World::new().await;
    world.install("report-hub", "").await;
    let admin = Browser::of(&world, "admin@acme").await;
    let question = admin.open(&format!("{PAGE}/delete")).await.expect(200);
    assert!(
        question.text.contains("Keep it") && question.text.contains(&format!("action=\"{PAGE}/delete\""))
    );
    let receipt = admin.post(&format!("{PAGE}/delete"), "").await.expect(200);
    assert!(receipt.text.contains("milliseconds") && receipt.text.contains("is deleted, everywhere"));
    admin.open(PAGE).await.expect(404);
    admin.post(&format!("{PAGE}/delete"), "").await.expect(404);
}

#[tokio::test]
async fn suspending_and_resuming_lead_back_to_the_details() {
    let world = World::new().await;
    world.install("report-hub", "").await;
    let admin = Browser::of(&world, "admin@acme").await;
    let answer = admin.post(&format!("{PAGE}/suspend"), "").await.expect(303);
    assert_eq!(answer.headers["location"], PAGE);
    assert!(admin.open(PAGE).await.expect(200).text.contains("Resume</button>"));
    admin.post(&format!("{PAGE}/resume"), "").await.expect(303);
    assert!(admin.open(PAGE).await.expect(200).text.contains("Suspend</button>"));
}

#[tokio::test]
async fn an_official_application_is_provisioned_and_assigned_by_forms() {
    let world = World::new().await;
    let admin = Browser::of(&world, "admin@acme").await;
    let offers = admin.open("/console/official").await.expect(200);
    assert!(offers.text.contains("href=\"/console/official/mcp-server\""), "{}", offers.text);
    let offer = admin.open("/console/official/mcp-server").await.expect(200);
    assert!(offer.text.contains("action=\"/console/official/mcp-server\""), "{}", offer.text);
    let shown = "shown=openid&shown=profile&shown=%2Facs%2Foss%3Aread";
    let chosen = format!("{shown}&scope=%2Facs%2Fecs%3Aread");
    let answer = admin.post("/console/official/mcp-server", &chosen).await.expect(303);
    assert_eq!(answer.headers["location"], MCP_ASSIGNMENTS);
    admin.open("/console/official/mcp-server").await.expect(303);
    admin.post(MCP_ASSIGNMENTS, "kind=users&names=alice%40acme%0D%0A").await.expect(303);
    assert!(admin.open(MCP_ASSIGNMENTS).await.expect(200).text.contains("value=\"alice@acme\""));
    let wrong = admin.post(MCP_ASSIGNMENTS, "kind=users&names=carol%40acme").await.expect(400);
    assert!(
        wrong.text.contains("Nothing was changed") && wrong.text.contains("carol@acme"),
        "{}",
        wrong.text
    );
    admin.post("/console/official/report-hub", "").await.expect(404);
}

#[tokio::test]
async fn what_the_page_did_not_show_is_not_provisioned() {
    let world = World::new().await;
    let admin = Browser::of(&world, "admin@acme").await;
    let refused = admin.post("/console/official/mcp-server", "shown=openid").await.expect(400);
    assert!(refused.text.contains("scope_beyond"), "{}", refused.text);
    assert!(world.control.store().installed_in(&super::account(super::ACME)).await.unwrap().is_empty());
}

#[tokio::test]
async fn single_users_groups_and_roles_are_added_found_and_taken_off() {
    let world = World::new().await;
    world.install("mcp-server", "").await;
    let admin = Browser::of(&world, "admin@acme").await;
    admin.post(MCP_ASSIGNMENTS, "kind=roles&name=3001").await.expect(303);
    admin.post(MCP_ASSIGNMENTS, "kind=groups&names=developers").await.expect(303);
    admin.post(MCP_ASSIGNMENTS, "kind=users&name=alice%40acme&name=admin%40acme").await.expect(303);
    let page = admin.open(MCP_ASSIGNMENTS).await.expect(200);
    assert!(page.text.contains("Users (2)") && page.text.contains("Groups (1)"), "{}", page.text);
    let found = admin.open(&format!("{MCP_ASSIGNMENTS}?find=a")).await.expect(200);
    assert!(!found.text.contains("name=\"name\""), "who is assigned is not offered again: {}", found.text);
    admin.post(MCP_ASSIGNMENTS, "kind=users&remove=admin%40acme").await.expect(303);
    let found = admin.open(&format!("{MCP_ASSIGNMENTS}?find=adm")).await.expect(200);
    assert!(found.text.contains("name=\"name\" value=\"admin@acme\""), "{}", found.text);
    let searched = admin.open(&format!("{MCP_ASSIGNMENTS}?search=nobody")).await.expect(200);
    assert!(searched.text.contains("None fits"), "{}", searched.text);
    admin.post(MCP_ASSIGNMENTS, "kind=users&mode=all").await.expect(303);
    let page = admin.open(MCP_ASSIGNMENTS).await.expect(200);
    assert!(page.text.contains("everybody may use it"), "{}", page.text);
}

#[tokio::test]
async fn the_list_is_searched_ordered_and_paged() {
    let world = World::new().await;
    world.install("report-hub", "").await;
    world.install("mcp-server", "").await;
    let admin = Browser::of(&world, "admin@acme").await;
    let first = admin.open("/console?sort=state&limit=1").await.expect(200);
    let next = first.text.split("after=").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let both = ["report-hub", "mcp-server"];
    let on = |text: &str| both.map(|id| text.contains(&format!("/console/applications/{id}\"")));
    assert_eq!(on(&first.text), [false, true], "{}", first.text);
    let second = admin.open(&format!("/console?sort=state&limit=1&after={next}")).await.expect(200);
    assert_eq!(on(&second.text), [true, false], "{}", second.text);
    assert!(second.text.contains("First page") && !second.text.contains("Next page"));
    assert_eq!(on(&admin.open("/console?search=PORT-h").await.expect(200).text), [true, false]);
    assert_eq!(on(&admin.open("/console?state=suspended").await.expect(200).text), [false, false]);
    for wrong in ["sort=size", "limit=1001", "after=%00", "search=a%00b", "sort=name&after=YQ"] {
        admin.open(&format!("/console?{wrong}")).await.expect(400);
    }
}

#[tokio::test]
async fn a_personal_consent_is_listed_and_withdrawn() {
    let world = World::new().await;
    let grant = world.install("mcp-server", "").await;
    let alice = world.principal("alice@acme").await;
    let store = world.control.store();
    let now = world.control.clock().now();
    store.consent_in_person(&grant.key, &alice.key, &grant.scopes, now).await.unwrap();
    let admin = Browser::of(&world, "admin@acme").await;
    let path = "/console/applications/mcp-server/consents";
    assert!(admin.open(path).await.expect(200).text.contains("value=\"alice@acme\""));
    admin.post(path, "login=alice%40acme").await.expect(303);
    assert!(admin.open(path).await.expect(200).text.contains("Nobody has agreed yet"));
    admin.post(path, "login=alice%40acme").await.expect(404);
    admin.post(path, "").await.expect(400);
}

const MCP_ASSIGNMENTS: &str = "/console/applications/mcp-server/assignments";
