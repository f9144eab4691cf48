//! The observe layer; being built.
