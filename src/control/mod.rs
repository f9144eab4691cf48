//! The control layer; being built.

pub mod console;
pub mod page;
