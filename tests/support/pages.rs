//! The pages that there are, as the sources tell: the routes that answer HTML, and the templates. A page that somebody
//! was shown is known again by its route and by what its template always says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::sources::{Source, sources};

pub(crate) struct Pages {
    /// Method and pattern: `GET`, `/console/applications/{client_id}`.
    pub(crate) routes: BTreeSet<(String, String)>,
    /// Name and what stands in it whatever it is filled with, in its order.
    templates: BTreeMap<String, Vec<String>>,
}

impl Pages {
    /// Reads the sources of `control`.
    pub(crate) fn read() -> Self {
        let files: Vec<_> =
            sources().into_iter().filter(|one| one.layer() == "control" && !one.is_test()).collect();
        let mut routes = BTreeSet::new();
        for file in &files {
            for (path, methods) in routes_of(file) {
                let Some(path) = address(&files, file, path) else { continue };
                let page =
                    !["/api/", "/v1/", "/.well-known/", "/internal/"].iter().any(|one| path.starts_with(one));
                for method in ["get", "post"] {
                    if page && called(methods, method) {
                        routes.insert((method.to_uppercase(), path.clone()));
                    }
                }
            }
        }
        Self { routes, templates: templates() }
    }

    /// The names of the templates.
    pub(crate) fn templates(&self) -> impl Iterator<Item = &str> {
        self.templates.keys().map(String::as_str)
    }

    /// Which page an answer is: `GET /login page/sign_in.html`.
    pub(crate) fn of(&self, method: &str, path: &str, html: &str) -> Result<String, String> {
        let fitting = self.routes.iter().filter(|(name, pattern)| name == method && fits(pattern, path));
        let route = fitting.min_by_key(|(_, pattern)| pattern.matches('{').count());
        let (_, route) = route.ok_or_else(|| format!("no route for {method} {path}"))?;
        let shown = squeezed(html);
        let fitting = self.templates.iter().filter(|(_, always)| says(&shown, always));
        let template = fitting.max_by_key(|(_, always)| always.iter().map(String::len).sum::<usize>());
        let (template, _) = template.ok_or_else(|| format!("no template for {method} {path}: {html}"))?;
        Ok(format!("{method} {route} {template}"))
    }
}

fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), path.split('/').collect());
    pattern.len() == path.len()
        && pattern.iter().zip(path).all(|(wanted, part)| wanted.starts_with('{') || *wanted == part)
}

/// What stands in each `.route(path, methods)`.
fn routes_of(file: &Source) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for rest in file.text.split(".route(").skip(1) {
        let Some((path, methods)) = rest.split_once(',') else { continue };
        let mut depth = 1_u32;
        let end = methods.find(|c| {
            depth = depth + u32::from(c == '(') - u32::from(c == ')');
            depth == 0
        });
        found.push((path.trim(), methods.split_at(end.unwrap_or(0)).0));
    }
    found
}

/// Whether `get(…)` stands in `get(show).post(answer)`, and not only in `target(…)`.
fn called(methods: &str, method: &str) -> bool {
    let call = format!("{method}(");
    methods.match_indices(&call).any(|(at, _)| {
        !methods.split_at(at).0.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

/// A path as it is written: a text, or the name of one, of the file itself, of a module that is named, or of the
/// navigation.
fn address(files: &[Source], file: &Source, written: &str) -> Option<String> {
    if let Some(text) = written.strip_prefix('"') {
        return Some(text.trim_end_matches('"').to_owned());
    }
    let (module, name) = written.rsplit_once("::").unwrap_or(("", written));
    let beside = |other: &&Source| {
        let stem = other.path.file_stem().unwrap().to_str().unwrap();
        match module.rsplit("::").next().unwrap() {
            "" => other.path == file.path || stem == "nav",
            "nav" => stem == "nav",
            module => stem == module && other.path.parent() == file.path.parent(),
        }
    };
    let said = |other: &Source| {
        let (_, rest) = other.text.split_once(&format!("const {name}: &str = \""))?;
        Some(rest.split('"').next().unwrap().to_owned())
    };
    files.iter().filter(beside).find_map(said)
}

fn templates() -> BTreeMap<String, Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/control");
    let mut found = BTreeMap::new();
    for folder in
        std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
    {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.extension().is_none_or(|kind| kind != "html") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            if text.starts_with("{% extends \"page/layout.html\" %}") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                let (_, main) = text.split_once("{% block main %}").unwrap();
                found.insert(name, always(main.rsplit_once("{% endblock %}").unwrap().0));
            }
        }
    }
    found
}

/// What stands outside every condition and loop, between what is filled in.
fn always(main: &str) -> Vec<String> {
    let (mut said, mut depth, mut rest) = (Vec::new(), 0_i32, main);
    while let Some((text, after)) = rest.split_once('{') {
        if depth == 0 {
            said.push(text);
        }
        let end = match after.chars().next() {
            Some('%') => "%}",
            Some('#') => "#}",
            _ => "}}",
        };
        let (inside, after) = after.split_once(end).unwrap();
        if end == "%}" {
            let word = inside.trim_start_matches(['%', '-']).split_whitespace().next().unwrap();
            depth += i32::from(["if", "for", "match", "macro"].contains(&word));
            depth -= i32::from(["endif", "endfor", "endmatch", "endmacro"].contains(&word));
        }
        rest = after;
    }
    said.push(rest);
    let said = said.iter().flat_map(|text| text.split("<!--live-->")).map(squeezed);
    said.filter(|text| !text.is_empty()).collect()
}

/// Without any space: templates are rendered with as little of it as may be.
fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

fn says(shown: &str, always: &[String]) -> bool {
    let mut rest = shown;
    always.iter().all(|text| match rest.split_once(text.as_str()) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}
