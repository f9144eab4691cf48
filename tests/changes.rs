//! Whatever takes something away takes it by the path of a revocation: streams of sidecars in other processes are cut,
//! and calls are refused, by what it concerns and by nothing else.

use http_body_util::BodyExt as _;
use serde_json::json;

use crate::support::application::header;
use crate::support::eventually::in_time;
use crate::support::fleet::{Fleet, Lone};
use crate::support::world::run;
use crate::support::{Tokens, eventually};
use consentry::model::time::Clock;
use http::Response;
use hyper::body::Incoming;

/// Somebody at a sidecar with an open stream.
struct Watching {
    token: String,
    stream: Response<Incoming>,
}

impl Watching {
    async fn at(sidecar: &Lone, tokens: &Tokens) -> Self {
        let mut stream = sidecar.call("/oss-watch/reports").bearer(&tokens.access).open().await;
        assert_eq!(stream.status(), 200);
        stream.body_mut().frame().await.unwrap().unwrap();
        Self { token: tokens.access.clone(), stream }
    }

    /// The stream breaks off, and calls are refused.
    async fn ends(mut self, sidecar: &Lone, what: &str) {
        in_time(&format!("the stream is cut: {what}"), async {
            while let Some(Ok(_)) = self.stream.body_mut().frame().await {}
        })
        .await;
        let refused = sidecar.read_object(&self.token).await;
        assert!([401, 403].contains(&refused.status), "{what}: {} {}", refused.status, refused.text());
    }

    /// The stream goes on, and calls are allowed.
    async fn goes_on(&mut self, sidecar: &Lone, what: &str) {
        let next = in_time(&format!("the stream goes on: {what}"), self.stream.body_mut().frame()).await;
        // What the call itself is told says what became of the grant, should the stream have ended.
        let read = sidecar.read_object(&self.token).await;
        assert!(matches!(next, Some(Ok(_))), "{what}: {next:?}; a call: {} {}", read.status, read.text());
        read.expect(200);
    }
}

#[tokio::test]
async fn what_is_taken_from_one_person_cuts_that_persons_streams_and_nobody_elses() {
    let mut fleet = Fleet::start().await;
    let sidecar = fleet.sidecar("web-1").await;
    fleet.world.install("report-hub", "admin@acme", &[]).await;
    let store =
        consentry::store::open(&fleet.world.data().join("consentry.db").display().to_string()).await.unwrap();
    let who = |login: &str| {
        let (store, login) = (store.clone(), login.to_owned());
        async move { store.credential(&login).await.unwrap().unwrap().principal.key }
    };
    let assign = |users: serde_json::Value| {
        let target = format!("/applications/{}/assignments", fleet.world.seed("report-hub").client_id);
        fleet.world.api("acme", "PUT", &target).json(&json!({ "mode": "assigned", "users": users }))
    };
    let mut bob = Watching::at(&sidecar, &fleet.world.sign_in("report-hub", "bob@acme").await).await;

    let alice = Watching::at(&sidecar, &fleet.world.sign_in("report-hub", "alice@acme").await).await;
    assign(json!(["bob@acme"])).send().await.expect(200);
    alice.ends(&sidecar, "assigned no more").await;
    bob.goes_on(&sidecar, "another one was assigned no more").await;

    assign(json!(["alice@acme", "bob@acme"])).send().await.expect(200);
    let alice = Watching::at(&sidecar, &fleet.world.sign_in("report-hub", "alice@acme").await).await;
    store.enable_principal(&who("alice@acme").await, false, Clock::system().now()).await.unwrap();
    alice.ends(&sidecar, "disabled").await;
    bob.goes_on(&sidecar, "another one was disabled").await;
    store.close().await;
}

#[tokio::test]
async fn what_is_taken_from_an_application_cuts_its_streams_and_no_other_ones() {
    let mut fleet = Fleet::start().await;
    let sidecar = fleet.sidecar("web-1").await;
    let store =
        consentry::store::open(&fleet.world.data().join("consentry.db").display().to_string()).await.unwrap();
    let id = fleet.world.seed("report-hub").client_id.parse().unwrap();
    let hub = store.application(&id).await.unwrap().unwrap();
    let root = store.credential("root@globex").await.unwrap().unwrap().principal;
    let publisher = consentry::store::Actor::from(&root);
    let mut other = {
        let (_, tokens) = fleet.world.published("other", &["/acs/oss:read"]).await;
        Watching::at(&sidecar, &tokens).await
    };
    let now = || Clock::system().now();

    let first = Watching::at(&sidecar, &fleet.world.install("report-hub", "admin@acme", &[]).await).await;
    let target = |verb: &str| format!("/applications/{id}/{verb}");
    fleet.world.api("acme", "POST", &target("suspend")).send().await.expect(200);
    first.ends(&sidecar, "suspended").await;
    fleet.world.api("acme", "POST", &target("resume")).send().await.expect(200);

    let second = Watching::at(&sidecar, &fleet.world.sign_in("report-hub", "alice@acme").await).await;
    let disabled = consentry::model::application::Application { enabled: false, ..hub.clone() };
    store.change_application(&disabled, &publisher, now()).await.unwrap();
    second.ends(&sidecar, "disabled by its publisher").await;
    store.change_application(&hub, &publisher, now()).await.unwrap();
    other.goes_on(&sidecar, "another application was suspended and disabled").await;
    store.close().await;
}

#[tokio::test]
async fn a_withdrawn_key_ends_what_it_has_signed_and_another_keys_tokens_go_on() {
    let mut fleet = Fleet::start().await;
    let sidecar = fleet.sidecar("web-1").await;
    let before = fleet.world.install("report-hub", "admin@acme", &[]).await;
    let old = header(&before.access)["kid"].as_str().unwrap().to_owned();
    let data = fleet.world.data();
    let keys = |words: &[&str]| run(&[&["keys", "--data", data.to_str().unwrap()], words].concat());
    let refused = keys(&["withdraw", &old]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("keys rotate"), "{refused:?}");
    let watching = Watching::at(&sidecar, &before).await;

    assert!(keys(&["rotate", "--notice", "0"]).status.success());
    let after = eventually("a new key signs", async || {
        let tokens = fleet.world.sign_in("report-hub", "alice@acme").await;
        (header(&tokens.access)["kid"] != old.as_str()).then_some(tokens)
    })
    .await;
    let mut going = eventually("the sidecar knows the new key", async || {
        let allowed = sidecar.read_object(&after.access).await.status == 200;
        if allowed { Some(Watching::at(&sidecar, &after).await) } else { None }
    })
    .await;
    sidecar.read_object(&before.access).await.expect(200);
    assert!(keys(&["withdraw", &old]).status.success());
    watching.ends(&sidecar, "its key was withdrawn").await;
    going.goes_on(&sidecar, "another key was withdrawn").await;
    assert!(!keys(&["withdraw", &old]).status.success(), "it is withdrawn already");
}
