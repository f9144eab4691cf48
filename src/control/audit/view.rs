//! What the audit's pages show: one view struct a page.

use askama::Template;
use jiff::Timestamp;

use crate::control::console::details::{Logins, whom};
use crate::control::page::nav::{self, Here};
use crate::control::page::{Label, Page, Visitor};
use crate::model::decision::Decision;

/// The records of an account.
#[derive(Template)]
#[template(path = "audit/list.html", config = ".askama.toml")]
pub struct AuditList {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The account's alias.
    pub account: Label,
    /// What was asked for.
    pub asked: AskedFor,
    /// Why what was asked for cannot be read; empty when it can.
    pub problem: String,
    /// The records, newest first.
    pub rows: Vec<AuditRow>,
    /// Where the next page is, if there is one.
    pub older: Option<String>,
    /// Where all that fits is to be had as lines of JSON.
    pub export: String,
    /// The kinds of events to choose from: the parameter, its words, whether it is chosen.
    pub kinds: Vec<(&'static str, &'static str, bool)>,
}

impl Page for AuditList {
    fn here(&self) -> Here {
        Here::At(nav::AUDIT)
    }
}

/// The fields of the filter, as they were sent.
#[derive(Debug, Clone, Default)]
pub struct AskedFor {
    /// A client ID.
    pub application: Label,
    /// A login.
    pub principal: Label,
    /// A day.
    pub since: Label,
    /// A day.
    pub until: Label,
    /// A grant's revision, which only links ask for.
    pub revision: Label,
    /// Whether anything was asked for.
    pub any: bool,
}

/// One record in the list.
pub struct AuditRow {
    /// Its id.
    pub id: u64,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub sentence: Label,
    /// The event's name.
    pub event: Label,
    /// Who.
    pub actor: Label,
    /// Whether something was refused.
    pub refused: bool,
}

/// One record, and what it leads to.
#[derive(Template)]
#[template(path = "audit/event.html", config = ".askama.toml")]
pub struct AuditEvent {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The account's alias.
    pub account: Label,
    /// The record.
    pub row: AuditRow,
    /// What it was about, as recorded.
    pub subject: Label,
    /// The application, by its id and how it is called.
    pub application: Option<(String, Label)>,
    /// Whether that application is installed, so that there is a page of it.
    pub installed: bool,
    /// More, by name.
    pub detail: Vec<(Label, Label)>,
    /// The revision of the grant that it made.
    pub revision: Option<u64>,
    /// The latest calls that were decided by that revision.
    pub calls: Vec<CallLine>,
    /// The node that recorded it.
    pub node: Label,
    /// Its number in the chain; 0 from before there were chains.
    pub number: u64,
    /// Its hash.
    pub hash: String,
    /// The hash of the record before it.
    pub prev: String,
}

impl Page for AuditEvent {
    fn here(&self) -> Here {
        Here::At(nav::AUDIT)
    }
}

/// One call: what was decided, and which event that rests on.
#[derive(Template)]
#[template(path = "audit/call.html", config = ".askama.toml")]
pub struct AuditCall {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The account's alias.
    pub account: Label,
    /// The call.
    pub call: CallLine,
    /// What happened, in a sentence.
    pub headline: Label,
    /// The grounds, most telling first: a policy's id or a word, and what it says.
    pub because: Vec<(Label, Label)>,
    /// What would mend it; empty when nothing needs mending.
    pub next: Label,
    /// Whether the grant has changed since.
    pub changed_since: bool,
    /// The application's id, if it is known.
    pub application: Option<String>,
    /// Whether it is installed, so that there is a page of it.
    pub installed: bool,
    /// The sidecar that took it.
    pub sidecar: Label,
    /// The revision of the grant that it was decided by.
    pub revision: Option<u64>,
    /// The event that made that revision.
    pub event: Option<AuditRow>,
}

impl Page for AuditCall {
    fn here(&self) -> Here {
        Here::At(nav::AUDIT)
    }
}

/// One call, from its decision record.
pub struct CallLine {
    /// The record's id.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// `forwarded`, `answered`, `denied`, `refused` or `failed`.
    pub outcome: &'static str,
    /// Why it was not forwarded; empty when it was.
    pub reason: Label,
    /// For whom.
    pub principal: Label,
    /// What was to be done; the method when that was not understood.
    pub action: Label,
    /// To what.
    pub resource: Label,
}

impl CallLine {
    /// A record, and who is meant by what it says.
    pub(super) fn of(decision: &Decision, logins: &Logins) -> Self {
        let code = if decision.code == "ok" { "" } else { &*decision.code };
        let reason = match decision.missing.as_slice() {
            [] => code.to_owned(),
            missing => format!("{code}: needs {}", missing.join(" or ")),
        };
        Self {
            id: decision.id.to_string(),
            at: decision.at,
            outcome: decision.outcome.as_str(),
            reason: Label::new(&reason),
            principal: whom(decision, logins),
            action: Label::new(decision.action.as_deref().unwrap_or(&decision.method)),
            resource: Label::long(decision.resource.as_ref().unwrap_or(&decision.path)),
        }
    }
}
