//! REST: the method says what is done, the path says to what.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use url::form_urlencoded;

use super::{Adapter, Asked, Head, NotUnderstood, Parameters, Reading};
use crate::model::call::Action;
use crate::model::id::AccountId;

/// A route's actions and how its resource is named.
pub(super) struct Rest {
    actions: Vec<(String, Action)>,
    allowed: String,
    resource: Template,
    account: Option<Template>,
    /// The parameters that a query may have, where not any.
    query: Option<Vec<String>>,
}

impl Rest {
    pub(super) fn new(
        actions: &BTreeMap<String, String>,
        resource: &str,
        account: Option<&str>,
        query: Option<&[String]>,
    ) -> Self {
        let allowed: Vec<&str> = actions.keys().map(String::as_str).collect();
        Self {
            allowed: allowed.join(", "),
            actions: actions
                .iter()
                .map(|(method, name)| (method.clone(), Action::new(name.as_str())))
                .collect(),
            resource: Template::new(resource),
            account: account.map(Template::new),
            query: query.map(<[String]>::to_vec),
        }
    }
}

impl Adapter for Rest {
    fn read(&self, head: &Head<'_>) -> Result<Reading, NotUnderstood> {
        let method = head.method.as_str();
        let action = self.actions.iter().find(|(known, _)| known == method).map(|(_, action)| action.clone());
        let action = action.ok_or_else(|| NotUnderstood::Method {
            method: method.to_owned(),
            allowed: self.allowed.clone(),
        })?;
        if let (Some(query), Some(known)) = (head.query, &self.query) {
            only(known, query)?;
        }
        // An object store would act upon a second thing, which no template names.
        if *head.method == Method::PUT
            && head.headers.keys().any(|name| name.as_str().ends_with("-copy-source"))
        {
            return Err(NotUnderstood::Malformed { what: "a header", expected: "taken here: it copies" });
        }
        let account = match &self.account {
            None => None,
            Some(template) => Some(account(&template.fill(head.parameters))?),
        };
        let resource = self.resource.fill(head.parameters);
        Ok(Reading::Asked(Asked {
            action,
            resource,
            also: Vec::new(),
            under: None,
            copied: None,
            region: None,
            account,
        }))
    }

    fn reads_target_alone(&self, method: &Method) -> bool {
        // What copies says so in a header.
        *method != Method::PUT
    }

    fn read_with_body(&self, head: &Head<'_>, _body: &Bytes) -> Result<Asked, NotUnderstood> {
        match self.read(head)? {
            Reading::Asked(asked) => Ok(asked),
            // Not so for this adapter; a refusal if it ever were.
            Reading::NeedsBody => Err(NotUnderstood::NoOperation),
        }
    }
}

/// Whether a query has none but these parameters. Some servers end one at a semicolon.
fn only(known: &[String], query: &str) -> Result<(), NotUnderstood> {
    let is_known = |piece: &str| {
        let name = form_urlencoded::parse(piece.as_bytes()).next();
        name.is_none_or(|(name, _)| known.iter().any(|known| *known == name))
    };
    if query.split(['&', ';']).all(is_known) {
        return Ok(());
    }
    let expected = "one of those that calls of this route may have";
    Err(NotUnderstood::Malformed { what: "a parameter of the query", expected })
}

pub(super) fn account(text: &str) -> Result<AccountId, NotUnderstood> {
    text.parse().map_err(|_| NotUnderstood::Malformed {
        what: "the account in the path",
        expected: "an account's number",
    })
}

/// A text with parameters in braces.
pub(super) struct Template(Vec<Piece>);

enum Piece {
    Text(String),
    Parameter(String),
}

