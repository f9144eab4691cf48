//! What people prove themselves by, through the router: passwords, links, codes and recovery codes; and the browser that
//! they do it in.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::Request;
use url::form_urlencoded::Serializer;

use super::{Answer, World};
use crate::store::By;
use crate::token::random::Secret;

pub(super) const HERE: &str = "http://localhost:8081";
pub(super) const PASSWORD: &str = "correct horse battery";

/// A browser without a session: cookies, and the page that it shows.
pub(super) struct Browser<'a> {
    world: &'a World,
    cookies: BTreeMap<String, String>,
    page: String,
    /// The last page that had a form.
    form: String,
}

impl<'a> Browser<'a> {
    pub(super) fn new(world: &'a World) -> Self {
        Self { world, cookies: BTreeMap::new(), page: String::new(), form: String::new() }
    }

    pub(super) async fn open(&mut self, path: &str) -> Answer {
        let ask = Request::builder().uri(path).header("cookie", self.cookie());
        self.answered(ask.body(Body::empty()).unwrap()).await
    }

    /// Posts these fields with what the page hides in its forms.
    pub(super) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut body = Serializer::new(String::new());
        for name in ["csrf", "transaction", "continue", "link"] {
            if let Some(value) = self.hidden(name) {
                body.append_pair(name, &value);
            }
        }
        let body = body.extend_pairs(fields).finish();
        self.post_raw(path, body).await
    }

    pub(super) async fn post_raw(&mut self, path: &str, body: String) -> Answer {
        let ask = Request::builder()
            .method("POST")
            .uri(path)
            .header("cookie", self.cookie())
            .header("origin", HERE)
            .header("content-type", "application/x-www-form-urlencoded");
        self.answered(ask.body(Body::from(body)).unwrap()).await
    }

    /// Types login and password.
    pub(super) async fn log_in(&mut self, login: &str, password: &str) -> Answer {
        self.open("/login?continue=/me/security").await.expect(200);
        self.post("/login", &[("login", login), ("password", password)]).await
    }

    pub(super) fn hidden(&self, name: &str) -> Option<String> {
        between(&self.form, &format!("name=\"{name}\" value=\""), "\"")
    }

    pub(super) fn options(&self) -> String {
        between(&self.page, "data-options=\"", "\"").unwrap()
    }

    pub(super) fn is_in(&self) -> bool {
        self.cookies.contains_key("consentry_session")
    }

    fn cookie(&self) -> String {
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    async fn answered(&mut self, request: Request<Body>) -> Answer {
        let answer = self.world.send(request).await;
        for line in answer.headers.get_all("set-cookie") {
            let line = line.to_str().unwrap();
            let (name, value) = line.split_once(';').unwrap().0.split_once('=').unwrap();
            if line.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        if answer.status != 303 {
            self.page.clone_from(&answer.text);
            if self.page.contains("name=\"csrf\"") {
                self.form.clone_from(&answer.text);
            }
        }
        answer
    }
}

/// What stands between two marks, unescaped.
fn between(page: &str, before: &str, after: &str) -> Option<String> {
    let (_, rest) = page.split_once(before)?;
    let (found, _) = rest.split_once(after)?;
    Some(found.replace("&#34;", "\"").replace("&#39;", "'").replace("&#38;", "&").replace("&#60;", "<"))
}

pub(super) async fn world() -> World {
    let world = World::at(HERE).await;
    for login in ["alice@acme", "admin@acme"] {
        set_password(&world, login).await;
    }
    world
}

async fn set_password(world: &World, login: &str) {
    let hash = world.control.passwords().hash(Secret::new(PASSWORD.to_owned())).await.unwrap();
    let key = world.principal(login).await.key;
    let now = world.control.clock().now();
    world.control.store().set_password(&key, &hash, None, None, By::Operator, now).await.unwrap();
}

/// Logs in and sets an authenticator up; answers it, and the recovery codes.
async fn with_authenticator(browser: &mut Browser<'_>, login: &str) -> (Generator, Vec<String>) {
    browser.log_in(login, PASSWORD).await.expect(303);
    browser.open("/me/security").await.expect(200);
    browser.post("/me/security/authenticator", &[]).await.expect(200);
    let generator = Generator::of(browser, login);
    let code = generator.code(browser.world);
    browser.post("/me/security/authenticator/confirm", &[("code", &code)]).await.expect(200);
    (generator, codes(&browser.page))
}

fn codes(page: &str) -> Vec<String> {
    page.split("<li><code>").skip(1).map(|part| part.split('<').next().unwrap().to_owned()).collect()
}

/// The authenticator in somebody's hand.
struct Generator(Vec<u8>, String);

impl Generator {
    fn of(browser: &Browser<'_>, login: &str) -> Self {
        let text = between(&browser.page, "Or type this key: <code>", "<").unwrap();
        let secret = totp_rs::Secret::try_from_base32(text.replace(' ', "")).unwrap();
        Self(secret.as_bytes().to_vec(), login.to_owned())
    }

    fn code(&self, world: &World) -> String {
        let now = u64::try_from(world.control.clock().seconds()).unwrap();
        let secret = totp_rs::Secret::new(self.0.clone().into());
        let here = totp_rs::Builder::new().with_secret(secret).with_account_name(self.1.clone());
        here.build().unwrap().generate(now).to_string()
    }
}

#[tokio::test]
async fn a_password_alone_is_enough_until_a_code_is_asked_for() {
    let world = world().await;
    let mut alice = Browser::new(&world);
    let (generator, codes) = with_authenticator(&mut alice, "alice@acme").await;
    assert_eq!(codes.len(), 10);
    world.control.clock().advance(30);
    let mut again = Browser::new(&world);
    again.log_in("alice@acme", PASSWORD).await.expect(200);
    assert!(!again.is_in() && again.page.contains("code of your authenticator"), "{}", again.page);
    again.open("/me/security").await.expect(303);
    again.log_in("alice@acme", PASSWORD).await.expect(200);
    let code = generator.code(&world);
    let entered = again.post("/login/code", &[("code", &code)]).await.expect(303);
    assert_eq!(entered.headers["location"], "/me/security");
    assert!(again.is_in());
}

#[tokio::test]
async fn a_code_is_not_taken_twice_nor_without_the_password_nor_in_another_browser() {
    let world = world().await;
    let mut alice = Browser::new(&world);
    let (generator, _) = with_authenticator(&mut alice, "alice@acme").await;
    // The code by which it was set up, in the same step.
    let code = generator.code(&world);
    let mut again = Browser::new(&world);
    again.log_in("alice@acme", PASSWORD).await.expect(200);
    again.post("/login/code", &[("code", &code)]).await.expect(403);
    world.control.clock().advance(30);
    let code = generator.code(&world);
    let transaction = again.hidden("transaction").unwrap();
    // Another browser has not typed the password.
    let mut other = Browser::new(&world);
    other.open("/login").await.expect(200);
    other.post("/login/code", &[("code", &code), ("transaction", &transaction)]).await.expect(409);
    other.post("/login/code", &[("code", &code)]).await.expect(409);
    again.post("/login/code", &[("code", &code)]).await.expect(303);
    // Seen over the shoulder, it is worth nothing.
    let mut thief = Browser::new(&world);
    thief.log_in("alice@acme", PASSWORD).await.expect(200);
    thief.post("/login/code", &[("code", &code)]).await.expect(403);
    assert!(!thief.is_in() && !other.is_in());
}

#[tokio::test]
async fn a_recovery_code_is_taken_once() {
    let world = world().await;
    let mut alice = Browser::new(&world);
    let (_, codes) = with_authenticator(&mut alice, "alice@acme").await;
    for (code, status) in [(&codes[0], 303), (&codes[0], 403), (&codes[1], 303)] {
        let mut again = Browser::new(&world);
        again.log_in("alice@acme", PASSWORD).await.expect(200);
        again.post("/login/code", &[("code", &code.to_uppercase())]).await.expect(status);
    }
    let mut admin = Browser::new(&world);
    with_authenticator(&mut admin, "admin@acme").await;
    let mut again = Browser::new(&world);
    again.log_in("admin@acme", PASSWORD).await.expect(200);
    again.post("/login/code", &[("code", &codes[2])]).await.expect(403);
}

#[tokio::test]
async fn guessing_codes_is_throttled_and_a_password_does_not_start_it_anew() {
    let world = world().await;
    let mut alice = Browser::new(&world);
    let (generator, _) = with_authenticator(&mut alice, "alice@acme").await;
    for _ in 0..5 {
        let mut thief = Browser::new(&world);
        thief.log_in("alice@acme", PASSWORD).await.expect(200);
        thief.post("/login/code", &[("code", "000000")]).await.expect(403);
    }
    world.control.clock().advance(30);
    let mut again = Browser::new(&world);
    again.log_in("alice@acme", PASSWORD).await.expect(200);
    let code = generator.code(&world);
    again.post("/login/code", &[("code", &code)]).await.expect(429);
    world.control.clock().advance(300);
    let code = generator.code(&world);
    again.log_in("alice@acme", PASSWORD).await.expect(200);
    again.post("/login/code", &[("code", &code)]).await.expect(303);
}

#[tokio::test]
async fn after_too_many_wrong_codes_none_is_looked_at_however_slowly_they_come_and_a_recovery_code_is() {
    let world = world().await;
    let mut alice = Browser::new(&world);
    let (generator, codes) = with_authenticator(&mut alice, "alice@acme").await;
    let try_code = async |code: &str, status: u16| {
        let mut again = Browser::new(&world);
        again.log_in("alice@acme", PASSWORD).await.expect(200);
        let answer = again.post("/login/code", &[("code", code)]).await.expect(status);
        assert_eq!(again.is_in(), status == 303);
        answer
    };
    for _ in 0..4 {
        for _ in 0..5 {
            try_code("000000", 403).await;
        }
        world.control.clock().advance(300);
    }
    let right = generator.code(&world);
    let page = try_code(&right, 403).await.text;
    assert!(page.contains("No more codes"), "{page}");
    world.control.clock().advance(30);
    try_code(&codes[0], 303).await;
    try_code(&generator.code(&world), 303).await;
}

#[tokio::test]
async fn who_guesses_at_a_log_in_keeps_nobody_from_a_new_authenticator_and_guesses_there_are_counted() {
    let world = world().await;
    let mut alice = Browser::new(&world);
    alice.log_in("alice@acme", PASSWORD).await.expect(303);
    for _ in 0..6 {
        Browser::new(&world).log_in("alice@acme", "wrong").await;
    }
    Browser::new(&world).log_in("alice@acme", PASSWORD).await.expect(429);
    alice.open("/me/security").await.expect(200);
    alice.post("/me/security/authenticator", &[]).await.expect(200);
    for _ in 0..5 {
        alice.post("/me/security/authenticator/confirm", &[("code", "000000")]).await.expect(403);
    }
    let code = Generator::of(&alice, "alice@acme").code(&world);
    alice.post("/me/security/authenticator/confirm", &[("code", &code)]).await.expect(429);
}

#[tokio::test]
async fn another_password_between_the_two_steps_ends_the_log_in() {
    let world = world().await;
    let mut alice = Browser::new(&world);
    let (generator, _) = with_authenticator(&mut alice, "alice@acme").await;
    world.control.clock().advance(30);
    let mut again = Browser::new(&world);
    again.log_in("alice@acme", PASSWORD).await.expect(200);
    set_password(&world, "alice@acme").await;
    let code = generator.code(&world);
    again.post("/login/code", &[("code", &code)]).await.expect(409);
    assert!(!again.is_in());
}

#[tokio::test]
async fn what_somebody_signs_in_with_is_changed_only_shortly_after_signing_in_and_by_a_form_of_ours() {
    let world = world().await;
    let mut alice = Browser::new(&world);
    alice.log_in("alice@acme", PASSWORD).await.expect(303);
    alice.open("/me/security").await.expect(200);
    alice.post_raw("/me/security/authenticator", "csrf=wrong".to_owned()).await.expect(403);
    let fields = [("current", "wrong"), ("password", "another long one"), ("again", "another long one")];
    alice.post("/me/security/password", &fields).await.expect(400);
    alice.open("/me/security").await.expect(200);
    let mut fields = fields;
    fields[0].1 = PASSWORD;
    world.control.clock().advance(16 * 60);
    for path in ["password", "authenticator", "passkeys", "recovery", "authenticator/remove"] {
        let refused = alice.post(&format!("/me/security/{path}"), &fields).await.expect(403);
        assert!(refused.text.contains("not_recent"), "{}", refused.text);
        alice.open("/me/security").await.expect(200);
    }
    let mut other = Browser::new(&world);
    other.log_in("alice@acme", PASSWORD).await.expect(303);
    alice.log_in("alice@acme", PASSWORD).await.expect(303);
    alice.open("/me/security").await.expect(200);
    alice.post("/me/security/password", &fields).await.expect(200);
    alice.open("/me/security").await.expect(200);
    other.open("/me/security").await.expect(303);
    Browser::new(&world).log_in("alice@acme", PASSWORD).await.expect(403);
    Browser::new(&world).log_in("alice@acme", "another long one").await.expect(303);
}

#[tokio::test]
async fn a_link_sets_a_password_once() {
    let world = world().await;
    let answer = world.api("admin@acme", "POST", "/directory/users/alice@acme/password-link", None).await;
    let link = answer.expect(201).json()["link"].as_str().unwrap().replace(HERE, "");
    assert!(link.starts_with("/set-password?link="), "{link}");
    let mut alice = Browser::new(&world);
    alice.open(&link).await.expect(200);
    alice.post("/set-password", &[("password", "short"), ("again", "short")]).await.expect(400);
    alice.post("/set-password", &[("password", "a long password"), ("again", "another")]).await.expect(400);
    let good = [("password", "a long password"), ("again", "a long password")];
    let mut cross = Browser::new(&world);
    cross.open(&link).await.expect(200);
    cross.post_raw("/set-password", "link=x&password=a+long+password".to_owned()).await.expect(403);
    alice.post("/set-password", &good).await.expect(200);
    cross.post("/set-password", &good).await.expect(404);
    alice.open(&link).await.expect(404);
    alice.open("/set-password").await.expect(404);
    Browser::new(&world).log_in("alice@acme", PASSWORD).await.expect(403);
    Browser::new(&world).log_in("alice@acme", "a long password").await.expect(303);
}

#[tokio::test]
async fn an_administrator_without_a_second_factor_sets_one_up_when_it_is_demanded() {
    let world = world().await;
    let demand = serde_json::json!({ "administrators_need_second_factor": true });
    world.api("root@acme", "PUT", "/directory/rules", Some(demand)).await.expect(200);
    Browser::new(&world).log_in("alice@acme", PASSWORD).await.expect(303);
    let mut admin = Browser::new(&world);
    admin.log_in("admin@acme", PASSWORD).await.expect(200);
    assert!(!admin.is_in() && admin.page.contains("demands"), "{}", admin.page);
    admin.post("/login/authenticator", &[("code", "000000")]).await.expect(403);
    // A passkey was added meanwhile: who only knows the password gets no further.
    let passkey = crate::store::KeptPasskey {
        credential: vec![1; 16],
        principal: world.principal("admin@acme").await.key,
        name: "Key".to_owned(),
        public: "{}".to_owned(),
        added_at: world.control.clock().now(),
        used_at: None,
    };
    let (store, now) = (world.control.store(), world.control.clock().now());
    let ends = now + jiff::SignedDuration::from_hours(1);
    let session = crate::store::BrowserSession::new([9; 32], passkey.principal.clone(), now, ends);
    store.open_session(&session).await.unwrap();
    store.add_passkey(&passkey, &[9; 32], now).await.unwrap();
    let code = Generator::of(&admin, "admin@acme").code(&world);
    admin.post("/login/authenticator", &[("code", &code)]).await.expect(409);
    assert!(!admin.is_in());
    store.remove_passkey(&passkey.principal, &[1; 16], By::Operator, now).await.unwrap();
    admin.log_in("admin@acme", PASSWORD).await.expect(200);
    for _ in 0..3 {
        admin.post("/login/authenticator", &[("code", "000000")]).await.expect(403);
    }
    admin.post("/login/authenticator", &[("code", "000000")]).await.expect(429);
    world.control.clock().advance(300);
    admin.log_in("admin@acme", PASSWORD).await.expect(200);
    let code = Generator::of(&admin, "admin@acme").code(&world);
    admin.post("/login/authenticator", &[("code", &code)]).await.expect(200);
    assert!(admin.is_in() && codes(&admin.page).len() == 10, "{}", admin.page);
    let people = admin.open("/console/people").await.expect(200).text;
    assert!(people.contains("own provider is not asked for a second factor here"), "{people}");
    let mut again = Browser::new(&world);
    again.log_in("admin@acme", PASSWORD).await.expect(200);
    assert!(again.page.contains("code of your authenticator"), "{}", again.page);
}
