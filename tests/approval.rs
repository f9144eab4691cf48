//! Asking for approval and what an account says beforehand, from the login to the forwarded and the refused call.

use http_body_util::BodyExt as _;
use serde_json::json;

use crate::revoke::assert_dead;
use crate::support::eventually::in_time;
use crate::support::{Page, Person, World};

impl World {
    /// Opens a page of the issuer.
    async fn at(&self, person: &mut Person, path: &str) -> Page {
        person.visit(format!("{}{path}", self.issuer)).await
    }
}

async fn ask(person: &mut Person, page: &Page, reason: &str) -> Page {
    let form = page.form_with("reason").unwrap();
    person.submit(page, &form, &[("reason", reason)]).await
}

#[tokio::test]
async fn who_may_not_authorize_asks_and_uses_it_once_that_is_approved() {
    let world = World::start().await;
    let application = world.application("report-hub");
    let (mut alice, mut bob) = (Person::new(&world, "alice@acme"), Person::new(&world, "bob@acme"));
    for (person, reason) in [(&mut alice, "Costs for the board"), (&mut bob, "<script>alert(1)</script>")] {
        let page = person.visit(application.ask().url).await;
        let told = ask(person, &page, reason).await;
        assert!(told.text().contains("You have asked"), "{}", told.text());
    }
    let again = alice.visit(application.ask().url).await;
    assert!(
        again.text().contains("as has one other") && again.form_with("reason").is_none(),
        "{}",
        again.text()
    );

    let mut admin = Person::new(&world, "admin@acme");
    let list = world.at(&mut admin, "/console/requests").await;
    assert!(list.text().contains("2 people"), "{}", list.text());
    let one = world.at(&mut admin, &format!("/console/requests/{}", application.client_id)).await;
    assert!(one.text().contains("Costs for the board") && one.text().contains("<script>alert(1)</script>"));
    assert!(!one.html.contains("<script"), "{}", one.html);
    let consent =
        world.at(&mut admin, &format!("/oauth2/v1/install?client_id={}", application.client_id)).await;
    admin.authorize(&consent, &["/acs/ecs:read"]).await;

    let attempt = application.ask();
    let page = alice.visit(&attempt.url).await;
    let tokens = application.tokens(&attempt, &page).await;
    world.read_object(&tokens.access).await.expect(200);
    let refused = world.rpc("ecs", "StopInstance").bearer(&tokens.access).send().await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    let path = format!("/approval-requests/{}", application.client_id);
    let request = world.api("acme", "GET", &path).send().await.expect(200);
    assert_eq!((&request["state"], &request["askers"]), (&json!("approved"), &json!(2)));
    assert_eq!(request["decided_by"], "admin@acme");
    world.api("globex", "GET", &path).send().await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn a_block_ends_what_is_in_use_everywhere_and_asks_nobody() {
    let world = World::start().await;
    let application = world.application("report-hub");
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let mut stream = world.call("GET", "/oss-watch/reports").bearer(&tokens.access).open().await;
    stream.body_mut().frame().await.unwrap().unwrap();
    let path = format!("/tenant-policy/applications/{}", application.client_id);
    let block = json!({ "rule": "blocked", "word": "It sells what it reads" });
    let done = world.api("acme", "PUT", &path).json(&block).send().await.expect(200);
    assert_eq!(
        (&done["suspended"]["effective"], &done["suspended"]["streams_closed"]),
        (&json!(true), &json!(1))
    );
    world.read_object(&tokens.access).await.expect_problem(403, "access_denied");
    in_time("the stream ends", async { while let Some(Ok(_)) = stream.body_mut().frame().await {} }).await;
    for login in ["alice@acme", "admin@acme"] {
        let page = world.first_access(&application, login).await;
        assert!(page.status == 403 && !page.asks_consent(), "{login}: {}", page.text());
        assert!(page.text().contains("It sells what it reads"), "{login}: {}", page.text());
    }
    let globex = Person::new(&world, "admin@globex").visit(application.ask().url).await;
    assert!(globex.has_left() || globex.asks_consent(), "another account is not concerned");

    world.api("acme", "DELETE", &path).send().await.expect(200);
    world.read_object(&tokens.access).await.expect_problem(403, "access_denied");
    let resume = format!("/applications/{}/resume", application.client_id);
    world.api("acme", "POST", &resume).send().await.expect(200);
    world.read_object(&tokens.access).await.expect(200);
}

#[tokio::test]
async fn what_was_approved_beforehand_is_used_without_a_page_and_not_after_its_deletion() {
    let world = World::start().await;
    let application = world.application("report-hub");
    let path = format!("/tenant-policy/applications/{}", application.client_id);
    let scopes = json!(["openid", "profile", "/acs/oss:read", "/acs/ecs:read"]);
    let rule = json!({ "rule": "preapproved", "scopes": scopes });
    world.api("acme", "PUT", &path).json(&rule).send().await.expect(200);
    let tokens = world.sign_in("report-hub", "alice@acme").await;
    world.read_object(&tokens.access).await.expect(200);
    let stop = world.rpc("ecs", "StopInstance").bearer(&tokens.access).send().await;
    assert_eq!(stop.status, 403, "no more than was named: {}", stop.text());
    let details = format!("/applications/{}", application.client_id);
    let details = world.api("acme", "GET", &details).send().await.expect(200);
    assert!(details["authorized_by"].as_str().unwrap().ends_with("@acme"), "{details}");
    assert_ne!(details["authorized_by"], "alice@acme");
    let globex = world.first_access(&application, "eve@globex").await;
    assert!(!globex.has_left(), "another account has said nothing: {}", globex.text());

    world.delete_application("acme", "report-hub").await.expect(200);
    let alice = world.first_access(&application, "alice@acme").await;
    assert!(!alice.has_left() && alice.status == 403, "{}", alice.text());
    assert_dead(&world.read_object(&tokens.access).await);
}
