//! The demo layer; being built.
