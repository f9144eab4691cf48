//! Every page of the control plane with sample contents, for the checks that hold for all of them, and to be looked
//! at: with `CONSENTRY_PAGES=<folder>` in the environment the samples are written there as HTML files.

use askama::Template;
use axum::http::StatusCode;
use jiff::Timestamp;

use super::examples;
use crate::control::page::consent::{Asker, Choice, Consent, Mark, Personal};
use crate::control::page::sign_in::{Done, Elsewhere, SignIn, Way};
use crate::control::page::stop::Stopped;
use crate::control::page::{FormTarget, Label, Page, Risk, ScopeLine, Visitor, style};

#[test]
fn every_page_has_one_heading_a_title_and_a_label_for_each_field() {
    for (name, html) in samples() {
        assert_eq!(html.matches("<h1").count(), 1, "{name}: one h1");
        assert!(html.contains("<html lang=\"en\">") && html.contains("<main id=\"main\""), "{name}");
        assert!(!html.contains("<title> ") && !html.contains("<title></title>"), "{name}: {html}");
        for field in html.split("<input ").skip(1).chain(html.split("<textarea ").skip(1)) {
            let tag = field.split('>').next().unwrap();
            let id = tag
                .split(" id=\"")
                .nth(1)
                .or(tag.strip_prefix("id=\""))
                .map(|rest| rest.split('"').next().unwrap());
            match id {
                Some(id) => assert!(html.contains(&format!("<label for=\"{id}\"")), "{name}: {tag}"),
                None => assert!(tag.contains("type=\"hidden\""), "{name}: {tag}"),
            }
        }
        let mut ids: Vec<_> =
            html.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "{name}: every id once");
    }
}

#[test]
fn no_page_holds_a_script_or_a_style_of_its_own_or_a_foreign_address() {
    for (name, html) in samples() {
        for forbidden in
            ["<script", "<style", " style=", " onclick=", "src=\"http", "javascript:", "\u{202e}"]
        {
            assert!(!html.contains(forbidden), "{name} holds {forbidden}");
        }
    }
}

#[test]
fn required_scopes_are_locked_and_optional_ones_are_not_chosen_beforehand() {
    let html = consent(false, ordinary()).render().unwrap();
    let boxes = || html.split("<input type=\"checkbox\"").skip(1).map(|rest| rest.split('>').next().unwrap());
    let locked: Vec<_> = boxes().filter(|tag| tag.contains(" checked disabled")).collect();
    let free: Vec<_> = boxes().filter(|tag| !tag.contains("disabled")).collect();
    assert_eq!((locked.len(), free.len()), (3, 2), "{html}");
    assert!(free.iter().all(|tag| !tag.contains("checked") && tag.contains("name=\"scope\"")), "{free:?}");
}

#[test]
fn enter_in_the_consent_form_presses_reject() {
    // Browsers press the first button of a form when Enter is struck in one of its fields.
    let html = consent(false, ordinary()).render().unwrap();
    assert!(html.find("value=\"reject\"").unwrap() < html.find("value=\"authorize\"").unwrap());
}

fn samples() -> Vec<(&'static str, String)> {
    let pages = [
        vec![
            ("sign-in", shown(&sign_in(false))),
            ("sign-in-failed", shown(&sign_in(true))),
            ("throttled", shown(&Stopped::throttled(30))),
            ("consent", shown(&consent(false, ordinary()))),
            ("consent-again", shown(&consent(true, ordinary()))),
            ("consent-hostile", shown(&consent(false, hostile()))),
            ("personal", shown(&personal())),
            (
                "not-assigned",
                shown(&Stopped::not_assigned(visitor("bob@acme"), "OpenAPI MCP Server".into(), logins())),
            ),
            ("suspended", shown(&Stopped::suspended(visitor("bob@acme"), "Report Hub".into(), logins()))),
            ("administrators-only", shown(&Stopped::administrators_only(visitor("bob@acme"), logins()))),
            ("refused", shown(&refused())),
            ("signed-out", shown(&Done::signed_out())),
        ],
        examples::all(),
        crate::control::requests::samples::all(),
    ];
    let pages = pages.concat();
    if let Some(folder) = std::env::var_os("CONSENTRY_PAGES") {
        for (name, html) in &pages {
            let local = html.replace(style::address(), "style.css");
            std::fs::write(std::path::Path::new(&folder).join(format!("{name}.html")), local).unwrap();
        }
    }
    pages
}

pub(in crate::control) fn shown(page: &impl Page) -> String {
    page.render().unwrap()
}

pub(in crate::control) fn visitor(login: &str) -> Visitor {
    Visitor { login: login.into(), csrf: "c".into(), administrator: true }
}

