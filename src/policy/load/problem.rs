//! What is wrong with a policy file, and where: one shape for scope files, guardrails and the console's policies.
//!
//! Comes in: a file's text and a place in it. Goes out: `file:line:column: message. Mend.`, with the text kept for
//! who wants to show the place. Prints nothing itself.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use miette::Diagnostic;

/// A file's name inside the policy folder, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Such as `guardrails/legal-hold.cedar`.
    pub path: Arc<str>,
    /// The whole text.
    pub text: Arc<str>,
}

/// One thing that is wrong, or worth a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file it is in.
    pub source: Source,
    /// The bytes that it is about; empty at the start when it is about the whole file.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub mend: String,
}

impl Problem {
    /// A problem with the bytes `span` of `source`.
    #[must_use]
    pub fn new(
        source: &Source,
        span: Range<usize>,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { source: source.clone(), span, message: message.into(), mend: mend.into() }
    }

    /// A problem with a file that could not be read, or is not there.
    #[must_use]
    pub fn without_text(path: &str, message: impl Into<String>, mend: impl Into<String>) -> Self {
        let source = Source { path: path.into(), text: "".into() };
        Self { source, span: 0..0, message: message.into(), mend: mend.into() }
    }

    /// A complaint of Cedar's about `source`, whose text was parsed from byte `base` on.
    pub(in crate::policy) fn of_cedar(
        source: &Source,
        base: usize,
        whole: Range<usize>,
        complaint: &dyn Diagnostic,
        mend: &str,
    ) -> Self {
        let label = complaint.labels().and_then(|mut labels| labels.next());
        let span = label.map_or(whole, |label| {
            let start = base.saturating_add(label.offset());
            start..start.saturating_add(label.len())
        });
        let help = complaint.help().map(|help| help.to_string());
        Self::new(source, span, complaint.to_string(), help.unwrap_or_else(|| mend.to_owned()))
    }

    /// What is wrong with a JSON file.
    pub(in crate::policy) fn of_json(source: &Source, error: &serde_json::Error, mend: &str) -> Self {
        let lines_before = error.line().saturating_sub(1);
        let before: usize = source.text.split_inclusive('\n').take(lines_before).map(str::len).sum();
        let at = before.saturating_add(error.column().saturating_sub(1));
        let text = error.to_string();
        let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message).to_owned();
        Self::new(source, at..at.saturating_add(1), message, mend)
    }

    /// The same problem in other words.
    pub(super) fn saying(self, message: String) -> Self {
        Self { message, ..self }
    }

    /// Line and column of the problem's begin, both from 1; the column counts characters.
    #[must_use]
    pub fn position(&self) -> (usize, usize) {
        let mut end = self.span.start.min(self.source.text.len());
        while !self.source.text.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        let before = self.source.text.get(..end).unwrap_or_default();
        let line = before.matches('\n').count().saturating_add(1);
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count().saturating_add(1);
        (line, column)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.position();
        let message = self.message.trim_end_matches('.');
        write!(f, "{}:{line}:{column}: {message}. {}", self.source.path, self.mend)
    }
}

/// Everything that is wrong with a policy folder. A set with a problem is never used, not even in part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}
