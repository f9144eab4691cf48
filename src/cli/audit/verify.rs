//! `consentry audit verify`.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::Format;
use crate::cli::operator::place::Place;
use crate::cli::{Failure, print};
use crate::control::audit::{
    AuditKeys, Broken, ChainReport, Exported, Report, Unverified, verify_export, verify_store,
};

/// Verify every record, of a store or of an export; names the first that is broken.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  consentry audit verify --config control.toml
  consentry audit key --config control.toml > audit-keys.json
  consentry audit verify --file audit.jsonl --key audit-keys.json")]
pub(in crate::cli) struct Verify {
    #[command(flatten)]
    place: Place,
    /// An export instead of a store; needs --key
    #[arg(long, value_name = "FILE", requires = "key")]
    file: Option<PathBuf>,
    /// The public keys, as `consentry audit key` prints them; those that the operator's secret opens unless given
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// A file of checkpoints that were kept elsewhere: what they have seen must still be there
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

impl Verify {
    pub(super) async fn go(self) -> Result<(), Failure> {
        let known = match &self.checkpoint {
            Some(file) => text(file)?
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .map(str::to_owned)
                .collect(),
            None => Vec::new(),
        };
        let pinned = self.key.as_deref().map(text).transpose()?;
        let pinned = pinned.map(|text| AuditKeys::parse(&text)).transpose()?;
        match &self.file {
            Some(file) => {
                let Some(keys) = pinned else {
                    return Err(Failure::Usage("an export is verified with --key".to_owned()));
                };
                let open = File::open(file).map_err(|error| unreadable(file, &error))?;
                match verify_export(&keys, &known, BufReader::new(open)) {
                    Ok(Exported::Whole(report)) => self.good(&report),
                    Ok(Exported::Part(records)) => self.part(records),
                    Err(broken) => self.broken(&broken),
                }
            }
            None => self.stored(pinned, &known).await,
        }
    }

    async fn stored(&self, pinned: Option<AuditKeys>, known: &[String]) -> Result<(), Failure> {
        let sealer = if pinned.is_some() { None } else { Some(self.place.known_sealer()?) };
        let store = self.place.store().await?;
        let keys = match (pinned, sealer) {
            (Some(keys), _) => Ok(keys),
            (None, Some(sealer)) => AuditKeys::of_store(&store, &sealer).await,
            (None, None) => Err(crate::control::audit::NoKeys::NoSet),
        };
        let verified = match keys {
            Ok(keys) => verify_store(&store, &keys, known).await,
            Err(error) => {
                store.close().await;
                return Err(error.into());
            }
        };
        store.close().await;
        match verified {
            Ok(report) => self.good(&report),
            Err(Unverified::Broken(broken)) => self.broken(&broken),
            Err(Unverified::Store(error)) => Err(error.into()),
        }
    }

    fn good(&self, report: &Report) -> Result<(), Failure> {
        match self.format {
            Format::Json => print::data(&format!("{:#}\n", json!({ "good": true, "report": report }))),
            Format::Human => print::data(&told(report)),
        }
    }

    fn part(&self, records: u64) -> Result<(), Failure> {
        match self.format {
            Format::Json => {
                print::data(&format!("{:#}\n", json!({ "good": true, "part": true, "records": records })))
            }
            Format::Human => print::data(&format!(
                "Good: {records} records, as the control plane gave them. It is a part of the audit, so that they cannot \
                 show what else there is.\n"
            )),
        }
    }

    fn broken(&self, broken: &Broken) -> Result<(), Failure> {
        if self.format == Format::Json {
            print::data(&format!("{:#}\n", json!({ "good": false, "broken": broken })))?;
        }
        Err(Failure::No(crate::cli::app::plain(&format!("the audit is broken: {broken}"))))
    }
}

fn told(report: &Report) -> String {
    let mut text = String::new();
    for ChainReport { node, records, removed, newest, signed_to } in &report.chains {
        text.push_str(&format!(
            "{node}: {records} records to number {newest}, each bound to the one before it"
        ));
        if *removed > 0 {
            text.push_str(&format!(", and {removed} removed for their age, with a signature in their place"));
        }
        match newest.saturating_sub(*signed_to) {
            0 => text.push_str("; signed to the last.\n"),
            unsigned => text.push_str(&format!(
                "; signed to {signed_to}. The last {unsigned} could be cut off unseen: start the control plane, and it signs \
                 them.\n"
            )),
        }
    }
    if report.unchained > 0 {
        text.push_str(&format!(
            "{} records from before there were chains, as they were counted.\n",
            report.unchained
        ));
    }
    if report.withdrawn > 0 {
        text.push_str(&format!(
            "{} statements were signed by a key that was withdrawn since: what they alone say is not certain.\n",
            report.withdrawn
        ));
    }
    format!(
        "{text}Good: {} checkpoints, and {} decision records as they were vouched for.\n",
        report.checkpoints, report.decisions
    )
}

fn text(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|error| unreadable(file, &error))
}

fn unreadable(file: &Path, error: &std::io::Error) -> Failure {
    Failure::Unreachable(format!("{} cannot be read: {error}", file.display()))
}
