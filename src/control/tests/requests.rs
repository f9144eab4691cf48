//! Asking for approval, the account's rules and changes of scope through the router, over the embedded store.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;
use url::form_urlencoded::Serializer;

use super::{ACME, Answer, World, account};
use crate::model::grant::{Grant, GrantState};
use crate::model::id::GrantKey;
use crate::store::{RequestFilter, Standing};
use crate::token::pkce;

struct Browser<'w> {
    world: &'w World,
    cookie: String,
    csrf: String,
}

impl<'w> Browser<'w> {
    async fn of(world: &'w World, login: &str) -> Self {
        let (cookie, csrf) = world.session(login).await;
        Self { world, cookie, csrf }
    }

    async fn open(&self, path: &str) -> Answer {
        let request = Request::get(path).header("cookie", &self.cookie).body(Body::empty()).unwrap();
        self.world.send(request).await
    }

    /// An authorization request for all that the application offers.
    async fn access(&self, application: &str) -> Answer {
        let query = Serializer::new(String::new())
            .extend_pairs([("client_id", application), ("redirect_uri", "https://hub.example/cb")])
            .extend_pairs([("response_type", "code"), ("code_challenge_method", "S256")])
            .append_pair("code_challenge", &pkce::challenge(&"v".repeat(43)))
            .finish();
        self.open(&format!("/oauth2/v1/auth?{query}")).await
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_as(path, &[&[("csrf", self.csrf.as_str())], fields].concat(), "same-origin").await
    }

    async fn post_as(&self, path: &str, fields: &[(&str, &str)], site: &str) -> Answer {
        let request = Request::post(path)
            .header("cookie", &self.cookie)
            .header("sec-fetch-site", site)
            .header("content-type", "application/x-www-form-urlencoded");
        let body = Serializer::new(String::new()).extend_pairs(fields).finish();
        self.world.send(request.body(Body::from(body)).unwrap()).await
    }

    async fn ask(&self, reason: &str) -> Answer {
        self.post(ASK, &[("client_id", "report-hub"), ("reason", reason)]).await
    }
}

impl World {
    async fn grant(&self, application: &str) -> Option<Grant> {
        let found = self.control.store().installed(&key(application)).await.unwrap();
        found.map(|installed| installed.grant)
    }

    /// How many requests and rules the account has.
    async fn said(&self) -> (usize, usize) {
        let (store, acme, now) = (self.control.store(), account(ACME), self.control.clock().now());
        let all = RequestFilter { limit: 100, ..RequestFilter::default() };
        let requests = store.approval_requests(&acme, &all, now).await.unwrap();
        (requests.len(), store.tenant_policy(&acme).await.unwrap().rules.len())
    }

    /// The publisher's change, by the admin API.
    async fn republish(&self, change: serde_json::Value) -> Answer {
        self.api("admin@globex", "PATCH", "/publisher/applications/report-hub", Some(change)).await
    }
}

fn key(application: &str) -> GrantKey {
    GrantKey { account: account(ACME), application: application.parse().unwrap() }
}

const ASK: &str = "/oauth2/v1/request-approval";
const REQUEST: &str = "/console/requests/report-hub";
const RULE: &str = "/console/policy/report-hub";
const SCOPE: &str = "/console/applications/report-hub/scope";