impl Template {
    pub(super) fn new(text: &str) -> Self {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, behind) = after.split_once('}').unwrap_or((after, ""));
            pieces.extend((!before.is_empty()).then(|| Piece::Text(before.to_owned())));
            pieces.push(Piece::Parameter(name.to_owned()));
            rest = behind;
        }
        pieces.extend((!rest.is_empty()).then(|| Piece::Text(rest.to_owned())));
        Self(pieces)
    }

    /// A parameter that is not there is left empty; the settings were checked for that.
    pub(super) fn fill(&self, parameters: &Parameters<'_>) -> String {
        self.0.iter().fold(String::with_capacity(64), |mut filled, piece| {
            filled.push_str(match piece {
                Piece::Text(text) => text,
                Piece::Parameter(name) => parameters.get(name).unwrap_or_default(),
            });
            filled
        })
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    fn read(method: &Method, parameters: &[(&str, &str)]) -> Result<Reading, NotUnderstood> {
        let actions = BTreeMap::from([("GET".to_owned(), "oss:GetObject".to_owned())]);
        let rest = Rest::new(&actions, "{bucket}/{object}", Some("{account}"), None);
        let parameters =
            Parameters(parameters.iter().map(|(name, value)| (*name, (*value).into())).collect());
        let headers = HeaderMap::new();
        rest.read(&Head {
            method,
            host: "",
            path: "/",
            query: None,
            headers: &headers,
            has_body: false,
            parameters: &parameters,
        })
    }

    #[test]
    fn method_and_path_name_action_and_resource() {
        let Ok(Reading::Asked(asked)) =
            read(&Method::GET, &[("bucket", "b"), ("object", "a/c"), ("account", "1")])
        else {
            panic!("not understood");
        };
        assert_eq!((asked.action.as_str(), asked.resource.as_str()), ("oss:GetObject", "b/a/c"));
        assert_eq!(asked.account.unwrap().as_str(), "1");
    }

    #[test]
    fn a_copy_is_not_understood_where_its_source_would_be_decided_by_nobody() {
        let actions = BTreeMap::from([("PUT".to_owned(), "oss:PutObject".to_owned())]);
        let rest = Rest::new(&actions, "{bucket}/{object}", None, None);
        let parameters = Parameters(vec![("bucket", "b".into()), ("object", "o".into())]);
        let read = |headers: &HeaderMap| {
            let (method, path) = (&Method::PUT, "/");
            let parameters = &parameters;
            rest.read(&Head { method, host: "", path, query: None, headers, has_body: false, parameters })
        };
        let mut headers = HeaderMap::new();
        assert!(read(&headers).is_ok());
        headers.insert("x-oss-copy-source", HeaderValue::from_static("/secret/object"));
        assert!(matches!(read(&headers), Err(NotUnderstood::Malformed { .. })));
    }

    #[test]
    fn a_query_has_none_but_the_parameters_that_the_route_names_if_it_names_any() {
        let actions = BTreeMap::from([("GET".to_owned(), "oss:ListObjects".to_owned())]);
        let read = |query: &str, known: Option<&[String]>| {
            let rest = Rest::new(&actions, "{bucket}", None, known);
            let parameters = Parameters(vec![("bucket", "b".into())]);
            let (method, path, headers) = (&Method::GET, "/", HeaderMap::new());
            let (query, parameters) = (Some(query), &parameters);
            rest.read(&Head { method, host: "", path, query, headers: &headers, has_body: false, parameters })
        };
        let known = ["prefix".to_owned(), "max-keys".to_owned()];
        for query in ["", "prefix=a%2Fb", "max-keys=1&prefix=", "&prefix", "p%72efix=a"] {
            assert!(read(query, Some(&known)).is_ok(), "{query}");
        }
        for query in
            ["acl", "prefix=a&acl", "prefix=a;acl", "%61cl", "Policy=", "+prefix=a", "=x", "PREFIX=a"]
        {
            assert!(matches!(read(query, Some(&known)), Err(NotUnderstood::Malformed { .. })), "{query}");
            assert!(read(query, None).is_ok(), "{query}");
        }
        assert!(read("prefix=a", Some(&[])).is_err() && read("", Some(&[])).is_ok());
    }

    #[test]
    fn another_method_or_an_impossible_account_is_not_understood() {
        assert!(matches!(read(&Method::POST, &[("account", "1")]), Err(NotUnderstood::Method { .. })));
        assert!(matches!(read(&Method::GET, &[("account", "a b")]), Err(NotUnderstood::Malformed { .. })));
    }
}
