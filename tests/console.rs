//! The console in a real browser, from login to a forwarded and a refused call: wide, narrow, dark, enlarged, by keyboard
//! alone and without JavaScript. The pictures are in `tests/output`.

use http_body_util::BodyExt as _;
use rustix::process::Signal;
use serde_json::{Value, json};
use url::Url;

use crate::official::{mcp_sidecar, tools};
use crate::revoke::assert_dead;
use crate::support::eventually::in_time;
use crate::support::fleet::{Fleet, Lone};
use crate::support::script::Script;
use crate::support::{Application, Attempt, Person, Tokens, World, html, post};

#[tokio::test]
async fn an_official_application_by_pointer_on_a_wide_screen() {
    official("wide", json!({ "javascript": true, "width": 1280 })).await;
}

#[tokio::test]
async fn an_official_application_by_keyboard_alone_in_the_dark() {
    official("keyboard", json!({ "javascript": true, "width": 1280, "dark": true, "keyboard": true })).await;
}

#[tokio::test]
async fn an_official_application_without_javascript_on_a_narrow_screen() {
    official("plain", json!({ "javascript": false, "width": 320 })).await;
}

#[tokio::test]
async fn an_official_application_enlarged_to_twice_the_size() {
    official("enlarged", json!({ "javascript": true, "width": 640, "zoom": 2 })).await;
}

#[tokio::test]
async fn an_official_application_on_a_narrow_screen() {
    official("narrow", json!({ "javascript": true, "width": 320 })).await;
}

#[tokio::test]
async fn details_deletion_and_other_scopes_on_a_wide_screen() {
    rescope("wide", json!({ "javascript": true, "width": 1280 })).await;
}

#[tokio::test]
async fn details_deletion_and_other_scopes_by_keyboard_alone() {
    rescope("keyboard", json!({ "javascript": true, "width": 1280, "dark": true, "keyboard": true })).await;
}

#[tokio::test]
async fn details_deletion_and_other_scopes_without_javascript_on_a_narrow_screen() {
    rescope("plain", json!({ "javascript": false, "width": 320 })).await;
}

#[tokio::test]
async fn details_deletion_and_other_scopes_on_a_narrow_screen_and_enlarged() {
    rescope("narrow", json!({ "javascript": true, "width": 320, "zoom": 2 })).await;
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

/// Provisioned, assigned, agreed to, withdrawn, suspended, resumed, assigned no more.
async fn official(name: &str, mut facts: Value) {
    let mut fleet = Fleet::start().await;
    let sidecar = mcp_sidecar(&mut fleet, "east").await;
    let application = fleet.world.application("openapi-mcp-server");
    let attempt = application.ask();
    facts["official"] = told(&application, &attempt);
    let mut script = start(&fleet.world, "official", name, facts, &application);
    assert_eq!(hear(&mut script)["step"], "provisioned");
    go_on(&mut script);
    assert_eq!(hear(&mut script)["step"], "asked", "and no code was given");
    go_on(&mut script);

    let tokens = redeemed(&application, &attempt, &hear(&mut script)).await;
    tools(&sidecar, &tokens).await.expect(200);
    go_on(&mut script);
    assert_eq!(hear(&mut script)["step"], "withdrawn");
    refused(&sidecar, &tokens).await;
    go_on(&mut script);

    let tokens = redeemed(&application, &attempt, &hear(&mut script)).await;
    tools(&sidecar, &tokens).await.expect(200);
    go_on(&mut script);
    assert_eq!(hear(&mut script)["step"], "suspended");
    refused(&sidecar, &tokens).await;
    go_on(&mut script);
    assert_eq!(hear(&mut script)["step"], "resumed");
    tools(&sidecar, &tokens).await.expect(200);
    go_on(&mut script);
    assert_eq!(hear(&mut script)["step"], "unassigned");
    tools(&sidecar, &tokens).await.expect_problem(403, "not_assigned");
    go_on(&mut script);
    end(script);
}

/// Authorized, looked at, deleted with a receipt, authorized again with another scope.
async fn rescope(name: &str, mut facts: Value) {
    let mut fleet = Fleet::start().await;
    let sidecar = mcp_sidecar(&mut fleet, "east").await;
    let application = fleet.world.application("report-hub");
    let (first, again) = (application.ask(), application.ask());
    facts["hub"] = told(&application, &first);
    facts["hub"]["again"] = again.url.as_str().into();
    facts["hub"]["name"] = "report-hub".into();
    let mut script = start(&fleet.world, "rescope", &format!("{name}-hub"), facts, &application);
    let servers = |tokens: &Tokens| {
        let call = post(format!("{}/ecs/", sidecar.url));
        call.header("x-acs-action", "DescribeInstances").bearer(&tokens.access).send()
    };

    let before = redeemed(&application, &first, &hear(&mut script)).await;
    sidecar.read_object(&before.access).await.expect(200);
    assert_eq!(servers(&before).await.status, 403, "not chosen");
    go_on(&mut script);
    assert_eq!(hear(&mut script)["step"], "deleted");
    assert_dead(&sidecar.read_object(&before.access).await);
    go_on(&mut script);

    let after = redeemed(&application, &again, &hear(&mut script)).await;
    servers(&after).await.expect(200);
    assert_dead(&sidecar.read_object(&before.access).await);
    go_on(&mut script);
    end(script);
}

fn told(application: &Application, attempt: &Attempt) -> Value {
    json!({
        "authorize": attempt.url,
        "client_id": application.client_id,
        "redirect_uri": application.redirect_uri,
    })
}

fn start(world: &World, story: &str, name: &str, mut facts: Value, application: &Application) -> Script {
    let people = ["admin@acme", "alice@acme"].map(|login| {
        let principal = world.principal(login);
        (login.split('@').next().unwrap(), json!({"login": principal.login, "password": principal.password}))
    });
    facts["people"] = people.into_iter().collect();
    facts["story"] = story.into();
    facts["name"] = format!("console-{name}").into();
    facts["console"] = format!("{}/console", world.issuer).into();
    facts["redirect_uris"] = json!([application.redirect_uri]);
    facts["output"] = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/output").into();
    Script::start("console.mjs", &facts)
}

#[track_caller]
fn hear(script: &mut Script) -> Value {
    let line = script.hear();
    assert!(line["error"].is_null(), "{}", line["error"].as_str().unwrap());
    line
}

fn go_on(script: &mut Script) {
    script.tell(&json!("go on"));
}

fn end(mut script: Script) {
    assert_eq!(hear(&mut script)["step"], "end");
    script.finish();
}

/// The tokens for the code with which a browser came back.
async fn redeemed(application: &Application, attempt: &Attempt, line: &Value) -> Tokens {
    let back = Url::parse(line["back"].as_str().unwrap_or_else(|| panic!("{line}"))).unwrap();
    let (_, code) = back.query_pairs().find(|(name, _)| name == "code").unwrap();
    Tokens::of(&application.redeem(attempt, &code).await.expect(200))
}

async fn refused(sidecar: &Lone, tokens: &Tokens) {
    let answer = tools(sidecar, tokens).await;
    assert!([401, 403].contains(&answer.status), "{} {}", answer.status, answer.text());
}
