//! People log in at their organization's own OpenID provider: the certified `oidc-provider`, in a process of its own.
//! Who they are here, what they may, and when that ends, follows its word, for the accounts that it may speak for.

use serde_json::{Value, json};

use crate::support::provider::{Federated, Provider};
use crate::support::{Page, Person, World, eventually, get, html, post};

/// The names of its people are their subjects: what identifies them, and nothing that they are called.
fn people() -> Value {
    json!({
        "s-carol": { "preferred_username": "carol", "name": "Carol", "groups": ["cloud", "eng", "owners"] },
        "s-dave": { "preferred_username": "dave@corp.example", "name": "Dave", "groups": ["cloud", "eng"] },
        "s-mallory": { "preferred_username": "mallory", "groups": ["eng"] },
        "s-alice": { "preferred_username": "alice", "name": "Not that Alice", "groups": ["cloud"] },
    })
}

const MAPPED: &str = r#"
accounts = ["acme"]
users = "create"
claims = { groups = "groups" }
groups = { eng = "engineers" }
administrator = { claim = "groups", values = ["owners"] }
members = { claim = "groups", values = ["cloud"] }
"#;

#[tokio::test]
async fn from_the_organizations_provider_to_a_call_that_is_forwarded_and_one_that_is_refused() {
    let mut provider = Provider::start(&people(), true);
    let settings = provider.settings(&format!("userinfo = true{MAPPED}"));
    let world = provider.world(&settings).await;
    let hub = world.application("report-hub");

    // The claim makes her an administrator, so that she can consent; him it does not.
    let mut dave = Federated::new(&world, &provider, "s-dave");
    let early = dave.visit(hub.ask().url).await;
    assert!(!early.asks_consent() && early.status == 403, "{}", early.text());
    let mut carol = Federated::new(&world, &provider, "s-carol");
    let asked = hub.ask();
    let page = carol.visit(&asked.url).await;
    let page = carol.here.authorize(&page, &["/acs/ecs:read"]).await;
    hub.tokens(&asked, &page).await;

    let asked = hub.ask();
    let page = dave.visit(&asked.url).await;
    let tokens = hub.tokens(&asked, &page).await;
    let seen = world.read_object(&tokens.access).await.expect(200);
    assert_eq!(seen["identity"]["aid"], world.account("acme").id.as_str(), "{seen}");
    let refused = world.rpc("ecs", "StopInstance").bearer(&tokens.access).send().await;
    assert_eq!(refused.status, 403, "{}", refused.text());

    // Out of the members: no way in, and what his application held is dead, at once.
    provider.says("s-dave", json!({ "preferred_username": "dave", "groups": ["eng"] }));
    let mut again = Federated::new(&world, &provider, "s-dave");
    assert_stopped(&again.visit(hub.ask().url).await, 403, "not_a_member");
    let dead = world.read_object(&tokens.access).await;
    assert!([401, 403].contains(&dead.status), "{} {}", dead.status, dead.text());
    assert!(dave.here.open(me(&world)).await.form_with("password").is_some(), "his session has ended");
    // And in again: the provider's word has disabled him, and it takes it back.
    provider.says("s-dave", json!({ "preferred_username": "david", "groups": ["cloud"] }));
    let page = again.visit(me(&world)).await;
    assert!(page.text().contains("dave@acme"), "still who he was, whatever he is called: {}", page.text());
}

