//! Fills the pages that ask, and those that say why nobody can be asked.

use axum::response::Response;

use super::super::oauth::decision::Stop;
use super::super::oauth::request::AuthorizeRequest;
use super::super::page::consent::{Asker, Choice, Consent, Mark, Personal};
use super::super::page::stop::Stopped;
use super::super::page::{FormTarget, Label, Risk, ScopeLine, respond};
use super::super::requests::asking;
use super::super::{Control, Problem, tenant};
use super::session::SignedIn;
use super::{Shown, consent};
use crate::model::application::Application;
use crate::model::grant::Grant;
use crate::model::id::GrantKey;
use crate::model::scope::{Scope, ScopeSet};
use crate::policy::ConsoleAction;
use crate::policy::catalogue::RiskLevel;
use crate::store::{Standing, StoreError};
use crate::token::random::Secret;

/// The administrator's page; `live` is the grant that is replaced.
pub(super) async fn administrator(
    control: &Control,
    person: &SignedIn,
    request: Option<&AuthorizeRequest>,
    application: &Application,
    live: Option<&Grant>,
    transaction: &Secret,
) -> Result<Response, Shown> {
    let granted = live.map(|grant| &grant.scopes);
    let now = control.clock().now();
    let choice = |scope: &Scope| Choice {
        line: line(control, scope),
        checked: granted.is_some_and(|granted| granted.contains(scope))
            || wished(application, request, scope),
        mark: granted.map(|granted| Mark::of(granted, scope)),
    };
    let optional = application.optional.without(&application.required);
    let dropped = granted.map(|granted| granted.without(&application.offered())).unwrap_or_default();
    let newly = granted.map(|granted| application.required.beyond(granted)).unwrap_or_default();
    let onward =
        request.map_or_else(|| control.issuer().at("/console"), |request| request.redirect_uri.clone());
    Ok(respond(&Consent {
        visitor: Some(person.visitor()),
        action: action(control),
        csrf: person.csrf(),
        transaction: transaction.expose().to_owned(),
        asker: asker(person, application, &onward),
        account: alias(control, person).await?,
        account_id: person.principal.key.account.to_string(),
        required: application.required.iter().map(choice).collect(),
        optional: optional.iter().map(choice).collect(),
        dropped: dropped.iter().map(ToString::to_string).collect(),
        newly: newly.iter().map(ToString::to_string).collect(),
        again: granted.is_some(),
        ends_at: live.filter(|grant| !grant.has_ended(now)).and_then(|grant| grant.expires_at),
        form_target: request.and_then(|request| FormTarget::of(&request.redirect_uri)),
    }))
}

/// Whether an application that nobody vouches for asks for this scope now. Such a one requires nothing that its
/// description does not name, and without what it asks for it could do nothing.
fn wished(application: &Application, request: Option<&AuthorizeRequest>, scope: &Scope) -> bool {
    application.is_unverified() && request.is_some_and(|request| request.scopes.contains(scope))
}

/// The person's own page.
pub(super) async fn person(
    control: &Control,
    person: &SignedIn,
    request: &AuthorizeRequest,
    application: &Application,
    scopes: &ScopeSet,
    transaction: &Secret,
) -> Result<Response, Shown> {
    Ok(respond(&Personal {
        visitor: Some(person.visitor()),
        action: action(control),
        csrf: person.csrf(),
        transaction: transaction.expose().to_owned(),
        asker: asker(person, application, &request.redirect_uri),
        login: Label::new(&person.principal.login),
        account: alias(control, person).await?,
        scopes: scopes.iter().map(|scope| line(control, scope)).collect(),
        form_target: FormTarget::of(&request.redirect_uri),
    }))
}

