//! The config layer; being built.
