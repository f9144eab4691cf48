//! The console in a real browser, from login to a forwarded and a refused call: by keyboard alone and without JavaScript,
//! and by pointer with it on a narrow screen.

use http_body_util::BodyExt as _;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::official::{mcp_sidecar, tools};
use crate::pages;
use crate::revoke::assert_dead;
use crate::support::chromium::{Story, redeemed, told};
use crate::support::eventually::in_time;
use crate::support::fleet::{Fleet, Lone};
use crate::support::{Person, Tokens, World, eventually, html, post};

#[tokio::test]
async fn an_official_application_by_keyboard_alone_and_without_javascript() {
    official(json!({})).await;
}

#[tokio::test]
async fn an_official_application_by_pointer_on_a_narrow_screen() {
    official(by_pointer()).await;
}

#[tokio::test]
async fn details_deletion_and_other_scopes_by_keyboard_alone_and_without_javascript() {
    rescope(json!({})).await;
}

#[tokio::test]
async fn details_deletion_and_other_scopes_by_pointer_on_a_narrow_screen() {
    rescope(by_pointer()).await;
}

#[tokio::test]
async fn the_audit_leads_from_an_event_to_its_calls_and_back() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    world.read_object(&tokens.access).await.expect(200);
    world.call("PUT", "/oss/reports/q1.csv").bearer(&tokens.access).body("x").send().await.expect(403);
    // By keyboard out of the menu of a narrow screen.
    Story::start(&world, "console.mjs", "audit", "audit", json!({ "width": 320 })).end(pages::AUDIT);
}

#[tokio::test]
async fn what_is_not_used_is_taken_away_an_end_is_set_and_sessions_are_ended() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    world.read_object(&tokens.access).await.expect(200);
    world.rpc("ecs", "StopInstance").bearer(&tokens.access).send().await.expect(403);
    eventually("the calls are counted", || async {
        let figures = world.api("acme", "GET", "/report").header("accept", "application/json").send().await;
        let day = figures.expect(200)["days"].as_array().unwrap().last().unwrap().clone();
        (day["forwarded"] == 1 && day["denied"] == 1).then_some(())
    })
    .await;
    let hub = world.application("report-hub");
    let alice = world.sign_in("report-hub", "alice@acme").await;
    world.read_object(&alice.access).await.expect(200);
    let facts = json!({ "client_id": hub.client_id });
    let mut story = Story::start(&world, "console.mjs", "use", "use", facts);
    story.comes_to("narrowed");
    let servers = world.rpc("ecs", "DescribeInstances").bearer(&tokens.access).send().await;
    servers.expect_problem(403, "insufficient_scope");
    world.read_object(&tokens.access).await.expect(200);
    story.go_on();
    story.comes_to("ends");
    let shown =
        world.api("acme", "GET", &format!("/applications/{}", hub.client_id)).send().await.expect(200);
    assert!(shown["expires_at"].is_string(), "{shown}");
    story.go_on();
    story.comes_to("signed out");
    assert_dead(&world.read_object(&alice.access).await);
    world.read_object(&tokens.access).await.expect(200);
    story.go_on();
    story.end(pages::USE);
}

fn by_pointer() -> Value {
    json!({ "javascript": true, "keyboard": false, "width": 320, "quick": true })
}

#[tokio::test]
async fn the_receipt_is_shown_while_a_sidecar_has_not_spoken_yet() {
    let mut fleet = Fleet::start().await;
    let (east, west) = (mcp_sidecar(&mut fleet, "east").await, mcp_sidecar(&mut fleet, "west").await);
    let world = &fleet.world;
    world.install("report-hub", "admin@acme", &[]).await;
    let mut admin = Person::new(world, "admin@acme");
    let client_id = world.seed("report-hub").client_id.clone();
    admin.visit(format!("{}/console", world.issuer)).await;
    let page = admin.open(format!("{}/console/applications/{client_id}/delete", world.issuer)).await;
    let form = html::forms(&page.html).into_iter().find(|form| form.action.ends_with("/delete")).unwrap();
    let fields = form.untouched();
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    west.signal(Signal::STOP);
    let call = post(page.url.join(&form.action).unwrap()).form(&fields);
    let call = call.header("cookie", admin.cookie()).header("origin", world.issuer.as_str());
    let mut answer = call.header("sec-fetch-site", "same-origin").open().await;
    assert_eq!(answer.status(), 200);
    let (mut text, mut alone) = (String::new(), false);
    in_time("the receipt is whole", async {
        while let Some(frame) = answer.body_mut().frame().await {
            text.push_str(&String::from_utf8_lossy(&frame.unwrap().into_data().unwrap()));
            alone |= text.contains(&east.id)
                && !text.contains(&west.id)
                && !text.contains("is deleted, everywhere");
        }
    })
    .await;
    assert!(alone, "the one who has spoken is not shown before the one who has not: {text}");
    assert!(text.contains("unreachable") && text.contains(&west.id), "{text}");
    assert!(text.contains("is deleted, everywhere") && text.trim_end().ends_with("</html>"), "{text}");
    west.signal(Signal::CONT);
}

