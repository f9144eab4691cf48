//! PIP in motion: a grant on its way to a decision.

pub mod acknowledge;
