//! Every endpoint refuses who proves nothing, and answers an enrolled sidecar about itself only.

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::proven;
use crate::control::tests::{ACME, Answer, World};
use crate::model::id::SidecarId;
use crate::store::Enrolled;
use crate::token::keys::{Purpose, Signer, generate};
use crate::token::proof::Prover;

const NOW: i64 = 1_800_000_000;

fn prover(name: &str) -> Prover {
    let signer = Signer::from_pkcs8(Purpose::Sidecar, &generate(Purpose::Sidecar).unwrap()).unwrap();
    Prover::new(name.parse().unwrap(), signer).unwrap()
}

impl World {
    /// An enrolled sidecar.
    async fn sidecar(&self, name: &str) -> Prover {
        let prover = prover(name);
        let sidecar = Enrolled {
            sidecar: prover.sidecar().clone(),
            public_jwk: prover.public().to_json(),
            kid: prover.public().kid().to_owned(),
            enrolled_at: self.control.clock().now(),
            revoked_at: None,
            presumed_until: None,
            status: None,
        };
        assert!(self.control.store().enrol(&sidecar, None, self.control.clock().now()).await.unwrap());
        prover
    }

    async fn ask(&self, method: Method, path: &str, token: Option<&str>, body: &Value) -> Answer {
        let mut request =
            Request::builder().method(method).uri(path).header("content-type", "application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Body::from(body.to_string())).unwrap();
        let (head, body) = self.control.internal().oneshot(request).await.unwrap().into_parts();
        let text = String::from_utf8(to_bytes(body, 10_000_000).await.unwrap().to_vec()).unwrap();
        Answer { status: head.status, headers: head.headers, text }
    }
}

/// Each endpoint with each method that it could have.
fn endpoints() -> Vec<(Method, String)> {
    let methods = [Method::GET, Method::POST, Method::PUT, Method::DELETE];
    let paths: Vec<_> =
        proven().into_iter().map(|(path, _)| path).chain(["/internal/v1/nothing", "/"]).collect();
    let filled = |path: &str| {
        let path = path.replace("{account}", ACME).replace("{application}", "report-hub");
        path.replace("{kind}", "user").replace("{id}", "2002")
    };
    paths.iter().flat_map(|path| methods.iter().map(move |method| (method.clone(), filled(path)))).collect()
}

#[tokio::test]
async fn every_endpoint_refuses_who_proves_nothing() {
    let world = World::new().await;
    let (web, revoked, stranger) =
        (world.sidecar("web-1").await, world.sidecar("web-2").await, prover("web-3"));
    world.control.store().revoke_sidecar(revoked.sidecar(), world.control.clock().now()).await.unwrap();
    let impostor = prover("web-1");
    let access = Signer::from_pkcs8(Purpose::AccessToken, &generate(Purpose::AccessToken).unwrap()).unwrap();
    let claims = json!({"iss":"web-1","sub":"web-1","ins":"web-1.00000000","aud":"consentry-internal",
                        "iat":NOW,"exp":NOW + 60});
    let proof = |prover: &Prover, at| Some(prover.proof(at).unwrap().expose().to_owned());
    let wrong = [
        (None, "unproven"),
        (Some("nonsense".to_owned()), "unproven"),
        (Some("token-of-admin@acme".to_owned()), "unproven"),
        (access.sign(&claims).ok(), "unproven"),
        (proof(&web, NOW - 91), "unproven"),
        (proof(&web, NOW + 61), "unproven"),
        (proof(&impostor, NOW), "enrolment_unknown"),
        (proof(&stranger, NOW), "enrolment_unknown"),
        (proof(&revoked, NOW), "enrolment_revoked"),
    ];
    for (method, path) in endpoints() {
        for (token, code) in &wrong {
            let answer = world.ask(method.clone(), &path, token.as_deref(), &json!({})).await;
            assert_eq!(
                (answer.status.as_u16(), &answer.json()["code"]),
                (401, &json!(code)),
                "{method} {path}"
            );
            assert!(answer.headers.contains_key("www-authenticate"), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn an_enrolled_sidecar_is_told_the_facts_and_what_changed() {
    let world = World::new().await;
    world.install("report-hub", "/acs/ecs:read").await;
    let web = world.sidecar("web-1").await;
    let proof = web.proof(NOW).unwrap();
    let token = Some(proof.expose());
    let get = async |path: &str| world.ask(Method::GET, path, token, &Value::Null).await;
    let grant = get(&format!("/internal/v1/grants/{ACME}/report-hub")).await.expect(200).json();
    assert_eq!(grant["installed"]["grant"]["state"], "active", "{grant}");
    assert_eq!(grant["epoch"], world.control.source().epoch().0);
    let none = get(&format!("/internal/v1/grants/{ACME}/mcp-server")).await.expect(200).json();
    assert_eq!(none["installed"], Value::Null);
    let member =
        get(&format!("/internal/v1/grants/{ACME}/report-hub/members/user/2002")).await.expect(200).json();
    assert_eq!(member["member"]["principal"]["login"], "alice@acme", "{member}");
    get(&format!("/internal/v1/grants/{ACME}/report%2Fhub")).await.expect_problem(400, "invalid_request");

    let report = |sidecar: &str, place: Value| {
        json!({"sidecar": sidecar, "place": place, "streams_cut": 0, "version": "1", "policies": "p",
               "paths": [], "wait_ms": 0})
    };
    let mut long = report("another", Value::Null);
    long["version"] = json!("1".repeat(2000));
    let asked = world.ask(Method::POST, "/internal/v1/follow", token, &long).await;
    asked.expect_problem(400, "invalid_request");
    let asked = world.ask(Method::POST, "/internal/v1/follow", token, &report("another", Value::Null)).await;
    let news = asked.expect(200).json();
    let place = json!({"epoch": news["epoch"], "applied": 0});
    let asked = world.ask(Method::POST, "/internal/v1/follow", token, &report("another", place)).await;
    assert!(!asked.expect(200).json()["changes"].as_array().unwrap().is_empty());
    // Whoever it says it is, it has spoken for itself.
    let (source, newest) = (world.control.source(), world.control.store().newest().await.unwrap());
    let before = source.cut_so_far();
    let receipt = source.everywhere(newest, &before, |_| ());
    let left = world.ask(Method::DELETE, "/internal/v1/follow", token, &Value::Null);
    let (receipt, left) = tokio::join!(receipt, left);
    left.expect(204);
    let ids: Vec<&SidecarId> = receipt.sidecars.iter().map(|part| &part.id).collect();
    assert_eq!(ids, [web.instance()]);
    let snapshot = get("/internal/v1/snapshot").await.expect(200).json();
    assert!(!snapshot["slots"].as_array().unwrap().is_empty(), "{snapshot}");
}

#[tokio::test]
async fn a_sidecar_publishes_keys_for_assumed_identities_alone_and_reads_its_own() {
    let world = World::new().await;
    let (web, other) = (world.sidecar("web-1").await, world.sidecar("web-2").await);
    let (proof, others) = (web.proof(NOW).unwrap(), other.proof(NOW).unwrap());
    let key = |purpose| Signer::from_pkcs8(purpose, &generate(purpose).unwrap()).unwrap();
    let publish = async |key: &Signer| {
        let jwk: Value = serde_json::from_str(&key.public().to_json()).unwrap();
        world
            .ask(Method::POST, "/internal/v1/keys", Some(proof.expose()), &json!({ "public_jwk": jwk }))
            .await
    };
    let own = key(Purpose::Assertion);
    publish(&own).await.expect(204);
    publish(&own).await.expect(204);
    for purpose in [Purpose::AccessToken, Purpose::IdToken, Purpose::Record, Purpose::Sidecar] {
        publish(&key(purpose)).await.expect_problem(400, "invalid_request");
    }
    let read =
        async |proof: &str| world.ask(Method::GET, "/internal/v1/keys", Some(proof), &Value::Null).await;
    let (mine, theirs) = (read(proof.expose()).await.expect(200), read(others.expose()).await.expect(200));
    assert!(mine.text.contains(own.kid()) && !theirs.text.contains(own.kid()));
    let purposes = |set: &Value| -> Vec<String> {
        set["keys"].as_array().unwrap().iter().map(|key| key["consentry_purpose"].to_string()).collect()
    };
    assert!(purposes(&theirs.json()["record_keys"]).iter().all(|purpose| purpose == "\"record\""));
    assert!(!purposes(&theirs.json()["jwks"]).contains(&"\"record\"".to_owned()));
}

#[tokio::test]
async fn a_sidecar_keeps_records_of_its_own_and_of_nobody_else() {
    let world = World::new().await;
    let web = world.sidecar("web-1").await;
    let proof = web.proof(NOW).unwrap();
    let record = |id: u64, sidecar: &str| {
        json!({"id": format!("0190a0a0-0000-7000-8000-{id:012}"), "at": "2027-01-01T00:00:00Z", "sidecar": sidecar,
               "outcome": "forwarded", "code": "ok", "status": 200, "method": "GET", "path": "/", "account": ACME,
               "trace": "t", "took": {"read":0,"identify":0,"find":0,"decide":0,"assume":0,"forward":0,"total":0}})
    };
    let send = async |records: Value| {
        world.ask(Method::POST, "/internal/v1/records", Some(proof.expose()), &records).await
    };
    send(json!([record(1, web.instance().as_str()), record(2, "web-1")])).await.expect(204);
    for other in ["web-2", "web-1.0000000g", "dev"] {
        send(json!([record(3, "web-1"), record(4, other)])).await.expect_problem(400, "invalid_request");
    }
    send(json!([{"id": "x"}])).await.expect_problem(400, "invalid_request");
    let many: Vec<_> = (0..1001).map(|id| record(id, "web-1")).collect();
    send(json!(many)).await.expect_problem(400, "invalid_request");
    let kept = world.api("admin@acme", "GET", "/decisions", None).await.expect(200).json();
    assert_eq!(kept["decisions"].as_array().unwrap().len(), 2, "{kept}");
}

#[tokio::test]
async fn only_who_holds_the_key_and_the_token_enrols() {
    let world = World::new().await;
    let now = world.control.clock().now();
    let invitation = crate::store::Invitation {
        sidecar: "web-1".parse().unwrap(),
        token_hash: crate::token::random::sha256(b"once"),
        expires_at: now + jiff::SignedDuration::from_secs(60),
    };
    world.control.store().invite(&invitation, now).await.unwrap();
    let (web, thief) = (prover("web-1"), prover("web-1"));
    let ask = async |name: &str, token: &str, key: &Prover, by: &Prover| {
        let jwk: Value = serde_json::from_str(&key.public().to_json()).unwrap();
        let body = json!({"name": name, "token": token, "public_jwk": jwk, "version": "1"});
        let proof = by.proof(NOW).unwrap();
        world.ask(Method::POST, "/internal/v1/enrol", Some(proof.expose()), &body).await
    };
    ask("web-1", "once", &web, &thief).await.expect_problem(403, "enrolment_refused");
    ask("web-1", "twice", &web, &web).await.expect_problem(403, "enrolment_refused");
    let enrolled = ask("web-1", "once", &web, &web).await.expect(201).json();
    assert_eq!(enrolled, json!({"sidecar": "web-1", "issuer": "http://127.0.0.1:8081"}));
    // The answer may have been lost: the same key is enrolled, whatever becomes of the token.
    ask("web-1", "once", &web, &web).await.expect(201);
    ask("web-1", "once", &thief, &thief).await.expect_problem(403, "enrolment_refused");
    let bare = world.ask(Method::POST, "/internal/v1/enrol", None, &json!({})).await;
    assert!(bare.status.is_client_error(), "{}", bare.text);
}
