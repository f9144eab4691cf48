//! Changing what was granted: revoke and access again, or `prompt=admin_consent` without an outage.

use crate::revoke::assert_dead;
use crate::support::{Person, World};

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
