//! From an authorization request to tokens, through the router: what each kind of application asks of whom.

use axum::body::Body;
use axum::http::Request;
use serde_json::Value;
use url::Url;
use url::form_urlencoded::Serializer;

use super::{ACME, Answer, GLOBEX, World, account};
use crate::model::grant::{AssignmentMode, GrantState};
use crate::model::id::GrantKey;
use crate::store::{Assignment, Secret as Kept};
use crate::token::pkce;
use crate::token::random::sha256;

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const REDIRECT: &str = "https://hub.example/cb";

/// A person at a browser, logged in.
pub(super) struct Browser<'w> {
    pub(super) world: &'w World,
    pub(super) cookie: String,
    pub(super) csrf: String,
}

impl<'w> Browser<'w> {
    pub(super) async fn of(world: &'w World, login: &str) -> Self {
        let (cookie, csrf) = world.session(login).await;
        Self { world, cookie, csrf }
    }

    pub(super) async fn open(&self, path: &str) -> Answer {
        let request = Request::get(path).header("cookie", &self.cookie).body(Body::empty()).unwrap();
        self.world.send(request).await
    }

    pub(super) async fn ask(&self, application: &str, more: &[(&str, &str)]) -> Answer {
        let query = Serializer::new(String::new())
            .extend_pairs([("client_id", application), ("redirect_uri", REDIRECT), ("response_type", "code")])
            .extend_pairs([
                ("code_challenge", pkce::challenge(VERIFIER).as_str()),
                ("code_challenge_method", "S256"),
            ])
            .extend_pairs([("access_type", "offline"), ("state", "s&t")])
            .extend_pairs(more)
            .finish();
        self.open(&format!("/oauth2/v1/auth?{query}")).await
    }

    pub(super) async fn decide(&self, page: &Answer, fields: &[(&str, &str)]) -> Answer {
        let transaction = hidden(page, "transaction");
        let own = [("csrf", self.csrf.as_str()), ("transaction", &transaction)];
        self.post("/oauth2/v1/consent", &[&own, fields].concat()).await
    }

    pub(super) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        form(self.world, path, fields, Some(&self.cookie)).await
    }
}

async fn form(world: &World, path: &str, fields: &[(&str, &str)], cookie: Option<&str>) -> Answer {
    let mut request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
    if let Some(cookie) = cookie {
        request = request.header("cookie", cookie);
    }
    let body = Serializer::new(String::new()).extend_pairs(fields).finish();
    world.send(request.body(Body::from(body)).unwrap()).await
}

pub(super) fn hidden(page: &Answer, name: &str) -> String {
    let (_, rest) =
        page.text.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("{page:?}"));
    rest.split('"').next().unwrap().to_owned()
}

