//! Every page of the control plane with sample contents, for the checks that hold for all of them, and to be looked
//! at: with `CONSENTRY_PAGES=<folder>` in the environment the samples are written there as HTML files.

use askama::Template;
use axum::http::StatusCode;
use jiff::Timestamp;

use super::Pager;
use super::assignments::{self, Assignments, KindLink};
use super::consents::{self, Consents};
use super::delete::{Delete, Deleted, Everywhere, Word};
use super::details::{CallRow, Details};
use super::installed::{self, Installed};
use super::official::{self, Offer, Official};
use crate::control::page::consent::{Asker, Choice, Consent, Mark, Personal};
use crate::control::page::sign_in::{Done, SignIn};
use crate::control::page::stop::{NeedsAdministrator, Stopped};
use crate::control::page::{FormTarget, LIVE, Label, Page, Risk, ScopeLine, Visitor, style};
use crate::grants::acknowledge::{Confirmation, Receipt};
use crate::model::grant::GrantState;
use crate::model::id::Revision;

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
            ("needs-administrator", shown(&needs_administrator())),
            (
                "not-assigned",
                shown(&Stopped::not_assigned(visitor("bob@acme"), "OpenAPI MCP Server".into(), logins())),
            ),
            ("suspended", shown(&Stopped::suspended(visitor("bob@acme"), "Report Hub".into(), logins()))),
            ("administrators-only", shown(&Stopped::administrators_only(visitor("bob@acme"), logins()))),
            ("refused", shown(&refused())),
            ("signed-out", shown(&Done::signed_out())),
        ],
        console(),
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

fn console() -> Vec<(&'static str, String)> {
    vec![
        ("list", shown(&list(rows()))),
        ("list-empty", shown(&list(Vec::new()))),
        ("list-hostile", shown(&list(hostile_rows()))),
        ("details", shown(&details(GrantState::Active))),
        ("details-suspended", shown(&details(GrantState::Suspended))),
        ("delete", shown(&delete())),
        ("receipt", receipt()),
        ("official", shown(&official())),
        ("offer", shown(&offer())),
        ("assignments", shown(&assignments(false))),
        ("assignments-refused", shown(&assignments(true))),
        ("consents", shown(&personal_consents())),
    ]
}

fn shown(page: &impl Page) -> String {
    page.render().unwrap()
}

fn visitor(login: &str) -> Visitor {
    Visitor { login: login.into(), csrf: "c".into(), administrator: true }
}

fn logins() -> Vec<Label> {
    vec!["root@acme".into(), "admin@acme".into()]
}

fn at() -> Timestamp {
    "2026-11-22T03:24:00Z".parse().unwrap()
}

fn ordinary() -> Asker {
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
    }
}

fn hostile() -> Asker {
    Asker {
        display_name: Label::new("Authorize\u{202e}</h1><script>alert(1)</script> your account & everything"),
        name: Label::new(&"report-hub".repeat(20)),
        publisher: Label::new("مركز\u{2067}التقارير"),
        description: Label::long(&"Longwordwithoutanyspace".repeat(30)),
        redirect_uri: Label::long(&format!("https://reports.example/{}", "path/".repeat(60))),
        ..ordinary()
    }
}