/// The page at which a request ends.
pub(super) async fn stopped(
    control: &Control,
    person: &SignedIn,
    redirect_uri: &str,
    application: &Application,
    stop: Stop,
) -> Result<Response, Shown> {
    let (visitor, name) = (person.visitor(), Label::new(&application.display_name));
    let account = &person.principal.key.account;
    let administrators = control.store().administrators(account, ADMINISTRATORS_NAMED).await?;
    let administrators = administrators.iter().map(|one| Label::new(&one.login)).collect();
    Ok(match stop {
        Stop::NotInstalled | Stop::NewlyRequired => {
            return asking::needs_administrator(control, person, redirect_uri, application).await;
        }
        Stop::Blocked => {
            let key = GrantKey { account: account.clone(), application: application.id.clone() };
            let terms = control.store().terms(&key).await?;
            let message = match terms.rule.map(|rule| rule.standing) {
                Some(Standing::Blocked { word }) if !word.is_empty() => word,
                Some(_) | None => terms.manner.message,
            };
            let unblock = control
                .policies()
                .may(&person.principal, ConsoleAction::SetPolicy, account)
                .then(|| format!("{}{}/{}", control.issuer().path(), tenant::HOME, application.id));
            respond(&Stopped::blocked(visitor, name, Label::long(&message), administrators, unblock))
        }
        Stop::OnlyAdministrators => respond(&Stopped {
            title: "An administrator has to decide this again".to_owned(),
            application: Some(name),
            why:
                "The application asks for another authorization by an administrator of your account, and you \
                  are not one. What is authorized now goes on as it is."
                    .to_owned(),
            code: "not_an_administrator",
            ..Stopped::administrators_only(visitor, administrators)
        }),
        Stop::Suspended => respond(&Stopped::suspended(visitor, name, administrators)),
        Stop::NotAssigned => respond(&Stopped::not_assigned(visitor, name, administrators)),
    })
}

/// A scope in plain words. One that no catalogue describes is shown as what it is, with the highest risk.
pub(crate) fn line(control: &Control, scope: &Scope) -> ScopeLine {
    let policies = control.policies();
    match policies.catalogue().get(scope) {
        Some(entry) => ScopeLine {
            scope: scope.to_string(),
            title: entry.title.clone(),
            text: entry.consent.clone(),
            risk: match entry.risk.level {
                RiskLevel::Low => Risk::Low,
                RiskLevel::Medium => Risk::Medium,
                RiskLevel::High => Risk::High,
            },
        },
        None => unknown(scope),
    }
}

fn unknown(scope: &Scope) -> ScopeLine {
    let identity = match scope.as_str() {
        "openid" => Some(("Know you again", "See an identifier of yours that says nothing else about you.")),
        "profile" => Some(("Your name", "See your name, your login and what kind of identity you are.")),
        "aliuid" => Some(("Your numbers", "See the number of your account and your own number in it.")),
        _ => None,
    };
    match identity {
        Some((title, text)) => ScopeLine {
            scope: scope.to_string(),
            title: title.to_owned(),
            text: text.to_owned(),
            risk: Risk::Low,
        },
        None => ScopeLine {
            scope: scope.to_string(),
            title: scope.to_string(),
            text: "Nobody has described what this scope allows.".to_owned(),
            risk: Risk::High,
        },
    }
}

pub(in crate::control) fn asker(person: &SignedIn, application: &Application, redirect_uri: &str) -> Asker {
    Asker {
        display_name: Label::new(&application.display_name),
        name: Label::new(&application.name),
        client_id: application.id.to_string(),
        relation: application.relation_to(&person.principal.key.account).as_str(),
        publisher: Label::new(&application.publisher_name),
        publisher_id: application.publisher.to_string(),
        description: Label::long(&application.description),
        contact: Label::long(&application.contact),
        redirect_uri: Label::long(redirect_uri),
        unverified: application.is_unverified(),
    }
}

pub(in crate::control) async fn alias(control: &Control, person: &SignedIn) -> Result<Label, Problem> {
    let id = &person.principal.key.account;
    let account = control.store().account(id).await?;
    let account = account.ok_or_else(|| StoreError::Missing(format!("account {id}")))?;
    Ok(Label::new(&account.alias))
}

fn action(control: &Control) -> String {
    format!("{}{}", control.issuer().path(), consent::PATH)
}

const ADMINISTRATORS_NAMED: u32 = 5;