#[track_caller]
fn returned(answer: &Answer, name: &str) -> Option<String> {
    let location = answer.headers.get("location").unwrap_or_else(|| panic!("{answer:?}")).to_str().unwrap();
    assert!(location.starts_with(REDIRECT), "{location}");
    let url = Url::parse(location).unwrap();
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

impl World {
    async fn with_secret(&self, application: &str) {
        let secret =
            Kept { id: "s1".into(), hash: sha256(b"secret"), created_at: self.control.clock().now() };
        let by = self.actor("admin@globex").await;
        self.control.store().add_secret(&application.parse().unwrap(), &secret, &by).await.unwrap();
    }

    async fn token(&self, application: &str, fields: &[(&str, &str)]) -> Answer {
        let own = [("client_id", application), ("client_secret", "secret")];
        form(self, "/v1/token", &[&own, fields].concat(), None).await
    }

    async fn redeem(&self, application: &str, answer: &Answer) -> Answer {
        let code = returned(answer, "code").unwrap_or_else(|| panic!("no code: {answer:?}"));
        let fields = [("grant_type", "authorization_code"), ("code", &code), ("redirect_uri", REDIRECT)];
        self.token(application, &[&fields[..], &[("code_verifier", VERIFIER)]].concat()).await
    }

    async fn active(&self, application: &str, token: &Value) -> bool {
        let fields =
            [("client_id", application), ("client_secret", "secret"), ("token", token.as_str().unwrap())];
        let answer = form(self, "/v1/introspect", &fields, None).await.expect(200);
        assert_eq!(answer.headers["cache-control"], "no-store");
        answer.json()["active"].as_bool().unwrap()
    }

    async fn userinfo(&self, token: &Value) -> Answer {
        let bearer = format!("Bearer {}", token.as_str().unwrap());
        self.send(Request::get("/v1/userinfo").header("authorization", bearer).body(Body::empty()).unwrap())
            .await
    }
}

pub(super) fn key(application: &str) -> GrantKey {
    GrantKey { account: account(ACME), application: application.parse().unwrap() }
}

#[tokio::test]
async fn an_administrators_yes_installs_and_everybody_else_then_gets_tokens_unasked() {
    let world = World::new().await;
    world.with_secret("report-hub").await;
    let admin = Browser::of(&world, "admin@acme").await;
    let page = admin.ask("report-hub", &[]).await.expect(200);
    let csp = page.headers["content-security-policy"].to_str().unwrap();
    assert!(csp.contains("form-action 'self' https://hub.example;"), "{csp}");
    let back =
        admin.decide(&page, &[("decision", "authorize"), ("scope", "/acs/ecs:read")]).await.expect(303);
    assert_eq!(returned(&back, "state").as_deref(), Some("s&t"));
    assert_eq!(returned(&back, "iss").as_deref(), Some("http://127.0.0.1:8081"));
    admin.decide(&page, &[("decision", "authorize")]).await.expect(409);

    let alice = Browser::of(&world, "alice@acme").await;
    let back = alice.ask("report-hub", &[]).await.expect(303);
    let tokens = world.redeem("report-hub", &back).await.expect(200).json();
    assert_eq!(tokens["scope"], "/acs/ecs:read /acs/oss:read openid profile");
    assert_eq!(world.userinfo(&tokens["access_token"]).await.expect(200).json()["upn"], "alice@acme");
    assert!(world.active("report-hub", &tokens["access_token"]).await);
}

#[tokio::test]
async fn nobody_but_an_administrator_is_asked_and_the_address_they_get_asks_an_administrator() {
    let world = World::new().await;
    let alice = Browser::of(&world, "alice@acme").await;
    let page = alice.ask("report-hub", &[]).await.expect(403);
    let link = "/oauth2/v1/install?client_id=report-hub";
    assert!(page.text.contains(link) && page.text.contains("root@acme"), "{}", page.text);
    alice.open(link).await.expect(403);

    let admin = Browser::of(&world, "admin@acme").await;
    let page = admin.open(link).await.expect(200);
    admin.decide(&page, &[("decision", "authorize")]).await.expect(200);
    returned(&alice.ask("report-hub", &[]).await.expect(303), "code").unwrap();
}

#[tokio::test]
async fn a_right_that_was_lost_while_the_page_was_open_installs_nothing() {
    let world = World::new().await;
    let admin = Browser::of(&world, "admin@acme").await;
    let page = admin.ask("report-hub", &[]).await.expect(200);
    let principal = world.principal("admin@acme").await.key;
    world.control.store().set_full_access(&principal, false, world.control.clock().now()).await.unwrap();
    admin.decide(&page, &[("decision", "authorize")]).await.expect(403);
    assert!(world.control.store().installed(&key("report-hub")).await.unwrap().is_none());
}

#[tokio::test]
async fn a_grant_that_was_changed_while_the_page_was_open_is_not_overwritten() {
    let world = World::new().await;
    let (admin, root) = (Browser::of(&world, "admin@acme").await, Browser::of(&world, "root@acme").await);
    let first = admin.ask("report-hub", &[]).await.expect(200);
    let second = root.ask("report-hub", &[]).await.expect(200);
    root.decide(&second, &[("decision", "authorize")]).await.expect(303);
    admin.decide(&first, &[("decision", "authorize"), ("scope", "/acs/ecs")]).await.expect(409);
}

#[tokio::test]
async fn an_official_application_is_for_assigned_people_who_agree_themselves() {
    let world = World::new().await;
    world.with_secret("mcp-server").await;
    world.install("mcp-server", "").await;
    let alice = Browser::of(&world, "alice@acme").await;
    let refused = alice.ask("mcp-server", &[]).await.expect(403);
    assert!(refused.text.contains("not assigned"), "{}", refused.text);

    let principal = world.principal("alice@acme").await;
    let assignment = Assignment {
        mode: AssignmentMode::Assigned,
        users: vec![principal.key.id.clone()],
        groups: Vec::new(),
        roles: Vec::new(),
    };
    let by = world.actor("admin@acme").await;
    let now = world.control.clock().now();
    world.control.store().assign(&key("mcp-server"), &assignment, &by, now).await.unwrap();
    let page = alice.ask("mcp-server", &[]).await.expect(200);
    let rejected = alice.decide(&page, &[("decision", "reject")]).await.expect(303);
    assert_eq!(returned(&rejected, "error").as_deref(), Some("access_denied"));
    let page = alice.ask("mcp-server", &[]).await.expect(200);
    alice.decide(&page, &[("decision", "authorize"), ("scope", "/acs/ecs")]).await.expect(400);
    let page = alice.ask("mcp-server", &[]).await.expect(200);
    let back = alice.decide(&page, &[("decision", "authorize")]).await.expect(303);
    let tokens = world.redeem("mcp-server", &back).await.expect(200).json();
    returned(&alice.ask("mcp-server", &[]).await.expect(303), "code").unwrap();

    world.control.store().withdraw_consent(&key("mcp-server"), &principal.key, &by, now).await.unwrap();
    assert!(!world.active("mcp-server", &tokens["access_token"]).await);
    world.userinfo(&tokens["access_token"]).await.expect(401);
}

#[tokio::test]
async fn an_administrator_who_installs_an_official_application_by_using_it_can_use_it() {
    let world = World::new().await;
    let admin = Browser::of(&world, "admin@acme").await;
    let page = admin.ask("mcp-server", &[]).await.expect(200);
    let back = admin.decide(&page, &[("decision", "authorize")]).await.expect(303);
    assert!(returned(&back, "code").is_some());
    let alice = Browser::of(&world, "alice@acme").await;
    alice.ask("mcp-server", &[]).await.expect(403);
}

#[tokio::test]
async fn a_first_party_application_asks_nothing() {
    let world = World::new().await;
    let alice = Browser::of(&world, "alice@globex").await;
    assert!(returned(&alice.ask("report-hub", &[]).await.expect(303), "code").is_some());
    let key = GrantKey { account: account(GLOBEX), application: "report-hub".parse().unwrap() };
    assert!(world.control.store().installed(&key).await.unwrap().is_some());
}

#[tokio::test]
async fn an_own_application_has_a_page_to_be_authorized_at_once_somebody_has_deleted_it_and_only_then() {
    let world = World::new().await;
    let alice = Browser::of(&world, "alice@globex").await;
    let admin = Browser::of(&world, "admin@globex").await;
    let page = "/oauth2/v1/install?client_id=report-hub";
    assert!(admin.open(page).await.expect(200).text.contains("Nothing to authorize"));
    alice.ask("report-hub", &[]).await.expect(303);
    assert!(admin.open(page).await.expect(200).text.contains("Nothing to authorize"));
    let key = GrantKey { account: account(GLOBEX), application: "report-hub".parse().unwrap() };
    let (by, now) = (world.actor("admin@globex").await, world.control.clock().now());
    world.control.store().set_state(&key, GrantState::Revoked, &by, now).await.unwrap();
    alice.open(page).await.expect(403);
    let asked = admin.open(page).await.expect(200);
    admin.decide(&asked, &[("decision", "authorize")]).await.expect(200);
    let grant = world.control.store().installed(&key).await.unwrap().unwrap().grant;
    assert_eq!(grant.state, GrantState::Active);
}

#[tokio::test]
async fn who_acts_as_a_role_is_let_in_and_is_given_nothing_to_refresh() {
    let world = World::new().await;
    world.with_secret("report-hub").await;
    world.install("report-hub", "").await;
    for (login, refreshes) in [("alice@acme", true), ("deploy@acme", false)] {
        let back = Browser::of(&world, login).await.ask("report-hub", &[]).await.expect(303);
        let tokens = world.redeem("report-hub", &back).await.expect(200).json();
        assert!(tokens["access_token"].is_string(), "{login}: {tokens}");
        assert_eq!(tokens["refresh_token"].is_string(), refreshes, "{login}");
    }
}

#[tokio::test]
async fn tokens_die_with_the_grant_and_come_back_only_with_a_resumed_one() {
    let world = World::new().await;
    world.with_secret("report-hub").await;
    world.install("report-hub", "").await;
    let back = Browser::of(&world, "alice@acme").await.ask("report-hub", &[]).await.expect(303);
    let tokens = world.redeem("report-hub", &back).await.expect(200).json();
    let by = world.actor("admin@acme").await;
    for (state, lives) in
        [(GrantState::Suspended, false), (GrantState::Active, true), (GrantState::Revoked, false)]
    {
        let now = world.control.clock().now();
        world.control.store().set_state(&key("report-hub"), state, &by, now).await.unwrap();
        assert_eq!(world.active("report-hub", &tokens["access_token"]).await, lives, "{state:?}");
        assert_eq!(world.active("report-hub", &tokens["refresh_token"]).await, lives, "{state:?}");
    }
    world.install("report-hub", "").await;
    let fields =
        [("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
    let refused = world.token("report-hub", &fields).await.expect(400).json();
    assert_eq!(refused["error"], "invalid_grant");
    assert!(!world.active("report-hub", &tokens["access_token"]).await);
}

#[tokio::test]
async fn tokens_die_with_the_person_and_the_application() {
    let world = World::new().await;
    world.with_secret("report-hub").await;
    world.install("report-hub", "").await;
    let back = Browser::of(&world, "alice@acme").await.ask("report-hub", &[]).await.expect(303);
    let tokens = world.redeem("report-hub", &back).await.expect(200).json();
    let (store, now) = (world.control.store(), world.control.clock().now());
    let alice = world.principal("alice@acme").await.key;
    store.enable_principal(&alice, false, now).await.unwrap();
    assert!(!world.active("report-hub", &tokens["access_token"]).await);
    store.enable_principal(&alice, true, now).await.unwrap();
    assert!(world.active("report-hub", &tokens["access_token"]).await);
    let mut application = store.application(&"report-hub".parse().unwrap()).await.unwrap().unwrap();
    application.enabled = false;
    store.change_application(&application, &world.actor("admin@globex").await, now).await.unwrap();
    world.userinfo(&tokens["access_token"]).await.expect(401);
}

#[tokio::test]
async fn what_became_required_after_the_page_was_shown_is_not_authorized_by_it() {
    let world = World::new().await;
    let admin = Browser::of(&world, "admin@acme").await;
    let page = admin.ask("report-hub", &[]).await.expect(200);
    let (store, now) = (world.control.store(), world.control.clock().now());
    let mut application = store.application(&"report-hub".parse().unwrap()).await.unwrap().unwrap();
    application.required = application.offered().union(&"/acs/alidns".parse().unwrap());
    application.optional = crate::model::scope::ScopeSet::new();
    store.change_application(&application, &world.actor("admin@globex").await, now).await.unwrap();
    admin.decide(&page, &[("decision", "authorize")]).await.expect(409);
    let key = GrantKey { account: account(ACME), application: application.id };
    assert!(store.installed(&key).await.unwrap().is_none());
    let page = admin.ask("report-hub", &[]).await.expect(200);
    admin.decide(&page, &[("decision", "authorize")]).await.expect(303);
}

#[tokio::test]
async fn what_was_signed_before_a_rotation_stays_good_after_it() {
    let world = World::new().await;
    world.with_secret("report-hub").await;
    world.install("report-hub", "").await;
    let alice = Browser::of(&world, "alice@acme").await;
    let keys = async || {
        let answer = world.send(Request::get("/v1/keys").body(Body::empty()).unwrap()).await.expect(200);
        answer.json()["keys"].as_array().unwrap().iter().map(|key| key["kid"].to_string()).collect::<Vec<_>>()
    };
    let before = keys().await;
    let old = world.redeem("report-hub", &alice.ask("report-hub", &[]).await).await.expect(200).json();
    world.control.rotate_keys().await.unwrap();
    assert_eq!(keys().await.len(), 2 * before.len(), "the next keys are published before they sign");
    world.control.clock().advance(world.control.settings().key_notice_seconds + 1);
    let new = world.redeem("report-hub", &alice.ask("report-hub", &[]).await).await.expect(200).json();
    let head = |token: &Value| token.as_str().unwrap().split('.').next().unwrap().to_owned();
    assert_ne!(head(&old["access_token"]), head(&new["access_token"]));
    assert!(world.active("report-hub", &old["access_token"]).await);
    assert!(world.active("report-hub", &new["access_token"]).await);
}

#[tokio::test]
async fn prompt_none_never_shows_a_page() {
    let world = World::new().await;
    let alice = Browser::of(&world, "alice@acme").await;
    let stranger = Browser { world: &world, cookie: String::new(), csrf: String::new() };
    let none = [("prompt", "none")];
    let error = |answer: Answer| returned(&answer, "error").unwrap();
    assert_eq!(error(stranger.ask("report-hub", &none).await), "login_required");
    assert_eq!(error(alice.ask("report-hub", &none).await), "consent_required");
    world.install("report-hub", "").await;
    assert!(returned(&alice.ask("report-hub", &none).await, "code").is_some());
}

#[tokio::test]
async fn a_person_who_is_not_logged_in_comes_back_to_the_request_and_a_fresh_login_can_be_wanted() {
    let world = World::new().await;
    let stranger = Browser { world: &world, cookie: String::new(), csrf: String::new() };
    let alice = Browser::of(&world, "alice@acme").await;
    world.install("report-hub", "").await;
    for answer in [
        stranger.ask("report-hub", &[]).await,
        alice.ask("report-hub", &[("prompt", "login")]).await,
        alice.ask("report-hub", &[("max_age", "0")]).await,
    ] {
        let location = answer.expect(303).headers["location"].to_str().unwrap().to_owned();
        assert!(location.starts_with("/login?continue=%2Foauth2%2Fv1%2Fauth%3F"), "{location}");
        let page = stranger.open(&location).await.expect(200);
        assert!(page.text.contains("Report &#60;Hub&#62;"), "{}", page.text);
        let onward = hidden(&page, "continue").replace("&#38;", "&");
        assert!(returned(&alice.open(&onward).await.expect(303), "code").is_some(), "{onward}");
    }
}

#[tokio::test]
async fn an_issuer_with_a_path_is_found_in_every_form_and_works_below_it() {
    let world = World::at("https://example.org/auth").await;
    let get =
        async |path: &str| world.send(Request::get(path).body(Body::empty()).unwrap()).await.expect(200).text;
    let metadata = get("/.well-known/oauth-authorization-server/auth").await;
    for path in [
        "/.well-known/openid-configuration/auth",
        "/auth/.well-known/openid-configuration",
        "/auth/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
    ] {
        assert_eq!(get(path).await, metadata, "{path}");
    }
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    assert_eq!(metadata["issuer"], "https://example.org/auth");
    assert_eq!(metadata["token_endpoint"], "https://example.org/auth/v1/token");
    get("/auth/v1/keys").await;
    let login = world.send(Request::get("/auth/login").body(Body::empty()).unwrap()).await.expect(200);
    assert!(login.text.contains("action=\"/auth/login\""), "{}", login.text);
    let cookie = login.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("__Host-consentry-login=") && cookie.contains("; Secure"), "{cookie}");
}

#[tokio::test]
async fn what_is_not_there_and_what_is_not_done_is_a_problem() {
    let world = World::new().await;
    let send =
        |method: &str, path: &str| Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    world.send(send("GET", "/nothing")).await.expect_problem(404, "not_found");
    world.send(send("DELETE", "/v1/token")).await.expect_problem(405, "method_not_allowed");
}
