//! The way around: which pages there are, for whom, and at which of them somebody is.
//!
//! Comes in: who looks, and where. Goes out: the links at the head of a page. It decides nothing: what somebody may
//! do is asked again by each page. To add a page: its line in [`PAGES`], and `here` in its `impl Page`.

use super::Visitor;

/// Where a page stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Here {
    /// At the page of the navigation with this path, or below it.
    At(&'static str),
    /// Beside them all: the navigation is shown, and none of it is the current page.
    Beside,
    /// In the middle of something that ends with an answer: nothing leads away from it.
    Deciding,
}

/// One link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// What it is called.
    pub label: &'static str,
    /// Where it leads.
    pub path: &'static str,
    /// `aria-current`: `page` where somebody is, and nothing elsewhere.
    pub current: Option<&'static str>,
}

/// The links for somebody at some place.
#[must_use]
pub fn links(visitor: &Visitor, here: Here) -> Vec<Link> {
    let link = |&(label, path, _): &(&'static str, &'static str, For)| {
        let current = (here == Here::At(path)).then_some("page");
        Link { label, path, current }
    };
    match here {
        Here::Deciding => Vec::new(),
        Here::At(_) | Here::Beside => {
            PAGES.iter().filter(|(_, _, whom)| is_for(visitor, *whom)).map(link).collect()
        }
    }
}

/// Where the name of the product leads: to the first page that is for them.
#[must_use]
pub fn home(visitor: &Visitor) -> &'static str {
    let first = PAGES.iter().find(|(_, _, whom)| is_for(visitor, *whom));
    first.map_or(APPLICATIONS, |(_, path, _)| *path)
}

fn is_for(visitor: &Visitor, whom: For) -> bool {
    match whom {
        For::Administrators => visitor.administrator,
        For::Everybody => true,
    }
}

/// For whom a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// Those who administer their account.
    Administrators,
    /// Everybody who is logged in.
    Everybody,
}

/// The path of the list of applications.
pub const APPLICATIONS: &str = "/console";
/// The path of the list of official applications.
pub const OFFICIAL: &str = "/console/official";
/// The path of the requests for approval.
pub const REQUESTS: &str = "/console/requests";
/// The path of the account's policy about applications.
pub const POLICY: &str = "/console/policy";
/// The path of the list of users.
pub const PEOPLE: &str = "/console/people";
/// The path of what somebody signs in with.
pub const SECURITY: &str = "/me/security";

/// The path of the list of everybody's sessions.
pub const SESSIONS: &str = "/console/sessions";
/// The path of the list of one's own sessions.
pub const MY_SESSIONS: &str = "/me/sessions";

/// The path of the audit.
pub const AUDIT: &str = "/console/audit";
/// The path of the page about use and hygiene.
pub const USE: &str = "/console/use";
/// The path of the page with figures of the account.
pub const REPORT: &str = "/console/report";
/// The path of a publisher's list.
pub const PUBLISHER: &str = "/publisher";
/// The path of a person's own list of what acts as them.
pub const ME: &str = "/me";

/// Every page of the navigation, in its order: the account's, then one's own.
const PAGES: &[(&str, &str, For)] = &[
    ("Applications", APPLICATIONS, For::Administrators),
    ("Official applications", OFFICIAL, For::Administrators),
    ("Approval requests", REQUESTS, For::Administrators),
    ("Application policy", POLICY, For::Administrators),
    ("People", PEOPLE, For::Administrators),
    ("Sessions", SESSIONS, For::Administrators),
    ("Use", USE, For::Administrators),
    ("Report", REPORT, For::Administrators),
    ("Audit", AUDIT, For::Administrators),
    ("Publishing", PUBLISHER, For::Administrators),
    ("Acting as me", ME, For::Everybody),
    ("Your sessions", MY_SESSIONS, For::Everybody),
    ("Your security", SECURITY, For::Everybody),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn visitor(administrator: bool) -> Visitor {
        Visitor { login: "alice@acme".into(), csrf: String::new(), administrator }
    }

    #[test]
    fn the_page_where_somebody_is_is_the_current_one_and_no_other() {
        let links = links(&visitor(true), Here::At(OFFICIAL));
        let current: Vec<_> =
            links.iter().filter(|link| link.current.is_some()).map(|one| one.path).collect();
        assert_eq!(current, [OFFICIAL]);
        assert!(super::links(&visitor(true), Here::Beside).iter().all(|link| link.current.is_none()));
    }

    #[test]
    fn nothing_leads_away_from_a_decision() {
        assert!(links(&visitor(true), Here::Deciding).is_empty());
    }

    #[test]
    fn who_administers_nothing_is_shown_no_page_of_administrators() {
        let shown = links(&visitor(false), Here::Beside);
        assert!(shown.iter().all(|link| !link.path.starts_with("/console")), "{shown:?}");
        assert_eq!(home(&visitor(true)), APPLICATIONS);
    }

    #[test]
    fn every_page_is_listed_once() {
        let mut paths: Vec<_> = PAGES.iter().map(|(_, path, _)| *path).collect();
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len(), PAGES.len());
    }
}
