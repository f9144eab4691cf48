//! What the pages of sessions show.

use askama::Template;
use jiff::Timestamp;

use crate::control::page::nav::{Here, MY_SESSIONS, SESSIONS};
use crate::control::page::{Label, Page, Visitor};
use crate::model::account::Principal;
use crate::store::{BrowserSession, Factor};

/// Where somebody is signed in.
#[derive(Template)]
#[template(path = "sessions/own.html", config = ".askama.toml")]
pub struct Own {
    /// The person.
    pub visitor: Option<Visitor>,
    /// The session's CSRF field.
    pub csrf: String,
    /// A page of their sessions, the newest first.
    pub rows: Vec<Row>,
    /// The address of the next page.
    pub next: Option<String>,
    /// Whether there is more than the one in which they look at it.
    pub others: bool,
}

impl Page for Own {
    fn here(&self) -> Here {
        Here::At(MY_SESSIONS)
    }
}

/// Where the people of an account are signed in.
#[derive(Template)]
#[template(path = "sessions/list.html", config = ".askama.toml")]
pub struct List {
    /// The administrator.
    pub visitor: Option<Visitor>,
    /// The session's CSRF field.
    pub csrf: String,
    /// The account's alias.
    pub account: Label,
    /// Only this login's, if one was named.
    pub login: Label,
    /// Whether nobody has that login.
    pub nobody: bool,
    /// A page of sessions, the newest first.
    pub rows: Vec<Row>,
    /// The address of the next page.
    pub next: Option<String>,
}

impl Page for List {
    fn here(&self) -> Here {
        Here::At(SESSIONS)
    }
}

/// One session.
pub struct Row {
    /// What it is ended by.
    pub id: String,
    /// Whose it is.
    pub login: Label,
    /// Whether it is the one in which somebody looks at it.
    pub current: bool,
    /// When it began.
    pub opened_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// How they signed in, in words.
    pub how: Label,
    /// From which address.
    pub address: Label,
    /// The browser, in words.
    pub browser: String,
    /// What the browser called itself.
    pub user_agent: Label,
}

impl Row {
    /// A session, seen from the one with the hash `current`.
    #[must_use]
    pub fn of(session: &BrowserSession, principal: &Principal, current: &[u8; 32]) -> Self {
        let how: Vec<&str> = session.factors.iter().map(|factor| words(*factor)).collect();
        let at = session.vouched.as_ref().map(|vouched| format!(" ({})", vouched.provider));
        Self {
            id: session.id().to_string(),
            login: Label::new(&principal.login),
            current: session.hash == *current,
            opened_at: session.opened_at,
            expires_at: session.expires_at,
            how: Label::new(&format!("{}{}", how.join(" and "), at.unwrap_or_default())),
            address: Label::new(&session.address),
            browser: browser(&session.user_agent),
            user_agent: Label::long(&session.user_agent),
        }
    }
}

fn words(factor: Factor) -> &'static str {
    match factor {
        Factor::Password => "Password",
        Factor::Totp => "One-time code",
        Factor::Passkey => "Passkey",
        Factor::RecoveryCode => "Recovery code",
        Factor::Provider => "Organization’s sign-in",
    }
}

/// A browser and its system by what it calls itself: a guess to be recognized by, and no more than that.
fn browser(user_agent: &str) -> String {
    let first = |words: &[(&str, &'static str)]| {
        words.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    // Most call themselves by the names of others as well; the more particular name comes first.
    let name = first(&[
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = first(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (name, system) {
        (Some(name), Some(system)) => format!("{name} on {system}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => "Unknown browser".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_told_by_its_most_particular_name() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0 Safari/537.36";
        assert_eq!(browser(chrome), "Chrome on Linux");
        assert_eq!(browser(&format!("{chrome} Edg/141.0")), "Edge on Linux");
        assert_eq!(browser("curl/8"), "curl");
        assert_eq!(browser("<script>"), "Unknown browser");
    }
}
