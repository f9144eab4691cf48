//! The console's pages for a change of scope: choosing, looking at the difference, confirming.
//!
//! What was chosen is carried by the form to the page with the difference and from there back. It is checked when it is
//! confirmed, against the revision that was looked at; nothing is kept in between.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;

use super::view::{Choose, Review};
use super::{Wanted, find, rescope, waiting};
use crate::control::Control;
use crate::control::admin::request::invalid;
use crate::control::browser::ask::line;
use crate::control::console::{Turned, Visit, application_page, onward, posted};
use crate::control::page::consent::{Choice, Mark};
use crate::control::page::{Label, ScopeLine, respond};
use crate::model::grant::Installed;
use crate::model::id::Revision;
use crate::model::scope::{Scope, ScopeSet};
use crate::policy::ConsoleAction;

/// `GET /console/applications/{client_id}/scope`
pub(super) async fn choose(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Turned> {
    let back = format!("{}/scope", application_page(&client_id));
    let visit = Visit::of(&control, &headers, ConsoleAction::Authorize, &back).await?;
    let installed = find(&control, &visit.by, &client_id).await?;
    let waiting = waiting(&installed);
    let Installed { grant, application } = installed;
    let choice = |scope: &Scope| Choice {
        line: line(&control, scope),
        checked: grant.scopes.contains(scope),
        mark: Some(Mark::of(&grant.scopes, scope)),
    };
    let optional = application.optional.without(&application.required);
    Ok(respond(&Choose {
        csrf: visit.person.csrf(),
        display_name: Label::new(&application.display_name),
        revision: grant.revision.0,
        required: lines(&control, &application.required.without(&waiting.required)),
        newly: lines(&control, &waiting.required),
        optional: optional.iter().map(choice).collect(),
        withdrawn: lines(&control, &waiting.withdrawn),
        client_id: application.id.into(),
        visitor: Some(visit.person.visitor()),
        account: visit.account,
    }))
}

/// `POST …/scope`: shows the difference, or makes it.
pub(super) async fn answer(
    State(control): State<Arc<Control>>,
    Path(client_id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Turned> {
    let back = format!("{}/scope", application_page(&client_id));
    let (visit, form) = posted(&control, &headers, &body, ConsoleAction::Authorize, &back).await?;
    let one = |name: &str| form.one(name).ok().flatten();
    let revision = one("revision").and_then(|text| text.parse().ok()).map(Revision);
    let seen = revision.ok_or_else(|| invalid("The form is not whole."))?;
    let chosen: Result<ScopeSet, _> = form.all("scope").map(str::parse::<Scope>).collect();
    let chosen = chosen.map_err(|error| invalid(error.to_string()))?;
    let installed = find(&control, &visit.by, &client_id).await?;
    let offered = installed.application.offered().union(&installed.grant.scopes);
    if let Some(scope) = chosen.without(&offered).iter().next() {
        return Err(invalid(format!("The scope {scope} was not offered.")).into());
    }
    // A browser does not post the locked boxes: what is required and granted stays.
    let required = installed.application.required.iter();
    let locked: ScopeSet = required.filter(|scope| installed.grant.scopes.covers(scope)).cloned().collect();
    let scopes = chosen.union(&locked);
    match one("step") {
        Some("review") => Ok(review(&control, visit, installed, seen, &scopes)),
        Some("confirm") => {
            let declined = installed.application.optional.beyond(&scopes);
            let wanted = Wanted { scopes, declined, seen };
            rescope(&control, &visit.by, installed.application.id.as_str(), wanted, true).await?;
            Ok(onward(&control, &application_page(installed.application.id.as_str())))
        }
        Some(_) | None => Err(invalid("The form is not whole.").into()),
    }
}

fn review(
    control: &Control,
    visit: Visit,
    installed: Installed,
    seen: Revision,
    scopes: &ScopeSet,
) -> Response {
    let Installed { grant, application } = installed;
    let added = scopes.beyond(&grant.scopes);
    let names = |scopes: &ScopeSet| scopes.iter().map(ToString::to_string).collect();
    let newly = |scope: &Scope| application.required.contains(scope);
    respond(&Review {
        csrf: visit.person.csrf(),
        visitor: Some(visit.person.visitor()),
        account: visit.account,
        display_name: Label::new(&application.display_name),
        revision: seen.0,
        added: added.iter().map(|scope| (line(control, scope), newly(scope))).collect(),
        removed: lines(control, &grant.scopes.beyond(scopes)),
        kept: names(&scopes.without(&added)),
        unaccepted: names(&application.required.beyond(scopes)),
        scopes: names(scopes),
        client_id: application.id.into(),
    })
}

fn lines(control: &Control, scopes: &ScopeSet) -> Vec<ScopeLine> {
    scopes.iter().map(|scope| line(control, scope)).collect()
}
