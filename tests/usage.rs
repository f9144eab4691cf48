//! Use and hygiene, from outside: what is used is seen, what is not used is taken back in one click, a grant ends by
//! itself everywhere, and a person takes back what acts as them.

use http_body_util::BodyExt as _;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::revoke::assert_dead;
use crate::support::eventually::in_time;
use crate::support::fleet::Fleet;
use crate::support::world::run;
use crate::support::{Page, Person, Tokens, World, eventually, get};

#[tokio::test]
async fn what_is_not_used_is_taken_back_in_one_click_and_refused_at_once() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs", "/acs/ecs:read"]).await;
    world.read_object(&tokens.access).await.expect(200);
    world.rpc("ecs", "DescribeInstances").bearer(&tokens.access).send().await.expect(200);
    let used = eventually("the use is counted", || async {
        let used = world.api("acme", "GET", "/use").send().await.expect(200)["applications"][0].clone();
        let scopes = used["scopes"].as_array().unwrap();
        let seen = |name: &str| scopes.iter().any(|one| one["scope"] == name && !one["last_used"].is_null());
        (seen("/acs/oss:read") && seen("/acs/ecs:read")).then_some(used)
    })
    .await;
    assert!(used["last_used"].is_string(), "{used}");

    // The whole was granted and only a part of it was used: nothing of it is taken by itself.
    assert_eq!(used["unused"], json!([]), "{used}");
    let client_id = &world.seed("report-hub").client_id;
    let body = json!({ "without": ["/acs/ecs"], "revision": used["revision"] });
    let narrow = format!("/applications/{client_id}/narrow");
    let narrowed = world.api("acme", "POST", &narrow).json(&body).send().await.expect(200);
    assert_eq!(narrowed["effective"], true, "{narrowed}");
    let stop = world.rpc("ecs", "StopInstance").bearer(&tokens.access).send().await;
    stop.expect_problem(403, "insufficient_scope");
    world.rpc("ecs", "DescribeInstances").bearer(&tokens.access).send().await.expect(200);
    world.api("acme", "POST", &narrow).json(&body).send().await.expect(409);
}

#[tokio::test]
async fn the_page_offers_what_was_never_used_and_its_button_takes_it_away() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    world.read_object(&tokens.access).await.expect(200);
    let mut admin = Person::new(&world, "admin@acme");
    let page = admin.visit(format!("{}/console/use", world.issuer)).await;
    assert!(page.text().contains("not used"), "{}", page.text());
    let form = page.form_with("scope").unwrap();
    let offered: Vec<_> = form.untouched().into_iter().filter(|(name, _)| name == "scope").collect();
    assert_eq!(offered, [("scope".to_owned(), "/acs/ecs:read".to_owned())]);
    let page = admin.submit(&page, &form, &[]).await;
    assert_eq!((page.status, page.url.path()), (200, "/console/use"), "{}", page.text());
    assert!(page.form_with("scope").is_none(), "nothing is left to take: {}", page.text());
    let refused = world.rpc("ecs", "DescribeInstances").bearer(&tokens.access).send().await;
    refused.expect_problem(403, "insufficient_scope");
    world.read_object(&tokens.access).await.expect(200);
    // A form of another session changes nothing, even the administrator's own.
    let mut again = Person::new(&world, "admin@acme");
    again.visit(format!("{}/console/use", world.issuer)).await;
    let forged = again.submit(&page, &form, &[]).await;
    assert_eq!(forged.status, 403, "{}", forged.text());
}

#[tokio::test]
async fn at_its_end_a_grant_stops_at_every_sidecar_by_their_own_clocks() {
    let mut fleet = Fleet::start().await;
    let (one, two) = (fleet.sidecar_with_clock("web-1").await, fleet.sidecar_with_clock("web-2").await);
    // Given before the end is set, so that the token by itself would live for an hour.
    let tokens = fleet.world.install("report-hub", "admin@acme", &[]).await;
    set_end(&fleet.world, Some(20)).await;
    let mut stream = one.call("/oss-watch/reports").bearer(&tokens.access).open().await;
    assert_eq!(stream.status(), 200);
    for sidecar in [&one, &two] {
        sidecar.read_object(&tokens.access).await.expect(200);
        sidecar.set_clock(25);
        let refused = sidecar.read_object(&tokens.access).await;
        refused.expect_problem(403, "not_installed");
        assert!(refused.text().contains("expired"), "{}", refused.text());
    }
    let cut = in_time("the stream is cut", async {
        loop {
            match stream.body_mut().frame().await {
                Some(Ok(_)) => {}
                other => break other.is_some_and(|frame| frame.is_err()),
            }
        }
    });
    assert!(cut.await, "it has no good end");
    // The control plane's clock has not come so far: nobody needed it.
    let hub = fleet.world.application("report-hub");
    assert_eq!(hub.introspect(&tokens.access).await["active"], true);
}

