//! The control layer; being built.

pub mod page;
