//! A product's published list of operations: plain names, one a line or in a JSON list; a list of objects with names;
//! Alibaba Cloud's API metadata (`apis`); AWS's service reference (`Actions`).
//!
//! What a list says of an operation goes before what its name says; where it says nothing, the name's first word does.

use serde::Deserialize;

use super::document::{self, MOST, Unique};
use super::operation::{NotAProduct, Operation, Part, Product, plain};

#[derive(Deserialize)]
#[serde(untagged)]
enum Entry {
    Name(String),
    Object(Box<Described>),
}

#[derive(Deserialize)]
struct Described {
    #[serde(alias = "Name", alias = "action", alias = "Action")]
    name: String,
    access: Option<String>,
    #[serde(rename = "Annotations")]
    annotations: Option<Annotations>,
}

#[derive(Deserialize)]
struct Annotations {
    #[serde(rename = "Properties")]
    properties: Properties,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Properties {
    is_write: Option<bool>,
    is_permission_management: Option<bool>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    info: Info,
    apis: Option<Unique<Api>>,
    #[serde(rename = "Name")]
    name: Option<String>,
    #[serde(rename = "Actions")]
    actions: Option<Vec<Entry>>,
}

#[derive(Deserialize, Default)]
struct Info {
    product: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Api {
    #[serde(default)]
    system_tags: Tags,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Tags {
    operation_type: Option<String>,
}

/// Reads a list.
pub(super) fn read(text: &str) -> Result<Product, NotAProduct> {
    let begun = text.trim_start_matches('\u{feff}').trim_start();
    let (name, entries) = if begun.starts_with('[') {
        (None, document::json::<Vec<Entry>>(text, EXPECTED)?)
    } else if begun.starts_with('{') {
        return from_document(document::json(text, EXPECTED)?);
    } else {
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        (None, lines.filter(|line| !line.is_empty()).map(|line| Entry::Name(line.to_owned())).collect())
    };
    product(name, entries.iter().map(operation))
}

fn from_document(document: Document) -> Result<Product, NotAProduct> {
    match (document.apis, document.actions) {
        (Some(apis), None) => {
            let found = apis.0.iter().map(|(name, api)| {
                let said = api.system_tags.operation_type.as_deref().and_then(by_type);
                named(name, said)
            });
            product(document.info.product, found)
        }
        (None, Some(actions)) => product(document.name, actions.iter().map(operation)),
        (Some(_), Some(_)) | (None, None) => {
            let why = "it is an object with neither `apis` nor `Actions`".to_owned();
            Err(NotAProduct::Unreadable { expected: EXPECTED, why })
        }
    }
}

fn product(
    name: Option<String>,
    operations: impl ExactSizeIterator<Item = Result<Operation, NotAProduct>>,
) -> Result<Product, NotAProduct> {
    if operations.len() > MOST {
        return Err(NotAProduct::Operation(format!("there are more than {MOST} operations")));
    }
    let title = name.clone();
    Ok(Product { name, title, operations: operations.collect::<Result<_, _>>()?, always: &[] })
}

fn operation(entry: &Entry) -> Result<Operation, NotAProduct> {
    let described = match entry {
        Entry::Name(name) => return named(name, None),
        Entry::Object(described) => described,
    };
    let said = match (described.access.as_deref(), &described.annotations) {
        (Some(word), _) => by_type(word),
        (None, Some(Annotations { properties })) => by_properties(properties),
        (None, None) => None,
    };
    named(&described.name, said)
}

/// `said` is what the list says of it.
fn named(name: &str, said: Option<(Part, String)>) -> Result<Operation, NotAProduct> {
    // `ecs:DescribeDisks` in a list of the product's permissions.
    let bare = name.rsplit_once(':').map_or(name, |(_, bare)| bare);
    let spelled = bare.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if bare.len() > 128 || !spelled || !bare.starts_with(|c: char| c.is_ascii_alphabetic()) {
        let shown = plain(name);
        return Err(NotAProduct::Operation(format!(
            "{shown:?} cannot be an action: an operation has letters and digits of ASCII only, at most 128"
        )));
    }
    let place = said.unwrap_or_else(|| Operation::by_name(bare));
    let (part, why) = Operation::guarded(bare, place);
    Ok(Operation { name: bare.to_owned(), part, why: format!("{bare}: {why}"), origin: bare.to_owned() })
}

/// Words that lists have for it.
fn by_type(word: &str) -> Option<(Part, String)> {
    let part = match word.to_ascii_lowercase().as_str() {
        "read" | "get" | "list" | "query" => Part::Read,
        "write" | "readandwrite" | "create" | "update" | "delete" | "action" | "tagging" => Part::Write,
        "permissions" | "permissionsmanagement" | "permission management" => Part::Whole,
        _ => return None,
    };
    Some((part, format!("the list calls it {}", plain(word))))
}

fn by_properties(properties: &Properties) -> Option<(Part, String)> {
    match (properties.is_permission_management, properties.is_write) {
        (Some(true), _) => Some((Part::Whole, "the list says that it manages permissions".to_owned())),
        (_, Some(true)) => Some((Part::Write, "the list says that it writes".to_owned())),
        (_, Some(false)) => Some((Part::Read, "the list says that it does not write".to_owned())),
        (Some(false) | None, None) => None,
    }
}

const EXPECTED: &str = "a list of operations";
