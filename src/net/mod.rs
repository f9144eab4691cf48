//! Sockets and HTTP: everything that is true of any reverse proxy, and nothing about grants.
//!
//! In: connections. Out: to the sidecar, requests whose framing was vetted ([`wire`]), whose spelling is the
//! only one ([`canonical`]) and whose headers can be believed ([`headers`]); to an upstream, exactly those
//! bytes ([`upstream`]). Bodies stream both ways, and whatever breaks on one side breaks on the other
//! ([`body`]). It decides nothing and chooses no answer: each error says whose it is.

pub mod ask;
pub mod body;
pub mod canonical;
pub mod headers;
pub mod listener;
pub mod shares;
pub mod sieve;
pub mod sift;
pub mod stream;
pub mod tls;
pub mod upstream;
pub mod watch;
pub mod wire;

#[cfg(test)]
mod tests;
