//! The file that is proposed: the product's scope, and a part each for what reads and what changes.

use serde::Serialize;

use super::operation::{Operation, Part, Product, plain};

/// How it is to be called.
pub(super) struct Naming<'a> {
    /// The service that its actions begin with.
    pub(super) service: &'a str,
    /// Where its scopes stand: `/acs`.
    pub(super) under: &'a str,
    /// Of what it was made.
    pub(super) made_of: String,
}

#[derive(Serialize)]
struct File {
    #[serde(rename = "$schema")]
    schema: &'static str,
    #[serde(rename = "$comment")]
    comment: [String; 2],
    service: String,
    title: String,
    scopes: Vec<Scope>,
}

#[derive(Serialize)]
struct Scope {
    scope: String,
    #[serde(rename = "$comment", skip_serializing_if = "Vec::is_empty")]
    comment: Vec<String>,
    title: String,
    consent: String,
    risk: Risk,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actions: Vec<String>,
}

#[derive(Serialize)]
struct Risk {
    level: &'static str,
    why: String,
}

/// The file's text.
pub(super) fn text(product: &Product, naming: &Naming<'_>) -> String {
    let title = product.title.as_deref().map(plain).filter(|title| !title.is_empty());
    let title = title.unwrap_or_else(|| naming.service.to_owned());
    let parts = [Part::Whole, Part::Read, Part::Write];
    let scopes = parts.into_iter().filter_map(|part| scope(part, product, naming, &title)).collect();
    let file = File {
        schema: "../../schemas/scope.json",
        comment: [
            format!(
                "Proposed from {}. Nobody has looked at it yet: read why each action stands where it does,",
                naming.made_of
            ),
            "move what stands wrong, say in plain words what people agree to, and delete these comments."
                .to_owned(),
        ],
        service: naming.service.to_owned(),
        title,
        scopes,
    };
    // Strings and lists always become JSON.
    let mut text = serde_json::to_string_pretty(&file).unwrap_or_default();
    text.push('\n');
    text
}

/// A part; nothing for one that would give nothing. The product's own scope is always there: parts need it.
fn scope(part: Part, product: &Product, naming: &Naming<'_>, title: &str) -> Option<Scope> {
    let own: Vec<&Operation> = product.operations.iter().filter(|one| one.part == part).collect();
    let Naming { service, under, .. } = naming;
    let (scope, name, consent, risk) = match part {
        Part::Whole => (
            format!("{under}/{service}"),
            "everything",
            format!("Do with {title} whatever you may do yourself."),
            Risk { level: "high", why: format!("It can change and delete what is in {title}.") },
        ),
        Part::Read => (
            format!("{under}/{service}:read"),
            "look",
            format!("See what is in {title}. It cannot change anything."),
            Risk { level: "medium", why: format!("It sees what is in {title}.") },
        ),
        Part::Write => (
            format!("{under}/{service}:write"),
            "change",
            format!("Change what is in {title}."),
            Risk { level: "high", why: format!("It can change and delete what is in {title}.") },
        ),
    };
    if own.is_empty() && part != Part::Whole {
        return None;
    }
    let always = if part == Part::Whole { &[] } else { product.always };
    let names = always.iter().copied().chain(own.iter().map(|one| one.name.as_str()));
    let actions = names.map(|name| format!("{service}:{name}")).collect();
    let comment = own.iter().map(|one| one.why.clone()).collect();
    Some(Scope { scope, comment, title: format!("{title}: {name}"), consent, risk, actions })
}
