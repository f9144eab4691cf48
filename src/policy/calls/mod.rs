//! How a product's calls are read: which parameters name its resources, and which path means which operation.
//!
//! Comes in: the `calls` of a file `policies/scopes/<name>.json`. Goes out: answers for the sidecar's adapter. It reads
//! no request, and decides nothing: a product without `calls` has one resource, all of it.

use serde::Deserialize;

use crate::model::call::Action;

/// As the file has it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    versions: Vec<String>,
    #[serde(default)]
    region: Option<String>,
    #[serde(default)]
    account: Vec<String>,
    #[serde(default)]
    resources: Vec<Parameter>,
    #[serde(default)]
    paths: Vec<PathFile>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameter {
    parameter: String,
    name: String,
    #[serde(default)]
    list: List,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct PathFile {
    method: String,
    path: String,
    operation: String,
    #[serde(default)]
    resource: Option<String>,
}

/// How one value holds several names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum List {
    /// It does not: `InstanceId`, or `InstanceId.1` and so on.
    #[default]
    No,
    /// As a JSON array of texts.
    Json,
    /// With commas between them.
    Comma,
}

/// What a parameter is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    /// It names the operation.
    Operation,
    /// It names the interface's version.
    Version,
    /// It names the region.
    Region,
    /// It names the account that owns what is acted upon.
    Account,
    /// It names what is acted upon.
    Resource(Template, List),
    /// It says of which kind it is what others name.
    Kind,
    /// It is part of a credential.
    Credential,
}

/// How a product's calls are read.
#[derive(Debug, Clone)]
pub struct Calls {
    versions: Vec<String>,
    parameters: Vec<(String, Use)>,
    /// The names of those that say a kind.
    kinds: Vec<String>,
    paths: Vec<Path>,
}

/// A path of the ROA style, and what it means.
#[derive(Debug, Clone)]
struct Path {
    method: String,
    segments: Vec<Segment>,
    operation: String,
    resource: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Parameter(String),
}

/// A name with one place for a value: `instance/{}`; perhaps with another parameter that says of which kind it is:
/// `{ResourceType}/{}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    kind: Option<String>,
    before: String,
    after: String,
}

/// What a path means.
#[derive(Debug, PartialEq, Eq)]
pub struct Meant<'c> {
    /// The operation.
    pub operation: &'c str,
    /// What is acted upon; all of the product's unless the path says.
    pub resource: Option<String>,
}

impl Calls {
    /// Reads what stands in a file; says what is wrong with it.
    pub(super) fn read(file: File, known: impl Fn(&Action) -> bool, service: &str) -> Result<Self, String> {
        let mut calls = Self { versions: file.versions, ..Self::default() };
        let rest = file.account.into_iter().map(|name| (name, Use::Account));
        calls.parameters.extend(file.region.map(|name| (name, Use::Region)).into_iter().chain(rest));
        for Parameter { parameter, name, list } in file.resources {
            let template = Template::new(&name).ok_or_else(|| {
                format!("the resource of {parameter} is {name:?}, but has to have one {{}} for its value")
            })?;
            if let Some(kind) = template.kind.clone().filter(|kind| !calls.kinds.contains(kind)) {
                calls.kinds.push(kind);
            }
            calls.parameters.push((parameter, Use::Resource(template, list)));
        }
        calls.parameters.extend(calls.kinds.iter().map(|name| (name.clone(), Use::Kind)));
        for (at, (name, _)) in calls.parameters.iter().enumerate() {
            if calls.parameters.iter().take(at).any(|(other, _)| other.eq_ignore_ascii_case(name)) {
                return Err(format!("the parameter {name} is described twice, or has a meaning already"));
            }
        }
        for PathFile { method, path, operation, resource } in file.paths {
            if !known(&Action::new(format!("{service}:{operation}"))) {
                return Err(format!(
                    "no scope of the file gives {service}:{operation}, which a path leads to"
                ));
            }
            let segments = segments(&path).ok_or_else(|| format!("{path:?} is no path"))?;
            let has = |name: &str| segments.contains(&Segment::Parameter(name.to_owned()));
            if let Some(missing) = resource.as_deref().into_iter().flat_map(named).find(|name| !has(name)) {
                return Err(format!("the resource of {path:?} names {{{missing}}}, which is no part of it"));
            }
            calls.paths.push(Path { method, segments, operation, resource });
        }
        Ok(calls)
    }

