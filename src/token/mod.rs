//! The token layer; being built.
