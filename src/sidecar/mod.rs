//! The sidecar layer; being built.
