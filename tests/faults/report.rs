//! The figures of one fault: how long until a deletion was acknowledged, until the last call that was allowed and the
//! last byte of a stream, and what it cost those who were not deleted.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::stage::Cast;
use crate::support::traffic::Verdict;

/// Written when the test ends, whatever came of it.
pub(crate) struct Report {
    name: &'static str,
    cast: Cast,
    acknowledged: Vec<Duration>,
    stopped: usize,
    last_allowed: Vec<Duration>,
    last_byte: Vec<Duration>,
    overtaken: Vec<Duration>,
    late: Vec<String>,
    refused: usize,
}

impl Report {
    pub(crate) fn new(name: &'static str, cast: Cast) -> Self {
        Self {
            name,
            cast,
            acknowledged: Vec::new(),
            stopped: 0,
            last_allowed: Vec::new(),
            last_byte: Vec::new(),
            overtaken: Vec::new(),
            late: Vec::new(),
            refused: 0,
        }
    }

    /// A deletion was acknowledged after so long, with this receipt.
    pub(crate) fn acknowledged(&mut self, took: Duration, receipt: &Value) {
        assert_eq!(receipt["effective"], true, "{receipt}");
        self.acknowledged.push(took);
        let sidecars = receipt["sidecars"].as_array().unwrap();
        self.stopped += sidecars.iter().filter(|sidecar| sidecar["stopped_by"].is_number()).count();
    }

    #[track_caller]
    pub(crate) fn judged(&mut self, verdict: &Verdict) {
        self.last_allowed.push(verdict.last_allowed);
        self.last_byte.push(verdict.last_byte);
        self.overtaken.extend(&verdict.overtaken);
        let late = [&verdict.late_allowed, &verdict.late_arrivals, &verdict.late_bytes];
        let late: Vec<_> = late.into_iter().flatten().cloned().collect();
        self.late.extend(late.iter().cloned());
        assert!(late.is_empty(), "after the acknowledgement: {late:#?}");
    }

    /// So many calls of an application that was not deleted were refused.
    pub(crate) fn bystander(&mut self, refused: usize) {
        self.refused += refused;
    }

    fn row(&self) -> String {
        let quantiles = |of: &[Duration]| {
            let mut of: Vec<_> = of.to_vec();
            of.sort();
            let at = |share: f64| of.get(((of.len().max(1) - 1) as f64 * share).round() as usize);
            let text = |one: Option<&Duration>| one.map_or("-".to_owned(), |one| milliseconds(*one));
            format!("{} / {} / {}", text(at(0.5)), text(at(0.99)), text(of.last()))
        };
        let who = format!(
            "{} control, {} sidecars, {}{}",
            self.cast.controls,
            self.cast.sidecars,
            if self.cast.postgres { "PostgreSQL" } else { "SQLite" },
            if self.cast.redis { ", Redis" } else { "" },
        );
        let overtaken = self.overtaken.iter().max().map_or("-".to_owned(), |late| milliseconds(*late));
        format!(
            "| {} | {who} | {} | {} | {} | {} | {} | {} | {} ({overtaken}) | {} |",
            self.name,
            self.last_allowed.len(),
            self.late.len(),
            quantiles(&self.acknowledged),
            quantiles(&self.last_allowed),
            quantiles(&self.last_byte),
            self.stopped,
            self.overtaken.len(),
            self.refused,
        )
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let folder = folder();
        let _ = std::fs::create_dir_all(&folder);
        let name = self.name.replace(|letter: char| !letter.is_ascii_alphanumeric(), "-");
        let _ = std::fs::write(folder.join(format!("{name}.row")), format!("{}\n", self.row()));
        let micros = |of: &[Duration]| of.iter().map(|one| one.as_micros()).collect::<Vec<_>>();
        let all = json!({
            "fault": self.name,
            "revocations": self.last_allowed.len(),
            "late": self.late,
            "acknowledged_us": micros(&self.acknowledged),
            "last_allowed_us": micros(&self.last_allowed),
            "last_byte_us": micros(&self.last_byte),
            "overtaken_us": micros(&self.overtaken),
            "stopped_by": self.stopped,
            "others_refused": self.refused,
        });
        let _ = std::fs::write(folder.join(format!("{name}.json")), format!("{all:#}\n"));
        eprintln!("{}", self.row());
    }
}

/// Keeps a sentence beside the figures.
pub(crate) fn keep(name: &str, sentence: &str) {
    let _ = std::fs::create_dir_all(folder());
    let _ = std::fs::write(folder().join(format!("{name}.txt")), format!("{sentence}\n"));
    eprintln!("{sentence}");
}

/// Beside the build: `faults` of cargo's target folder.
fn folder() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_consentry"));
    program.ancestors().nth(2).unwrap().join("faults")
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1000.0)
}
