//! The sidecar by itself: an origin, an upstream and a place for records that a test can break, one at a time.

mod fails_closed;
mod repeats;
mod roles;
mod world;
