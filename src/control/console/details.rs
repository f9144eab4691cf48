//! `GET /console/applications/{client_id}`: everything about one installed application, and its reversible stop.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use askama::Template;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use jiff::Timestamp;

use super::{Turned, Visit, application_page, lines, onward, posted};
use crate::control::Control;
use crate::control::admin::{applications, state};
use crate::control::page::consent::Asker;
use crate::control::page::nav::{self, Here};
use crate::control::page::{Label, Page, ScopeLine, Visitor, respond};
use crate::control::rescope;
use crate::control::usage::survey;
use crate::control::usage::view::ScopeUsed;
use crate::model::account::PrincipalKey;
use crate::model::decision::{Decision, Outcome};
use crate::model::grant::{AssignmentMode, Grant, GrantState, Installed, Waiting};
use crate::model::id::{AccountId, Revision};
use crate::policy::explain::explain;
use crate::policy::{ConsoleAction, Policies};
use crate::store::{AssigneeCounts, DecisionFilter};

/// Everything about one installed application.
#[derive(Template)]
#[template(path = "console/details.html", config = ".askama.toml")]
pub struct Details {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The session's CSRF field.
    pub csrf: String,
    /// The account's alias.
    pub account: Label,
    /// The application.
    pub application: Asker,
    /// `WebApp`, `NativeApp` or `ServerApp`.
    pub kind: &'static str,
    /// Whether it may be used.
    pub state: GrantState,
    /// Whether it is suspended.
    pub suspended: bool,
    /// When it was authorized.
    pub authorized_at: Timestamp,
    /// By whom, the login.
    pub authorized_by: Label,
    /// The grant's revision.
    pub revision: Revision,
    /// From when on it grants nothing.
    pub expires_at: Option<Timestamp>,
    /// Whether that has come.
    pub over: bool,
    /// What of it is used.
    pub uses: Vec<ScopeUsed>,
    /// When it was last used.
    pub last_used: Option<Timestamp>,
    /// Who may use it, in words.
    pub users: String,
    /// How many have agreed in person, where that is asked.
    pub consents: Option<u64>,
    /// Where the scopes are changed.
    pub change: String,
    /// What its publisher has changed and nobody has decided about.
    pub waiting: Waiting,
    /// What was granted.
    pub granted: Vec<ScopeLine>,
    /// What was offered and declined.
    pub declined: Vec<ScopeLine>,
    /// Its latest calls.
    pub decisions: Vec<CallRow>,
    /// The generated policies, as Cedar.
    pub policies: String,
}

impl Page for Details {
    fn here(&self) -> Here {
        Here::At(nav::APPLICATIONS)
    }
}

/// One call, from its decision record.
pub struct CallRow {
    /// The record's id.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// `forwarded`, `answered`, `denied`, `refused` or `failed`.
    pub outcome: &'static str,
    /// The code of a refusal; empty when it was forwarded.
    pub code: String,
    /// Why it was not forwarded, and what would mend that; empty when it was.
    pub reason: Label,
    /// For whom.
    pub principal: Label,
    /// What was to be done; the method and path when that was not understood.
    pub action: Label,
    /// To what.
    pub resource: Label,
}

impl CallRow {
    fn of(decision: &Decision, logins: &Logins, installed: &Installed, policies: &Policies) -> Self {
        let action = decision.action.as_deref().unwrap_or(&decision.method);
        let resource = decision.resource.as_ref().unwrap_or(&decision.path);
        let went_well = match decision.outcome {
            Outcome::Forwarded | Outcome::Answered => true,
            Outcome::Denied | Outcome::Refused | Outcome::Failed => false,
        };
        let reason = if went_well {
            String::new()
        } else {
            let explained = explain(decision, Some(installed), policies);
            let because = explained.because.into_iter().map(|one| one.says);
            let all: Vec<String> = because.chain([explained.next]).filter(|text| !text.is_empty()).collect();
            all.join(" ")
        };
        Self {
            id: decision.id.to_string(),
            at: decision.at,
            outcome: decision.outcome.as_str(),
            code: if went_well { String::new() } else { decision.code.to_string() },
            reason: Label::long(&reason),
            principal: whom(decision, logins),
            action: Label::new(action),
            resource: Label::new(resource),
        }
    }
}

