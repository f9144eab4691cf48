//! The pages about requests, rules and changes of scope with sample contents, for the checks that hold for all pages.

use super::view::{AskerRow, RequestPage, RequestRow, Requests};
use crate::control::console::samples::{at, hostile, lines, logins, ordinary, shown, visitor};
use crate::control::page::Label;
use crate::control::page::consent::{Asker, Choice, Mark};
use crate::control::page::stop::{AskState, Asking, NeedsAdministrator, Stopped};
use crate::control::rescope::view::{Choose, Review};
use crate::control::tenant::view::{Policy, RulePage, RuleRow};

pub(in crate::control) fn all() -> Vec<(&'static str, String)> {
    let open = AskState::Open { at: at(), expires_at: at(), others: 3 };
    let denied = AskState::Denied {
        at: at(),
        decided_at: at(),
        by: "admin@acme".into(),
        word: "Use the reports in the shared folder instead.".into(),
    };
    let expired = AskState::Expired { at: at(), expired_at: at() };
    let refused = Asking { refused: true, may_ask: false, ..asking(AskState::Never) };
    let wrong = Asking { problem: Some("Say what you need it for.".to_owned()), ..asking(AskState::Never) };
    let blocked = |unblock| {
        let (who, words) = (visitor("alice@acme"), Label::new("Not for customers' data."));
        Stopped::blocked(who, "Report Hub".into(), words, logins(), unblock)
    };
    vec![
        ("needs-administrator", shown(&needs(ordinary(), asking(AskState::Never), false))),
        ("needs-administrator-hostile", shown(&needs(hostile(), asking(AskState::Never), false))),
        ("needs-administrator-wrong", shown(&needs(ordinary(), wrong, false))),
        ("needs-administrator-asked", shown(&needs(ordinary(), asking(open), false))),
        ("needs-administrator-denied", shown(&needs(ordinary(), asking(denied), false))),
        ("needs-administrator-expired", shown(&needs(ordinary(), asking(expired), false))),
        ("needs-administrator-refused", shown(&needs(ordinary(), refused, false))),
        ("newly-required", shown(&needs(ordinary(), asking(AskState::Never), true))),
        ("blocked", shown(&blocked(None))),
        ("blocked-administrator", shown(&blocked(Some("/console/policy/1".to_owned())))),
        ("requests", shown(&list(vec![row("open", 12), row("denied", 1)]))),
        ("requests-empty", shown(&list(Vec::new()))),
        ("request", shown(&request(ordinary(), true))),
        ("request-hostile", shown(&request(hostile(), true))),
        ("request-denied", shown(&request(ordinary(), false))),
        ("policy", shown(&policy(false))),
        ("policy-empty", shown(&policy(true))),
        ("rule", shown(&rule(false))),
        ("rule-blocked", shown(&rule(true))),
        ("scope", shown(&choose())),
        ("scope-review", shown(&review())),
    ]
}

fn needs(asker: Asker, asking: Asking, newly: bool) -> NeedsAdministrator {
    NeedsAdministrator {
        visitor: Some(visitor("alice@acme")),
        asker,
        login: "alice@acme".into(),
        account: "acme".into(),
        administrators: logins(),
        scopes: lines().to_vec(),
        newly: if newly { lines()[3..].to_vec() } else { Vec::new() },
        link: "http://127.0.0.1:8081/oauth2/v1/install?client_id=4611686018427387904".to_owned(),
        asking,
    }
}

fn asking(state: AskState) -> Asking {
    Asking {
        action: "/oauth2/v1/request-approval".to_owned(),
        csrf: "c".to_owned(),
        may_ask: match state {
            AskState::Never | AskState::Expired { .. } => true,
            AskState::Open { .. } | AskState::Denied { .. } => false,
        },
        state,
        refused: false,
        message: "Ask the platform team before you bring in a new application.".into(),
        days: 7,
        reason: String::new(),
        problem: None,
    }
}

fn row(state: &'static str, askers: u64) -> RequestRow {
    RequestRow {
        display_name: "Report Hub".into(),
        name: "report-hub".into(),
        client_id: "4611686018427387904".to_owned(),
        publisher: "Globex".into(),
        askers,
        last_asked_at: at(),
        state,
        expires_at: at(),
        decided: (state != "open").then(|| ("admin@acme".into(), at())),
    }
}

