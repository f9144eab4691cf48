//! What Consentry promises, in the order in which a person meets it. Each module is one promise; its tests
//! are sentences, and every yes has its no. All of them drive the real program from outside.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says why on stderr"
)]

mod support;

// What the product is for, in the order of the story.
mod approval;
mod assume;
mod consent;
mod details;
mod first_access;
mod first_party;
mod official;
mod rescope;
mod revoke;
mod scopes;
mod whole_account;

// What holds whatever happens.
mod admin_api;
mod alibaba;
mod audit;
mod aws;
mod bad_input;
mod changes;
mod coverage;
mod crash_loop;
mod drain;
mod explicit;
mod fail_closed;
mod faults;
mod federation;
mod given;
mod grpc;
mod keys;
mod limits;
mod mcp;
mod narrowing;
mod oauth;
mod restart;
mod roles;
mod sessions;
mod shared_tier;
mod signed;
mod signers;
mod store;
mod streaming;
mod tls;
mod trade;
mod tunnel;

// What its three kinds of people work with.
mod browser;
mod catalog;
mod cli;
mod clients;
mod console;
mod deploy;
mod directory;
mod pages;
mod policy_files;
mod publisher;
mod records;
mod usage;

// What its source looks like.
mod layering;
mod shape;
