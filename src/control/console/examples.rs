//! The console's own pages with sample contents; `samples.rs` checks them with the others.

use askama::Template;

use super::Pager;
use super::assignments::{self, Assignments, KindLink};
use super::consents::{self, Consents};
use super::delete::{Delete, Deleted, Everywhere, Word};
use super::details::{CallRow, Details};
use super::installed::{self, Installed};
use super::official::{self, Offer, Official};
use super::samples::{at, hostile, lines, ordinary, shown, visitor};
use crate::control::page::LIVE;
use crate::control::page::consent::Asker;
use crate::control::usage::view::ScopeUsed;
use crate::grants::acknowledge::{Confirmation, Receipt};
use crate::model::grant::{GrantState, Waiting};
use crate::model::id::Revision;

/// Each by its name.
pub(super) fn all() -> Vec<(&'static str, String)> {
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
        waiting: official,
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
        waiting: Waiting {
            required: "/acs/alidns:read".parse().unwrap(),
            optional: "/acs/oss".parse().unwrap(),
            withdrawn: "/acs/ecs".parse().unwrap(),
        },
        revision: Revision(3),
        expires_at: Some(at()),
        over: state == GrantState::Suspended,
        uses: vec![
            ScopeUsed { scope: "/acs/oss:read".to_owned(), last_used: Some(at()), calls: 1204 },
            ScopeUsed { scope: "/acs/ecs:read".to_owned(), last_used: None, calls: 0 },
        ],
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
        roles_until: None,
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
