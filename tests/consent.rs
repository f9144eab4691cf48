//! The consent page: required scopes locked, optional ones to choose, Authorize installs, Reject refuses.

use crate::support::{Person, World};

#[tokio::test]
async fn the_page_shows_who_asks_for_what_with_required_scopes_locked_and_optional_ones_free() {
    let world = World::start().await;
    let page = world.first_access(&world.application("report-hub"), "admin@acme").await;
    let consent = page.consent();
    let sorted = |scopes: &[String]| {
        let mut scopes = scopes.to_vec();
        scopes.sort();
        scopes
    };
    let seed = world.seed("report-hub");
    assert_eq!(sorted(&consent.required), sorted(&seed.required_scopes));
    assert_eq!(sorted(&consent.optional), sorted(&seed.optional_scopes));
    assert!(consent.checked.is_empty(), "nothing optional is chosen beforehand");
    let text = page.text();
    for word in ["report-hub", "acme", "admin@acme", "Authorize", "Reject"] {
        assert!(text.contains(word), "{word:?} is not on the page: {text}");
    }

    // It cannot be framed, cached, or leak its address.
    let header = |name: &str| page.headers.get(name).unwrap().to_str().unwrap().to_owned();
    assert!(header("content-security-policy").contains("frame-ancestors 'none'"));
    assert!(header("cache-control").contains("no-store"));
    assert_eq!(header("referrer-policy"), "same-origin");
}

#[tokio::test]
async fn authorizing_grants_the_required_scopes_and_the_chosen_ones_and_no_other() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    let mut granted = tokens.scope.clone();
    granted.sort();
    assert_eq!(granted, ["/acs/ecs:read", "/acs/oss:read", "openid", "profile"]);

    let read = world.rpc("ecs", "DescribeInstances").bearer(&tokens.access).send().await;
    read.expect(200);
    let stop = world.rpc("ecs", "StopInstance").bearer(&tokens.access).send().await;
    assert_eq!(stop.status, 403, "{}", stop.text());
}

#[tokio::test]
async fn a_tampered_form_neither_drops_a_required_scope_nor_gains_one_that_was_not_offered() {
    let world = World::start().await;
    let application = world.application("report-hub");
    let attempt = application.ask();
    let mut admin = Person::new(&world, "admin@acme");
    let page = admin.visit(&attempt.url).await;
    let form = page.consent().form;
    let mut fields = form.untouched();
    fields.retain(|(name, _)| name != "scope");
    fields.push(("decision".to_owned(), "authorize".to_owned()));
    let mut more = fields.clone();
    more.push(("scope".to_owned(), "/acs/alidns".to_owned()));

    let refused = admin.post(&page, &form, &more).await;
    assert!(!refused.has_left() && refused.status == 400, "{} {}", refused.status, refused.text());
    assert!(world.installed("acme").await.is_empty());

    let page = admin.visit(&attempt.url).await;
    let form = page.consent().form;
    let mut fields = form.untouched();
    fields.retain(|(name, _)| name != "scope");
    fields.push(("decision".to_owned(), "authorize".to_owned()));
    let page = admin.post(&page, &form, &fields).await;
    let granted = application.tokens(&attempt, &page).await.scope;
    for required in &world.seed("report-hub").required_scopes {
        assert!(granted.contains(required), "{required} is missing of {granted:?}");
    }
}

#[tokio::test]
async fn rejecting_sends_the_person_back_with_access_denied_and_installs_nothing() {
    let world = World::start().await;
    let application = world.application("report-hub");
    let attempt = application.ask();
    let mut admin = Person::new(&world, "admin@acme");
    let page = admin.visit(&attempt.url).await;
    assert!(page.text().contains("provider"), "it says whom to contact: {}", page.text());
    let page = admin.reject(&page).await;
    assert_eq!(page.returned("error").as_deref(), Some("access_denied"));
    assert_eq!(page.returned("state"), Some(attempt.state));
    assert_eq!(page.returned("iss"), Some(world.issuer.clone()));
    assert_eq!(page.returned("code"), None);
    let told = page.returned("error_description").unwrap();
    assert!(told.contains("provider"), "whom to contact: {told}");
    assert!(world.installed("acme").await.is_empty());

    // A refusal is not remembered: the next access asks again.
    assert!(world.first_access(&application, "admin@acme").await.asks_consent());
}

#[tokio::test]
async fn a_form_without_its_csrf_field_or_from_another_site_is_refused() {
    let world = World::start().await;
    let attempt = world.application("report-hub").ask();
    let mut admin = Person::new(&world, "admin@acme");
    let page = admin.visit(&attempt.url).await;
    let form = page.consent().form;
    let decision = ("decision".to_owned(), "authorize".to_owned());
    let hidden = form.controls.iter().filter(|control| control.kind == "hidden" && control.name != "scope");
    let mut tried = 0;
    for secret in hidden {
        let mut fields = form.untouched();
        fields.retain(|(name, _)| *name != secret.name);
        fields.push(decision.clone());
        let refused = admin.post(&page, &form, &fields).await;
        assert!(!refused.has_left() && refused.status >= 400, "without {}: {}", secret.name, refused.text());
        tried += 1;
    }
    assert!(tried > 0, "the form carries a secret of its own");

    let mut elsewhere = page;
    elsewhere.html.clear();
    let fields: Vec<_> = form.untouched().into_iter().chain([decision]).collect();
    let refused = admin.post_from("http://evil.example", &elsewhere, &form, &fields).await;
    assert!(!refused.has_left() && refused.status >= 400, "{}", refused.text());
    assert!(world.installed("acme").await.is_empty());
}

#[tokio::test]
async fn one_page_decides_once() {
    let world = World::start().await;
    let application = world.application("report-hub");
    let attempt = application.ask();
    let mut admin = Person::new(&world, "admin@acme");
    let page = admin.visit(&attempt.url).await;
    let first = admin.authorize(&page, &[]).await;
    application.tokens(&attempt, &first).await;
    world.delete_application("acme", "report-hub").await.expect(200);

    let again = admin.authorize(&page, &["/acs/ecs"]).await;
    assert!(!again.has_left() && again.status >= 400, "{} {}", again.status, again.text());
    assert!(world.installed("acme").await.is_empty());
}
