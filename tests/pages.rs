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

pub(crate) const OFFICIAL: &[&str] = &[];
pub(crate) const RESCOPE: &[&str] = &[];
pub(crate) const AUDIT: &[&str] = &[];
pub(crate) const USE: &[&str] = &[];
pub(crate) const APPROVAL: &[&str] = &[];
pub(crate) const ELSEWHERE: &[&str] = &[];
pub(crate) const PUBLISHER: &[&str] = &[];
pub(crate) const PEOPLE: &[&str] = &[];
