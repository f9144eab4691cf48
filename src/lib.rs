//! Consentry: an authorization sidecar for third-party applications.
//!
//! An administrator of an account authorizes an application once; from then on every call that it makes for a
//! user of that account passes a sidecar, which reads the stored grant, decides in process with Cedar, and forwards
//! the call with the user's assumed identity, never beyond the granted scopes.
//!
//! | layer | what it is |
//! | --- | --- |
//! | [`model`] | the facts: accounts, applications, scopes, grants, calls |
//! | [`config`], [`observe`], [`net`] | settings; records, metrics and logs; sockets and HTTP |
//! | [`policy`] | facts to a permit or a denial |
//! | [`token`] | what applications present, and how it is signed |
//! | [`store`], [`grants`] | the durable truth, and a grant on its way to a decision |
//! | [`sidecar`], [`control`] | the two roles |
//! | [`demo`], [`cli`] | a small world to try it in, and the command line |

//pub mod cli;
pub mod config;
pub mod control;
pub mod demo;
pub mod grants;
pub mod model;
//pub mod net;
pub mod observe;
pub mod policy;
//pub mod sidecar;
pub mod store;
pub mod token;
