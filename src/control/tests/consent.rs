//! Bad answers to the consent pages, an administrator's and a person's own: each is refused with a page that says what
//! happened, grants nothing, and stands in the audit.

use axum::body::Body;
use axum::http::Request;
use url::form_urlencoded::Serializer;

use super::authorize::{Browser, hidden, key};
use super::{Answer, GLOBEX, World, account};
use crate::model::application::Application;
use crate::model::grant::{AssignmentMode, GrantState};
use crate::model::id::GrantKey;
use crate::model::scope::ScopeSet;
use crate::store::{Assignment, AuditFilter};

const PATH: &str = "/oauth2/v1/consent";
const YES: (&str, &str) = ("decision", "authorize");

/// Posts exactly these fields to the consent page's address, from a page of `site`.
async fn post(browser: &Browser<'_>, fields: &[(&str, &str)], site: &str) -> Answer {
    let body = Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = Request::post(PATH)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", site)
        .header("cookie", &browser.cookie);
    browser.world.send(request.body(Body::from(body)).unwrap()).await
}

impl World {
    /// It is a page that says what happened and what to do, it sends nobody on, it is recorded, and nobody has the
    /// application by it.
    #[track_caller]
    fn refused(&self, why: &str, answer: &Answer, status: u16, code: &str) {
        assert_eq!(answer.status.as_u16(), status, "{why}: {}", answer.text);
        assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8", "{why}");
        assert!(!answer.headers.contains_key("location"), "{why}");
        let support = format!("Code for support: <code>{code}</code>");
        assert!(
            answer.text.contains(&support) && answer.text.contains("What to do"),
            "{why}: {}",
            answer.text
        );
    }

    async fn nothing_granted(&self, why: &str, application: &str) {
        let theirs = GrantKey { account: account(GLOBEX), ..key(application) };
        for key in [key(application), theirs] {
            let found = self.control.store().installed(&key).await.unwrap();
            assert!(found.is_none_or(|found| found.grant.state == GrantState::Revoked), "{why}");
        }
    }

    /// Whether a refusal with this code by this person stands in the audit.
    async fn recorded(&self, code: &str, actor: &str) -> bool {
        self.control.record_refusals().await.unwrap();
        let all = AuditFilter { limit: 1000, ..AuditFilter::default() };
        let found = self.control.store().audit_records(&all).await.unwrap();
        let event = format!("refused.{code}");
        found.iter().any(|one| one.record.event == event && one.record.actor == actor)
    }
}

#[tokio::test]
async fn a_forged_answer_is_refused_and_the_page_can_still_be_answered() {
    let world = World::new().await;
    let (admin, twin) = (Browser::of(&world, "admin@acme").await, Browser::of(&world, "admin@acme").await);
    let page = admin.ask("report-hub", &[]).await.expect(200);
    let transaction = hidden(&page, "transaction");
    let of = ("transaction", transaction.as_str());
    for (why, fields, site) in [
        ("without the field", vec![of, YES], "same-origin"),
        ("with a made-up field", vec![("csrf", "x"), of, YES], "same-origin"),
        ("with another session's field", vec![("csrf", &*twin.csrf), of, YES], "same-origin"),
        ("with the field twice", vec![("csrf", &*admin.csrf), ("csrf", "x"), of, YES], "same-origin"),
        ("from another site", vec![("csrf", &*admin.csrf), of, YES], "cross-site"),
        ("from a sibling site", vec![("csrf", &*admin.csrf), of, YES], "same-site"),
    ] {
        world.refused(why, &post(&admin, &fields, site).await, 403, "form_not_yours");
        world.nothing_granted(why, "report-hub").await;
    }
    assert!(world.recorded("form_not_yours", "admin@acme").await);
    let nobody = Browser { world: &world, cookie: String::new(), csrf: admin.csrf.clone() };
    let answer = post(&nobody, &[("csrf", &*admin.csrf), of, YES], "same-origin").await;
    world.refused("by nobody", &answer, 403, "form_not_yours");
    admin.decide(&page, &[YES]).await.expect(303);
}

