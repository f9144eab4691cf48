//! What the audit tells: every change and refusal leaves its record, no secret stands in one, hostile names are text, and
//! no account sees another's.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::audit_scene::{ADMIN, call, seen};
use super::{ACME, World, account};
use crate::model::scope::ScopeSet;
use crate::store::{AuditFilter, NewRecord};

/// Every operation of the API that changes something, with a body that it takes, and the event that it leaves.
const CHANGES: &[(&str, &str, &str, &str)] = &[
    ("POST", "/official-applications/mcp-server/provision", "", "grant.install"),
    (
        "PUT",
        "/applications/mcp-server/assignments",
        r#"{"mode":"assigned","users":["alice@acme"]}"#,
        "grant.assign",
    ),
    ("POST", "/applications/mcp-server/suspend", "", "grant.suspend"),
    ("POST", "/applications/mcp-server/resume", "", "grant.resume"),
    ("DELETE", "/applications/mcp-server", "", "grant.revoke"),
    (
        "POST",
        "/publisher/applications",
        r#"{"name":"tool","type":"WebApp","redirect_uris":["https://t.example/cb"],"required_scopes":["openid"]}"#,
        "application.register",
    ),
];

#[tokio::test]
async fn every_change_by_the_admin_api_leaves_its_event_and_no_secret() {
    let world = World::new().await;
    let mut secrets = vec!["token-of-admin@acme".to_owned()];
    let newest = async || {
        let found = world.api(ADMIN, "GET", "/audit?limit=1", None).await.expect(200).json();
        found["records"][0].clone()
    };
    for (method, path, body, event) in CHANGES {
        let body = (!body.is_empty()).then(|| serde_json::from_str(body).unwrap());
        let answer = world.api(ADMIN, method, path, body).await;
        assert!(answer.status.is_success(), "{method} {path}: {}", answer.text);
        let recorded = newest().await;
        assert_eq!(recorded["record"]["event"], *event, "{method} {path}: {recorded}");
        assert_eq!(recorded["record"]["actor"], ADMIN, "{recorded}");
        assert!(recorded["sentence"].as_str().unwrap().starts_with(ADMIN), "{recorded}");
        if let Some(secret) = answer.json()["client_secret"].as_str() {
            secrets.push(secret.to_owned());
        }
    }
    let id = newest().await["application"].as_str().unwrap().to_owned();
    let path = format!("/publisher/applications/{id}/secrets");
    let added = world.api(ADMIN, "POST", &path, None).await.expect(201).json();
    secrets.push(added["client_secret"].as_str().unwrap().to_owned());
    assert_eq!(newest().await["record"]["event"], "application.secret.add");
    let path = format!("{path}/{}", added["id"].as_str().unwrap());
    world.api(ADMIN, "DELETE", &path, None).await.expect(204);
    assert_eq!(newest().await["record"]["event"], "application.secret.delete");

    misplace(&world, &mut secrets, &id).await;
    let all = all_lines(&world).await;
    assert!(all.contains("refused.form_not_yours") && all.contains("refused.unauthenticated"), "{all}");
    for secret in secrets.iter().map(String::as_str).chain(["-secret-", "hunter"]) {
        assert!(!all.contains(secret), "{secret} is in the audit:\n{all}");
    }
}

/// Sends secrets in the wrong fields, and in the right ones that are refused.
async fn misplace(world: &World, secrets: &mut Vec<String>, id: &str) {
    let (cookie, csrf) = world.session(ADMIN).await;
    secrets.extend([cookie.split_once('=').unwrap().1.to_owned(), csrf]);
    let basic = base64_of(&format!("{id}:{}", secrets[1]));
    for (path, form) in [
        ("/v1/token", format!("grant_type=refresh_token&refresh_token=rt-secret-1&client_id={}", secrets[1])),
        (
            "/v1/token",
            format!(
                "grant_type=authorization_code&code=code-secret-2&client_id={id}&client_secret={}",
                secrets[1]
            ),
        ),
        ("/login", "login=hunter2-secret&password=hunter3-secret&csrf=csrf-secret-4".to_owned()),
        ("/oauth2/v1/consent", "csrf=csrf-secret-4&transaction=tx-secret-5&decision=authorize".to_owned()),
    ] {
        let ask = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        let ask = ask.header("cookie", &cookie).body(Body::from(form)).unwrap();
        assert!(world.send(ask).await.status.is_client_error(), "{path}");
    }
    let ask = Request::post("/v1/revoke").header("authorization", format!("Basic {basic}"));
    world.send(ask.body(Body::empty()).unwrap()).await;
    let ask = Request::get("/api/v1/applications?x=query-secret-6")
        .header("authorization", "Bearer bearer-secret-7");
    world.send(ask.body(Body::empty()).unwrap()).await.expect(401);
    world.control.record_refusals().await.unwrap();
    secrets.push(basic);
}