/// Shows it.
pub(super) async fn show(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let visit = Visit::of(&control, &headers, ConsoleAction::List, &application_page(&client_id)).await?;
    let installed = applications::find(&control, &visit.by, &client_id).await?;
    let key = &installed.grant.key;
    let filter = DecisionFilter {
        application: Some(installed.application.id.clone()),
        limit: CALLS_SHOWN,
        ..DecisionFilter::default()
    };
    let decisions = control.store().decisions(visit.by.account(), &filter).await?;
    let logins = logins(&control, visit.by.account(), &decisions).await?;
    let in_force = control.policies();
    let row = |one: &Decision| CallRow::of(one, &logins, &installed, &in_force);
    let decisions = decisions.iter().map(row).collect();
    let last_used = control.store().last_used(key).await?;
    let counts = control.store().assignee_counts(key).await?;
    let consents =
        if installed.application.official { Some(control.store().consents_count(key).await?) } else { None };
    let policies = applications::policy_text(&control, &installed);
    let waiting = rescope::waiting(&installed);
    let uses = survey::of_grant(&control, &installed.grant).await?;
    let Installed { grant, application } = installed;
    Ok(respond(&Details {
        csrf: visit.person.csrf(),
        visitor: Some(visit.person.visitor()),
        account: visit.account,
        application: Asker::of(&application, &grant.key.account, ""),
        kind: application.kind.as_str(),
        state: grant.state,
        suspended: grant.state == GrantState::Suspended,
        authorized_at: grant.authorized_at,
        authorized_by: Label::new(&grant.authorized_by_login),
        revision: grant.revision,
        expires_at: grant.expires_at,
        over: grant.has_ended(control.clock().now()),
        uses,
        last_used,
        users: users(&grant, counts),
        consents,
        change: format!("{}{}/scope", control.issuer().path(), application_page(application.id.as_str())),
        waiting,
        granted: lines(&control, &grant.scopes),
        declined: lines(&control, &grant.declined),
        decisions,
        policies,
    }))
}

/// The logins of those for whom calls were, by `kind/id`.
pub(in crate::control) type Logins = BTreeMap<String, String>;

/// For whom a call was: a login, or what the record says where nobody has it any more.
pub(in crate::control) fn whom(decision: &Decision, logins: &Logins) -> Label {
    let principal = decision.principal.as_deref();
    let login = principal.and_then(|principal| logins.get(principal)).map(String::as_str);
    Label::new(login.or(principal).unwrap_or("unknown"))
}

/// The logins of those for whom these calls were.
pub(in crate::control) async fn logins(
    control: &Control,
    account: &AccountId,
    decisions: &[Decision],
) -> Result<Logins, Turned> {
    let mut logins = Logins::new();
    let named: BTreeSet<&str> = decisions.iter().filter_map(|one| one.principal.as_deref()).collect();
    for principal in named {
        let Some((Ok(kind), Ok(id))) = principal.split_once('/').map(|(kind, id)| (kind.parse(), id.parse()))
        else {
            continue;
        };
        let key = PrincipalKey { account: account.clone(), kind, id };
        if let Some(found) = control.store().principal(&key).await? {
            logins.insert(principal.to_owned(), found.login);
        }
    }
    Ok(logins)
}

/// `POST …/suspend`
pub(super) async fn suspend(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    turn(&control, &client_id, &headers, &body, (ConsoleAction::Suspend, GrantState::Suspended)).await
}

/// `POST …/resume`
pub(super) async fn resume(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    turn(&control, &client_id, &headers, &body, (ConsoleAction::Resume, GrantState::Active)).await
}

/// Brings a grant into another state, where the person may, and shows the application again.
async fn turn(
    control: &Control,
    client_id: &str,
    headers: &HeaderMap,
    body: &Bytes,
    (action, wanted): (ConsoleAction, GrantState),
) -> Result<Response, Turned> {
    let back = application_page(client_id);
    let (visit, _) = posted(control, headers, body, action, &back).await?;
    state::set(control, &visit.by, client_id, wanted, true).await?;
    Ok(onward(control, &back))
}

/// Who may use an application, in words.
fn users(grant: &Grant, counts: AssigneeCounts) -> String {
    let count = |number: u64, one: &str| match number {
        1 => format!("1 {one}"),
        many => format!("{many} {one}s"),
    };
    match grant.assignment {
        AssignmentMode::All => "Everybody in the account.".to_owned(),
        AssignmentMode::Assigned => format!(
            "The root identity, {}, {} and {}.",
            count(counts.users, "user"),
            count(counts.groups, "group"),
            count(counts.roles, "role")
        ),
    }
}

const CALLS_SHOWN: u32 = 20;