#[tokio::test]
async fn an_answer_that_is_replayed_late_or_somebody_elses_is_refused() {
    let world = World::new().await;
    let (admin, twin) = (Browser::of(&world, "admin@acme").await, Browser::of(&world, "admin@acme").await);
    let (root, other) = (Browser::of(&world, "root@acme").await, Browser::of(&world, "admin@globex").await);
    let page = admin.ask("report-hub", &[]).await.expect(200);
    // Their own sessions, and their own fields: only the page is not theirs.
    for (why, who, login) in [
        ("in another session of the same person", &twin, "admin@acme"),
        ("by another administrator of the account", &root, "root@acme"),
        ("by an administrator of another account", &other, "admin@globex"),
    ] {
        let answer = who.decide(&page, &[YES]).await;
        world.refused(why, &answer, 409, "already_answered");
        world.nothing_granted(why, "report-hub").await;
        assert!(world.recorded("already_answered", login).await, "{why}");
    }
    // Nor a page that never was.
    let made_up = [("csrf", &*admin.csrf), ("transaction", "AAAA"), YES];
    world.refused("made up", &admin.post(PATH, &made_up).await, 409, "already_answered");

    // Late: it was good for ten minutes.
    let late = admin.ask("report-hub", &[]).await.expect(200);
    world.control.clock().advance(601);
    world.refused("late", &admin.decide(&late, &[YES]).await, 409, "already_answered");
    world.nothing_granted("late", "report-hub").await;

    // Replayed: after a no, and after a yes whose grant was deleted.
    let page = admin.ask("report-hub", &[]).await.expect(200);
    admin.decide(&page, &[("decision", "reject")]).await.expect(303);
    world.refused("after a no", &admin.decide(&page, &[YES]).await, 409, "already_answered");
    world.nothing_granted("after a no", "report-hub").await;
    let page = admin.ask("report-hub", &[]).await.expect(200);
    admin.decide(&page, &[YES]).await.expect(303);
    world.api("admin@acme", "DELETE", "/applications/report-hub?wait=0", None).await.expect(202);
    world.refused("replayed", &admin.decide(&page, &[YES]).await, 409, "already_answered");
    world.nothing_granted("replayed", "report-hub").await;
}

#[tokio::test]
async fn what_the_page_did_not_offer_cannot_be_chosen_on_it_and_what_is_required_cannot_be_left_out() {
    let world = World::new().await;
    let admin = Browser::of(&world, "admin@acme").await;
    for (why, fields) in [
        ("a scope of another application", vec![YES, ("scope", "/acs/alidns")]),
        ("a wider scope than the one offered", vec![YES, ("scope", "/acs/oss")]),
        ("something that is no scope", vec![YES, ("scope", "/acs/oss:read\u{0}")]),
        ("several in one field", vec![YES, ("scope", "/acs/ecs /acs/alidns")]),
        ("no decision", vec![("scope", "/acs/ecs")]),
        ("another decision", vec![("decision", "yes")]),
        ("two decisions", vec![YES, ("decision", "reject")]),
        ("an end that was not offered", vec![YES, ("lasts", "36500")]),
    ] {
        let page = admin.ask("report-hub", &[]).await.expect(200);
        world.refused(why, &admin.decide(&page, &fields).await, 400, "invalid_form");
        world.nothing_granted(why, "report-hub").await;
    }
    assert!(world.recorded("invalid_form", "admin@acme").await);
    // What is missing is not missed: the required ones are granted whether or not they are posted.
    let page = admin.ask("report-hub", &[]).await.expect(200);
    admin.decide(&page, &[YES]).await.expect(303);
    let grant = world.control.store().installed(&key("report-hub")).await.unwrap().unwrap().grant;
    assert_eq!(grant.scopes, "openid profile /acs/oss:read".parse::<ScopeSet>().unwrap());
}

#[tokio::test]
async fn what_has_changed_since_the_page_was_shown_is_not_answered_by_it() {
    let world = World::new().await;
    let (store, by) = (world.control.store(), world.actor("admin@globex").await);
    let application = async || store.application(&"report-hub".parse().unwrap()).await.unwrap().unwrap();
    let now = world.control.clock().now();
    let admin = Browser::of(&world, "admin@acme").await;

    // The application is disabled, or leads elsewhere now.
    let page = admin.ask("report-hub", &[]).await.expect(200);
    let before = application().await;
    let disabled = Application { enabled: false, ..before.clone() };
    store.change_application(&disabled, &by, now).await.unwrap();
    let answer = admin.decide(&page, &[YES]).await;
    assert!(answer.status.is_client_error() && !answer.headers.contains_key("location"), "{answer:?}");
    world.nothing_granted("disabled", "report-hub").await;
    store.change_application(&before, &by, now).await.unwrap();
    let page = admin.ask("report-hub", &[]).await.expect(200);
    let moved =
        Application { redirect_uris: vec!["https://elsewhere.example/cb".to_owned()], ..before.clone() };
    store.change_application(&moved, &by, now).await.unwrap();
    world.refused("moved", &admin.decide(&page, &[YES]).await, 409, "already_answered");
    world.nothing_granted("moved", "report-hub").await;
    store.change_application(&before, &by, now).await.unwrap();

    // Who answers may authorize no more, and then may not even sign in.
    let page = admin.ask("report-hub", &[]).await.expect(200);
    let whom = world.principal("admin@acme").await.key;
    store.set_full_access(&whom, false, now).await.unwrap();
    world.refused("no administrator", &admin.decide(&page, &[YES]).await, 403, "not_an_administrator");
    world.nothing_granted("no administrator", "report-hub").await;
    assert!(world.recorded("not_an_administrator", "admin@acme").await);
    store.set_full_access(&whom, true, now).await.unwrap();
    let page = admin.ask("report-hub", &[]).await.expect(200);
    store.enable_principal(&whom, false, now).await.unwrap();
    world.refused("disabled", &admin.decide(&page, &[YES]).await, 403, "form_not_yours");
    world.nothing_granted("disabled person", "report-hub").await;
}

