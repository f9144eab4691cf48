//! Passkeys, through the router: they are their owner's, at our origin, and each answer counts once.

use url::form_urlencoded::Serializer;

use super::Answer;
use super::security::{Browser, HERE, PASSWORD, world};
use crate::token::factor::soft::Soft;

/// Adds a passkey to a logged-in person.
async fn with_passkey(browser: &mut Browser<'_>, soft: &mut Soft) -> Answer {
    browser.open("/me/security").await.expect(200);
    browser.post("/me/security/passkeys", &[("name", "Laptop")]).await.expect(200);
    let answer = soft.make(&browser.options());
    browser.post("/me/security/passkeys/answer", &[("answer", &answer)]).await
}

/// Logs in by passkey, with a login typed or none.
async fn by_passkey(browser: &mut Browser<'_>, soft: &mut Soft, login: &str) -> Answer {
    browser.open("/login?continue=/me/security").await.expect(200);
    browser.post("/login/passkey", &[("login", login)]).await.expect(200);
    let answer = soft.answer(&browser.options());
    browser.post("/login/passkey/answer", &[("answer", &answer)]).await
}

#[tokio::test]
async fn a_passkey_logs_its_owner_in_with_the_login_typed_or_without() {
    let world = world().await;
    let (mut alice, mut soft) = (Browser::new(&world), Soft::new(HERE, 1));
    alice.log_in("alice@acme", PASSWORD).await.expect(303);
    with_passkey(&mut alice, &mut soft).await.expect(303);
    assert!(alice.open("/me/security").await.text.contains("Laptop"));
    for login in ["", "alice@acme", "ALICE@acme"] {
        let mut again = Browser::new(&world);
        let answer = by_passkey(&mut again, &mut soft, login).await.expect(303);
        assert_eq!(answer.headers["location"], "/me/security");
        assert!(again.open("/me/security").await.expect(200).text.contains("alice@acme"));
    }
    let page = Browser::new(&world).open("/login").await;
    assert!(!page.headers["content-security-policy"].to_str().unwrap().contains("script"));
}

#[tokio::test]
async fn a_passkey_is_refused_for_another_login_replayed_at_another_origin_or_once_removed() {
    let world = world().await;
    let (mut alice, mut soft) = (Browser::new(&world), Soft::new(HERE, 1));
    alice.log_in("alice@acme", PASSWORD).await.expect(303);
    with_passkey(&mut alice, &mut soft).await.expect(303);
    let mut thief = Browser::new(&world);
    by_passkey(&mut thief, &mut soft, "admin@acme").await.expect(403);
    soft.origin = "http://localhost:9999".to_owned();
    by_passkey(&mut thief, &mut soft, "").await.expect(403);
    soft.origin = HERE.to_owned();
    soft.verifies = false;
    by_passkey(&mut thief, &mut soft, "").await.expect(403);
    soft.verifies = true;
    by_passkey(&mut thief, &mut Soft::new(HERE, 1), "alice@acme").await.expect(403);
    by_passkey(&mut thief, &mut Soft::new(HERE, 2), "").await.expect(403);
    assert!(!thief.is_in());
    // The same answer a second time, to the same question and to another one.
    let mut again = Browser::new(&world);
    again.open("/login").await.expect(200);
    again.post("/login/passkey", &[]).await.expect(200);
    let answer = soft.answer(&again.options());
    let fields =
        [("csrf", again.hidden("csrf").unwrap()), ("transaction", again.hidden("transaction").unwrap())];
    again.post("/login/passkey/answer", &[("answer", &answer)]).await.expect(303);
    let body = Serializer::new(String::new()).extend_pairs(&fields).append_pair("answer", &answer).finish();
    again.post_raw("/login/passkey/answer", body).await.expect(403);
    thief.open("/login").await.expect(200);
    thief.post("/login/passkey", &[]).await.expect(200);
    thief.post("/login/passkey/answer", &[("answer", &answer)]).await.expect(403);
    // Removed, it is worth nothing, even if it was asked for before.
    thief.open("/login").await.expect(200);
    thief.post("/login/passkey", &[]).await.expect(200);
    let answer = soft.answer(&thief.options());
    alice.open("/me/security").await.expect(200);
    let credential = alice.hidden("credential").unwrap();
    alice.post("/me/security/passkeys/remove", &[("credential", &credential)]).await.expect(303);
    thief.post("/login/passkey/answer", &[("answer", &answer)]).await.expect(403);
    assert!(!thief.is_in());
}

#[tokio::test]
async fn a_passkey_is_added_to_nobody_but_who_was_asked() {
    let world = world().await;
    let (mut alice, mut admin) = (Browser::new(&world), Browser::new(&world));
    alice.log_in("alice@acme", PASSWORD).await.expect(303);
    admin.log_in("admin@acme", PASSWORD).await.expect(303);
    let mut soft = Soft::new(HERE, 1);
    admin.open("/me/security").await.expect(200);
    admin.post("/me/security/passkeys", &[]).await.expect(200);
    let answer = soft.make(&admin.options());
    let transaction = admin.hidden("transaction").unwrap();
    alice.open("/me/security").await.expect(200);
    alice
        .post("/me/security/passkeys/answer", &[("transaction", &transaction), ("answer", &answer)])
        .await
        .expect(409);
    let mut elsewhere = Soft::new("https://evil.example", 2);
    with_passkey(&mut alice, &mut elsewhere).await.expect(400);
    let mut lax = Soft::new(HERE, 3);
    lax.verifies = false;
    with_passkey(&mut alice, &mut lax).await.expect(400);
    admin.post("/me/security/passkeys/answer", &[("answer", &answer)]).await.expect(303);
    // The same credential for somebody else.
    with_passkey(&mut alice, &mut soft).await.expect(409);
    let page = alice.open("/me/security").await.expect(200);
    assert!(!page.text.contains("passkeys/remove"), "{}", page.text);
}

#[tokio::test]
async fn nobody_learns_from_the_question_whether_a_login_has_a_passkey() {
    let world = world().await;
    let mut asked = Vec::new();
    for login in ["nobody@acme", "nobody@acme", "alice@acme"] {
        let mut browser = Browser::new(&world);
        browser.open("/login").await.expect(200);
        browser.post("/login/passkey", &[("login", login)]).await.expect(200);
        let options: serde_json::Value = serde_json::from_str(&browser.options()).unwrap();
        asked.push(options["publicKey"]["allowCredentials"].clone());
    }
    assert_eq!(asked[0], asked[1]);
    assert_eq!(asked[0].as_array().unwrap().len(), asked[2].as_array().unwrap().len());
}