#[tokio::test]
async fn groups_decide_about_assignments_and_rights_are_lost_with_the_next_log_in() {
    let mut provider = Provider::start(&people(), false);
    let settings = provider.settings(MAPPED);
    let world = provider.world(&settings).await;
    let (official, path) = assigned_to_engineers(&world).await;

    let mut dave = Federated::new(&world, &provider, "s-dave");
    let asked = official.ask();
    let page = dave.visit(&asked.url).await;
    assert!(page.asks_consent(), "assigned by his group: {} {}", page.status, page.text());
    let page = dave.here.authorize(&page, &[]).await;
    let tokens = official.tokens(&asked, &page).await;
    let users = world.api("acme", "GET", &path).send().await.expect(200);
    assert_eq!(users["groups"], json!(["engineers"]), "{users}");

    provider.says("s-dave", json!({ "preferred_username": "dave", "groups": ["cloud"] }));
    let mut again = Federated::new(&world, &provider, "s-dave");
    let page = again.visit(official.ask().url).await;
    assert_stopped(&page, 403, "not_assigned");
    let dead = world.call("GET", "/oss/reports/q1.csv").bearer(&tokens.access).send().await;
    dead.expect_problem(403, "not_assigned");

    // The administrator's right goes the same way; the session that she has open is no administrator's any more.
    let console = format!("{}/console", world.issuer);
    let mut carol = Federated::new(&world, &provider, "s-carol");
    assert_eq!(carol.visit(&console).await.status, 200);
    provider.says("s-carol", json!({ "preferred_username": "carol", "groups": ["cloud", "eng"] }));
    let mut elsewhere = Federated::new(&world, &provider, "s-carol");
    assert_stopped(&elsewhere.visit(&console).await, 403, "forbidden");
    assert_stopped(&carol.here.open(&console).await, 403, "forbidden");
}

#[tokio::test]
async fn an_answer_is_taken_once_by_the_browser_that_asked_and_from_the_provider_that_was_asked() {
    let mut provider = Provider::start(&people(), false);
    let settings = provider.settings(MAPPED);
    let world = provider.world(&settings).await;
    let mut carol = Federated::new(&world, &provider, "s-carol");
    let page = carol.here.open(me(&world)).await;
    let back = carol.through_provider(&page).await;

    let mut stranger = Person::stranger(&world.issuer);
    assert_stopped(&stranger.open(&back).await, 400, "attempt_unknown");
    let mut other = Federated::new(&world, &provider, "s-mallory");
    let sign_in = other.here.open(me(&world)).await;
    other.go_to_provider(&sign_in).await;
    assert_stopped(&other.here.open(&back).await, 400, "attempt_unknown");

    assert_eq!(carol.here.open(&back).await.status, 200, "the browser that asked");
    assert_stopped(&carol.here.open(&back).await, 400, "attempt_unknown");

    for (name, value, code) in [
        ("iss", "http://127.0.0.1:1", "wrong_issuer"),
        ("iss", "", "wrong_issuer"),
        ("state", "forged", "attempt_unknown"),
        ("error", "access_denied", "provider_declined"),
        ("error", "server_error", "provider_refused"),
        ("code", "forged", "provider_unavailable"),
    ] {
        let mut carol = Federated::new(&world, &provider, "s-carol");
        let page = carol.here.open(me(&world)).await;
        let mut back = carol.through_provider(&page).await;
        let kept: Vec<_> = back
            .query_pairs()
            .into_owned()
            .filter(|(key, _)| key != name)
            .chain([(name.into(), value.into())])
            .collect();
        back.query_pairs_mut().clear().extend_pairs(kept);
        let page = carol.here.open(&back).await;
        assert!(page.html.contains(&format!("<code>{code}</code>")), "{name}={value}: {}", page.text());
        assert!(carol.here.open(me(&world)).await.form_with("password").is_some(), "nobody is signed in");
    }
    let mut carol = Federated::new(&world, &provider, "s-carol");
    let page = carol.here.open(me(&world)).await;
    let away = carol.go_to_provider(&page).await;
    let back = carol.at_provider(&away, "stop").await;
    assert_stopped(&carol.here.open(&back).await, 403, "provider_declined");
}

