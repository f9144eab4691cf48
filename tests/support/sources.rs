//! The Rust sources of this repository, for the tests that look at its shape.

use std::path::{Path, PathBuf};

/// A source file: its path below `src`, and its text.
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

impl Source {
    /// The first part of the path: the layer it belongs to.
    pub(crate) fn layer(&self) -> String {
        let first = self.path.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        first.trim_end_matches(".rs").to_owned()
    }

    /// How many modules deep it stands: 0 at the root of the crate, 1 for `model` itself.
    pub(crate) fn depth(&self) -> usize {
        let parts = self.path.components().count();
        match self.path.file_stem().and_then(|stem| stem.to_str()) {
            Some("mod" | "lib" | "main") => parts - 1,
            _ => parts,
        }
    }

    /// The lines of code that ship: no comments, no blank lines, nothing from the unit tests on. A file that only names
    /// those of another file goes on after that.
    pub(crate) fn code(&self) -> impl Iterator<Item = &str> {
        let code = |line: &&str| !line.is_empty() && !line.starts_with("//");
        let lines = self.text.lines().zip(self.text.lines().skip(1).chain([""]));
        let begin = |(line, next): &(&str, &str)| {
            *line == "#[cfg(test)]" && next.contains("mod ") && next.ends_with('{')
        };
        lines.take_while(move |pair| !begin(pair)).map(|(line, _)| line.trim()).filter(code)
    }

    /// Whether the whole file is for unit tests.
    pub(crate) fn is_test(&self) -> bool {
        let stem = self.path.file_stem().unwrap();
        stem == "tests" || stem == "contract" || self.path.iter().any(|part| part == "tests")
    }
}

/// All of `src`, in order.
pub(crate) fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut found) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push(Source { path: path.strip_prefix(&root).unwrap().to_owned(), text });
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}