#[tokio::test]
async fn a_persons_own_page_is_answered_by_that_person_for_what_it_shows() {
    let world = World::new().await;
    world.install("mcp-server", "").await;
    let alice = world.principal("alice@acme").await.key;
    let (store, now) = (world.control.store(), world.control.clock().now());
    let to = |users: Vec<_>| Assignment {
        mode: AssignmentMode::Assigned,
        users,
        groups: Vec::new(),
        roles: Vec::new(),
    };
    let by = world.actor("admin@acme").await;
    store.assign(&key("mcp-server"), &to(vec![alice.id.clone()]), &by, now).await.unwrap();
    let consented = async || {
        let member = store.member(&key("mcp-server"), &alice, now).await.unwrap();
        member.is_some_and(|member| member.consented.is_some())
    };
    let (here, twin) = (Browser::of(&world, "alice@acme").await, Browser::of(&world, "alice@acme").await);
    let admin = Browser::of(&world, "admin@acme").await;
    let page = here.ask("mcp-server", &[]).await.expect(200);
    for (why, who) in [("another session", &twin), ("another person", &admin)] {
        world.refused(why, &who.decide(&page, &[YES]).await, 409, "already_answered");
        assert!(!consented().await, "{why}");
    }
    let wider = here.decide(&page, &[YES, ("scope", "/acs/ecs")]).await;
    world.refused("wider", &wider, 400, "invalid_form");
    let page = here.ask("mcp-server", &[]).await.expect(200);
    world.control.clock().advance(601);
    world.refused("late", &here.decide(&page, &[YES]).await, 409, "already_answered");
    assert!(!consented().await, "late");

    // Assigned no more between page and post: the yes gives nobody a code.
    let page = here.ask("mcp-server", &[]).await.expect(200);
    store.assign(&key("mcp-server"), &to(Vec::new()), &by, now).await.unwrap();
    let answer = here.decide(&page, &[YES]).await;
    assert!(!answer.headers.contains_key("location") && answer.status.is_client_error(), "{answer:?}");
}

#[tokio::test]
async fn hostile_addresses_and_names_lead_nobody_away_and_are_text_where_they_are_shown() {
    let world = World::new().await;
    let admin = Browser::of(&world, "admin@acme").await;
    let open = async |client: &str, redirect: &str| {
        let query = Serializer::new(String::new())
            .extend_pairs([("client_id", client), ("redirect_uri", redirect), ("response_type", "code")])
            .finish();
        admin.open(&format!("/oauth2/v1/auth?{query}")).await
    };
    for redirect in [
        "javascript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "https://hub.example.evil.example/cb",
        "https://hub.example@evil.example/cb",
        "https://hub.example/cb/../../evil",
        "https://hub.example/cb#@evil.example",
        "https://hub.example:8443/cb",
        "//evil.example/cb",
        "https://hub.example/cb\r\nset-cookie: a=b",
        "\"><script>alert(1)</script>",
    ] {
        let answer = open("report-hub", redirect).await;
        world.refused(redirect, &answer, 400, "redirect_uri_mismatch");
        assert!(!answer.text.contains("<script") && !answer.headers.contains_key("set-cookie"), "{redirect}");
    }
    assert!(world.recorded("redirect_uri_mismatch", "admin@acme").await);
    let answer = open("<script>alert(1)</script>", "https://hub.example/cb").await;
    world.refused("client_id", &answer, 400, "unknown_client");
    assert!(!answer.text.contains("<script"), "{}", answer.text);
    // What a publisher calls it is text, on the page and where the browser is told where its form may lead.
    let page = admin.ask("report-hub", &[]).await.expect(200);
    assert!(page.text.contains("Report &#60;Hub&#62;") && !page.text.contains("<Hub>"), "{}", page.text);
}
