//! No page is forgotten: each that the sources know stands in a list below, and each list is what a story in Chromium has
//! looked at, in light and dark, narrow, zoomed and with large text, by axe-core and with the Tab key. Where a story
//! looks at another page, or at one no more, it says what its list would be.

use std::collections::BTreeSet;

use crate::support::pages::Pages;

#[test]
fn every_page_is_looked_at_by_some_story() {
    let pages = Pages::read();
    assert!(pages.routes.len() > 40, "the routes are not found any more: {:?}", pages.routes);
    let looked_at: BTreeSet<_> = STORIES.iter().flat_map(|story| story.iter().copied()).collect();
    let routes: BTreeSet<_> = looked_at
        .iter()
        .map(|page| page.rsplit_once(' ').unwrap().0)
        .chain(NO_PAGE.iter().copied())
        .collect();
    let all =
        pages.routes.iter().filter(|(method, _)| method == "GET").map(|(_, path)| format!("GET {path}"));
    let forgotten: Vec<_> = all.filter(|route| !routes.contains(route.as_str())).collect();
    assert!(forgotten.is_empty(), "no story looks at {forgotten:?}");
    let templates: BTreeSet<_> = looked_at.iter().map(|page| page.rsplit_once(' ').unwrap().1).collect();
    let forgotten: Vec<_> = pages.templates().filter(|name| !templates.contains(name)).collect();
    assert!(forgotten.is_empty(), "no story looks at what comes of {forgotten:?}");
}

#[test]
fn what_is_said_to_be_no_page_is_there_and_in_no_story() {
    let pages = Pages::read();
    for route in NO_PAGE {
        let (method, path) = route.split_once(' ').unwrap();
        assert!(pages.routes.contains(&(method.to_owned(), path.to_owned())), "there is no {route}");
        let shown =
            STORIES.iter().flat_map(|story| story.iter()).find(|page| page.starts_with(&format!("{route} ")));
        assert!(shown.is_none(), "{shown:?}");
    }
}

/// What leads on, and shows nothing of itself.
const NO_PAGE: &[&str] = &[
    // To the first page of the navigation.
    "GET /",
    // To the organization's provider.
    "GET /login/provider/{name}",
];

const STORIES: &[&[&str]] = &[OFFICIAL, RESCOPE, AUDIT, USE, APPROVAL, ELSEWHERE, PUBLISHER, PEOPLE];

pub(crate) const OFFICIAL: &[&str] = &[
    "GET /console console/installed.html",
    "GET /console/applications/{client_id} console/details.html",
    "GET /console/applications/{client_id}/assignments console/assignments.html",
    "GET /console/applications/{client_id}/consents console/consents.html",
    "GET /console/official console/official.html",
    "GET /console/official/{client_id} console/offer.html",
    "GET /me me/applications.html",
    "GET /oauth2/v1/auth page/personal.html",
    "GET /oauth2/v1/auth page/stopped.html",
    "POST /console/applications/{client_id}/assignments console/assignments.html",
];
pub(crate) const RESCOPE: &[&str] = &[
    "GET /console/applications/{client_id} console/details.html",
    "GET /console/applications/{client_id}/delete console/delete.html",
    "GET /login page/sign_in.html",
    "GET /oauth2/v1/auth page/consent.html",
    "POST /console/applications/{client_id}/delete console/receipt.html",
];
pub(crate) const AUDIT: &[&str] = &[
    "GET /console/applications/{client_id} page/stopped.html",
    "GET /console/audit audit/list.html",
    "GET /console/audit page/stopped.html",
    "GET /console/audit/calls/{id} audit/call.html",
    "GET /console/audit/{id} audit/event.html",
];
pub(crate) const USE: &[&str] = &[
    "GET /console/applications/{client_id}/expiry usage/expiry.html",
    "GET /console/report usage/report.html",
    "GET /console/sessions sessions/list.html",
    "GET /console/use usage/overview.html",
    "GET /login page/sign_in.html",
    "GET /me/sessions sessions/own.html",
    "POST /console/applications/{client_id}/expiry usage/expiry.html",
];
pub(crate) const APPROVAL: &[&str] = &[
    "GET /console/applications/{client_id}/scope rescope/choose.html",
    "GET /console/policy tenant/policy.html",
    "GET /console/policy/{client_id} tenant/rule.html",
    "GET /console/requests requests/list.html",
    "GET /console/requests/{client_id} requests/request.html",
    "GET /oauth2/v1/auth page/needs_administrator.html",
    "GET /oauth2/v1/auth page/stopped.html",
    "GET /oauth2/v1/install page/consent.html",
    "GET /oauth2/v1/install page/needs_administrator.html",
    "POST /console/applications/{client_id}/scope rescope/review.html",
    "POST /oauth2/v1/consent page/done.html",
];
pub(crate) const ELSEWHERE: &[&str] = &[
    "GET /console/sessions sessions/list.html",
    "GET /login page/sign_in.html",
    "GET /login/provider/{name}/callback page/stopped.html",
    "GET /login/signed-out page/done.html",
    "GET /me/sessions sessions/own.html",
    "POST /logout page/done.html",
];
pub(crate) const PUBLISHER: &[&str] = &[
    "GET /publisher publishing/list.html",
    "GET /publisher/applications/{client_id} publishing/application.html",
    "GET /publisher/applications/{client_id}/secrets/{secret_id}/delete publishing/delete_secret.html",
    "GET /publisher/new publishing/new.html",
    "POST /publisher/applications/{client_id}/secrets publishing/secret.html",
    "POST /publisher/new publishing/new.html",
    "POST /publisher/new publishing/secret.html",
];
pub(crate) const PEOPLE: &[&str] = &[
    "GET /console/people people/list.html",
    "GET /console/people/groups people/groups.html",
    "GET /console/people/groups/{group} people/group.html",
    "GET /console/people/new people/new.html",
    "GET /console/people/roles people/roles.html",
    "GET /console/people/users/{login} people/person.html",
    "GET /me/security security/security.html",
    "GET /set-password page/stopped.html",
    "GET /set-password security/set_password.html",
    "POST /console/people people/new.html",
    "POST /console/people people/person.html",
    "POST /login page/sign_in.html",
    "POST /login security/code.html",
    "POST /login security/set_up.html",
    "POST /login/code security/code.html",
    "POST /login/passkey security/ask_passkey.html",
    "POST /login/passkey/answer page/stopped.html",
    "POST /me/security/authenticator security/set_up.html",
    "POST /me/security/authenticator/confirm security/codes.html",
    "POST /me/security/authenticator/confirm security/set_up.html",
    "POST /me/security/passkeys security/new_passkey.html",
];
