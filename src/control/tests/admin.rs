//! The admin API through the router, over the embedded store.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::{ACME, World, account};
use crate::grants::follow::news::{ChangeLog, Place, Report};
use crate::model::id::{Seq, SidecarId};

const ADMIN: &str = "admin@acme";

#[tokio::test]
async fn an_account_sees_what_it_has_authorized_and_nobody_elses() {
    let world = World::new().await;
    world.install("report-hub", "/acs/ecs:read").await;
    let list = world.api(ADMIN, "GET", "/applications", None).await.expect(200).json();
    assert_eq!(list["applications"].as_array().unwrap().len(), 1);
    let one = world.api(ADMIN, "GET", "/applications/report-hub", None).await.expect(200).json();
    assert_eq!(one["authorized_by"], ADMIN);
    assert_eq!(one["scopes"]["granted"], json!(["/acs/ecs:read", "/acs/oss:read", "openid", "profile"]));
    assert_eq!(one["scopes"]["declined"], json!(["/acs/ecs"]));
    assert_eq!((&one["kind"], &one["state"]), (&json!("third-party"), &json!("active")));
    assert_eq!(one["last_used"], Value::Null);
    assert!(one["authorized_at"].as_str().unwrap().ends_with('Z'));

    let other = world.api("admin@globex", "GET", "/applications", None).await.expect(200).json();
    assert_eq!(other, json!({ "applications": [], "next": null }));
    for path in ["/applications/report-hub", "/applications/unknown", "/applications/not%20an%20id"] {
        world.api("admin@globex", "GET", path, None).await.expect_problem(404, "not_installed");
    }
}