#[tokio::test]
async fn no_token_outlives_the_end_and_after_a_new_one_the_old_stay_dead() {
    let world = World::start_with(&["--sidecars", "2"]).await;
    world.install("report-hub", "admin@acme", &[]).await;
    let end = set_end(&world, Some(8)).await;
    let tokens = world.sign_in("report-hub", "alice@acme").await;
    let hub = world.application("report-hub");
    let access = crate::support::application::claims(&tokens.access);
    assert!(access["exp"].as_i64().unwrap() <= end.as_second(), "{access}");
    assert!(hub.introspect(&tokens.refresh).await["exp"].as_i64().unwrap() <= end.as_second());
    world.read_object(&tokens.access).await.expect(200);
    let upstream = world.last_seen().await;
    assert!(upstream["identity"]["exp"].as_i64().unwrap() <= end.as_second(), "{upstream}");
    for sidecar in &world.sidecars {
        let call = || get(format!("{sidecar}/oss/reports/q1.csv")).bearer(&tokens.access).send();
        // A call that is under way at that moment is cut, and has no answer.
        let answered = || async { tokio::spawn(call()).await.ok() };
        eventually("the end has come", || async { (answered().await?.status != 200).then_some(()) }).await;
        assert_dead(&call().await);
    }
    hub.refresh(&tokens.refresh).await.expect_oauth_error(400, "invalid_grant");
    let page = world.first_access(&hub, "alice@acme").await;
    assert!(!page.has_left() && page.status == 403, "{}", page.text());

    set_end(&world, None).await;
    hub.refresh(&tokens.refresh).await.expect_oauth_error(400, "invalid_grant");
    assert_eq!(hub.introspect(&tokens.refresh).await["active"], false);
    let fresh = world.sign_in("report-hub", "alice@acme").await;
    world.read_object(&fresh.access).await.expect(200);
}

#[tokio::test]
async fn an_end_can_be_chosen_on_the_consent_page() {
    let world = World::start().await;
    let application = world.application("report-hub");
    let attempt = application.ask();
    let mut admin = Person::new(&world, "admin@acme");
    let page = admin.visit(&attempt.url).await;
    let mut fields = page.consent().form.untouched();
    fields.retain(|(name, _)| name != "lasts");
    for wrong in ["-1", "31", "for ever"] {
        let tampered = [fields.clone(), pairs(&[("lasts", wrong), ("decision", "authorize")])].concat();
        let refused = admin.post(&page, &page.consent().form, &tampered).await;
        assert_eq!(refused.status, 400, "{wrong}: {}", refused.text());
    }
    let chosen = [fields, pairs(&[("lasts", "30"), ("decision", "authorize")])].concat();
    let page = admin.post(&page, &page.consent().form, &chosen).await;
    assert!(page.returned("code").is_some(), "{:?}", page.url);
    let shown = details(&world, "report-hub").await;
    let end: Timestamp = shown["expires_at"].as_str().unwrap().parse().unwrap();
    let days = (end.as_second() - now().as_second()) as f64 / 86_400.0;
    assert!((29.9..=30.1).contains(&days), "{shown}");
}

#[tokio::test]
async fn a_person_withdraws_what_acts_as_them_and_nobody_elses() {
    let world = World::start().await;
    let server = world.seed("openapi-mcp-server").client_id.clone();
    let provision = format!("/official-applications/{server}/provision");
    world.api("acme", "POST", &provision).send().await.expect(201);
    let assigned =
        json!({ "mode": "assigned", "users": ["alice@acme", "bob@acme"], "groups": [], "roles": [] });
    let path = format!("/applications/{server}/assignments");
    world.api("acme", "PUT", &path).json(&assigned).send().await.expect(200);
    let (alice, bob) = (agreed(&world, "alice@acme").await, agreed(&world, "bob@acme").await);
    let application = world.application("openapi-mcp-server");
    let active = async |tokens: &Tokens| application.introspect(&tokens.access).await["active"] == true;
    assert!(active(&alice).await && active(&bob).await);

    let mut person = Person::new(&world, "alice@acme");
    let page = person.visit(format!("{}/me", world.issuer)).await;
    assert!(page.text().contains("Withdraw my consent"), "{}", page.text());
    let form = page_form(&page, "withdraw");
    let page = person.submit(&page, &form, &[]).await;
    assert_eq!((page.status, page.url.path()), (200, "/me"), "{}", page.text());
    assert!(!active(&alice).await && active(&bob).await);
    assert_dead(&world.read_object(&alice.access).await);
    application.refresh(&alice.refresh).await.expect_oauth_error(400, "invalid_grant");
    let asked = world.first_access(&application, "alice@acme").await;
    assert!(asked.asks_consent(), "she is asked anew: {}", asked.text());
}