#[tokio::test]
async fn a_token_that_proves_nothing_lets_nobody_in_and_nothing_of_it_is_logged() {
    let mut provider = Provider::start(&people(), false);
    let settings = provider.settings(MAPPED);
    let world = provider.world(&settings).await;
    let old = 1_000_000_000;
    for (spoiled, code) in [
        (json!({ "claims": { "nonce": "another" } }), "wrong_nonce"),
        (json!({ "claims": { "nonce": null } }), "wrong_nonce"),
        (json!({ "claims": { "aud": "another" } }), "wrong_audience"),
        (json!({ "claims": { "iss": "http://127.0.0.1:1" } }), "wrong_issuer"),
        (json!({ "claims": { "iat": old, "exp": old + 60 } }), "wrong_time"),
        (json!({ "alg": "none" }), "not_proven"),
        (json!({ "kid": "unknown" }), "not_proven"),
        (json!({ "claims": { "sub": null } }), "not_proven"),
        (json!({ "claims": { "groups": { "owners": true } } }), "not_for_this_account"),
    ] {
        let mut line = spoiled.clone();
        line["do"] = "spoil".into();
        provider.tell(line);
        let mut carol = Federated::new(&world, &provider, "s-carol");
        let page = carol.visit(me(&world)).await;
        assert!(page.html.contains(&format!("<code>{code}</code>")), "{spoiled}: {}", page.text());
        assert!(carol.here.open(me(&world)).await.form_with("password").is_some(), "{spoiled}");
    }
    let narration = world.narration();
    assert!(narration.contains("a log-in at a provider was refused"), "{narration}");
    assert!(!narration.contains("eyJ") && !narration.contains("a secret of the test"), "{narration}");
    // As it should be, the same person comes in.
    let mut carol = Federated::new(&world, &provider, "s-carol");
    assert_eq!(carol.visit(me(&world)).await.status, 200);
}

#[tokio::test]
async fn new_keys_are_found_and_old_ones_are_not_good_for_ever() {
    let mut provider = Provider::start(&people(), false);
    let settings = provider.settings(MAPPED);
    let world = provider.world(&settings).await;
    for _ in 0..2 {
        let mut carol = Federated::new(&world, &provider, "s-carol");
        let page = carol.visit(me(&world)).await;
        assert_eq!(page.status, 200, "{}", page.text());
        provider.tell(json!({ "do": "rotate" }));
    }
    // Signed with the new key under the old one's name.
    provider.tell(json!({ "do": "spoil", "kid": "key-1" }));
    let mut carol = Federated::new(&world, &provider, "s-carol");
    let page = carol.visit(me(&world)).await;
    assert!(page.html.contains("<code>not_proven</code>"), "{}", page.text());
}

#[tokio::test]
async fn a_provider_that_answers_badly_or_not_at_all_gives_a_page_and_no_more() {
    let mut provider = Provider::start(&people(), false);
    let settings = provider.settings(MAPPED);
    let world = provider.world(&settings).await;
    let elsewhere = format!("{}/jwks", provider.issuer);
    for answer in [
        json!({ "path": "/.well-known/openid-configuration", "status": 500 }),
        json!({ "path": "/.well-known/openid-configuration", "status": 200, "body": "{}" }),
        json!({ "path": "/.well-known/openid-configuration", "status": 302, "headers": { "location": elsewhere } }),
        json!({ "path": "/.well-known/openid-configuration", "status": 200, "body": other_issuer(&provider) }),
        json!({ "path": "/.well-known/openid-configuration", "status": 200, "body": in_the_clear(&provider) }),
    ] {
        provider.tell(with(answer.clone(), "answer"));
        let page = sign_in_fails(&world, &provider).await;
        assert!(page.html.contains("<code>provider_unavailable</code>"), "{answer}: {}", page.text());
    }
    for answer in [
        json!({ "path": "/token", "status": 200, "size": 300_000 }),
        json!({ "path": "/token", "status": 307, "headers": { "location": elsewhere } }),
        json!({ "path": "/token", "status": 200, "headers": { "content-type": "text/html" }, "body": "<p>" }),
        json!({ "path": "/token", "status": 200, "silent": true }),
        json!({ "path": "/jwks", "status": 404 }),
    ] {
        provider.tell(with(answer.clone(), "answer"));
        let mut carol = Federated::new(&world, &provider, "s-carol");
        let page = carol.visit(me(&world)).await;
        assert!(page.html.contains("<code>provider_unavailable</code>"), "{answer}: {}", page.text());
        assert_eq!(page.status, 503, "{answer}");
    }
    let mut carol = Federated::new(&world, &provider, "s-carol");
    assert_eq!(carol.visit(me(&world)).await.status, 200);
    // A password goes on being one.
    assert_eq!(Person::new(&world, "alice@acme").visit(me(&world)).await.status, 200);
}