#[tokio::test]
async fn every_route_is_refused_without_a_token_with_a_wrong_one_and_to_ordinary_users() {
    let world = World::new().await;
    let api: Value = serde_json::from_str(&crate::control::admin::document()).unwrap();
    let mut tried = 0;
    for (path, operations) in api["paths"].as_object().unwrap() {
        if path.ends_with("openapi.json") {
            continue;
        }
        let path = path.replace("{client_id}", "report-hub").replace("{login}", "alice@acme");
        let path = path.replace("{secret_id}", "s").replace("{id}", "d");
        for method in operations.as_object().unwrap().keys() {
            let method = method.to_uppercase();
            let ask = || Request::builder().method(method.as_str()).uri(&path);
            let nobody =
                world.send(ask().body(Body::empty()).unwrap()).await.expect_problem(401, "unauthenticated");
            assert!(nobody.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
            assert_eq!(nobody.headers["cache-control"], "no-store");
            let wrong = ask().header("authorization", "Bearer wrong").body(Body::empty()).unwrap();
            world.send(wrong).await.expect_problem(401, "unauthenticated");
            let path = path.strip_prefix("/api/v1").unwrap();
            world.api("alice@acme", &method, path, None).await.expect_problem(403, "forbidden");
            world.api("deploy@acme", &method, path, None).await.expect_problem(403, "forbidden");
            tried += 1;
        }
    }
    assert!(tried >= 19, "{tried}");
}

fn report(sidecar: &SidecarId, place: Option<Place>) -> Report {
    let (version, policies) = ("1".to_owned(), "1".to_owned());
    Report {
        sidecar: sidecar.clone(),
        place,
        streams_cut: 0,
        version,
        policies,
        paths: Vec::new(),
        wait_ms: 0,
    }
}

#[tokio::test]
async fn deleting_answers_a_receipt_and_leaves_nothing() {
    let world = World::new().await;
    let grant = world.install("report-hub", "").await;
    let follower = "sidecar-1".parse().unwrap();
    // It has a lease, and says that it has heard of everything that could come.
    let source = world.control.source();
    source.follow(&report(&follower, None)).await.unwrap();
    let place = Place { epoch: source.epoch().clone(), applied: Seq(1 << 40) };
    source.follow(&report(&follower, Some(place))).await.unwrap();
    let receipt = world.api(ADMIN, "DELETE", "/applications/report-hub", None).await.expect(200).json();
    assert_eq!((&receipt["effective"], &receipt["streams_closed"]), (&json!(true), &json!(0)));
    assert_eq!(receipt["revision"], json!(grant.revision.0 + 1));
    assert_eq!(receipt["sidecars"][0]["id"], "sidecar-1");
    assert!(receipt["sidecars"][0]["confirmed_ms"].is_u64() && receipt["elapsed_ms"].is_u64(), "{receipt}");

    for (method, path) in
        [("GET", ""), ("DELETE", ""), ("POST", "/suspend"), ("POST", "/resume"), ("GET", "/policies")]
    {
        let path = format!("/applications/report-hub{path}");
        world.api(ADMIN, method, &path, None).await.expect_problem(404, "not_installed");
    }
}

#[tokio::test]
async fn a_deletion_that_is_not_to_be_waited_for_says_that_it_is_not_known_everywhere() {
    let world = World::new().await;
    world.install("report-hub", "").await;
    let silent = "silent".parse().unwrap();
    world.control.source().follow(&report(&silent, None)).await.unwrap();
    let answer = world.api(ADMIN, "DELETE", "/applications/report-hub?wait=0", None).await.expect(202).json();
    assert_eq!(answer["effective"], false);
    assert!(answer.get("sidecars").is_none());
    world.api(ADMIN, "GET", "/applications?wait=2", None).await.expect_problem(400, "invalid_request");
}

#[tokio::test]
async fn suspending_is_reversible() {
    let world = World::new().await;
    world.install("report-hub", "").await;
    let state =
        async || world.api(ADMIN, "GET", "/applications/report-hub", None).await.json()["state"].clone();
    world.api(ADMIN, "POST", "/applications/report-hub/suspend", None).await.expect(200);
    assert_eq!(state().await, "suspended");
    world.api(ADMIN, "POST", "/applications/report-hub/resume", None).await.expect(200);
    assert_eq!(state().await, "active");
}

#[tokio::test]
async fn an_official_application_is_provisioned_assigned_and_seen() {
    let world = World::new().await;
    let path = "/official-applications/mcp-server/provision";
    let made = world.api(ADMIN, "POST", path, Some(json!({ "scopes": ["/acs/ecs:read"] }))).await.expect(201);
    assert_eq!(made.headers["location"], "http://127.0.0.1:8081/api/v1/applications/mcp-server");
    assert_eq!((&made.json()["kind"], &made.json()["assignment"]), (&json!("official"), &json!("assigned")));
    world.api(ADMIN, "POST", path, None).await.expect_problem(409, "exists");
    let listed = world.api(ADMIN, "GET", "/official-applications", None).await.expect(200).json();
    assert_eq!(listed["applications"][0]["installed"], true);

    let assigned =
        json!({ "mode": "assigned", "users": ["alice@acme"], "groups": ["analysts"], "roles": ["3001"] });
    let path = "/applications/mcp-server/assignments";
    world.api(ADMIN, "PUT", path, Some(assigned.clone())).await.expect(200);
    assert_eq!(world.api(ADMIN, "GET", path, None).await.expect(200).json(), assigned);
    let consents =
        world.api(ADMIN, "GET", "/applications/mcp-server/consents", None).await.expect(200).json();
    assert_eq!(consents, json!({ "consents": [], "next": null }));
}

#[tokio::test]
async fn provisioning_refuses_what_is_not_official_or_not_offered() {
    let world = World::new().await;
    let path = |id: &str| format!("/official-applications/{id}/provision");
    world.api(ADMIN, "POST", &path("report-hub"), None).await.expect_problem(404, "not_found");
    world.api(ADMIN, "POST", &path("unknown"), None).await.expect_problem(404, "not_found");
    let more = Some(json!({ "scopes": ["/acs/alidns"] }));
    world.api(ADMIN, "POST", &path("mcp-server"), more).await.expect_problem(400, "scope_not_offered");
    assert_eq!(
        world.api(ADMIN, "GET", "/applications", None).await.json(),
        json!({ "applications": [], "next": null })
    );
}

#[tokio::test]
async fn only_people_of_the_account_can_be_assigned() {
    let world = World::new().await;
    world.install("mcp-server", "").await;
    let path = "/applications/mcp-server/assignments";
    for (field, name) in [
        ("users", "alice@globex"),
        ("users", "nobody@acme"),
        ("users", "root@acme"),
        ("roles", "2002"),
        ("groups", "a b"),
    ] {
        let body = json!({ "mode": "assigned", field: [name] });
        world.api(ADMIN, "PUT", path, Some(body)).await.expect_problem(400, "invalid_request");
    }
    let known =
        world.api(ADMIN, "PUT", path, Some(json!({ "mode": "assigned", "users": ["alice@globex"] }))).await;
    let unknown =
        world.api(ADMIN, "PUT", path, Some(json!({ "mode": "assigned", "users": ["xxxxx@globex"] }))).await;
    let told = |answer: super::Answer| answer.json()["detail"].as_str().unwrap().replace("alice", "xxxxx");
    assert_eq!(told(known), told(unknown), "another account's people are not told from nobody");
}

#[tokio::test]
async fn an_unknown_field_is_refused_by_name() {
    let world = World::new().await;
    world.install("mcp-server", "").await;
    let body = Some(json!({ "mode": "all", "everyone": true }));
    let answer = world.api(ADMIN, "PUT", "/applications/mcp-server/assignments", body).await;
    let answer = answer.expect_problem(400, "invalid_request");
    assert!(answer.json()["detail"].as_str().unwrap().contains("everyone"), "{}", answer.text);
    let form = Request::builder()
        .method("PUT")
        .uri("/api/v1/applications/mcp-server/assignments")
        .header("authorization", "Bearer token-of-admin@acme")
        .header("content-type", "text/plain")
        .body(Body::from("{\"mode\":\"all\"}"))
        .unwrap();
    world.send(form).await.expect_problem(415, "invalid_request");
}

#[tokio::test]
async fn a_registered_application_is_its_publishers_and_its_secret_is_told_once() {
    let world = World::new().await;
    let body = json!({
        "name": "our-tool", "type": "WebApp", "redirect_uris": ["https://tool.example/cb"],
        "required_scopes": ["profile"], "optional_scopes": ["/acs/oss"],
    });
    let made =
        world.api(ADMIN, "POST", "/publisher/applications", Some(body.clone())).await.expect(201).json();
    let id = made["client_id"].as_str().unwrap().to_owned();
    let secret = made["client_secret"].as_str().unwrap();
    assert_eq!(made["required_scopes"], json!(["openid", "profile"]));
    let kept = world.control.store().secrets(&id.parse().unwrap()).await.unwrap();
    assert_eq!(kept[0].hash, crate::token::random::sha256(secret.as_bytes()));
    world.api(ADMIN, "POST", "/publisher/applications", Some(body)).await.expect_problem(409, "exists");
    let list = world.api(ADMIN, "GET", "/publisher/applications", None).await.expect(200);
    assert!(list.text.contains(&id) && !list.text.contains(secret));

    let secrets = format!("/publisher/applications/{id}/secrets");
    world.api(ADMIN, "POST", &secrets, None).await.expect(201);
    world.api(ADMIN, "POST", &secrets, None).await.expect_problem(409, "conflict");
    let first = world.api(ADMIN, "GET", &secrets, None).await.expect(200).json()["secrets"][0]["id"].clone();
    let first = format!("{secrets}/{}", first.as_str().unwrap());
    world.api("admin@globex", "DELETE", &first, None).await.expect_problem(404, "not_found");
    world.api(ADMIN, "DELETE", &first, None).await.expect(204);
}

#[tokio::test]
async fn what_cannot_be_registered_is_named_all_at_once() {
    let world = World::new().await;
    let body = json!({
        "name": "not a name", "display_name": "x".repeat(25), "type": "WebApp", "redirect_uris": ["http://evil.example/"],
        "required_scopes": ["/acs/unheard-of"], "access_token_seconds": 1,
    });
    let answer = world.api(ADMIN, "POST", "/publisher/applications", Some(body)).await;
    let answer = answer.expect_problem(400, "invalid_request");
    for word in ["`name`", "`display_name`", "redirect URI", "/acs/unheard-of", "`access_token_seconds`"] {
        assert!(answer.text.contains(word), "{word}: {}", answer.text);
    }
    let list = world.api(ADMIN, "GET", "/publisher/applications", None).await.json();
    assert_eq!(list, json!({ "applications": [] }));
}

#[tokio::test]
async fn a_console_session_reads_and_writes_only_with_its_csrf_header() {
    let world = World::new().await;
    world.install("report-hub", "").await;
    let (cookie, csrf) = world.session(ADMIN).await;
    let ask = |method: &str, path: &str| {
        Request::builder().method(method).uri(format!("/api/v1{path}")).header("cookie", &cookie)
    };
    world.send(ask("GET", "/applications").body(Body::empty()).unwrap()).await.expect(200);
    let suspend = || ask("POST", "/applications/report-hub/suspend");
    world.send(suspend().body(Body::empty()).unwrap()).await.expect_problem(403, "form_not_yours");
    let foreign = suspend().header("x-csrf-token", &csrf).header("sec-fetch-site", "cross-site");
    world.send(foreign.body(Body::empty()).unwrap()).await.expect_problem(403, "form_not_yours");
    world.send(suspend().header("x-csrf-token", &csrf).body(Body::empty()).unwrap()).await.expect(200);
}

#[tokio::test]
async fn the_generated_policies_can_be_read() {
    let world = World::new().await;
    world.install("report-hub", "").await;
    let text = world.api(ADMIN, "GET", "/applications/report-hub/policies", None).await.expect(200);
    assert!(text.text.contains("permit") && text.text.contains("/acs/oss:read"), "{}", text.text);
    assert_eq!(text.headers["content-type"], "text/plain; charset=utf-8");
}

#[tokio::test]
async fn decisions_are_paged_filtered_and_explained() {
    let world = World::new().await;
    world.install("report-hub", "").await;
    let record = |id: &str, outcome: &str, account: &str| -> crate::model::decision::Decision {
        serde_json::from_value(json!({
            "id": id, "at": "2026-11-22T03:24:00Z", "sidecar": "s", "outcome": outcome, "code": "insufficient_scope",
            "status": 403, "method": "PUT", "path": "/oss/b/o", "account": account, "application": "report-hub",
            "principal": "user/2002", "action": "oss:PutObject", "grant.revision": 1, "missing": ["/acs/oss:write"],
            "trace": "t", "took": { "read": 0, "identify": 0, "find": 0, "decide": 0, "assume": 0, "forward": 0, "total": 0 },
        }))
        .unwrap()
    };
    let records = [
        record("01a", "forwarded", ACME),
        record("01b", "denied", ACME),
        record("01c", "denied", super::GLOBEX),
    ];
    world.control.store().keep_decisions(&records).await.unwrap();
    let first = world.api(ADMIN, "GET", "/decisions?limit=1", None).await.expect(200).json();
    assert_eq!((&first["decisions"][0]["id"], &first["next"]), (&json!("01b"), &json!("01b")));
    let second = world.api(ADMIN, "GET", "/decisions?limit=5&before=01b", None).await.expect(200).json();
    assert_eq!((&second["decisions"][0]["id"], &second["next"]), (&json!("01a"), &Value::Null));
    let denied =
        world.api(ADMIN, "GET", "/decisions?outcome=denied&application=report-hub", None).await.json();
    assert_eq!(denied["decisions"].as_array().unwrap().len(), 1);
    for wrong in ["limit=0", "limit=1001", "outcome=x", "before=a%20b", "page=2", "limit=1&limit=2"] {
        world
            .api(ADMIN, "GET", &format!("/decisions?{wrong}"), None)
            .await
            .expect_problem(400, "invalid_request");
    }
    let one = world.api(ADMIN, "GET", "/decisions/01b", None).await.expect(200).json();
    assert!(one["explanation"]["headline"].as_str().unwrap().contains("oss:PutObject"), "{one}");
    world.api(ADMIN, "GET", "/decisions/01c", None).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn a_personal_consent_is_listed_by_login_and_can_be_withdrawn_once() {
    let world = World::new().await;
    let grant = world.install("mcp-server", "").await;
    let alice = world.principal("alice@acme").await.key;
    let now = world.control.clock().now();
    world.control.store().consent_in_person(&grant.key, &alice, &grant.scopes, now).await.unwrap();
    let path = "/applications/mcp-server/consents";
    let listed = world.api(ADMIN, "GET", path, None).await.expect(200).json();
    assert_eq!(listed["consents"][0]["login"], "alice@acme");
    assert_eq!(grant.key.account, account(ACME));
    let path = format!("{path}/alice@acme");
    world.api("admin@globex", "DELETE", &path, None).await.expect_problem(404, "not_installed");
    world.api(ADMIN, "DELETE", &path, None).await.expect(200);
    world.api(ADMIN, "DELETE", &path, None).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn the_description_is_public() {
    let world = World::new().await;
    let ask = Request::builder().uri("/api/v1/openapi.json").body(Body::empty()).unwrap();
    let answer = world.send(ask).await.expect(200);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.json()["openapi"], "3.1.0");
}

#[tokio::test]
async fn every_list_is_paged_and_its_pages_hold_each_once() {
    let world = World::new().await;
    world.install("report-hub", "").await;
    let grant = world.install("mcp-server", "").await;
    world.install("third", "").await;
    let store = world.control.store();
    let now = world.control.clock().now();
    for login in ["alice@acme", "admin@acme", "root@acme"] {
        let person = world.principal(login).await;
        store.consent_in_person(&grant.key, &person.key, &grant.scopes, now).await.unwrap();
    }
    let names =
        json!({ "users": ["alice@acme", "admin@acme"], "groups": ["a", "b", "c"], "roles": ["3001"] });
    let path = "/applications/mcp-server/assignments";
    let counts = world.api(ADMIN, "PATCH", path, Some(json!({ "add": names }))).await.expect(200).json();
    assert_eq!((&counts["users"], &counts["groups"], &counts["roles"]), (&json!(2), &json!(3), &json!(1)));
    for (path, field, count) in [
        ("/applications?", "applications", 3),
        ("/applications?sort=name&", "applications", 3),
        ("/official-applications?", "applications", 1),
        ("/applications/mcp-server/consents?", "consents", 3),
        ("/applications/mcp-server/assignees?", "assignees", 2),
        ("/applications/mcp-server/assignees?kind=groups&", "assignees", 3),
        ("/applications/mcp-server/assignees?kind=roles&", "assignees", 1),
    ] {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let page =
                world.api(ADMIN, "GET", &format!("{path}limit=1{after}"), None).await.expect(200).json();
            let items = page[field].as_array().unwrap().clone();
            assert_eq!(items.len(), 1, "{path}: {page}");
            seen.extend(items.into_iter().map(|one| one.to_string()));
            let Some(next) = page["next"].as_str() else { break };
            let place = url::form_urlencoded::byte_serialize(next.as_bytes()).collect::<String>();
            after = format!("&after={place}");
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), count, "{path}: {seen:?}");
        for wrong in ["limit=0", "limit=1001", "limit=x", "search=%00", "nothing=1"] {
            let refused = world.api(ADMIN, "GET", &format!("{path}{wrong}"), None).await;
            refused.expect_problem(400, "invalid_request");
        }
    }
}
