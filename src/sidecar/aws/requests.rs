//! The requests of the services that name an operation by method, path and query: the table `requests.txt`.
//!
//! One line fits a request, or none does. A parameter that the operation does not have is none that could be passed
//! over: to the upstream it may be the mark of another operation.

use http::{HeaderMap, Method};

use crate::config::route::Service;
use crate::model::call::Action;
use crate::sidecar::adapter::NotUnderstood;

/// The table.
pub(in crate::sidecar) struct Requests(Vec<Row>);

/// One request.
struct Row {
    action: Action,
    method: String,
    path: Vec<Part>,
    must: Vec<(String, Option<String>)>,
    may: Vec<String>,
    copies: bool,
}

enum Part {
    Text(String),
    One(String),
    Rest(String),
}

/// What a request says in its path and query.
pub(super) struct Asks<'a> {
    pub(super) action: &'a Action,
    pub(super) parts: Parts<'a>,
    pub(super) query: Parts<'a>,
}

/// The parts of a path, or the parameters of a query, by their names, still encoded.
pub(super) type Parts<'a> = Vec<(&'a str, &'a str)>;

impl Requests {
    /// The rows of a service.
    pub(in crate::sidecar) fn of(service: Service) -> Self {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#'));
        let prefix = format!("{}:", service.as_str());
        Self(lines.filter(|line| line.starts_with(&prefix)).filter_map(Row::read).collect())
    }

    #[cfg(test)]
    pub(super) fn actions(&self) -> impl Iterator<Item = &Action> {
        self.0.iter().map(|row| &row.action)
    }

    /// The operation that is asked for, and what stands in path and query.
    pub(super) fn find<'a>(
        &'a self,
        method: &Method,
        path: &'a str,
        query: &'a str,
        headers: &HeaderMap,
    ) -> Result<Asks<'a>, NotUnderstood> {
        let parameters = parameters(query)?;
        let copies = headers.contains_key("x-amz-copy-source");
        let mut best: Option<(&Row, Parts<'a>)> = None;
        let mut is_certain = true;
        for row in self.0.iter().filter(|row| row.method == method.as_str() && row.copies == copies) {
            let Some(parts) = row.parts(path).filter(|_| row.takes(&parameters)) else { continue };
            match best.as_ref().map(|(earlier, _)| earlier.must.len().cmp(&row.must.len())) {
                Some(std::cmp::Ordering::Greater) => {}
                Some(std::cmp::Ordering::Equal) => is_certain = false,
                Some(std::cmp::Ordering::Less) | None => (best, is_certain) = (Some((row, parts)), true),
            }
        }
        let (row, parts) =
            best.ok_or(NotUnderstood::Unknown("an operation of this method, path and query"))?;
        let operation = row.action.as_str().split_once(':').map_or("", |(_, operation)| operation);
        let said = parameters.iter().find(|(name, _)| *name == "x-id");
        if !is_certain || said.is_some_and(|(_, said)| *said != operation) {
            return Err(NotUnderstood::Ambiguous("the operation"));
        }
        Ok(Asks { action: &row.action, parts, query: parameters })
    }
}

impl Row {
    fn read(line: &str) -> Option<Self> {
        let columns: Vec<&str> = line.split(' ').collect();
        let [action, method, path, must, may, header] = columns.as_slice() else { return None };
        let names = |text: &str| -> Vec<String> {
            text.split(',').filter(|name| *name != "-").map(str::to_owned).collect()
        };
        let must = names(must).into_iter().map(|name| match name.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (name, None),
        });
        let path = path.split('/').skip(1).filter(|part| !part.is_empty()).map(Part::read).collect();
        Some(Self {
            action: Action::new(*action),
            method: (*method).to_owned(),
            path,
            must: must.collect(),
            may: names(may),
            copies: *header == "x-amz-copy-source",
        })
    }

    fn takes(&self, parameters: &[(&str, &str)]) -> bool {
        let given = |name: &str| parameters.iter().find(|(given, _)| *given == name);
        let all = self.must.iter().all(|(name, value)| {
            given(name).is_some_and(|(_, given)| value.as_deref().is_none_or(|value| value == *given))
        });
        let known = |name: &str| {
            name == "x-id"
                || self.must.iter().any(|(must, _)| must == name)
                || self.may.iter().any(|may| may == name)
        };
        all && parameters.iter().all(|(name, _)| known(name))
    }

    fn parts<'a>(&'a self, path: &'a str) -> Option<Parts<'a>> {
        let mut rest = Some(path.strip_prefix('/')?).filter(|rest| !rest.is_empty());
        let mut parts = Vec::new();
        for part in &self.path {
            let all = rest?;
            let (first, behind) =
                all.split_once('/').map_or((all, None), |(first, behind)| (first, Some(behind)));
            match part {
                Part::Text(text) if text != first => return None,
                Part::Text(_) => {}
                Part::One(name) => parts.push((name.as_str(), first)),
                Part::Rest(name) => {
                    parts.push((name.as_str(), all));
                    return Some(parts);
                }
            }
            // A slash at the end says nothing.
            rest = behind.filter(|behind| !behind.is_empty());
        }
        rest.is_none().then_some(parts)
    }
}

impl Part {
    fn read(text: &str) -> Self {
        match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            None => Self::Text(text.to_owned()),
            Some(name) => match name.strip_suffix('+') {
                Some(name) => Self::Rest(name.to_owned()),
                None => Self::One(name.to_owned()),
            },
        }
    }
}

/// The parameters as they are: names that are encoded, or stand twice, are none that could be compared.
fn parameters(query: &str) -> Result<Vec<(&str, &str)>, NotUnderstood> {
    let mut parameters: Vec<(&str, &str)> = Vec::new();
    for piece in query.split('&').filter(|piece| !piece.is_empty()) {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let lower = name.to_ascii_lowercase();
        if lower.starts_with("x-amz-") || lower == "awsaccesskeyid" {
            return Err(PRESIGNED);
        }
        if piece.contains(';') || name.contains(['%', '+']) || name.is_empty() {
            return Err(NotUnderstood::Malformed {
                what: "the query",
                expected: "plain names of parameters",
            });
        }
        if parameters.iter().any(|(known, _)| *known == name) {
            return Err(NotUnderstood::Ambiguous("a parameter of the query"));
        }
        parameters.push((name, value));
    }
    Ok(parameters)
}

const PRESIGNED: NotUnderstood = NotUnderstood::Malformed {
    what: "the query",
    expected: "without a signature: presigned addresses are not taken here; sign in the Authorization header",
};

const TABLE: &str = include_str!("requests.txt");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_read_and_no_two_ask_the_same() {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#')).count();
        let rows: Vec<_> = [Service::S3, Service::Lambda]
            .map(|service| Requests::of(service).0)
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(rows.len(), lines);
        let shape = |row: &Row| {
            let path = row.path.iter().map(|part| match part {
                Part::Text(text) => text.as_str(),
                Part::One(_) => "{}",
                Part::Rest(_) => "{+}",
            });
            (row.method.clone(), path.collect::<Vec<_>>().join("/"), row.must.clone(), row.copies)
        };
        let mut shapes: Vec<_> = rows.iter().map(shape).collect();
        shapes.sort();
        let all = shapes.len();
        shapes.dedup();
        assert_eq!(shapes.len(), all);
    }
}
