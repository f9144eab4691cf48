//! The cli layer; being built.
