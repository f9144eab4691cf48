//! The one way in which policy files are laid out: that of `cedar format`, 80 columns, two spaces.
//!
//! Comes in: a file's text, or a folder. Goes out: the text as it should be, and which files differ from it. Comments
//! stay; the formatter itself refuses to change what a policy means.

use std::path::{Path, PathBuf};

use cedar_policy_formatter::{Config, policies_str_to_pretty};

use super::problem::{Problem, Problems, Source};
use super::split::pieces;

/// A file whose text is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untidy {
    /// The file, inside the policy folder.
    pub name: String,
    /// The same, as a path.
    pub path: PathBuf,
    /// What it should hold.
    pub text: String,
}

/// Every file under `dir` that is not laid out as it should be.
///
/// # Errors
/// A file that cannot be read, or is no Cedar.
pub fn untidy(dir: &Path) -> Result<Vec<Untidy>, Problems> {
    let one = |problem| Problems(vec![problem]);
    let mut sources = super::folder(dir, "guardrails", ".cedar", &mut Vec::new()).map_err(one)?;
    for name in ["console.cedar", "grant.cedar"] {
        if dir.join(name).exists() {
            sources.push(super::file(dir, name).map_err(one)?);
        }
    }
    let mut untidy = Vec::new();
    for source in sources {
        let text = pretty(&source.text).map_err(|error| one(unreadable(&source, &error)))?;
        if text != *source.text {
            let path = dir.join(&*source.path);
            untidy.push(Untidy { name: source.path.to_string(), path, text });
        }
    }
    Ok(untidy)
}

/// `text` as it should be.
///
/// # Errors
/// It is no Cedar.
pub fn pretty(text: &str) -> Result<String, miette::Report> {
    if pieces(text).is_empty() {
        return Ok(text.to_owned()); // the formatter would drop a file's comments when there is no policy to hold them
    }
    policies_str_to_pretty(text, &Config::default())
}

fn unreadable(source: &Source, error: &miette::Report) -> Problem {
    let whole = pieces(&source.text).into_iter().next().unwrap_or(0..0);
    let mend = "Run `consentry policy check` for more, mend it, then format again.";
    let cause = error.chain().last().map_or_else(|| error.to_string(), ToString::to_string);
    Problem::of_cedar(source, 0, whole, error.as_ref(), mend).saying(cause)
}
