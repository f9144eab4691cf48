//! A grant as Cedar text: one permit, and the forbids that hold it in.
//!
//! Comes in: an installed application and the scopes that count. Goes out: policies to compile, and to show to people
//! (`policies/grant.cedar` is an annotated example). Each forbid repeats a limit of the permit, so that a second,
//! mistaken permit could not pass it; the ceiling uses nothing but `in` on literal ids, which cannot fail. Ids and
//! scopes hold no quote and no backslash by their types, so nothing needs escaping.

use std::fmt::Write;

use super::catalogue::Catalogue;
use super::exchange::Exchanging;
use crate::model::grant::{AssignmentMode, GrantState, Installed};
use crate::model::scope::ScopeSet;

/// The policies of `installed` for `scopes`. Scopes that the catalogue does not know give nothing.
#[must_use]
pub fn policies(installed: &Installed, scopes: &ScopeSet, catalogue: &Catalogue) -> String {
    let known: Vec<&str> =
        scopes.iter().filter(|scope| catalogue.knows(scope)).map(|scope| scope.as_str()).collect();
    written(installed, &known, "action in principal.consented")
}

/// The policies of `installed` for exchanging a token that carries `scopes`: with none that the catalogue knows there is
/// nothing to exchange, and with any there is.
#[must_use]
pub(super) fn exchanges(installed: &Installed, scopes: &ScopeSet, catalogue: &Catalogue) -> String {
    let any = scopes.iter().any(|scope| catalogue.knows(scope));
    let actions: Vec<&str> = Exchanging::ALL.iter().map(|one| one.as_str()).filter(|_| any).collect();
    written(installed, &actions, "!principal.consented.isEmpty()")
}

/// One permit of `actions`, and what holds it in; `agreed` says that somebody has agreed in person.
fn written(installed: &Installed, actions: &[&str], agreed: &str) -> String {
    let grant = &installed.grant;
    let key = &grant.key;
    let account = &key.account;
    let known: Vec<String> = actions.iter().map(|name| format!("Action::\"{name}\"")).collect();
    let active = match grant.state {
        GrantState::Active => true,
        GrantState::Suspended | GrantState::Revoked => false,
    };
    let mut text = String::new();
    let head = |part: &str, origin: &str| {
        format!("@id(\"grant:{key}:{part}\")\n@origin(\"{origin}\")\n@revision(\"{}\")\n", grant.revision)
    };
    if known.is_empty() || !active {
        let _ = writeln!(text, "{}forbid (principal, action, resource);", head("ceiling", "ceiling"));
        return text;
    }
    let actions = format!("[{}]", known.join(", "));
    let _ = writeln!(
        text,
        "{}permit (\n  principal in Grant::\"{key}\",\n  action in {actions},\n  resource in Account::\"{account}\"\n);\n",
        head("permit", "grant"),
    );
    let _ = writeln!(
        text,
        "{}forbid (principal, action, resource)\nunless\n{{\n  principal in Grant::\"{key}\" &&\n  action in {actions} &&\n  resource in Account::\"{account}\"\n}};",
        head("ceiling", "ceiling"),
    );
    if needs_assignment(installed) {
        let _ = writeln!(
            text,
            "\n{}forbid (principal in Grant::\"{key}\", action, resource)\nunless {{ principal.assigned }};",
            head("assigned", "assignment"),
        );
    }
    if needs_consent(installed) {
        let _ = writeln!(
            text,
            "\n{}forbid (principal in Grant::\"{key}\", action, resource)\nunless {{ {agreed} }};",
            head("consent", "consent"),
        );
    }
    text
}

/// Whether only assigned principals may use the application.
pub(super) fn needs_assignment(installed: &Installed) -> bool {
    installed.application.official
        || match installed.grant.assignment {
            AssignmentMode::All => false,
            AssignmentMode::Assigned => true,
        }
}

/// Whether each principal must have agreed in person.
pub(super) fn needs_consent(installed: &Installed) -> bool {
    installed.application.official
}
