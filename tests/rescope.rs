//! Changing what was granted: revoke and access again, or `prompt=admin_consent` without an outage.

use http_body_util::BodyExt as _;
use serde_json::json;

use crate::revoke::assert_dead;
use crate::support::eventually::in_time;
use crate::support::{Application, Person, Tokens, World};

#[tokio::test]
async fn after_a_deletion_the_next_access_asks_again_and_grants_what_is_chosen_then() {
    let world = World::start().await;
    let before = world.install("report-hub", "admin@acme", &["/acs/ecs"]).await;
    world.delete_application("acme", "report-hub").await.expect(200);

    let application = world.application("report-hub");
    let alice = world.first_access(&application, "alice@acme").await;
    assert!(!alice.has_left() && alice.status == 403, "not even one who used it: {}", alice.text());
    let attempt = application.ask();
    let mut admin = Person::new(&world, "admin@acme");
    let page = admin.visit(&attempt.url).await;
    assert!(page.consent().checked.is_empty(), "nothing of the old grant is presumed");
    let page = admin.authorize(&page, &["/acs/ecs:read"]).await;
    let after = application.tokens(&attempt, &page).await;

    let stop = |token: &str| world.rpc("ecs", "StopInstance").bearer(token);
    world.read_object(&after.access).await.expect(200);
    assert_eq!(stop(&after.access).send().await.status, 403);
    // What was issued before stays dead, though there is a grant again.
    assert_dead(&world.read_object(&before.access).await);
    application.refresh(&before.refresh).await.expect_oauth_error(400, "invalid_grant");
    assert_eq!(application.introspect(&before.access).await["active"], false);
}

#[tokio::test]
async fn an_administrator_can_be_asked_again_while_access_goes_on() {
    let world = World::start().await;
    let application = world.application("report-hub");
    let before = world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    let attempt = application.ask_for(&application.scopes.join(" "), &[("prompt", "admin_consent")]);
    let mut admin = Person::new(&world, "admin@acme");
    let page = admin.visit(&attempt.url).await;
    assert_eq!(page.consent().checked, ["/acs/ecs:read"], "it shows what is granted now");
    world.read_object(&before.access).await.expect(200);

    let page = admin.authorize(&page, &["/acs/ecs"]).await;
    let after = application.tokens(&attempt, &page).await;
    world.rpc("ecs", "StopInstance").bearer(&after.access).send().await.expect(200);
    let path = format!("/applications/{}", application.client_id);
    let details = world.api("acme", "GET", &path).send().await.expect(200);
    assert!(details["revision"].as_u64().unwrap() >= 2, "{details}");
    assert_eq!(world.installed("acme").await.len(), 1);
}

#[tokio::test]
async fn narrowing_a_grant_takes_the_scope_from_tokens_that_are_out() {
    let world = World::start().await;
    let application = world.application("report-hub");
    let before = world.install("report-hub", "admin@acme", &["/acs/ecs"]).await;
    let stop = |token: &str| world.rpc("ecs", "StopInstance").bearer(token);
    stop(&before.access).send().await.expect(200);
    let attempt = application.ask_for(&application.scopes.join(" "), &[("prompt", "admin_consent")]);
    let mut admin = Person::new(&world, "admin@acme");
    let page = admin.visit(&attempt.url).await;
    let page = admin.authorize(&page, &[]).await;
    application.tokens(&attempt, &page).await;
    let refused = stop(&before.access).send().await;
    assert!([401, 403].contains(&refused.status), "{} {}", refused.status, refused.text());
}

#[tokio::test]
async fn nobody_but_an_administrator_can_be_asked_again_and_rejecting_changes_nothing() {
    let world = World::start().await;
    let application = world.application("report-hub");
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs"]).await;
    let attempt = application.ask_for(&application.scopes.join(" "), &[("prompt", "admin_consent")]);
    let alice = Person::new(&world, "alice@acme").visit(&attempt.url).await;
    assert!(!alice.has_left() && alice.status == 403, "{}", alice.text());

    let mut admin = Person::new(&world, "admin@acme");
    let page = admin.visit(&attempt.url).await;
    let page = admin.reject(&page).await;
    assert_eq!(page.returned("error").as_deref(), Some("access_denied"));
    world.rpc("ecs", "StopInstance").bearer(&tokens.access).send().await.expect(200);
}

/// An application of globex that reads objects only if that is chosen, installed in acme with it, and its tokens.
async fn watcher(world: &World) -> (Application, Tokens) {
    let facts = json!({
        "name": "watcher", "type": "WebApp", "redirect_uris": ["http://127.0.0.1:9100/callback"],
        "required_scopes": ["profile"], "optional_scopes": ["/acs/oss:read", "/acs/ecs:read"],
    });
    let made = world.api("globex", "POST", "/publisher/applications").json(&facts).send().await.expect(201);
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    let application = Application {
        issuer: world.issuer.clone(),
        client_id: text("client_id"),
        secret: Some(text("client_secret")),
        redirect_uri: "http://127.0.0.1:9100/callback".to_owned(),
        scopes: ["openid", "profile", "/acs/oss:read", "/acs/ecs:read"].map(str::to_owned).to_vec(),
    };
    let attempt = application.ask();
    let mut admin = Person::new(world, "admin@acme");
    let page = admin.visit(&attempt.url).await;
    let page = admin.authorize(&page, &["/acs/oss:read", "/acs/ecs:read"]).await;
    let tokens = application.tokens(&attempt, &page).await;
    (application, tokens)
}

