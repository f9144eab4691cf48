//! The facts of the domain as types: accounts, principals, applications, scopes, grants, callers, calls.
//!
//! Comes in: text and rows, parsed at the edge into these types. Goes out: values every other layer shares.
//! No I/O, no async, no Cedar: a model value is inert, and the only rules here are those of a fact itself
//! (which scope covers which, what a revision means).

pub mod account;
pub mod application;
pub mod audit;
pub mod call;
pub mod caller;
pub mod change;
pub mod decision;
pub mod grant;
pub mod id;
pub mod member;
pub mod scope;
pub mod time;
