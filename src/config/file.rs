//! Reading a TOML file into settings, with errors that point at the place.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// A settings file that cannot be used.
#[derive(Debug, Clone)]
pub struct ConfigError {
    file: PathBuf,
    place: Option<(usize, usize)>,
    message: String,
}

impl ConfigError {
    /// A complaint about the file as a whole.
    #[must_use]
    pub fn whole(file: &Path, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), place: None, message: message.into() }
    }

    /// A complaint about what stands at byte `offset` of the file's `text`.
    #[must_use]
    pub fn at(file: &Path, text: &str, offset: usize, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), place: Some(line_and_column(text, offset)), message: message.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some((line, column)) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for ConfigError {}

/// The text of the file at `path`.
///
/// # Errors
/// It cannot be read.
pub fn text(path: &Path) -> Result<String, ConfigError> {
    let mend = "name a settings file with --config";
    std::fs::read_to_string(path)
        .map_err(|error| ConfigError::whole(path, format!("cannot be read: {error}; {mend}")))
}

/// Reads `text`, which stands in `path`.
///
/// # Errors
/// It is not what is expected; the text names the place and the mend.
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ConfigError> {
    toml::from_str(text).map_err(|error| ConfigError {
        file: path.to_owned(),
        place: error.span().map(|span| line_and_column(text, span.start)),
        message: error.message().trim_end().to_owned(),
    })
}

/// Both counted from 1; the column in characters.
fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        port: u16,
    }

    #[test]
    fn a_file_that_means_something_is_read() {
        assert_eq!(parse::<Settings>(Path::new("a.toml"), "port = 1").unwrap().port, 1);
    }

    #[test]
    fn a_mistake_is_told_with_its_file_line_and_column() {
        let error = parse::<Settings>(Path::new("a.toml"), "port = 1\n  prot = 2\n").unwrap_err().to_string();
        assert!(error.starts_with("a.toml:2:3: unknown field `prot`"), "{error}");
        let error = parse::<Settings>(Path::new("a.toml"), "port = \"x\"").unwrap_err().to_string();
        assert!(error.starts_with("a.toml:1:8: "), "{error}");
    }
}