#[tokio::test]
async fn who_may_not_authorize_asks_and_sees_what_became_of_it() {
    let world = World::new().await;
    let alice = Browser::of(&world, "alice@acme").await;
    let page = alice.access("report-hub").await.expect(403);
    assert!(page.text.contains("name=\"reason\"") && page.text.contains(ASK), "{}", page.text);
    let asked = alice.ask("  For the\n board <b> ").await.expect(303);
    let back = asked.headers["location"].to_str().unwrap().to_owned();
    let page = alice.open(&back).await.expect(403);
    assert!(page.text.contains("You have asked") && !page.text.contains("name=\"reason\""), "{}", page.text);
    assert!(alice.access("report-hub").await.expect(403).text.contains("You have asked"));

    let admin = Browser::of(&world, "admin@acme").await;
    let list = admin.open("/console/requests").await.expect(200);
    assert!(list.text.contains(REQUEST) && list.text.contains("1 person"), "{}", list.text);
    let one = admin.open(REQUEST).await.expect(200);
    for part in ["alice@acme", "For the board &#60;b&#62;", "/oauth2/v1/install?client_id=report-hub"] {
        assert!(one.text.contains(part), "{part}: {}", one.text);
    }
    let (no, round) = (format!("{REQUEST}/deny"), ("round", "1"));
    admin.post(&no, &[round, ("word", " \n ")]).await.expect(400);
    admin.post(&no, &[("round", "2"), ("word", "no")]).await.expect(409);
    admin.post(&no, &[round, ("word", "Use the <other> one")]).await.expect(303);
    admin.post(&no, &[round, ("word", "again")]).await.expect(409);
    let page = alice.access("report-hub").await.expect(403);
    for part in ["denied", "admin@acme", "Use the &#60;other&#62; one"] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    assert!(!page.text.contains("name=\"reason\""));
    let often = alice.ask("please").await.expect(429);
    assert!(often.headers.contains_key("retry-after"), "{often:?}");
    world.control.clock().advance(86_401);
    let alice = Browser::of(&world, "alice@acme").await;
    assert!(alice.access("report-hub").await.expect(403).text.contains("name=\"reason\""));
    alice.ask("please").await.expect(303);
    world.control.clock().advance(7 * 86_400);
    let alice = Browser::of(&world, "alice@acme").await;
    assert!(alice.access("report-hub").await.expect(403).text.contains("has expired"));
}

#[tokio::test]
async fn what_is_asked_for_is_approved_at_the_consent_page() {
    let world = World::new().await;
    let alice = Browser::of(&world, "alice@acme").await;
    alice.ask("For the board").await.expect(303);
    let admin = Browser::of(&world, "admin@acme").await;
    let page = admin.open("/oauth2/v1/install?client_id=report-hub").await.expect(200);
    let transaction = page.text.split("name=\"transaction\" value=\"").nth(1).unwrap();
    let transaction = transaction.split('"').next().unwrap();
    let yes = [("transaction", transaction), ("decision", "authorize"), ("scope", "/acs/ecs:read")];
    admin.post("/oauth2/v1/consent", &yes).await.expect(200);
    let show = world.api("admin@acme", "GET", "/approval-requests/report-hub", None).await.expect(200).json();
    assert_eq!((&show["state"], &show["decided_by"]), (&json!("approved"), &json!("admin@acme")));
    assert!(
        alice.access("report-hub").await.expect(303).headers["location"].to_str().unwrap().contains("code=")
    );
    let page = alice.open("/oauth2/v1/install?client_id=report-hub").await.expect(200);
    assert!(page.text.contains("The application is installed"), "{}", page.text);
}