#[tokio::test]
async fn a_scope_that_is_taken_in_the_console_ends_its_calls_and_streams_and_no_others() {
    let world = World::start().await;
    let (application, tokens) = watcher(&world).await;
    let open = || world.call("GET", "/oss-watch/reports").bearer(&tokens.access).open();
    let path = format!("{}/console/applications/{}/scope", world.issuer, application.client_id);
    let mut admin = Person::new(&world, "admin@acme");
    let take = async |admin: &mut Person, keep: &str| {
        let page = admin.visit(&path).await;
        let form = page.form_with("step").unwrap();
        let mut fields = form.untouched();
        fields.retain(|(name, value)| name != "scope" || value == keep);
        let review = admin.post(&page, &form, &fields).await;
        assert!(review.text().contains("Removed"), "{}", review.text());
        let form = review.form_with("step").unwrap();
        admin.submit(&review, &form, &[]).await
    };
    // First another scope goes. The token goes on with what is left, and opens its streams again.
    take(&mut admin, "/acs/oss:read").await;
    let describe = world.rpc("ecs", "DescribeInstances").bearer(&tokens.access).send().await;
    assert_eq!(describe.status, 403, "{}", describe.text());
    world.read_object(&tokens.access).await.expect(200);
    let mut stream = open().await;
    stream.body_mut().frame().await.unwrap().unwrap();
    let path = format!("/applications/{}", application.client_id);
    let details = world.api("acme", "GET", &path).send().await.expect(200);
    assert_eq!(details["scopes"]["declined"], json!(["/acs/ecs:read"]), "{details}");

    take(&mut admin, "none").await;
    assert_eq!(world.read_object(&tokens.access).await.status, 403);
    let end =
        in_time("the stream ends", async { while let Some(Ok(_)) = stream.body_mut().frame().await {} });
    end.await;
    let refused = open().await;
    assert_eq!(refused.status(), 403);
}

#[tokio::test]
async fn what_a_publisher_comes_to_require_stops_new_codes_and_nothing_else() {
    let world = World::start().await;
    let (application, tokens) = watcher(&world).await;
    let path = format!("/publisher/applications/{}", application.client_id);
    let change = json!({ "required_scopes": ["profile", "/acs/ecs"], "optional_scopes": ["/acs/oss:read"] });
    world.api("acme", "PATCH", &path).json(&change).send().await.expect_problem(404, "not_found");
    world.api("globex", "PATCH", &path).json(&change).send().await.expect(200);

    // Calls, streams and refreshing go on, and carry no more than before.
    world.read_object(&tokens.access).await.expect(200);
    let mut stream = world.call("GET", "/oss-watch/reports").bearer(&tokens.access).open().await;
    stream.body_mut().frame().await.unwrap().unwrap();
    let fresh = Tokens::of(&application.refresh(&tokens.refresh).await.expect(200));
    world.rpc("ecs", "DescribeInstances").bearer(&fresh.access).send().await.expect(200);
    let stop = |token: &str| world.rpc("ecs", "StopInstance").bearer(token).send();
    assert_eq!(stop(&fresh.access).await.status, 403, "nothing was widened");

    let scope = "openid profile /acs/ecs /acs/oss:read";
    let alice = Person::new(&world, "alice@acme").visit(application.ask_for(scope, &[]).url).await;
    assert!(alice.status == 403 && !alice.has_left(), "{}", alice.text());
    for part in ["/acs/ecs", "admin@acme", "requires by now"] {
        assert!(alice.text().contains(part), "{part}: {}", alice.text());
    }
    let attempt = application.ask_for(scope, &[]);
    let mut admin = Person::new(&world, "admin@acme");
    let page = admin.visit(&attempt.url).await;
    assert!(page.consent().required.contains(&"/acs/ecs".to_owned()), "{}", page.text());
    let page = admin.reject(&page).await;
    assert_eq!(page.returned("error").as_deref(), Some("access_denied"));
    world.read_object(&fresh.access).await.expect(200);
    let page = admin.visit(&attempt.url).await;
    let page = admin.authorize(&page, &["/acs/oss:read"]).await;
    let wide = application.tokens(&attempt, &page).await;
    stop(&wide.access).await.expect(200);
    assert_eq!(stop(&fresh.access).await.status, 403, "a token carries what it was given");
    world.read_object(&fresh.access).await.expect(200);
}
