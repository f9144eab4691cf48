//! The console: an administrator's pages about the applications of the account.

pub mod view;

#[cfg(test)]
mod samples;