/// Provisioned, assigned, agreed to, withdrawn by an administrator and in person, suspended, resumed, assigned no more.
async fn official(manner: Value) {
    let mut fleet = Fleet::start().await;
    let sidecar = mcp_sidecar(&mut fleet, "east").await;
    let application = fleet.world.application("openapi-mcp-server");
    let attempt = application.ask();
    let mut facts = manner;
    facts["official"] = told(&application, &attempt);
    facts["redirect_uris"] = json!([application.redirect_uri]);
    let mut story = Story::start(&fleet.world, "console.mjs", "official", "official", facts);
    story.comes_to("provisioned");
    story.go_on();
    story.comes_to("asked");
    story.go_on();

    // Withdrawn by an administrator, and then in person.
    for _ in 0..2 {
        let tokens = redeemed(&application, &attempt, &story.comes_to("agreed")).await;
        tools(&sidecar, &tokens).await.expect(200);
        story.go_on();
        story.comes_to("withdrawn");
        refused(&sidecar, &tokens).await;
        story.go_on();
    }

    let tokens = redeemed(&application, &attempt, &story.comes_to("agreed")).await;
    tools(&sidecar, &tokens).await.expect(200);
    story.go_on();
    story.comes_to("suspended");
    refused(&sidecar, &tokens).await;
    story.go_on();
    story.comes_to("resumed");
    tools(&sidecar, &tokens).await.expect(200);
    story.go_on();
    story.comes_to("unassigned");
    tools(&sidecar, &tokens).await.expect_problem(403, "not_assigned");
    story.go_on();
    story.comes_to("assigned to all");
    // What she has agreed to stands as long as nobody withdraws it.
    tools(&sidecar, &tokens).await.expect(200);
    story.go_on();
    story.end(pages::OFFICIAL);
}

/// Rejected, authorized, looked at, deleted with a receipt, authorized again with another scope.
async fn rescope(manner: Value) {
    let mut fleet = Fleet::start().await;
    let sidecar = mcp_sidecar(&mut fleet, "east").await;
    let application = fleet.world.application("report-hub");
    let (first, again) = (application.ask(), application.ask());
    let mut facts = manner;
    facts["hub"] = told(&application, &first);
    facts["hub"]["again"] = again.url.as_str().into();
    facts["hub"]["name"] = "report-hub".into();
    facts["redirect_uris"] = json!([application.redirect_uri]);
    let mut story = Story::start(&fleet.world, "console.mjs", "rescope", "rescope", facts);
    let servers = |tokens: &Tokens| {
        let call = post(format!("{}/ecs/", sidecar.url));
        call.header("x-acs-action", "DescribeInstances").bearer(&tokens.access).send()
    };

    story.comes_to("rejected");
    assert!(fleet.world.installed("acme").await.is_empty(), "a no installs nothing");
    story.go_on();
    let before = redeemed(&application, &first, &story.comes_to("authorized")).await;
    sidecar.read_object(&before.access).await.expect(200);
    assert_eq!(servers(&before).await.status, 403, "not chosen");
    story.go_on();
    story.comes_to("deleted");
    assert_dead(&sidecar.read_object(&before.access).await);
    story.go_on();

    let after = redeemed(&application, &again, &story.comes_to("authorized")).await;
    servers(&after).await.expect(200);
    assert_dead(&sidecar.read_object(&before.access).await);
    story.go_on();
    story.end(pages::RESCOPE);
}

async fn refused(sidecar: &Lone, tokens: &Tokens) {
    let answer = tools(sidecar, tokens).await;
    assert!([401, 403].contains(&answer.status), "{} {}", answer.status, answer.text());
}