fn lines() -> [ScopeLine; 5] {
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
        again,
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
        failed,
        application: (!failed).then(|| "Report Hub".into()),
        form_target: None,
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

fn needs_administrator() -> NeedsAdministrator {
    NeedsAdministrator {
        visitor: Some(visitor("alice@acme")),
        asker: ordinary(),
        login: "alice@acme".into(),
        account: "acme".into(),
        administrators: logins(),
        scopes: lines().to_vec(),
        link: "http://127.0.0.1:8081/oauth2/v1/auth?client_id=4611686018427387904&response_type=code&scope=openid+profile&redirect_uri=https%3A%2F%2Freports.globex.example%2Foauth%2Fcallback&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256".to_owned(),
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

fn row(display_name: &str, name: &str, official: bool, state: GrantState) -> installed::Row {
    installed::Row {
        display_name: display_name.into(),
        name: name.into(),
        client_id: "4611686018427387904".to_owned(),
        publisher: "Globex".into(),
        official,
        authorized_at: at(),
        authorized_by: "admin@acme".into(),
        last_used: (!official).then(at),
        state,
    }
}

fn rows() -> Vec<installed::Row> {
    vec![
        row("Report Hub", "report-hub", false, GrantState::Active),
        row("OpenAPI MCP Server", "openapi-mcp-server", true, GrantState::Active),
        row("Desk CLI", "desk-cli", false, GrantState::Suspended),
    ]
}

fn hostile_rows() -> Vec<installed::Row> {
    let hostile = hostile();
    vec![installed::Row {
        display_name: hostile.display_name,
        name: hostile.name,
        publisher: hostile.publisher,
        ..row("", "", true, GrantState::Active)
    }]
}

fn list(rows: Vec<installed::Row>) -> Installed {
    Installed {
        visitor: Some(visitor("admin@acme")),
        account: "acme".into(),
        search: "<b>\"report".to_owned(),
        state: "active".to_owned(),
        sort: "name".to_owned(),
        limit: 50,
        active: rows.len().try_into().unwrap(),
        suspended: 0,
        pager: pager(),
        rows,
    }
}

fn pager() -> Pager {
    Pager {
        first: Some("/console?sort=name".to_owned()),
        next: Some("/console?sort=name&after=x".to_owned()),
    }
}

fn details(state: GrantState) -> Details {
    let call = |outcome, reason: &str, action: &str| CallRow {
        id: "019478c2-6f1e-7c4b-9d0e-2b1f4a5c6d7e".to_owned(),
        at: at(),
        outcome,
        code: if reason.is_empty() { String::new() } else { "insufficient_scope".to_owned() },
        reason: reason.into(),
        principal: "user/alice".into(),
        action: action.into(),
        resource: "acs:oss:*:1000000000000001:reports/2026.csv".into(),
    };
    Details {
        visitor: Some(visitor("admin@acme")),
        csrf: "c".to_owned(),
        account: "acme".into(),
        application: ordinary(),
        kind: "WebApp",
        state,
        suspended: state == GrantState::Suspended,
        authorized_at: at(),
        authorized_by: "admin@acme".into(),
        revision: Revision(3),
        expires_at: Some(at()),
        last_used: Some(at()),
        consents: Some(3),
        change: "/oauth2/v1/install?client_id=4611686018427387904".to_owned(),
        users: "Everybody in the account.".to_owned(),
        granted: lines()[..4].to_vec(),
        declined: lines()[4..].to_vec(),
        decisions: vec![
            call("forwarded", "", "oss:GetObject"),
            call("denied", "It is outside of the account’s grant (revision 3). It needs /acs/oss or /acs/oss:write.", "oss:PutObject"),
        ],
        policies: "@id(\"grant:1000000000000001/4611686018427387904:permit:/acs/oss:read\")\npermit (\n  principal in Consentry::Grant::\"1000000000000001/4611686018427387904\",\n  action in Consentry::Action::\"/acs/oss:read\",\n  resource in Consentry::Account::\"1000000000000001\"\n);".to_owned(),
    }
}

/// The whole page, as it stands when its last piece has come.
fn receipt() -> String {
    let page = shown(&Deleted {
        visitor: Some(visitor("admin@acme")),
        account: "acme".into(),
        display_name: "Report Hub".into(),
        client_id: "4611686018427387904".to_owned(),
        revision: Revision(4),
        at: at(),
    });
    let word = |id: &str, confirmed_ms, stopped_by| Confirmation {
        id: id.parse().unwrap(),
        confirmed_ms,
        stopped_by,
    };
    let receipt = Receipt {
        elapsed_ms: 812,
        sidecars: vec![
            word("reports-7d9f", Some(3), None),
            word("gateway-1", Some(11), None),
            word("gateway-2", None, Some(812)),
        ],
        streams_closed: 2,
    };
    let mut live: String = receipt.sidecars.iter().map(|word| Word { word }.render().unwrap()).collect();
    let end = Everywhere { display_name: &"Report Hub".into(), receipt: &receipt };
    live.push_str(&end.render().unwrap());
    assert_eq!(page.matches(LIVE).count(), 1);
    page.replace(LIVE, &live)
}

fn official() -> Official {
    let row = |client_id: &str, installed| official::Row {
        display_name: "OpenAPI MCP Server".into(),
        name: "openapi-mcp-server".into(),
        client_id: client_id.to_owned(),
        publisher: "Cloud".into(),
        description: "Lets assistants call the cloud’s APIs for you.".into(),
        installed,
    };
    Official {
        visitor: Some(visitor("admin@acme")),
        account: "acme".into(),
        search: String::new(),
        rows: vec![row("4611686018427387905", None), row("4611686018427387906", Some(GrantState::Active))],
        pager: pager(),
    }
}

fn offer() -> Offer {
    Offer {
        visitor: Some(visitor("admin@acme")),
        csrf: "c".to_owned(),
        account: "acme".into(),
        asker: Asker {
            display_name: "OpenAPI MCP Server".into(),
            name: "openapi-mcp-server".into(),
            relation: "official",
            ..ordinary()
        },
        required: lines()[..2].to_vec(),
        optional: lines()[2..].to_vec(),
    }
}

fn assignments(refused: bool) -> Assignments {
    let row = |login: &str, enabled| assignments::Row {
        value: login.to_owned(),
        login: login.into(),
        display_name: "Somebody with a name".into(),
        enabled,
    };
    let kind = |label, count, current| KindLink { label, address: "/console".to_owned(), count, current };
    Assignments {
        visitor: Some(visitor("admin@acme")),
        csrf: "c".to_owned(),
        account: "acme".into(),
        display_name: "OpenAPI MCP Server".into(),
        client_id: "4611686018427387905".to_owned(),
        all: refused,
        kinds: vec![kind("Users", 10_000, true), kind("Groups", 2, false), kind("Roles", 0, false)],
        kind: "users",
        named: "One login a line, as in alice@acme",
        search: String::new(),
        rows: vec![row("alice@acme", true), row("bob@acme", false)],
        find: "c".to_owned(),
        found: vec![row("carla@acme", true)],
        found_more: true,
        names: if refused { "carol@acme".to_owned() } else { String::new() },
        done: !refused,
        problem: refused.then(|| "There is no user carol@acme in this account.".to_owned()),
        pager: pager(),
    }
}

fn personal_consents() -> Consents {
    let row = |login: &str| consents::Row {
        login: login.to_owned(),
        shown: login.into(),
        display_name: "Somebody".into(),
        scopes: vec!["openid".to_owned(), "/acs/mcp-server".to_owned()],
        at: at(),
    };
    Consents {
        visitor: Some(visitor("admin@acme")),
        csrf: "c".to_owned(),
        display_name: "OpenAPI MCP Server".into(),
        client_id: "4611686018427387905".to_owned(),
        total: 2,
        search: String::new(),
        rows: vec![row("alice@acme"), row("bob@acme")],
        done: true,
        pager: pager(),
    }
}

fn delete() -> Delete {
    Delete {
        visitor: Some(visitor("admin@acme")),
        csrf: "c".to_owned(),
        account: "acme".into(),
        display_name: "Report Hub".into(),
        client_id: "4611686018427387904".to_owned(),
    }
}
