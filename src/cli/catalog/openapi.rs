//! OpenAPI documents (2.0 and 3.x), in JSON or YAML: each method of each path is an operation.
//!
//! The method says what reads; a name that contradicts it wins where it takes rights away, never where it would give
//! some. References to other files are not followed.

use serde::Deserialize;

use super::document::{self, Unique};
use super::operation::{NotAProduct, Operation, Part, Product, plain};

#[derive(Deserialize)]
struct Document {
    openapi: Option<String>,
    swagger: Option<String>,
    #[serde(default)]
    info: Info,
    paths: Unique<Item>,
}

#[derive(Deserialize, Default)]
struct Info {
    title: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "$ref")]
    reference: Option<String>,
    get: Option<Described>,
    head: Option<Described>,
    query: Option<Described>,
    post: Option<Described>,
    put: Option<Described>,
    patch: Option<Described>,
    delete: Option<Described>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    operation_id: Option<String>,
}

/// Reads a document.
pub(super) fn read(text: &str) -> Result<Product, NotAProduct> {
    let document: Document = document::read(text, EXPECTED)?;
    if document.openapi.is_none() && document.swagger.is_none() {
        let why = "it does not say which version it is (`openapi` or `swagger`)".to_owned();
        return Err(NotAProduct::Unreadable { expected: EXPECTED, why });
    }
    let mut operations = Vec::new();
    for (path, item) in &document.paths.0 {
        if item.reference.is_some() {
            let why =
                format!("{} is a reference to another place; put what it stands for there", plain(path));
            return Err(NotAProduct::Operation(why));
        }
        let methods = [
            ("GET", &item.get),
            ("HEAD", &item.head),
            ("QUERY", &item.query),
            ("POST", &item.post),
            ("PUT", &item.put),
            ("PATCH", &item.patch),
            ("DELETE", &item.delete),
        ];
        for (method, described) in methods {
            if let Some(described) = described {
                operations.push(operation(method, path, described)?);
            }
        }
    }
    Ok(Product { name: None, title: document.info.title, operations, always: &[] })
}

fn operation(method: &str, path: &str, described: &Described) -> Result<Operation, NotAProduct> {
    let origin = plain(&format!("{method} {path}"));
    let given = described.operation_id.as_deref();
    let spelled = given.map_or_else(|| format!("{} {path}", method.to_ascii_lowercase()), str::to_owned);
    let name = camel(&spelled).ok_or_else(|| {
        NotAProduct::Operation(format!(
            "{origin} has no name that could be an action's: its operationId must have letters and digits of ASCII"
        ))
    })?;
    let (part, why) = Operation::guarded(&name, place(method, &name, given.is_some()));
    Ok(Operation { name, part, why: format!("{origin}: {why}"), origin })
}

fn place(method: &str, name: &str, is_given: bool) -> (Part, String) {
    let (by_name, why) = Operation::by_name(name);
    let says = why.starts_with("its name") && is_given;
    match (method, by_name) {
        ("GET" | "HEAD" | "QUERY", Part::Write) if says => {
            (Part::Write, format!("it is {method}, but {why}"))
        }
        ("GET" | "HEAD" | "QUERY", _) => (Part::Read, format!("{method} reads")),
        (_, Part::Read) if says => {
            (Part::Write, format!("{method} changes; but {why}: see whether it only reads"))
        }
        _ => (Part::Write, format!("{method} changes")),
    }
}

/// `list_pets`, `pets.list` and `get /pets/{id}` as `ListPets`, `PetsList` and `GetPetsId`.
fn camel(text: &str) -> Option<String> {
    if text.chars().any(|c| c.is_control() || (!c.is_ascii() && c.is_alphanumeric())) {
        return None;
    }
    let mut name = String::with_capacity(text.len());
    for word in text.split(|c: char| !c.is_ascii_alphanumeric()) {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    (1..=LONGEST_NAME).contains(&name.len()).then_some(name)
}

const EXPECTED: &str = "an OpenAPI document";
const LONGEST_NAME: usize = 128;