#[tokio::test]
async fn a_user_is_never_taken_over_by_a_name_but_linked_by_an_administrator() {
    let mut provider = Provider::start(&people(), false);
    let settings = provider.settings(MAPPED);
    let world = provider.world(&settings).await;
    let mut alice = Federated::new(&world, &provider, "s-alice");
    let page = alice.visit(me(&world)).await;
    assert_stopped(&page, 403, "login_taken");
    assert!(page.text().contains("s-alice"), "what the administrator has to be told: {}", page.text());
    assert!(world.identities("acme").await.is_empty());

    let link = json!({ "provider": "acme-id", "subject": "s-alice", "login": "alice@acme" });
    let make = |alias: &str, link: &Value| world.api(alias, "POST", "/identities").json(link).send();
    let other = json!({ "provider": "acme-id", "subject": "s-alice", "login": "eve@globex" });
    make("globex", &other).await.expect_problem(404, "not_found");
    make("acme", &other).await.expect_problem(404, "not_found");
    let unknown = json!({ "provider": "other", "subject": "s-alice", "login": "alice@acme" });
    make("acme", &unknown).await.expect_problem(404, "not_found");
    let made = make("acme", &link).await.expect(201);
    make("acme", &link).await.expect_problem(409, "exists");

    let page = alice.visit(me(&world)).await;
    assert!(page.status == 200 && page.text().contains("alice@acme"), "{}", page.text());
    let path = format!("/identities/{}", made["id"].as_str().unwrap());
    world.api("globex", "DELETE", &path).send().await.expect_problem(404, "not_found");
    assert!(alice.here.open(me(&world)).await.form_with("password").is_none(), "still signed in");
    world.api("acme", "DELETE", &path).send().await.expect(204);
    assert!(alice.here.open(me(&world)).await.form_with("password").is_some(), "ended with the link");
    assert_stopped(&alice.visit(me(&world)).await, 403, "login_taken");
}

#[tokio::test]
async fn a_provider_speaks_for_its_accounts_only_and_strangers_come_in_only_where_that_is_set() {
    let mut provider = Provider::start(
        &json!({
            "s-1": { "preferred_username": "ann", "org": "o-acme" },
            "s-2": { "preferred_username": "gus", "org": "o-globex" },
            "s-3": { "preferred_username": "mob", "org": "o-elsewhere" },
            "s-4": { "preferred_username": "nob", "org": ["o-acme", "o-globex"] },
            "s-5": { "name": "no name to log in with", "org": "o-acme" },
        }),
        false,
    );
    let several = provider.settings(
        "accounts = [\"acme\", \"globex\"]\nusers = \"create\"\n\
         account = { claim = \"org\", values = { o-acme = \"acme\", o-globex = \"globex\" } }",
    );
    let closed = provider.named("closed", "accounts = [\"acme\"]\nbutton = false");
    let world = provider.world(&format!("{several}{closed}")).await;
    for (who, login) in [("s-1", "ann@acme"), ("s-2", "gus@globex")] {
        let page = Federated::new(&world, &provider, who).visit(me(&world)).await;
        assert!(page.text().contains(login), "{who}: {}", page.text());
    }
    for (who, code) in [("s-3", "not_for_this_account"), ("s-4", "not_for_this_account"), ("s-5", "no_login")]
    {
        let page = Federated::new(&world, &provider, who).visit(me(&world)).await;
        assert_stopped(&page, 403, code);
    }
    // The other one has no button: who names an account that it speaks for is shown it, and only then.
    let mut ann = Federated::new(&world, &provider, "s-3");
    let page = ann.here.open(format!("{}/login?account=globex", world.issuer)).await;
    assert!(!page.html.contains("/login/provider/closed"), "{}", page.html);
    let page = ann.here.open(format!("{}/login?account=ACME", world.issuer)).await;
    assert!(page.html.contains("/login/provider/closed"), "{}", page.html);
    let page = ann.here.open(format!("{}/login/provider/closed", world.issuer)).await;
    let back = ann.at_provider(&page.left().clone(), "go").await;
    assert_stopped(&ann.here.open(&back).await, 403, "unknown_person");
}

