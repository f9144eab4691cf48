//! `consentry app report` and `consentry app expire`: what was used, as a file to keep, and when a grant ends.

use std::path::PathBuf;

use clap::Args;
use hyper::Method;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::table::{at, table, word};
use super::verbs::{Told, client_id, receipt};
use crate::cli::Failure;
use crate::cli::api::Api;

/// Which report.
#[derive(Debug, Args)]
pub(super) struct Report {
    /// The client ID or name of one application; the whole account unless given
    application: Option<String>,
    /// Of the last days, 1 to 365
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=365))]
    days: u32,
    /// Write the page to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Report {
    /// The report as a page, or its figures.
    pub(super) async fn go(self, api: &Api, page: bool) -> Result<Told, Failure> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("days", &self.days.to_string());
        if let Some(meant) = &self.application {
            query.append_pair("application", &client_id(api, "/applications", meant).await?);
        }
        let path = format!("/report?{}", query.finish());
        if !page {
            return Ok((api.ask(Method::GET, &path, None).await?, String::new()));
        }
        let html = api.text(&path).await?;
        let Some(file) = self.output else { return Ok((Value::Null, html)) };
        std::fs::write(&file, html).map_err(|error| {
            Failure::Usage(format!("{} cannot be written: {error}; name another file", file.display()))
        })?;
        Ok((Value::Null, format!("Written to {}.\n", file.display())))
    }
}

/// How long to look back.
#[derive(Debug, Args)]
pub(super) struct Use {
    /// Over the last days, 1 to 365
    #[arg(long, value_name = "DAYS", default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=365))]
    days: u32,
}

impl Use {
    pub(super) async fn go(self, api: &Api) -> Result<Told, Failure> {
        let mut all: Vec<Value> = Vec::new();
        let mut path = format!("/use?days={}", self.days);
        let since = loop {
            let page = api.ask(Method::GET, &path, None).await?;
            all.extend(at(&page, "applications").as_array().into_iter().flatten().cloned());
            match at(&page, "next").as_str() {
                Some(next) => path = format!("/use?days={}&after={next}", self.days),
                None => break at(&page, "since").clone(),
            }
        };
        let row = |one: &Value| {
            ["name", "client_id", "last_used", "stale", "unused", "expires_at"]
                .map(|name| word(at(one, name)))
                .to_vec()
        };
        let rows: Vec<_> = all.iter().map(row).collect();
        let heading = ["name", "client id", "last used", "stale", "unused scopes", "ends at"];
        let text = table(&heading, &rows, "No application is installed.");
        Ok((json!({ "since": since, "applications": all }), text))
    }
}

/// When a grant is to end.
#[derive(Debug, Args)]
pub(super) struct Expire {
    /// Its client ID or name
    application: String,
    /// When, as in 2027-01-31T00:00:00Z
    #[arg(long, value_name = "TIME", required_unless_present = "never", conflicts_with = "never")]
    at: Option<String>,
    /// Not by itself: it lasts until it is deleted
    #[arg(long)]
    never: bool,
}

impl Expire {
    pub(super) async fn go(self, api: &Api) -> Result<Told, Failure> {
        let id = client_id(api, "/applications", &self.application).await?;
        let body = json!({ "expires_at": self.at });
        let value = api.ask(Method::PUT, &format!("/applications/{id}/expiry"), Some(&body)).await?;
        let text = receipt(&value);
        Ok((value, text))
    }
}