#[tokio::test]
async fn forms_that_are_not_of_this_session_page_or_account_change_nothing() {
    let world = World::new().await;
    let alice = Browser::of(&world, "alice@acme").await;
    alice.ask("For the board").await.expect(303);
    let before = world.said().await;
    let (admin, other) = (Browser::of(&world, "admin@acme").await, Browser::of(&world, "admin@globex").await);
    let twin = Browser::of(&world, "admin@acme").await;
    let deny = format!("{REQUEST}/deny");
    let forms: [(&str, &[(&str, &str)]); 5] = [
        (ASK, &[("client_id", "mcp-server"), ("reason", "x")]),
        (&deny, &[("round", "1"), ("word", "x")]),
        (&format!("{REQUEST}/block"), &[("word", "x")]),
        (RULE, &[("rule", "blocked")]),
        ("/console/policy", &[("revision", "0"), ("unknown", "refuse"), ("days", "3")]),
    ];
    for (path, fields) in forms {
        let with = |csrf| [&[("csrf", csrf)], fields].concat();
        admin.post_as(path, fields, "same-origin").await.expect(403);
        admin.post_as(path, &with("x"), "same-origin").await.expect(403);
        admin.post_as(path, &with(&twin.csrf), "same-origin").await.expect(403);
        admin.post_as(path, &with(&admin.csrf), "cross-site").await.expect(403);
        let nobody = Browser { world: &world, cookie: String::new(), csrf: admin.csrf.clone() };
        let status = nobody.post(path, fields).await.status.as_u16();
        assert!([303, 403].contains(&status), "{path}: {status}");
        if path != ASK {
            alice.post(path, fields).await.expect(403);
        }
    }
    for path in [deny.as_str(), &format!("{REQUEST}/block")] {
        other.post(path, &[("round", "1"), ("word", "x")]).await.expect(404);
    }
    assert_eq!(world.said().await, before);
    for body in [json!({}), json!({ "round": 1 }), json!({ "round": 1, "word": "" }), json!({ "round": -1 })]
    {
        world.api("admin@acme", "POST", "/approval-requests/report-hub/deny", Some(body)).await.expect(400);
    }
    let long = "x".repeat(401);
    let bob = Browser::of(&world, "deploy@acme").await;
    for reason in ["", "   ", long.as_str(), "a\u{7}b"] {
        bob.ask(reason).await.expect(400);
    }
    bob.post(ASK, &[("client_id", "no-such"), ("reason", "x")]).await.expect(400);
    bob.post(ASK, &[("client_id", "report-hub"), ("client_id", "mcp-server"), ("reason", "x")])
        .await
        .expect(400);
    assert_eq!(world.said().await, before);
}

#[tokio::test]
async fn a_right_that_is_lost_between_page_and_post_decides_nothing() {
    let world = World::new().await;
    Browser::of(&world, "alice@acme").await.ask("For the board").await.expect(303);
    let admin = Browser::of(&world, "admin@acme").await;
    admin.open(REQUEST).await.expect(200);
    let (whom, now) = (world.principal("admin@acme").await.key, world.control.clock().now());
    world.control.store().set_full_access(&whom, false, now).await.unwrap();
    admin.post(&format!("{REQUEST}/deny"), &[("round", "1"), ("word", "x")]).await.expect(403);
    admin.post(RULE, &[("rule", "blocked")]).await.expect(403);
    admin.post(SCOPE, &[("step", "confirm"), ("revision", "1")]).await.expect(403);
    assert_eq!(world.said().await, (1, 0));
}

#[tokio::test]
async fn a_blocked_application_is_authorized_by_nobody_until_it_is_unblocked() {
    let world = World::new().await;
    world.install("report-hub", "").await;
    let (alice, admin) = (Browser::of(&world, "alice@acme").await, Browser::of(&world, "admin@acme").await);
    admin.post(RULE, &[("rule", "blocked"), ("word", "It leaks <b>")]).await.expect(303);
    assert_eq!(world.grant("report-hub").await.unwrap().state, GrantState::Suspended);
    for person in [&alice, &admin] {
        let page = person.access("report-hub").await.expect(403);
        assert!(page.text.contains("application_blocked") && page.text.contains("It leaks &#60;b&#62;"));
        assert_eq!(page.text.contains(RULE), person.csrf == admin.csrf, "{}", page.text);
        assert!(!page.text.contains("name=\"decision\"") && !page.text.contains("name=\"reason\""));
    }
    admin.open("/oauth2/v1/install?client_id=report-hub").await.expect(403);
    alice.ask("please").await.expect(403);
    let resume = world.api("admin@acme", "POST", "/applications/report-hub/resume", None).await;
    resume.expect_problem(409, "conflict");
    let block = json!({ "rule": "blocked" });
    world.api("admin@acme", "PUT", "/tenant-policy/applications/mcp-server", Some(block)).await.expect(200);
    let provision =
        world.api("admin@acme", "POST", "/official-applications/mcp-server/provision", None).await;
    provision.expect_problem(409, "application_blocked");

    admin.post(RULE, &[("rule", "none")]).await.expect(303);
    admin.post(RULE, &[("rule", "none")]).await.expect(404);
    world.api("admin@acme", "POST", "/applications/report-hub/resume", None).await.expect(200);
    assert!(
        alice.access("report-hub").await.expect(303).headers["location"].to_str().unwrap().contains("code=")
    );
}