fn base64_of(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

async fn all_lines(world: &World) -> String {
    let all = AuditFilter { limit: 1000, calls: true, ..AuditFilter::default() };
    let found = world.control.store().audit_records(&all).await.unwrap();
    found.iter().map(|one| format!("{}\n", one.record.line())).collect()
}

#[tokio::test]
async fn a_refusal_is_recorded_with_who_is_proven_to_have_asked_and_alike_ones_are_counted() {
    let world = World::new().await;
    for _ in 0..5 {
        world.api("alice@acme", "POST", "/applications/report-hub/suspend", None).await.expect(403);
    }
    world.api("alice@globex", "DELETE", "/applications/report-hub", None).await.expect(403);
    world.api("nobody", "GET", "/applications", None).await.expect(401);
    world.control.record_refusals().await.unwrap();
    let acme = world.api(ADMIN, "GET", "/audit?event=refused.", None).await.expect(200).json();
    assert_eq!(acme["records"].as_array().unwrap().len(), 1, "of this account, and one for five: {acme}");
    let record = &acme["records"][0]["record"];
    assert_eq!((&record["event"], &record["actor"]), (&json!("refused.forbidden"), &json!("alice@acme")));
    assert_eq!(record["subject"], format!("{ACME}/report-hub"));
    assert_eq!(
        record["detail"],
        json!({
            "address": null, "method": "POST", "route": "/api/v1/applications/{client_id}/suspend", "status": 403, "times": 5,
        })
    );
    let sentence = acme["records"][0]["sentence"].as_str().unwrap();
    assert!(sentence.contains("5 times") && sentence.contains("Report <Hub>"), "{sentence}");
    let all = all_lines(&world).await;
    assert!(all.contains("refused.unauthenticated"), "nobody's is for the operator: {all}");
}

#[tokio::test]
async fn what_is_refused_beyond_all_room_is_counted() {
    let world = World::new().await;
    for number in 0..1030 {
        let path = format!("/decisions/{number}");
        let login = if number % 2 == 0 { "alice@acme" } else { "deploy@acme" };
        world.api(login, "GET", &path, None).await.expect(403);
    }
    world.control.record_refusals().await.unwrap();
    let lines = all_lines(&world).await;
    assert!(lines.contains(r#""event":"refused.unrecorded""#) && lines.contains(r#"{"times":6}"#), "{lines}");
}

#[tokio::test]
async fn hostile_names_are_no_more_than_text_in_record_export_and_page() {
    let world = World::new().await;
    let evil = "e\u{1b}[2Jvil\u{202e}\r\n{\"x\":1}<script>\u{0}";
    let record = NewRecord {
        account: Some(account(ACME)),
        actor: evil.to_owned(),
        subject: evil.to_owned(),
        detail: json!({ "name": evil }).to_string(),
        ..seen("grant.replace")
    };
    world.control.store().note(&[record]).await.unwrap();
    let ask = Request::get("/api/v1/audit").header("authorization", "Bearer token-of-admin@acme");
    let lines = world
        .send(ask.header("accept", "application/x-ndjson").body(Body::empty()).unwrap())
        .await
        .expect(200);
    assert_eq!(lines.headers["content-type"], "application/x-ndjson");
    assert!(lines.text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{}", lines.text);
    let odd = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    assert!(!lines.text.contains(odd), "{:?}", lines.text);
    let (cookie, _) = world.session(ADMIN).await;
    let list = Request::get("/console/audit").header("cookie", &cookie).body(Body::empty()).unwrap();
    let page = world.send(list).await.expect(200).text;
    let link = page.split("href=\"/console/audit/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let event =
        Request::get(format!("/console/audit/{link}")).header("cookie", &cookie).body(Body::empty()).unwrap();
    let event = world.send(event).await.expect(200).text;
    for html in [&page, &event] {
        assert!(html.contains("&#60;script") || html.contains("&lt;script"), "{html}");
        assert!(
            !html.contains("<script") && !html.contains('\u{202e}') && !html.contains('\u{1b}'),
            "{html}"
        );
    }
}

#[tokio::test]
async fn the_audit_is_paged_and_filtered_and_an_account_never_sees_anothers() {
    let world = World::new().await;
    world.install("report-hub", "").await;
    world.install("mcp-server", "").await;
    world.api(ADMIN, "POST", "/applications/report-hub/suspend", None).await.expect(200);
    let events = async |query: &str| -> Vec<String> {
        let found = world.api(ADMIN, "GET", &format!("/audit?{query}"), None).await.expect(200).json();
        let found = found["records"].as_array().unwrap().iter();
        found.map(|one| one["record"]["event"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(events("application=report-hub").await, ["grant.suspend", "grant.install"]);
    assert_eq!(events("event=grant.&limit=2").await, ["grant.suspend", "grant.install"]);
    assert_eq!(events("event=grant.suspend&principal=ADMIN@acme").await, ["grant.suspend"]);
    assert_eq!(events("principal=alice@acme").await, [""; 0]);
    assert_eq!(events("application=report-hub&revision=2").await, ["grant.suspend"]);
    assert_eq!(events("since=2027-01-16").await, [""; 0]);
    assert_eq!(events("event=grant.&until=2027-01-15&since=2027-01-15").await.len(), 3);
    let first = world.api(ADMIN, "GET", "/audit?event=grant.&limit=2", None).await.json();
    let next = format!("event=grant.&limit=2&before={}", first["next"]);
    assert_eq!(events(&next).await, ["grant.install"]);
    for wrong in
        ["limit=0", "before=x", "since=yesterday", "event=a%20b", "page=2", "format=xml", "application=a%2Fb"]
    {
        world
            .api(ADMIN, "GET", &format!("/audit?{wrong}"), None)
            .await
            .expect_problem(400, "invalid_request");
    }
    let id = first["records"][0]["id"].to_string();
    world.api(ADMIN, "GET", &format!("/audit/{id}"), None).await.expect(200);
    world.api("admin@globex", "GET", &format!("/audit/{id}"), None).await.expect_problem(404, "not_found");
    let theirs = world.api("admin@globex", "GET", "/audit?limit=1000", None).await.expect(200);
    assert!(!theirs.text.contains("acme") && theirs.text.contains("application.register"), "{}", theirs.text);
    let ours = world.api(ADMIN, "GET", "/audit?limit=1000", None).await.expect(200);
    assert!(!ours.text.contains("key.add"), "what is nobody's is for the operator");
}

#[tokio::test]
async fn a_call_leads_to_the_event_behind_it_and_the_event_to_its_calls() {
    let world = World::new().await;
    world.install("report-hub", "").await;
    let now = world.control.clock().now();
    let kept = world.control.store().keep_decisions(&[call(1), call(2)], &|_| ScopeSet::new(), now).await;
    kept.unwrap();
    let (cookie, _) = world.session(ADMIN).await;
    let page = async |path: &str| {
        let ask = Request::get(path).header("cookie", &cookie).body(Body::empty()).unwrap();
        world.send(ask).await.expect(200).text
    };
    let links = |html: &str, to: &str| -> Vec<String> {
        let links = html.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
        links.filter(|link| link.starts_with(to)).collect()
    };
    let list = page("/console/audit?application=report-hub&event=grant.").await;
    let event = links(&list, "/console/audit/").remove(0);
    let event_page = page(&event).await;
    assert!(event_page.contains("admin@acme authorized Report &#60;Hub&#62;"), "{event_page}");
    assert_eq!(links(&event_page, "/console/applications/"), ["/console/applications/report-hub"]);
    let calls = links(&event_page, "/console/audit/calls/");
    assert_eq!(calls.len(), 2, "{event_page}");
    let call = page(&calls[0]).await;
    assert!(links(&call, "/console/audit/").contains(&event), "{call}");
    let (alice, _) = world.session("alice@acme").await;
    let ask = Request::get(&event).header("cookie", alice).body(Body::empty()).unwrap();
    world.send(ask).await.expect(403);
}
