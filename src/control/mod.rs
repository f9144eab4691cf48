//! The control layer; being built.
