//! `consentry catalog import`.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::super::{Failure, print};
use super::document::LARGEST;
use super::operation::{NotAProduct, Part, Product, distinct, plain};
use super::scope_file::{self, Naming};
use super::{listed, openapi, tools};
use crate::policy::load::check_scope_file;

/// Proposes a scope file.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(in crate::cli) struct Import {
    /// What the file is
    #[arg(long, value_enum)]
    from: Kind,
    /// The file; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The service that the actions begin with, such as ecs; what the file says of itself unless given
    #[arg(long, value_name = "NAME")]
    product: Option<String>,
    /// Where the scopes stand, such as /acs; /api, /mcp or /acs unless given, by what the file is
    #[arg(long, value_name = "PREFIX")]
    under: Option<String>,
    /// The file to write, such as policies/scopes/ecs.json; standard output unless given
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long, requires = "out")]
    force: bool,
}

/// What is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// An OpenAPI document, 2.0 or 3.x, JSON or YAML
    Openapi,
    /// What an MCP server answers to tools/list
    Mcp,
    /// A list of operations: names, Alibaba Cloud's API metadata, AWS's service reference
    ApiList,
}

impl Import {
    pub(super) fn run(self) -> Result<(), Failure> {
        let text = read(&self.file)?;
        let shown = self.file.display().to_string();
        let (proposal, product) = propose(self.from, &text, self.product.as_deref(), self.under.as_deref())
            .map_err(|why| why.about(&shown))?;
        match &self.out {
            None => print::data(&proposal)?,
            Some(out) => write(out, &proposal, self.force)?,
        }
        let count = |part| product.operations.iter().filter(|one| one.part == part).count();
        print::narrate(&format!(
            "proposed: {} operations read, {} change, {} only with everything; read it before you use it",
            count(Part::Read),
            count(Part::Write),
            count(Part::Whole)
        ));
        Ok(())
    }
}

/// Why there is no proposal.
#[derive(Debug)]
enum NoProposal {
    /// The document's fault.
    Document(NotAProduct),
    /// Something was left out, or cannot be a name.
    Usage(String),
}

impl NoProposal {
    fn about(self, file: &str) -> Failure {
        match self {
            Self::Document(why) => Failure::Invalid(format!("{file}: {why}")),
            Self::Usage(why) => Failure::Usage(why),
        }
    }
}

/// The scope file for a document, checked as `consentry policy check` does.
fn propose(
    kind: Kind,
    text: &str,
    product: Option<&str>,
    under: Option<&str>,
) -> Result<(String, Product), NoProposal> {
    let (read, usual): (Result<Product, _>, &str) = match kind {
        Kind::Openapi => (openapi::read(text), "/api"),
        Kind::Mcp => (tools::read(text), "/mcp"),
        Kind::ApiList => (listed::read(text), "/acs"),
    };
    let mut found = read.map_err(NoProposal::Document)?;
    if found.operations.is_empty() {
        let why = NotAProduct::Operation("it names no operation".to_owned());
        return Err(NoProposal::Document(why));
    }
    found.operations = distinct(found.operations).map_err(NoProposal::Document)?;
    let own = found.name.as_deref().or(found.title.as_deref()).and_then(slug);
    let service = match (product, own) {
        (Some(given), _) if slug(given).as_deref() == Some(given) => given.to_owned(),
        (Some(given), _) => {
            let why =
                format!("--product {:?} is no service's name: small letters, digits and -", plain(given));
            return Err(NoProposal::Usage(why));
        }
        (None, Some(own)) => own,
        (None, None) => {
            return Err(NoProposal::Usage("the file does not name its product: give --product".to_owned()));
        }
    };
    let under = under.unwrap_or(usual);
    let is_part = |part: &str| slug(part).as_deref() == Some(part);
    if !under.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_part)) {
        let why = format!("--under {:?} is no beginning of a scope, such as /acs", plain(under));
        return Err(NoProposal::Usage(why));
    }
    let title = found.title.as_deref().map(plain).unwrap_or_default();
    let made_of = match kind {
        Kind::Openapi => format!("the OpenAPI document {title:?}"),
        Kind::Mcp => format!("the tools of the MCP server {service}"),
        Kind::ApiList => format!("a list of the operations of {service}"),
    };
    let proposal = scope_file::text(&found, &Naming { service: &service, under, made_of });
    check_scope_file(&format!("scopes/{service}.json"), &proposal).map_err(|problems| {
        NoProposal::Document(NotAProduct::Operation(format!("no scope file can be made of it: {problems}")))
    })?;
    Ok((proposal, found))
}

/// Small letters, digits and hyphens, 1 to 40.
fn slug(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let slug = words.collect::<Vec<_>>().join("-");
    (1..=40).contains(&slug.len()).then_some(slug)
}

fn read(path: &Path) -> Result<String, Failure> {
    let unreadable =
        |why: std::io::Error| Failure::Unreachable(format!("{} cannot be read: {why}", path.display()));
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).map_err(unreadable)?)
    };
    let mut bytes = Vec::new();
    let bound = u64::try_from(LARGEST).unwrap_or(u64::MAX).saturating_add(1);
    source.take(bound).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > LARGEST {
        let why = format!("{} is longer than {} MiB", path.display(), LARGEST / (1024 * 1024));
        return Err(Failure::Invalid(why));
    }
    String::from_utf8(bytes).map_err(|_| Failure::Invalid(format!("{} is no text in UTF-8", path.display())))
}

fn write(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let written = options.open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|why| {
        if why.kind() == std::io::ErrorKind::AlreadyExists {
            Failure::Usage(format!("{} is there already; --force writes over it", path.display()))
        } else {
            Failure::Unreachable(format!("{} cannot be written: {why}", path.display()))
        }
    })
}

const AFTER_HELP: &str = "\
The file is a proposal: each action stands there with the reason for its place. What is not known to read counts as a
change; what may hand out secrets or rights is given by the whole product's scope alone.

Examples:
  consentry catalog import --from openapi petstore.yaml --out policies/scopes/petstore.json
  consentry catalog import --from mcp tools.json --product notes
  consentry catalog import --from api-list operations.txt --product ecs";

#[cfg(test)]
pub(super) mod proposing {
    //! For the tests beside this file.

    use super::*;

    /// The proposal for a document, or the complaint.
    pub(in crate::cli::catalog) fn propose(
        kind: &str,
        text: &str,
        product: Option<&str>,
    ) -> Result<String, String> {
        let kind = Kind::from_str(kind, false).unwrap();
        let made = super::propose(kind, text, product, None);
        made.map(|(text, _)| text).map_err(|why| why.about("file").to_string())
    }
}