#[tokio::test]
async fn a_block_between_page_and_post_installs_nothing() {
    let world = World::new().await;
    let admin = Browser::of(&world, "admin@acme").await;
    let page = admin.access("report-hub").await.expect(200);
    let transaction = page.text.split("name=\"transaction\" value=\"").nth(1).unwrap();
    let transaction = transaction.split('"').next().unwrap();
    let word = Standing::Blocked { word: String::new() };
    let (by, now) = (world.actor("admin@acme").await, world.control.clock().now());
    world.control.store().set_rule(&key("report-hub"), Some(&word), &by, now).await.unwrap();
    let yes = [("transaction", transaction), ("decision", "authorize")];
    admin.post("/oauth2/v1/consent", &yes).await.expect(409);
    assert!(world.grant("report-hub").await.is_none());
}

#[tokio::test]
async fn what_was_approved_beforehand_is_installed_by_the_first_access_and_no_other_way() {
    let world = World::new().await;
    let (alice, admin) = (Browser::of(&world, "alice@acme").await, Browser::of(&world, "admin@acme").await);
    let required = [("rule", "preapproved"), ("required", "openid"), ("required", "profile")];
    // A page that showed less than is required, and a scope that is not offered.
    admin.post(RULE, &required).await.expect(400);
    let all = [&required[..], &[("required", "/acs/oss:read")]].concat();
    admin.post(RULE, &[&all[..], &[("scope", "/acs/alidns")]].concat()).await.expect(400);
    admin.post(RULE, &[&all[..], &[("scope", "/acs/ecs:read")]].concat()).await.expect(303);
    assert!(world.grant("report-hub").await.is_none(), "nothing is installed by saying so");

    let (whom, now) = (world.principal("admin@acme").await.key, world.control.clock().now());
    world.control.store().set_full_access(&whom, false, now).await.unwrap();
    assert!(alice.access("report-hub").await.expect(403).text.contains("An administrator must authorize"));
    world.control.store().set_full_access(&whom, true, now).await.unwrap();
    world
        .republish(json!({ "required_scopes": ["profile", "/acs/oss"], "optional_scopes": [] }))
        .await
        .expect(200);
    alice.access("report-hub").await.expect(403);
    let page = admin.open("/console/policy").await.expect(200);
    assert!(page.text.contains("without effect"), "{}", page.text);
    let restored = json!({ "required_scopes": ["profile", "/acs/oss:read"], "optional_scopes": ["/acs/ecs", "/acs/ecs:read"] });
    world.republish(restored).await.expect(200);

    let code = alice.access("report-hub").await.expect(303);
    assert!(code.headers["location"].to_str().unwrap().contains("code="), "{code:?}");
    let grant = world.grant("report-hub").await.unwrap();
    assert_eq!(grant.authorized_by_login, "admin@acme");
    assert_eq!(grant.scopes, "openid profile /acs/oss:read /acs/ecs:read".parse().unwrap());
    world.api("admin@acme", "DELETE", "/applications/report-hub", None).await.expect(200);
    alice.access("report-hub").await.expect(403);
}

