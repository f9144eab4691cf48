//! A story in Debian's Chromium: a script of `tests/clients`, and the pages that it has looked at, each known again by its
//! route and its template.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::pages::Pages;
use super::script::Script;
use super::{Application, Attempt, Tokens, World};
use url::Url;

pub(crate) struct Story {
    script: Script,
    pages: Pages,
    looked_at: BTreeSet<String>,
}

impl Story {
    /// Starts a story of a script, under a name for its pictures.
    pub(crate) fn open(script: &str, story: &str, name: &str, mut facts: Value) -> Self {
        let output = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/output");
        facts["story"] = story.into();
        facts["name"] = name.into();
        facts["output"] = output.to_str().unwrap().into();
        let (script, pages) = (Script::start(script, &facts), Pages::read());
        Self { script, pages, looked_at: BTreeSet::new() }
    }

    /// The same with what everybody in a world has to know.
    pub(crate) fn start(world: &World, script: &str, story: &str, name: &str, mut facts: Value) -> Self {
        let people = ["admin@acme", "alice@acme", "bob@acme"].map(|login| {
            let principal = world.principal(login);
            let known = json!({ "login": principal.login, "password": principal.password });
            (login.split('@').next().unwrap(), known)
        });
        facts["people"] = people.into_iter().collect();
        facts["people"]["carol"] = facts["carol"].clone();
        facts["issuer"] = world.issuer.as_str().into();
        facts["console"] = format!("{}/console", world.issuer).into();
        Self::open(script, story, name, facts)
    }

    /// What has been done next; the pages that were looked at before it are remembered.
    pub(crate) fn hear(&mut self) -> Value {
        loop {
            let line = self.script.hear();
            assert!(line["error"].is_null(), "{}", line["error"].as_str().unwrap());
            if line["look"].is_null() {
                return line;
            }
            let text = |name: &str| line[name].as_str().unwrap();
            let page = self.pages.of(text("method"), text("path"), text("html"));
            let page = page.unwrap_or_else(|why| panic!("{}: {why}", text("look")));
            self.looked_at.insert(page);
        }
    }

    /// Hears that this has been done, and no other thing.
    #[track_caller]
    pub(crate) fn comes_to(&mut self, step: &str) -> Value {
        let line = self.hear();
        assert_eq!(line["step"], step, "{line}");
        line
    }

    pub(crate) fn go_on(&mut self) {
        self.script.tell(&json!("go on"));
    }

    /// Hears the end, and gives what it says. What was looked at is what `tests/pages.rs` says of the story.
    #[track_caller]
    pub(crate) fn end(mut self, looked_at: &[&str]) -> Value {
        let end = self.comes_to("end");
        let wanted: BTreeSet<_> = looked_at.iter().map(|page| (*page).to_owned()).collect();
        let list = || self.looked_at.iter().map(|page| format!("    \"{page}\",\n")).collect::<String>();
        assert!(self.looked_at == wanted, "the pages that it has looked at are\n{}", list());
        self.script.finish();
        end
    }
}

/// What a script has to know of an application that somebody opens.
pub(crate) fn told(application: &Application, attempt: &Attempt) -> Value {
    json!({
        "authorize": attempt.url,
        "client_id": application.client_id,
        "redirect_uri": application.redirect_uri,
    })
}

/// The tokens for the code with which a browser came back.
pub(crate) async fn redeemed(application: &Application, attempt: &Attempt, line: &Value) -> Tokens {
    let back = Url::parse(line["back"].as_str().unwrap_or_else(|| panic!("{line}"))).unwrap();
    let (_, code) = back.query_pairs().find(|(name, _)| name == "code").unwrap();
    Tokens::of(&application.redeem(attempt, &code).await.expect(200))
}