#[tokio::test]
async fn a_person_signs_an_application_out_that_needs_no_consent_of_theirs() {
    let world = World::start().await;
    world.install("report-hub", "admin@acme", &[]).await;
    let alice = world.sign_in("report-hub", "alice@acme").await;
    let bob = world.sign_in("report-hub", "bob@acme").await;
    world.read_object(&alice.access).await.expect(200);
    let mut person = Person::new(&world, "alice@acme");
    let page = person.visit(format!("{}/me", world.issuer)).await;
    let form = page_form(&page, "withdraw");
    // Not for somebody who has only the address.
    let mut other = Person::new(&world, "bob@acme");
    other.visit(format!("{}/me", world.issuer)).await;
    assert_eq!(other.submit(&page, &form, &[]).await.status, 403);
    world.read_object(&alice.access).await.expect(200);
    assert_eq!(person.submit(&page, &form, &[]).await.status, 200);
    assert_dead(&world.read_object(&alice.access).await);
    world.read_object(&bob.access).await.expect(200);
}

#[tokio::test]
async fn the_command_line_shows_use_sets_an_end_and_writes_a_report() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    world.read_object(&tokens.access).await.expect(200);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html").display().to_string();
    let ask = |arguments: &[&str]| {
        let token = world.account("acme").api_token.clone();
        let fixed = ["app", "--server", &world.issuer, "--token", &token];
        let output = run(&[&fixed, arguments].concat());
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let (code, told) = ask(&["use"]);
    assert!(code == Some(0) && told.contains("report-hub"), "{told}");
    let (code, told) = ask(&["expire", "report-hub", "--at", "2001-01-01T00:00:00Z"]);
    assert!(code != Some(0) && told.contains("future"), "{told}");
    let end = now() + jiff::SignedDuration::from_hours(48);
    let (code, told) = ask(&["expire", "report-hub", "--at", &end.to_string()]);
    assert!(code == Some(0) && told.contains("True everywhere"), "{told}");
    assert!(details(&world, "report-hub").await["expires_at"].is_string());
    let (code, told) = ask(&["report", "report-hub", "--output", &file]);
    assert_eq!(code, Some(0), "{told}");
    let html = std::fs::read_to_string(&file).unwrap();
    assert!(html.starts_with("<!doctype html>") && html.contains("Decisions over time"), "{html}");
    let (code, told) = ask(&["--format", "json", "report", "--days", "7"]);
    let figures: Value = serde_json::from_str(&told).unwrap();
    assert!(code == Some(0) && figures["days"].as_array().unwrap().len() == 7, "{told}");
    let (code, _) = ask(&["report", "unheard-of"]);
    assert_eq!(code, Some(1));
}

/// Sets the end of acme's report-hub so many seconds from now, and gives it.
async fn set_end(world: &World, seconds: Option<i64>) -> Timestamp {
    let end = seconds.map(|seconds| now() + jiff::SignedDuration::from_secs(seconds));
    let path = format!("/applications/{}/expiry", world.seed("report-hub").client_id);
    let body = json!({ "expires_at": end.map(|end| end.to_string()) });
    let effect = world.api("acme", "PUT", &path).json(&body).send().await.expect(200);
    assert_eq!(effect["effective"], true, "{effect}");
    end.unwrap_or(Timestamp::MAX)
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    Timestamp::from_second(i64::try_from(since.as_secs()).unwrap()).unwrap()
}

async fn details(world: &World, name: &str) -> Value {
    let path = format!("/applications/{}", world.seed(name).client_id);
    world.api("acme", "GET", &path).send().await.expect(200)
}

/// `login` signs in to the official application and agrees in person.
async fn agreed(world: &World, login: &str) -> Tokens {
    let application = world.application("openapi-mcp-server");
    let attempt = application.ask();
    let mut person = Person::new(world, login);
    let page = person.visit(&attempt.url).await;
    let form = page.form_with("decision").unwrap();
    let mut fields = form.untouched();
    fields.push(("decision".to_owned(), "authorize".to_owned()));
    let page = person.post(&page, &form, &fields).await;
    application.tokens(&attempt, &page).await
}

#[track_caller]
fn page_form(page: &Page, ends: &str) -> crate::support::html::Form {
    let forms = crate::support::html::forms(&page.html);
    forms.into_iter().find(|form| form.action.ends_with(ends)).unwrap_or_else(|| panic!("{}", page.text()))
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