#[tokio::test]
async fn a_fresh_log_in_is_asked_of_the_provider_and_not_taken_on_trust() {
    let mut provider = Provider::start(&people(), false);
    let settings = provider.settings(MAPPED);
    let world = provider.world(&settings).await;
    let hub = world.application("report-hub");
    let scope = hub.scopes.join(" ");
    let mut carol = Federated::new(&world, &provider, "s-carol");
    let page = carol.visit(hub.ask().url).await;
    carol.here.authorize(&page, &[]).await;

    for wish in [("prompt", "login"), ("max_age", "0"), ("max_age", "600")] {
        // She is known at the provider, and yet.
        let asked = hub.ask_for(&scope, &[wish]);
        let page = carol.here.open(&asked.url).await;
        if wish == ("max_age", "600") {
            assert!(page.has_left(), "recent enough: {}", page.text());
            continue;
        }
        let away = carol.go_to_provider(&page).await;
        let said: Vec<_> =
            away.query_pairs().filter(|(key, _)| key == "prompt" || key == "max_age").collect();
        assert!(said.contains(&("prompt".into(), "login".into())), "{wish:?}: {away}");
        let shown = carol.there.open(&away).await;
        assert!(shown.form_with("who").is_some(), "she is asked again: {}", shown.text());
        let back = carol.at_provider(&away, "go").await;
        let page = carol.here.open(&back).await;
        hub.tokens(&asked, &page).await;

        // A provider that did not ask her, or does not say.
        for auth_time in [json!(1_700_000_000), Value::Null] {
            provider.tell(json!({ "do": "spoil", "claims": { "auth_time": auth_time } }));
            let page = carol.here.open(&hub.ask_for(&scope, &[wish]).url).await;
            let back = carol.through_provider(&page).await;
            assert_stopped(&carol.here.open(&back).await, 403, "login_not_fresh");
        }
    }
    // Without a wish her log-in may be as old as it is, and is told as old: then an application that minds has its way.
    let old = 1_700_000_000;
    provider.tell(json!({ "do": "spoil", "claims": { "auth_time": old } }));
    let mut carol = Federated::new(&world, &provider, "s-carol");
    assert_eq!(carol.visit(me(&world)).await.status, 200);
    let page = carol.here.open(&hub.ask_for(&scope, &[("max_age", "600")]).url).await;
    assert!(carol.go_to_provider(&page).await.as_str().contains("max_age=600"));
}

#[tokio::test]
async fn signing_out_offers_the_providers_and_its_word_ends_sessions_here() {
    let mut provider = Provider::start(&people(), false);
    let settings = provider.settings(MAPPED);
    let world = provider.world(&settings).await;
    let mut carol = Federated::new(&world, &provider, "s-carol");
    let mut phone = Federated::new(&world, &provider, "s-carol");
    let page = carol.visit(me(&world)).await;
    phone.visit(me(&world)).await;

    let out = carol.here.submit(&page, &page.form_with("csrf").unwrap(), &[]).await;
    assert!(out.text().contains("Sign out at Acme staff too"), "{}", out.text());
    assert!(carol.here.open(me(&world)).await.form_with("password").is_some());
    // At the provider, with the other browser: it asks, and then tells us.
    let away = html::links(&out.html).into_iter().find(|link| link.starts_with(&provider.issuer));
    let asked = phone.there.open(away.unwrap()).await;
    let form = asked.form_with("xsrf").unwrap();
    let back = phone.there.submit(&asked, &form, &[("logout", "yes")]).await;
    assert_eq!(back.left().path(), "/login/signed-out");
    let (cookie, url) = (phone.here.cookie(), me(&world));
    eventually("the provider has ended the session", || async {
        let answer = get(&url).header("cookie", &cookie).send().await;
        (answer.status == 303).then_some(())
    })
    .await;
    // An ID token, or anything else, is no logout token.
    let logout = format!("{}/login/provider/acme-id/logout", world.issuer);
    for token in ["", "eyJ.eyJ.x", "eyJhbGciOiJub25lIn0.e30."] {
        post(&logout).form(&[("logout_token", token)]).send().await.expect(400);
    }
}

