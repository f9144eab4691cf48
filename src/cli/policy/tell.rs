//! Problems of policy files, told with the lines that they are about, or as JSON.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, Severity, SourceCode,
};
use serde_json::{Value, json};

use super::super::{Failure, print};
use super::{Form, INVALID};
use crate::policy::{Problem, Problems};

/// Tells what is wrong, and answers with the exit code of an invalid folder.
pub(super) fn invalid(problems: &Problems, form: Form) -> Result<ExitCode, Failure> {
    match form {
        Form::Human => problems.0.iter().for_each(|problem| on_stderr(problem, Severity::Error)),
        Form::Json => print::data(&lines(&json!({ "problems": as_json(&problems.0) })))?,
    }
    Ok(ExitCode::from(INVALID))
}

/// Tells of one problem, with its lines.
pub(super) fn on_stderr(problem: &Problem, severity: Severity) {
    let source = NamedSource::new(problem.source.path.as_ref(), problem.source.text.to_string());
    let told = Told { problem, source, severity };
    let theme =
        if std::io::stderr().is_terminal() { GraphicalTheme::unicode() } else { GraphicalTheme::none() };
    let mut text = String::new();
    let rendered =
        GraphicalReportHandler::new_themed(theme).with_context_lines(1).render_report(&mut text, &told);
    print::narrate(if rendered.is_ok() { text.trim_end() } else { "" });
}

pub(super) fn as_json(problems: &[Problem]) -> Value {
    let one = |problem: &Problem| {
        let (line, column) = problem.position();
        json!({
            "file": &*problem.source.path, "line": line, "column": column,
            "message": problem.message, "mend": problem.mend,
        })
    };
    problems.iter().map(one).collect()
}

/// A JSON value as text, ending in a newline.
pub(super) fn lines(value: &Value) -> String {
    format!("{value:#}\n")
}

#[derive(Debug)]
struct Told<'a> {
    problem: &'a Problem,
    source: NamedSource<String>,
    severity: Severity,
}

impl std::fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (line, column) = self.problem.position();
        write!(f, "{}:{line}:{column}: {}", self.problem.source.path, self.problem.message)
    }
}

impl std::error::Error for Told<'_> {}

impl Diagnostic for Told<'_> {
    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        Some(Box::new(&self.problem.mend))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        (!self.problem.source.text.is_empty()).then_some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let within = |at: usize| at.min(self.problem.source.text.len());
        let span = within(self.problem.span.start)..within(self.problem.span.end);
        Some(Box::new(std::iter::once(LabeledSpan::underline(span))))
    }
}
