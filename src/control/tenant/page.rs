//! The console's pages about the account's rules.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::view::{Policy, RulePage, RuleRow};
use super::{HOME, Objection, rules};
use crate::control::admin::applications::is_live;
use crate::control::admin::request::invalid;
use crate::control::browser::ask::line;
use crate::control::console::{Turned, Visit, onward, posted};
use crate::control::form::Parameters;
use crate::control::page::consent::Asker;
use crate::control::page::{Label, respond};
use crate::control::{Control, Problem};
use crate::model::application::Relation;
use crate::model::id::{ApplicationId, GrantKey};
use crate::model::scope::{Scope, ScopeSet};
use crate::policy::ConsoleAction;
use crate::store::{Manner, Standing, Unknown};

/// `GET /console/policy`; with `client_id` it leads to that application's page.
pub(super) async fn policy(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Turned> {
    let visit = Visit::of(&control, &headers, ConsoleAction::SetPolicy, HOME).await?;
    let query = Parameters::parse(query.unwrap_or_default().as_bytes());
    if let Some(wanted) = query.one("client_id").ok().flatten() {
        return match rules::registered(&control, wanted.trim()).await {
            Ok(found) => Ok(onward(&control, &rule_page(&found.id))),
            Err(problem) if problem.status() == StatusCode::NOT_FOUND => {
                let why = "There is no application with this client ID.".to_owned();
                show(&control, visit, None, Some(why)).await
            }
            Err(problem) => Err(problem.into()),
        };
    }
    show(&control, visit, None, None).await
}

/// `POST /console/policy`: what is said for all applications. The rules about single ones stay.
pub(super) async fn save(
    State(control): State<Arc<Control>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let (visit, form) = posted(&control, &headers, &body, ConsoleAction::SetPolicy, HOME).await?;
    let one = |name: &str| form.one(name).ok().flatten();
    let revision = one("revision").and_then(|text| text.parse().ok());
    let revision: u64 = revision.ok_or_else(|| invalid("The form is not whole."))?;
    let wanted = read(&one);
    let (manner, problem) = match wanted {
        Ok(manner) => (Some(manner), None),
        Err(problem) => (None, Some(problem.detail().to_owned())),
    };
    let Some(manner) = manner else { return show(&control, visit, None, problem).await };
    let present = control.store().tenant_policy(visit.by.account()).await?;
    let kept: Vec<_> =
        present.rules.into_iter().map(|(application, rule)| (application.id, rule.standing)).collect();
    match rules::write(&control, &visit.by, &manner, &kept, revision, true).await {
        Ok(_) => Ok(onward(&control, HOME)),
        Err(problem) if problem.status() == StatusCode::BAD_REQUEST => {
            let why = problem.detail().to_owned();
            show(&control, visit, Some(manner), Some(why)).await
        }
        Err(problem) => Err(problem.into()),
    }
}

/// `GET /console/policy/{client_id}`
pub(super) async fn rule(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let back = format!("{HOME}/{client_id}");
    let visit = Visit::of(&control, &headers, ConsoleAction::SetPolicy, &back).await?;
    let application = rules::registered(&control, &client_id).await?;
    let account = visit.by.account();
    let key = GrantKey { account: account.clone(), application: application.id.clone() };
    let terms = control.store().terms(&key).await?;
    let live = control.store().installed(&key).await?.filter(is_live);
    let approved = terms.rule.as_ref().and_then(|rule| match &rule.standing {
        Standing::PreApproved { scopes } => Some(scopes.clone()),
        Standing::Blocked { .. } => None,
    });
    let row = match terms.rule.clone() {
        Some(rule) => {
            let objection = super::objection(&control, &application, &rule).await?;
            Some(row(rules::Looked { application: application.clone(), rule, objection }))
        }
        None => None,
    };
    let optional = application.optional.without(&application.required);
    let is_approved = |scope: &Scope| approved.as_ref().is_some_and(|approved| approved.contains(scope));
    Ok(respond(&RulePage {
        csrf: visit.person.csrf(),
        asker: Asker::of(&application, account, ""),
        blocked: terms.blocked(),
        // What is installed was authorized already.
        can_be_approved: !terms.blocked()
            && live.is_none()
            && application.relation_to(account) != Relation::FirstParty,
        installed: live.map(|live| live.grant.state.as_str()),
        rule: row,
        required: application.required.iter().map(|scope| line(&control, scope)).collect(),
        optional: optional.iter().map(|scope| (line(&control, scope), is_approved(scope))).collect(),
        visitor: Some(visit.person.visitor()),
        account: visit.account,
    }))
}

/// `POST /console/policy/{client_id}`
pub(super) async fn set_rule(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let back = format!("{HOME}/{client_id}");
    let (visit, form) = posted(&control, &headers, &body, ConsoleAction::SetPolicy, &back).await?;
    let one = |name: &str| form.one(name).ok().flatten();
    let application = rules::registered(&control, &client_id).await?;
    let standing = match one("rule") {
        Some("blocked") => {
            Some(Standing::Blocked { word: rules::sentence("word", one("word").unwrap_or_default())? })
        }
        Some("preapproved") => Some(Standing::PreApproved { scopes: chosen(&form)? }),
        Some("none") => None,
        Some(_) | None => return Err(invalid("Choose what is to be said about the application.").into()),
    };
    rules::set(&control, &visit.by, application.id.as_str(), standing.as_ref(), true).await?;
    Ok(onward(&control, &rule_page(&application.id)))
}

/// The required scopes that the page showed, and the optional ones that were chosen. The store refuses them when the
/// application requires others by now.
fn chosen(form: &Parameters) -> Result<ScopeSet, Problem> {
    let all = form.all("required").chain(form.all("scope")).map(str::parse::<Scope>);
    all.collect::<Result<ScopeSet, _>>().map_err(|error| invalid(error.to_string()))
}

async fn show(
    control: &Control,
    visit: Visit,
    typed: Option<Manner>,
    problem: Option<String>,
) -> Result<Response, Turned> {
    let (revision, manner, looked) = rules::read(control, &visit.by).await?;
    let manner = typed.unwrap_or(manner);
    let (blocked, approved): (Vec<_>, Vec<_>) = looked.into_iter().partition(|one| match one.rule.standing {
        Standing::Blocked { .. } => true,
        Standing::PreApproved { .. } => false,
    });
    Ok(respond(&Policy {
        csrf: visit.person.csrf(),
        visitor: Some(visit.person.visitor()),
        account: visit.account,
        revision,
        ask: manner.unknown == Unknown::Ask,
        days: manner.request_days,
        message: manner.message,
        blocked: blocked.into_iter().map(row).collect(),
        approved: approved.into_iter().map(row).collect(),
        problem,
    }))
}

fn read<'f>(one: &impl Fn(&str) -> Option<&'f str>) -> Result<Manner, Problem> {
    let unknown = one("unknown").unwrap_or_default().parse();
    let unknown =
        unknown.map_err(|_| invalid("Choose what becomes of applications that nobody has decided about."))?;
    let days = one("days").and_then(|text| text.trim().parse().ok()).filter(|days| (1..=90).contains(days));
    let request_days = days.ok_or_else(|| invalid("Requests expire after 1 to 90 days."))?;
    let message = rules::sentence("message", one("message").unwrap_or_default())?;
    Ok(Manner { unknown, request_days, message })
}

fn row(looked: rules::Looked) -> RuleRow {
    let rules::Looked { application, rule, objection } = looked;
    let what = match &rule.standing {
        Standing::Blocked { word } => word.clone(),
        Standing::PreApproved { scopes } => scopes.to_string(),
    };
    let without_effect = objection.map(|objection| match objection {
        Objection::NoAdministrator => {
            format!("{} may not authorize applications any more. Approve it yourself.", rule.by_login)
        }
        Objection::RequiresMore(more) => {
            format!("The application requires {more} by now, which was not approved. Look at it again.")
        }
        Objection::Disabled => "Its publisher has disabled the application.".to_owned(),
    });
    RuleRow {
        display_name: Label::new(&application.display_name),
        name: Label::new(&application.name),
        client_id: application.id.into(),
        what: Label::long(&what),
        without_effect,
        by: Label::new(&rule.by_login),
        at: rule.at,
    }
}

fn rule_page(id: &ApplicationId) -> String {
    format!("{HOME}/{id}")
}