#[tokio::test]
async fn people_come_in_as_a_role_where_that_is_set() {
    let mut provider = Provider::start(
        &json!({
            "s-1": { "groups": ["deployers"] }, "s-2": { "groups": ["others"] }, "s-3": { "groups": ["ghosts"] },
            "s-4": { "groups": ["deployers"] },
        }),
        false,
    );
    let more = "accounts = [\"acme\"]\nroles = { claim = \"groups\", values = { deployers = \"auditor\", ghosts = \"ghost\" } }";
    let settings = provider.settings(more);
    let world = provider.world(&settings).await;
    for who in ["s-2", "s-3"] {
        let page = Federated::new(&world, &provider, who).visit(me(&world)).await;
        assert_stopped(&page, 403, "not_for_this_account");
    }
    let mut one = Federated::new(&world, &provider, "s-1");
    let page = one.visit(me(&world)).await;
    assert!(page.status == 200 && page.text().contains("auditor@acme"), "{}", page.text());
    assert!(world.identities("acme").await.is_empty(), "no user is made");
    // Another one comes in as the same role: neither sees nor ends what is the other's.
    let mut other = Federated::new(&world, &provider, "s-4");
    assert_eq!(other.visit(me(&world)).await.status, 200);
    let page = other.visit(format!("{}/me/sessions", world.issuer)).await;
    assert_eq!(page.html.matches("data-label=\"How\"").count(), 1, "{}", page.text());
    let told = world.api("acme", "GET", "/audit?event=login.").send().await.expect(200);
    let came = told["records"].as_array().unwrap().iter().map(|one| &one["record"]);
    let came: Vec<_> = came.filter(|one| one["event"] == "login.succeeded").collect();
    let subjects: Vec<_> = came.iter().map(|one| one["detail"]["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, ["s-4", "s-1"], "{told}");
    // With the claim the role goes, in every browser, as soon as the provider is asked again.
    provider.says("s-1", json!({ "groups": ["others"] }));
    let page = Federated::new(&world, &provider, "s-1").visit(me(&world)).await;
    assert_stopped(&page, 403, "not_for_this_account");
    let page = one.here.open(me(&world)).await;
    assert!(!page.text().contains("auditor@acme"), "{}", page.text());
    let page = other.here.open(me(&world)).await;
    assert!(page.text().contains("auditor@acme"), "another's goes on: {}", page.text());
}

async fn sign_in_fails(world: &World, provider: &Provider) -> Page {
    let mut carol = Federated::new(world, provider, "s-carol");
    let page = carol.here.open(format!("{}/login/provider/acme-id", world.issuer)).await;
    assert!(!page.has_left() && page.status == 503, "{} {}", page.status, page.text());
    page
}

/// An official application, provisioned for the group that the claims are mapped to.
async fn assigned_to_engineers(world: &World) -> (crate::support::Application, String) {
    let id = world.seed("openapi-mcp-server").client_id.clone();
    let provision = format!("/official-applications/{id}/provision");
    world.api("acme", "POST", &provision).json(&json!({ "scopes": [] })).send().await.expect(201);
    let path = format!("/applications/{id}/assignments");
    let engineers = json!({ "mode": "assigned", "users": [], "groups": ["engineers"], "roles": [] });
    let put = world.api("acme", "PUT", &path).json(&engineers).send().await;
    assert!([200, 204].contains(&put.status), "{}", put.text());
    (world.application("openapi-mcp-server"), path)
}

fn with(mut line: Value, what: &str) -> Value {
    line["do"] = what.into();
    line
}

fn discovery(provider: &Provider, issuer: &str, endpoint: &str) -> String {
    let at = |path: &str| format!("{endpoint}{path}");
    json!({
        "issuer": issuer, "authorization_endpoint": at("/auth"), "token_endpoint": at("/token"),
        "jwks_uri": format!("{}/jwks", provider.issuer),
    })
    .to_string()
}

fn other_issuer(provider: &Provider) -> String {
    discovery(provider, "http://127.0.0.1:1", &provider.issuer)
}

fn in_the_clear(provider: &Provider) -> String {
    discovery(provider, &provider.issuer, "http://id.example")
}

fn me(world: &World) -> String {
    format!("{}/me/sessions", world.issuer)
}

#[track_caller]
fn assert_stopped(page: &Page, status: u16, code: &str) {
    let shown = page.html.contains(&format!("<code>{code}</code>"));
    assert!(page.status == status && shown, "{} {:?} {}", page.status, page.url, page.text());
}

impl World {
    async fn identities(&self, alias: &str) -> Vec<Value> {
        let found = self.api(alias, "GET", "/identities").send().await.expect(200);
        found["identities"].as_array().unwrap().clone()
    }
}