#[tokio::test]
async fn an_account_that_takes_no_requests_says_so_in_its_own_words() {
    let world = World::new().await;
    let policy = |revision: u64| {
        json!({ "revision": revision, "unknown_applications": "refuse", "request_days": 3,
            "message": "Ask <platform> first", "preapproved": [], "blocked": [{ "client_id": "mcp-server" }] })
    };
    let put = async |body| world.api("admin@acme", "PUT", "/tenant-policy", Some(body)).await;
    put(policy(1)).await.expect_problem(409, "conflict");
    put(policy(0)).await.expect(200);
    let alice = Browser::of(&world, "alice@acme").await;
    let page = alice.access("report-hub").await.expect(403);
    assert!(page.text.contains("Ask &#60;platform&#62; first") && !page.text.contains("name=\"reason\""));
    alice.ask("please").await.expect(403);
    let show = world.api("admin@acme", "GET", "/tenant-policy", None).await.expect(200).json();
    assert_eq!((&show["revision"], &show["blocked"][0]["client_id"]), (&json!(1), &json!("mcp-server")));
    let other = world.api("admin@globex", "GET", "/tenant-policy", None).await.expect(200).json();
    assert_eq!(other["revision"], 0);
    for (field, wrong) in [
        ("unknown_applications", json!("whatever")),
        ("request_days", json!(0)),
        ("request_days", json!(91)),
        ("message", json!("x".repeat(401))),
        ("blocked", json!([{ "client_id": "mcp-server" }, { "client_id": "mcp-server" }])),
        ("blocked", json!([{ "client_id": "a b" }])),
        ("preapproved", json!([{ "client_id": "report-hub", "scopes": ["openid"] }])),
        ("more", json!(1)),
    ] {
        let mut body = policy(1);
        body[field] = wrong;
        put(body).await.expect(400);
    }
    // The console's form, which leaves the rules alone.
    let admin = Browser::of(&world, "admin@acme").await;
    let fields = |revision, days| [("revision", revision), ("unknown", "ask"), ("days", days)];
    admin.post("/console/policy", &fields("0", "5")).await.expect(409);
    admin.post("/console/policy", &fields("1", "100")).await.expect(400);
    admin.post("/console/policy", &fields("1", "5")).await.expect(303);
    assert_eq!(world.said().await, (0, 1));
    alice.ask("please").await.expect(303);
}

#[tokio::test]
async fn a_publisher_changes_its_own_application_and_no_grant() {
    let world = World::new().await;
    let before = world.install("report-hub", "/acs/ecs").await;
    let refused =
        world.api("admin@acme", "PATCH", "/publisher/applications/report-hub", Some(json!({}))).await;
    refused.expect_problem(404, "not_found");
    for wrong in [
        json!({ "required_scopes": ["/acs/none"] }),
        json!({ "required_scopes": ["/acs/ecs"] }),
        json!({ "redirect_uris": [] }),
        json!({ "redirect_uris": ["javascript:alert(1)"] }),
        json!({ "display_name": "\u{7}" }),
        json!({ "official": true }),
        json!({ "name": "other" }),
        json!({ "access_token_seconds": 1 }),
    ] {
        world.republish(wrong.clone()).await.expect(400);
    }
    let more = json!({ "required_scopes": ["profile", "/acs/oss"], "optional_scopes": ["/acs/alidns"] });
    world.republish(more).await.expect(200);
    assert_eq!(world.grant("report-hub").await.unwrap(), before);
    let show = world.api("admin@acme", "GET", "/applications/report-hub", None).await.expect(200).json();
    let waiting = json!({ "required": ["/acs/oss"], "optional": ["/acs/alidns"], "withdrawn": ["/acs/ecs", "/acs/oss:read"] });
    assert_eq!(show["waiting"], waiting);
    let (alice, admin) = (Browser::of(&world, "alice@acme").await, Browser::of(&world, "admin@acme").await);
    let page = alice.access("report-hub").await.expect(403);
    for part in ["requires by now", "/acs/oss", "admin@acme", "name=\"reason\""] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    alice.ask("I need to sign in").await.expect(303);
    assert!(admin.open("/console").await.expect(200).text.contains("scopes changed"));
    assert!(
        admin.open("/console/applications/report-hub").await.expect(200).text.contains("Required by now")
    );
    let page = admin.access("report-hub").await.expect(200);
    assert!(page.text.contains("It requires more than what was authorized"), "{}", page.text);
}

