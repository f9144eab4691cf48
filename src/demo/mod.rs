//! The world of `consentry dev`: two accounts, three applications, a cloud to call, and what a person can try.
//!
//! Comes in: a store to fill, a data directory, and where everything listens. Goes out: the seeded world with its
//! passwords, the ready file for scripts, the story for people, and the demo upstream. Nothing here belongs to a
//! real deployment, and no other layer depends on it.

pub mod credentials;
pub mod ready;
pub mod seed;
pub mod story;
pub mod upstream;
mod world;