    /// What a parameter is for, and the rest of its name behind the dot of a list. Names count in any letter case, as
    /// some servers have it, and without the numbers of lists: `DataDisk.1.SnapshotId` is `DataDisk.SnapshotId`.
    #[must_use]
    pub fn usage<'n>(&self, name: &'n str) -> Option<(usize, &Use, &'n str)> {
        let (base, rest) = match name.split_once('.') {
            Some((base, rest)) => (base, rest),
            None => (name, ""),
        };
        let mut all = self.parameters.iter().enumerate();
        let spelled = |known: &str| {
            let is_name = |part: &&str| !part.bytes().all(|byte| byte.is_ascii_digit());
            let mut parts = name.split('.').filter(is_name);
            known.split('.').all(|known| parts.next().is_some_and(|part| part.eq_ignore_ascii_case(known)))
                && parts.next().is_none()
        };
        let (at, (_, usage)) = all.find(|(_, (known, _))| {
            known.eq_ignore_ascii_case(base) || (!rest.is_empty() && spelled(known))
        })?;
        Some((at, usage, rest))
    }

    /// Whether calls of this version are described. Every version is where none is named.
    #[must_use]
    pub fn knows_version(&self, version: &str) -> bool {
        self.versions.is_empty() || self.versions.iter().any(|known| known == version)
    }

    /// What method and path mean, where the path, decoded, is one of those that are described.
    #[must_use]
    pub fn meant(&self, method: &str, path: &str) -> Option<Meant<'_>> {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let fits = |path: &&Path| path.method == method && path.fits(&parts);
        // The one with the most fixed parts: `/clusters/all` goes before `/clusters/{ClusterId}`.
        let path = self.paths.iter().filter(fits).max_by_key(|path| path.fixed())?;
        Some(Meant { operation: &path.operation, resource: path.resource(&parts) })
    }
}

impl Default for Calls {
    fn default() -> Self {
        let fixed = [("Action", Use::Operation), ("Version", Use::Version)];
        let credentials = ["Signature", "AccessKeyId", "SecurityToken", "BearerToken"];
        let parameters = fixed.into_iter().chain(credentials.map(|name| (name, Use::Credential)));
        Self {
            versions: Vec::new(),
            parameters: parameters.map(|(name, usage)| (name.to_owned(), usage)).collect(),
            kinds: Vec::new(),
            paths: Vec::new(),
        }
    }
}

impl Path {
    fn fits(&self, parts: &[&str]) -> bool {
        self.segments.len() == parts.len()
            && self.segments.iter().zip(parts).all(|(segment, part)| match segment {
                Segment::Literal(text) => text == part,
                Segment::Parameter(_) => !part.is_empty(),
            })
    }

    fn fixed(&self) -> usize {
        self.segments.iter().filter(|segment| matches!(segment, Segment::Literal(_))).count()
    }

    fn resource(&self, parts: &[&str]) -> Option<String> {
        let value = |wanted: &str| {
            self.segments.iter().zip(parts).find_map(|(segment, part)| match segment {
                Segment::Parameter(name) if name == wanted => Some(*part),
                Segment::Parameter(_) | Segment::Literal(_) => None,
            })
        };
        let template = self.resource.as_deref()?;
        let mut filled = String::with_capacity(template.len() + 32);
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, behind) = after.split_once('}')?;
            filled.push_str(before);
            filled.push_str(value(name)?);
            rest = behind;
        }
        filled.push_str(rest);
        Some(filled)
    }
}

impl Template {
    fn new(text: &str) -> Option<Self> {
        let (before, after) = text.split_once("{}")?;
        // `{ResourceType}/{}` begins with another parameter's value.
        let (kind, before) = match before.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            Some((kind, before)) => (Some(kind), before),
            None => (None, before),
        };
        let plain = |text: &str| !text.contains(['{', '}']);
        let is_name = |kind: &str| !kind.is_empty() && plain(kind);
        (kind.is_none_or(is_name) && plain(before) && plain(after)).then(|| Self {
            kind: kind.map(str::to_owned),
            before: before.to_owned(),
            after: after.to_owned(),
        })
    }

    /// The parameter that says of which kind it is, if one does.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }

    /// The name with a value in its place, without its kind.
    #[must_use]
    pub fn fill(&self, value: &str) -> String {
        [self.before.as_str(), value, self.after.as_str()].concat()
    }
}

fn segments(path: &str) -> Option<Vec<Segment>> {
    let parts = path.strip_prefix('/')?.split('/');
    parts
        .map(|part| match part.strip_prefix('{') {
            Some(inner) => {
                let name = inner.strip_suffix('}')?;
                let plain = !name.is_empty() && !name.contains(['{', '}']);
                plain.then(|| Segment::Parameter(name.to_owned()))
            }
            None => (!part.contains(['{', '}'])).then(|| Segment::Literal(part.to_owned())),
        })
        .collect()
}