fn list(rows: Vec<RequestRow>) -> Requests {
    Requests {
        visitor: Some(visitor("admin@acme")),
        account: "acme".into(),
        states: vec![("open", true), ("expired", false), ("denied", false)],
        next: (!rows.is_empty()).then(|| "/console/requests?after=1".to_owned()),
        rows,
    }
}

fn request(asker: Asker, open: bool) -> RequestPage {
    let asked =
        |login: &str, reason: &str| AskerRow { login: login.into(), reason: Label::long(reason), at: at() };
    RequestPage {
        visitor: Some(visitor("admin@acme")),
        csrf: "c".to_owned(),
        account: "acme".into(),
        asker,
        row: row(if open { "open" } else { "denied" }, 2),
        round: 1,
        open,
        word: Label::new(if open { "" } else { "Not this quarter." }),
        consent: "/oauth2/v1/install?client_id=4611686018427387904".to_owned(),
        installed: open,
        required: lines()[..3].to_vec(),
        optional: lines()[3..].to_vec(),
        askers: vec![
            asked("alice@acme", "Monthly cost reports for the board."),
            asked("bob@acme", "</li><script>alert(1)</script> \u{202e}esrever"),
        ],
        next: None,
        typed: String::new(),
        problem: None,
    }
}

fn rule_row(what: &str, without_effect: Option<&str>) -> RuleRow {
    RuleRow {
        display_name: "Report Hub".into(),
        name: "report-hub".into(),
        client_id: "4611686018427387904".to_owned(),
        what: Label::long(what),
        without_effect: without_effect.map(str::to_owned),
        by: "admin@acme".into(),
        at: at(),
    }
}

fn policy(empty: bool) -> Policy {
    let lost = "carol@acme may not authorize applications any more. Approve it yourself.";
    Policy {
        visitor: Some(visitor("admin@acme")),
        csrf: "c".to_owned(),
        account: "acme".into(),
        revision: 4,
        ask: empty,
        days: 7,
        message: "Ask the platform team.".to_owned(),
        blocked: if empty { Vec::new() } else { vec![rule_row("It sells what it reads.", None)] },
        approved: if empty { Vec::new() } else { vec![rule_row("openid profile /acs/oss:read", Some(lost))] },
        problem: empty.then(|| "Requests expire after 1 to 90 days.".to_owned()),
    }
}

fn rule(blocked: bool) -> RulePage {
    RulePage {
        visitor: Some(visitor("admin@acme")),
        csrf: "c".to_owned(),
        account: "acme".into(),
        asker: ordinary(),
        installed: blocked.then_some("suspended"),
        rule: blocked.then(|| rule_row("It sells what it reads.", None)),
        blocked,
        can_be_approved: !blocked,
        required: lines()[..3].to_vec(),
        optional: lines()[3..].iter().map(|line| (line.clone(), line.scope == "/acs/ecs")).collect(),
    }
}

fn choose() -> Choose {
    let choice = |granted| Choice {
        line: lines()[4].clone(),
        checked: granted,
        mark: Some(if granted { Mark::Granted } else { Mark::New }),
    };
    Choose {
        visitor: Some(visitor("admin@acme")),
        csrf: "c".to_owned(),
        account: "acme".into(),
        display_name: "Report Hub".into(),
        client_id: "4611686018427387904".to_owned(),
        revision: 3,
        required: lines()[..2].to_vec(),
        newly: lines()[2..3].to_vec(),
        optional: vec![choice(true), choice(false)],
        withdrawn: lines()[3..4].to_vec(),
    }
}

fn review() -> Review {
    Review {
        visitor: Some(visitor("admin@acme")),
        csrf: "c".to_owned(),
        account: "acme".into(),
        display_name: "Report Hub".into(),
        client_id: "4611686018427387904".to_owned(),
        revision: 3,
        scopes: vec!["openid".to_owned()],
        added: vec![(lines()[2].clone(), true), (lines()[4].clone(), false)],
        removed: lines()[3..4].to_vec(),
        kept: vec!["openid".to_owned(), "profile".to_owned()],
        unaccepted: vec!["/acs/alidns:read".to_owned()],
    }
}