#[tokio::test]
async fn a_change_of_scope_shows_the_difference_and_makes_what_was_shown() {
    let world = World::new().await;
    world.install("report-hub", "/acs/ecs").await;
    let admin = Browser::of(&world, "admin@acme").await;
    let page = admin.open(SCOPE).await.expect(200);
    assert!(page.text.contains("name=\"revision\" value=\"1\""), "{}", page.text);
    let step = |step, revision, scope| [("step", step), ("revision", revision), ("scope", scope)];
    let review = admin.post(SCOPE, &step("review", "1", "/acs/ecs:read")).await.expect(200);
    for part in ["Removed", "/acs/ecs", "value=\"confirm\""] {
        assert!(review.text.contains(part), "{part}: {}", review.text);
    }
    assert_eq!(world.grant("report-hub").await.unwrap().revision.0, 1, "looking changes nothing");
    admin.post(SCOPE, &step("confirm", "1", "/acs/alidns")).await.expect(400);
    admin.post(SCOPE, &step("confirm", "x", "/acs/ecs:read")).await.expect(400);
    admin.post(SCOPE, &step("", "1", "/acs/ecs:read")).await.expect(400);
    admin.post(SCOPE, &step("confirm", "1", "/acs/ecs:read")).await.expect(303);
    admin.post(SCOPE, &step("confirm", "1", "/acs/ecs")).await.expect(409);
    let grant = world.grant("report-hub").await.unwrap();
    assert_eq!((grant.revision.0, grant.since.0), (2, 1));
    assert_eq!(grant.scopes, "openid profile /acs/oss:read /acs/ecs:read".parse().unwrap());
    let other = Browser::of(&world, "admin@globex").await;
    other.open(SCOPE).await.expect(404);
    other.post(SCOPE, &step("confirm", "2", "/acs/ecs")).await.expect(404);

    let change = async |method: &str, body| {
        world.api("admin@acme", method, "/applications/report-hub/scopes", Some(body)).await
    };
    change("PATCH", json!({ "remove": ["openid"] })).await.expect_problem(400, "scope_required");
    change("PATCH", json!({ "add": ["/acs/alidns"] })).await.expect_problem(400, "scope_not_offered");
    change("PATCH", json!({ "add": ["/acs/ecs"], "remove": ["/acs/ecs:read"] })).await.expect(400);
    change("PATCH", json!({ "revision": 1, "add": ["/acs/ecs"] })).await.expect_problem(409, "conflict");
    let wider = change("PATCH", json!({ "add": ["/acs/ecs"] })).await.expect(200).json();
    assert_eq!((&wider["added"], &wider["effect"]["effective"]), (&json!(["/acs/ecs"]), &json!(true)));
    let all = json!({ "revision": 3, "scopes": ["openid", "profile", "/acs/oss:read"] });
    let narrow = change("PUT", all).await.expect(200).json();
    assert_eq!(narrow["removed"], json!(["/acs/ecs", "/acs/ecs:read"]));
}

#[tokio::test]
async fn what_an_administrator_takes_from_an_own_application_is_not_given_back_by_a_visit() {
    let world = World::new().await;
    let alice = Browser::of(&world, "alice@globex").await;
    let code = async |page: Answer| {
        assert!(page.expect(303).headers["location"].to_str().unwrap().contains("code="));
    };
    code(alice.access("report-hub").await).await;
    let take = json!({ "remove": ["/acs/ecs", "/acs/ecs:read"] });
    let path = "/applications/report-hub/scopes";
    world.api("admin@globex", "PATCH", path, Some(take)).await.expect(200);
    code(alice.access("report-hub").await).await;
    let more = json!({ "optional_scopes": ["/acs/ecs", "/acs/ecs:read", "/acs/alidns"] });
    world.republish(more).await.expect(200);
    code(alice.access("report-hub").await).await;
    let show = world.api("admin@globex", "GET", path, None).await.expect(200).json();
    assert_eq!(show["granted"], json!(["/acs/alidns", "/acs/oss:read", "openid", "profile"]));
    assert_eq!(show["declined"], json!(["/acs/ecs", "/acs/ecs:read"]));
}
