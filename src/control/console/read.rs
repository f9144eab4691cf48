//! The pages that show: the list, the details, what is official, who may use what, and the question before deleting.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;

use super::view::{Assignments, CallRow, Delete, Details, List, Offer, Official, Row};
use super::{HOME, Turned, Visit, application_page};
use crate::control::Control;
use crate::control::admin::assignments::Assigned;
use crate::control::admin::{applications, assignments as assigned, official as offered};
use crate::control::browser::ask::line;
use crate::control::page::consent::Asker;
use crate::control::page::{Label, ScopeLine, respond};
use crate::model::grant::{AssignmentMode, GrantState, Installed};
use crate::model::scope::ScopeSet;
use crate::policy::ConsoleAction;
use crate::store::DecisionFilter;

/// `GET /console`
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let visit = Visit::of(&control, &headers, ConsoleAction::List, HOME).await?;
    let installed = control.store().installed_in(visit.by.account()).await?;
    Ok(respond(&List {
        visitor: Some(visit.person.visitor()),
        account: visit.account,
        rows: installed.iter().map(Row::from).collect(),
    }))
}

/// `GET /console/applications/{client_id}`
pub(super) async fn details(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let visit = Visit::of(&control, &headers, ConsoleAction::List, &application_page(&client_id)).await?;
    let installed = applications::find(&control, &visit.by, &client_id).await?;
    let filter = DecisionFilter {
        application: Some(installed.application.id.clone()),
        limit: 20,
        ..DecisionFilter::default()
    };
    let decisions = control.store().decisions(visit.by.account(), &filter).await?;
    let last_used = control.store().last_used(&installed.grant.key).await?;
    let policies = applications::policy_text(&control, &installed);
    let users = users(&control, &visit, &installed).await?;
    let waiting = crate::control::rescope::waiting(&installed);
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
        last_used,
        users,
        waiting,
        granted: lines(&control, &grant.scopes),
        declined: lines(&control, &grant.declined),
        decisions: decisions.iter().map(CallRow::from).collect(),
        policies,
    }))
}

/// `GET /console/applications/{client_id}/delete`
pub(super) async fn delete(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let visit = Visit::of(&control, &headers, ConsoleAction::Revoke, &application_page(&client_id)).await?;
    let installed = applications::find(&control, &visit.by, &client_id).await?;
    Ok(respond(&Delete {
        csrf: visit.person.csrf(),
        visitor: Some(visit.person.visitor()),
        account: visit.account,
        display_name: Label::new(&installed.application.display_name),
        client_id: installed.application.id.into(),
    }))
}

/// `GET /console/applications/{client_id}/assignments`
pub(super) async fn assignments(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let back = format!("{}/assignments", application_page(&client_id));
    let visit = Visit::of(&control, &headers, ConsoleAction::Assign, &back).await?;
    let assigned = assigned::read(&control, &visit.by, &client_id).await?;
    assignments_page(&control, visit, &client_id, &assigned, None).await
}

/// The form, with what went wrong the last time.
pub(super) async fn assignments_page(
    control: &Control,
    visit: Visit,
    client_id: &str,
    assigned: &Assigned,
    problem: Option<String>,
) -> Result<Response, Turned> {
    let installed = applications::find(control, &visit.by, client_id).await?;
    Ok(respond(&Assignments {
        csrf: visit.person.csrf(),
        visitor: Some(visit.person.visitor()),
        account: visit.account,
        display_name: Label::new(&installed.application.display_name),
        client_id: installed.application.id.into(),
        all: assigned.mode == AssignmentMode::All,
        users: assigned.users.join("\n"),
        groups: assigned.groups.join("\n"),
        roles: assigned.roles.join("\n"),
        problem,
    }))
}

/// `GET /console/official`
pub(super) async fn official(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let visit = Visit::of(&control, &headers, ConsoleAction::Provision, "/console/official").await?;
    let offers = offered::offers(&control, &visit.by).await?;
    let shown = |(application, installed): &(_, bool)| offer(&control, &visit, application, *installed);
    let offers = offers.iter().map(shown).collect();
    Ok(respond(&Official {
        csrf: visit.person.csrf(),
        visitor: Some(visit.person.visitor()),
        account: visit.account,
        offers,
    }))
}

fn offer(
    control: &Control,
    visit: &Visit,
    application: &crate::model::application::Application,
    installed: bool,
) -> Offer {
    Offer {
        asker: Asker::of(application, visit.by.account(), ""),
        installed,
        required: lines(control, &application.required),
        optional: lines(control, &application.optional),
    }
}

fn lines(control: &Control, scopes: &ScopeSet) -> Vec<ScopeLine> {
    scopes.iter().map(|scope| line(control, scope)).collect()
}

/// Who may use an application, in words.
async fn users(control: &Control, visit: &Visit, installed: &Installed) -> Result<String, Turned> {
    Ok(match installed.grant.assignment {
        AssignmentMode::All => "Everybody in the account.".to_owned(),
        AssignmentMode::Assigned => {
            let Assigned { users, groups, roles, .. } =
                assigned::read(control, &visit.by, installed.application.id.as_str()).await?;
            let count = |number: usize, one: &str| match number {
                1 => format!("1 {one}"),
                many => format!("{many} {one}s"),
            };
            format!(
                "The root identity, {}, {} and {}.",
                count(users.len(), "user"),
                count(groups.len(), "group"),
                count(roles.len(), "role")
            )
        }
    })
}
