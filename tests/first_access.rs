//! On first access an application must be authorized, and only an administrator of the account can do so.

use crate::support::{Person, World, get};

#[tokio::test]
async fn a_call_without_a_credential_is_refused_and_told_where_to_get_one() {
    let world = World::start().await;
    let (before, _) = world.seen().await;
    let refused = world.call("GET", "/oss/reports/q1.csv").send().await;
    refused.expect(401);
    assert!(!refused.header("x-consentry-decision").is_empty());
    let challenge = refused.header("www-authenticate");
    assert!(challenge.starts_with("Bearer "), "{challenge}");
    assert!(!challenge.contains("error="), "nothing was presented, so nothing was wrong: {challenge}");

    // The challenge leads to the issuer, and the issuer to the authorization page (RFC 9728, RFC 8414).
    let (_, metadata) = challenge.split_once("resource_metadata=\"").unwrap();
    let metadata = get(metadata.split('"').next().unwrap()).send().await.expect(200);
    assert_eq!(metadata["authorization_servers"][0], world.issuer.as_str());
    assert!(metadata["resource"].as_str().unwrap().starts_with(&world.sidecar), "{metadata}");
    let issuer = get(format!("{}/.well-known/oauth-authorization-server", world.issuer)).send().await;
    let page = format!("{}/oauth2/v1/auth", world.issuer);
    assert_eq!(issuer.expect(200)["authorization_endpoint"], page);
    assert_eq!(world.seen().await.0, before, "nothing reached the upstream");
}

#[tokio::test]
async fn a_call_with_a_made_up_credential_is_refused() {
    let world = World::start().await;
    let (before, _) = world.seen().await;
    let unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.eyJzdWIiOiJhIn0.";
    for token in ["nonsense", unsigned, &world.account("acme").api_token] {
        let refused = world.read_object(token).await;
        refused.expect_problem(401, "invalid_token");
        assert!(refused.header("www-authenticate").contains("error=\"invalid_token\""));
        assert!(!refused.text().contains(token), "a credential is never echoed");
    }
    assert_eq!(world.seen().await.0, before, "nothing reached the upstream");
}

#[tokio::test]
async fn an_administrator_is_asked_to_authorize_and_the_first_call_then_works() {
    let world = World::start().await;
    let application = world.application("report-hub");
    for administrator in ["root@acme", "admin@acme"] {
        assert!(world.first_access(&application, administrator).await.asks_consent(), "{administrator}");
    }
    assert!(world.installed("acme").await.is_empty(), "being asked installs nothing");

    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    assert_eq!(world.installed("acme").await, [application.client_id]);
    let answer = world.read_object(&tokens.access).await;
    assert_eq!(answer.expect(200)["target"], "/oss/reports/q1.csv");
}

#[tokio::test]
async fn anyone_else_is_told_that_an_administrator_must_and_which() {
    let world = World::start().await;
    let page = world.first_access(&world.application("report-hub"), "alice@acme").await;
    assert!(!page.has_left() && !page.asks_consent(), "{}", page.text());
    assert_eq!(page.status, 403);
    let text = page.text();
    assert!(text.contains("administrator") && text.contains("report-hub"), "{text}");
    assert!(text.contains("admin@acme"), "it names who can: {text}");
    assert!(!text.contains("globex"), "and nobody of another account: {text}");
    assert!(world.installed("acme").await.is_empty());
}

#[tokio::test]
async fn a_consent_form_posted_by_someone_else_installs_nothing() {
    let world = World::start().await;
    let attempt = world.application("report-hub").ask();
    let mut admin = Person::new(&world, "admin@acme");
    let page = admin.visit(&attempt.url).await;
    let consent = page.consent();

    // Alice is signed in herself and has got hold of the administrator's page.
    let mut alice = Person::new(&world, "alice@acme");
    alice.visit(&attempt.url).await;
    let stolen = alice.submit(&page, &consent.form, &[("decision", "authorize")]).await;
    assert!(!stolen.has_left() && stolen.status >= 400, "{} {}", stolen.status, stolen.text());
    assert!(world.installed("acme").await.is_empty());
}

#[tokio::test]
async fn a_wrong_password_is_no_login_and_does_not_say_which_half_was_wrong() {
    let world = World::start().await;
    let attempt = world.application("report-hub").ask();
    let mut texts = Vec::new();
    for login in ["admin@acme", "nobody@acme"] {
        let mut person = Person::new(&world, "admin@acme");
        (person.login, person.password) = (login.to_owned(), "not the password".to_owned());
        let page = person.visit(&attempt.url).await;
        assert!(page.form_with("password").is_some() && !page.asks_consent(), "{}", page.text());
        assert!([200, 401, 403].contains(&page.status), "{}", page.status);
        texts.push(page.text().replace(login, "…"));
    }
    assert_eq!(texts[0], texts[1]);
}

#[tokio::test]
async fn a_login_form_posted_by_another_site_logs_nobody_in() {
    let world = World::start().await;
    let attempt = world.application("report-hub").ask();
    let mut victim = Person::new(&world, "admin@acme");
    let page = victim.open(&attempt.url).await;
    let form = page.form_with("password").unwrap();
    let mut fields = form.untouched();
    fields.retain(|(name, _)| name != "login" && name != "password");
    fields.push(("login".to_owned(), victim.login.clone()));
    fields.push(("password".to_owned(), victim.password.clone()));
    let led = victim.post_from("http://evil.example", &page, &form, &fields).await;
    assert!(!led.asks_consent() && led.status >= 400, "{} {}", led.status, led.text());
    fields.retain(|(name, _)| name == "login" || name == "password");
    let bare = victim.post(&page, &form, &fields).await;
    assert!(
        !bare.asks_consent() && bare.status >= 400,
        "without its secret: {} {}",
        bare.status,
        bare.text()
    );
    assert!(victim.open(&attempt.url).await.form_with("password").is_some(), "nobody is logged in");
}
