//! Guides, each a page or two: how it works, and how to add to it. Their examples are compiled and run as tests.
//!
//! Begin with [`request`] and [`failing_closed`]; [`words`] says what the nouns mean elsewhere.

#[doc = include_str!("request.md")]
pub mod request {}

#[doc = include_str!("failing_closed.md")]
pub mod failing_closed {}

#[doc = include_str!("grants.md")]
pub mod grants {}

#[doc = include_str!("asking.md")]
pub mod asking {}

#[doc = include_str!("official_applications.md")]
pub mod official_applications {}
#[doc = include_str!("use_and_ends.md")]
pub mod use_and_ends {}

#[doc = include_str!("writing_policies.md")]
pub mod writing_policies {}

#[doc = include_str!("mcp.md")]
pub mod mcp {}

#[doc = include_str!("adding_an_adapter.md")]
pub mod adding_an_adapter {}

#[doc = include_str!("adding_an_endpoint.md")]
pub mod adding_an_endpoint {}

#[doc = include_str!("adding_a_store.md")]
pub mod adding_a_store {}

#[doc = include_str!("audit.md")]
pub mod audit {}

#[doc = include_str!("deploying.md")]
pub mod deploying {}

#[doc = include_str!("signing_in.md")]
pub mod signing_in {}
#[doc = include_str!("signed_requests.md")]
pub mod signed_requests {}

#[doc = include_str!("interception.md")]
pub mod interception {}

#[doc = include_str!("aws.md")]
pub mod aws {}
#[doc = include_str!("assuming_identities.md")]
pub mod assuming_identities {}

#[doc = include_str!("people.md")]
pub mod people {}

#[doc = include_str!("words.md")]
pub mod words {}