pub(in crate::control) fn logins() -> Vec<Label> {
    vec!["root@acme".into(), "admin@acme".into()]
}

pub(in crate::control) fn at() -> Timestamp {
    "2026-11-22T03:24:00Z".parse().unwrap()
}

pub(in crate::control) fn ordinary() -> Asker {
    Asker {
        display_name: "Report Hub".into(),
        name: "report-hub".into(),
        client_id: "4611686018427387904".into(),
        relation: "third-party",
        publisher: "Globex".into(),
        publisher_id: "1000000000000002".into(),
        description: "Monthly cost reports from what lies in your buckets.".into(),
        contact: "support@globex.example".into(),
        redirect_uri: "https://reports.globex.example/oauth/callback".into(),
        unverified: false,
    }
}

pub(in crate::control) fn hostile() -> Asker {
    Asker {
        display_name: Label::new("Authorize\u{202e}</h1><script>alert(1)</script> your account & everything"),
        name: Label::new(&"report-hub".repeat(20)),
        publisher: Label::new("مركز\u{2067}التقارير"),
        description: Label::long(&"Longwordwithoutanyspace".repeat(30)),
        redirect_uri: Label::long(&format!("https://reports.example/{}", "path/".repeat(60))),
        unverified: true,
        ..ordinary()
    }
}

pub(in crate::control) fn lines() -> [ScopeLine; 5] {
    let line = |scope: &str, title: &str, text: &str, risk| ScopeLine {
        scope: scope.to_owned(),
        title: title.to_owned(),
        text: text.to_owned(),
        risk,
    };
    [
        line(
            "openid",
            "Recognize you",
            "Know that it is you again, by a number that says nothing else.",
            Risk::Low,
        ),
        line(
            "profile",
            "Your name",
            "See your user name, the name that you show, and the kind of your identity.",
            Risk::Low,
        ),
        line(
            "/acs/oss:read",
            "Read objects in OSS",
            "List buckets and read the objects in them.",
            Risk::Medium,
        ),
        line(
            "/acs/ecs:read",
            "See servers in ECS",
            "List servers and disks and their settings.",
            Risk::Medium,
        ),
        line(
            "/acs/ecs",
            "Control servers in ECS",
            "List, start, stop and delete servers and disks.",
            Risk::High,
        ),
    ]
}

fn consent(again: bool, asker: Asker) -> Consent {
    let choices = |range: std::ops::Range<usize>| -> Vec<Choice> {
        lines()[range]
            .iter()
            .map(|line| {
                let granted = line.scope != "/acs/ecs";
                let mark = again.then_some(if granted { Mark::Granted } else { Mark::New });
                Choice { checked: again && granted, mark, line: line.clone() }
            })
            .collect()
    };
    Consent {
        visitor: Some(visitor("admin@acme")),
        action: "/consent".to_owned(),
        csrf: "c".to_owned(),
        transaction: "t".to_owned(),
        asker,
        account: "acme".into(),
        account_id: "1000000000000001".to_owned(),
        required: choices(0..3),
        optional: choices(3..5),
        dropped: if again { vec!["/acs/alidns:read".to_owned()] } else { Vec::new() },
        newly: if again { vec!["openid".to_owned()] } else { Vec::new() },
        again,
        ends_at: again.then(at),
        form_target: FormTarget::of("https://reports.globex.example/oauth/callback"),
    }
}

fn sign_in(failed: bool) -> SignIn {
    SignIn {
        visitor: None,
        action: "/login".to_owned(),
        csrf: "c".to_owned(),
        continue_to: "/console".to_owned(),
        login: if failed { "alice@acme".into() } else { Label::default() },
        passkeys: true,
        failed,
        application: (!failed).then(|| "Report Hub".into()),
        form_target: None,
        elsewhere: Elsewhere {
            ways: vec![Way { label: "Acme <staff>".into(), address: "/login/provider/acme-id".to_owned() }],
            asks: true,
            account: Label::default(),
            none: false,
            fresh: false,
        },
    }
}

fn personal() -> Personal {
    Personal {
        visitor: Some(visitor("alice@acme")),
        action: "/consent".to_owned(),
        csrf: "c".to_owned(),
        transaction: "t".to_owned(),
        asker: Asker { relation: "official", contact: Label::default(), ..ordinary() },
        login: "alice@acme".into(),
        account: "acme".into(),
        scopes: lines().to_vec(),
        form_target: None,
    }
}

fn refused() -> Stopped {
    Stopped::refused(
        StatusCode::BAD_REQUEST,
        "invalid_redirect_uri",
        "The application report-hub asked for an answer to an address that it has not registered.",
        "Tell the application’s provider. Nobody has been given anything.",
    )
}
