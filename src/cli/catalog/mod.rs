//! `consentry catalog`: scope files from what a product says of itself.
//!
//! Comes in: an OpenAPI document, an MCP server's list of tools, or a published list of operations; all of it written by
//! others. Goes out: a file for `policies/scopes`, with a proposal of what reads and what changes. It is a proposal: each
//! operation stands there with the reason for its place, to be read and edited by a person.

mod document;
mod import;
mod listed;
mod openapi;
mod operation;
mod scope_file;
#[cfg(test)]
mod tests;
mod tools;

use std::process::ExitCode;

use clap::Subcommand;

use super::Failure;

/// What to do with the catalogue of scopes.
#[derive(Debug, Subcommand)]
pub(super) enum Catalog {
    /// Propose a scope file for a product, from its OpenAPI document, its MCP tools or its list of operations
    Import(import::Import),
}

impl Catalog {
    /// Does it.
    ///
    /// # Errors
    /// What could not be read, understood or written.
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Import(import) => import.run().map(|()| ExitCode::SUCCESS),
        }
    }
}