/// The names in braces.
fn named(template: &str) -> impl Iterator<Item = &str> {
    template.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Calls, String> {
        let known =
            |action: &Action| ["cs:DescribeClusters", "cs:DescribeClusterDetail"].contains(&action.as_str());
        Calls::read(serde_json::from_str(json).unwrap(), known, "cs")
    }

    const GOOD: &str = r#"{
        "versions": ["2015-12-15"], "region": "RegionId", "account": ["OwnerId"],
        "resources": [{ "parameter": "InstanceId", "name": "instance/{}" },
                      { "parameter": "InstanceIds", "name": "instance/{}", "list": "json" }],
        "paths": [{ "method": "GET", "path": "/clusters/{ClusterId}", "operation": "DescribeClusterDetail",
                    "resource": "cluster/{ClusterId}" },
                  { "method": "GET", "path": "/clusters/all", "operation": "DescribeClusters" }]
    }"#;

    #[test]
    fn parameters_and_paths_are_found_by_their_names() {
        let calls = read(GOOD).unwrap();
        let (_, usage, number) = calls.usage("instanceid.2").unwrap();
        assert!(matches!(usage, Use::Resource(name, List::No) if name.fill("i-1") == "instance/i-1"));
        assert_eq!(number, "2");
        assert!(matches!(calls.usage("Action"), Some((_, Use::Operation, ""))));
        assert!(matches!(calls.usage("SecurityToken"), Some((_, Use::Credential, ""))));
        assert!(calls.usage("InstanceName").is_none());
        assert!(calls.knows_version("2015-12-15") && !calls.knows_version("2014-05-26"));
        let detail = calls.meant("GET", "/clusters/c-1").unwrap();
        assert_eq!(
            (detail.operation, detail.resource.as_deref()),
            ("DescribeClusterDetail", Some("cluster/c-1"))
        );
        assert_eq!(calls.meant("GET", "/clusters/all").unwrap().operation, "DescribeClusters");
    }

    #[test]
    fn parameters_inside_of_others_are_found_whatever_their_numbers() {
        let calls = read(
            r#"{ "resources": [{ "parameter": "DataDisk.SnapshotId", "name": "snapshot/{}" },
                               { "parameter": "ResourceId", "name": "{ResourceType}/{}" }] }"#,
        )
        .unwrap();
        for name in [
            "DataDisk.1.SnapshotId",
            "datadisk.12.snapshotid",
            "DataDisk.SnapshotId",
            "DataDisk.1.SnapshotId.2",
        ] {
            assert!(matches!(calls.usage(name), Some((_, Use::Resource(..), _))), "{name}");
        }
        for name in ["DataDisk", "SnapshotId", "DataDisk.1.SnapshotIds", "DataDisk.1.SnapshotId.x"] {
            assert!(calls.usage(name).is_none(), "{name}");
        }
        assert!(matches!(calls.usage("ResourceType"), Some((_, Use::Kind, ""))));
        let (_, usage, _) = calls.usage("ResourceId.1").unwrap();
        assert!(
            matches!(usage, Use::Resource(name, _) if name.kind() == Some("ResourceType") && name.fill("x") == "/x")
        );
    }

    #[test]
    fn what_is_not_described_is_not_found() {
        let calls = read(GOOD).unwrap();
        for (method, path) in
            [("POST", "/clusters/all"), ("GET", "/clusters"), ("GET", "/clusters/"), ("GET", "/clusters/a/b")]
        {
            assert_eq!(calls.meant(method, path), None, "{method} {path}");
        }
    }

    #[test]
    fn a_description_that_could_be_misread_is_refused() {
        for json in [
            r#"{ "region": "Action" }"#,
            r#"{ "region": "a", "account": ["A"] }"#,
            r#"{ "resources": [{ "parameter": "a", "name": "instance" }] }"#,
            r#"{ "resources": [{ "parameter": "a", "name": "{}{}" }] }"#,
            r#"{ "resources": [{ "parameter": "a", "name": "{b}/{c}/{}" }] }"#,
            r#"{ "resources": [{ "parameter": "a", "name": "x{b}/{}" }] }"#,
            r#"{ "region": "b", "resources": [{ "parameter": "a", "name": "{b}/{}" }] }"#,
            r#"{ "paths": [{ "method": "GET", "path": "/x", "operation": "Unknown" }] }"#,
            r#"{ "paths": [{ "method": "GET", "path": "x", "operation": "DescribeClusters" }] }"#,
            r#"{ "paths": [{ "method": "GET", "path": "/{x", "operation": "DescribeClusters" }] }"#,
            r#"{ "paths": [{ "method": "GET", "path": "/x", "operation": "DescribeClusters", "resource": "{y}" }] }"#,
        ] {
            assert!(read(json).is_err(), "{json}");
        }
    }
}
