//! The policy layer; being built.
