//! How often somebody may guess a password or a code: so many failures per login and per address in a window of time.
//!
//! An attempt counts as failed before it is looked at, so that many at once gain nothing; a success takes it back.
//! Memory is bounded: when it is full, what has failed least is forgotten first. Each node counts for itself.

use std::collections::HashMap;
use std::net::IpAddr;

use parking_lot::Mutex;

use crate::token::random::sha256;

/// The limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThrottleSettings {
    /// Failures per login.
    pub per_login: u32,
    /// Failures per address; for IPv6, per network of 64 bits.
    pub per_address: u32,
    /// The window, in seconds.
    pub window_seconds: i64,
    /// How many logins and addresses are remembered at most.
    pub capacity: usize,
}

impl Default for ThrottleSettings {
    fn default() -> Self {
        Self { per_login: 5, per_address: 20, window_seconds: 300, capacity: 20_000 }
    }
}

/// What was counted of late.
#[derive(Debug)]
pub(crate) struct Throttle {
    settings: ThrottleSettings,
    windows: Mutex<HashMap<Key, Window>>,
}

/// What is counted: guesses, by what is guessed at and of which login; and what may be asked for only so often. Each counts
/// for itself: who guesses at one neither keeps its owner from the other nor starts anew by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::control) enum Counted<'a> {
    /// The password.
    Password(&'a str),
    /// The password, by somebody who is signed in: nobody else keeps them from changing it.
    OwnPassword(&'a str),
    /// A code, after the right password.
    Code(&'a str),
    /// The first code of a new authenticator.
    NewAuthenticator(&'a str),
    /// No guess: somebody is sent to the provider of this name, or it sends word.
    Provider(&'a str),
    /// No guess: tokens of this authorization (its family) are exchanged.
    Exchange(&'a str),
    /// No guess: what stands at this address is read.
    Description(&'a str),
}

impl Counted<'_> {
    fn key(self) -> Key {
        let (what, login) = match self {
            Self::Password(login) => ("password", login),
            Self::OwnPassword(login) => ("own password", login),
            Self::Code(login) => ("code", login),
            Self::NewAuthenticator(login) => ("new authenticator", login),
            Self::Provider(name) => ("provider", name),
            Self::Exchange(family) => ("exchange", family),
            Self::Description(address) => ("description", address),
        };
        Key::Login(sha256(format!("{what} {}", login.to_lowercase()).as_bytes()))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    /// Of what is guessed at and the login in lower case: what is typed can be long, and a password by mistake.
    Login([u8; 32]),
    Address(IpAddr),
}

#[derive(Debug, Clone, Copy)]
struct Window {
    ends: i64,
    count: u32,
}

impl Throttle {
    pub(crate) fn new(settings: ThrottleSettings) -> Self {
        Self { settings, windows: Mutex::default() }
    }

    /// Counts an attempt, or answers after how many seconds another is looked at.
    pub(in crate::control) fn begin(
        &self,
        what: Counted<'_>,
        address: Option<IpAddr>,
        now: i64,
    ) -> Result<(), u32> {
        self.count(self.keys(Some(what), address), now)
    }

    /// The same where nobody has said who they are.
    pub(in crate::control) fn begin_unnamed(&self, address: Option<IpAddr>, now: i64) -> Result<(), u32> {
        self.count(self.keys(None, address), now)
    }

    fn count(&self, keys: Vec<(Key, u32)>, now: i64) -> Result<(), u32> {
        let mut windows = self.windows.lock();
        for (key, limit) in &keys {
            let window = windows.get(key).filter(|window| window.ends > now);
            if let Some(window) = window.filter(|window| window.count >= *limit) {
                return Err(u32::try_from(window.ends.saturating_sub(now)).unwrap_or(u32::MAX).max(1));
            }
        }
        for (key, _) in keys {
            self.make_room(&mut windows, now);
            let fresh = Window { ends: now.saturating_add(self.settings.window_seconds), count: 0 };
            let window = windows.entry(key).or_insert(fresh);
            if window.ends <= now {
                *window = fresh;
            }
            window.count = window.count.saturating_add(1);
        }
        Ok(())
    }

    /// Takes an attempt back that was right: the login starts anew, the address has one failure less.
    pub(in crate::control) fn succeeded(&self, what: Counted<'_>, address: Option<IpAddr>) {
        self.take_back(self.keys(Some(what), address));
    }

    /// The same where nobody had said who they were.
    pub(in crate::control) fn succeeded_unnamed(&self, address: Option<IpAddr>) {
        self.take_back(self.keys(None, address));
    }

    fn take_back(&self, keys: Vec<(Key, u32)>) {
        let mut windows = self.windows.lock();
        for (key, _) in keys {
            match key {
                Key::Login(_) => {
                    windows.remove(&key);
                }
                Key::Address(_) => {
                    if let Some(window) = windows.get_mut(&key) {
                        window.count = window.count.saturating_sub(1);
                    }
                }
            }
        }
    }

    fn keys(&self, guess: Option<Counted<'_>>, address: Option<IpAddr>) -> Vec<(Key, u32)> {
        let mut keys: Vec<_> =
            guess.map(|guess| (guess.key(), self.settings.per_login)).into_iter().collect();
        if let Some(address) = address {
            keys.push((Key::Address(network(address)), self.settings.per_address));
        }
        keys
    }

    fn make_room(&self, windows: &mut HashMap<Key, Window>, now: i64) {
        if windows.len() < self.settings.capacity {
            return;
        }
        windows.retain(|_, window| window.ends > now);
        let mut least = 1;
        while windows.len() >= self.settings.capacity {
            windows.retain(|_, window| window.count > least);
            least = least.saturating_add(1);
        }
    }
}

/// Who has one IPv6 address has a network of them.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => IpAddr::V4(ip),
            None => IpAddr::V6((ip.to_bits() & (u128::MAX << 64)).into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttle() -> Throttle {
        Throttle::new(ThrottleSettings { per_login: 2, per_address: 4, window_seconds: 10, capacity: 8 })
    }

    fn from(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_login_is_refused_after_its_failures_and_looked_at_again_when_the_window_ends() {
        let all = throttle();
        assert_eq!(all.begin(Counted::Password("Alice@acme"), from("10.0.0.1"), 0), Ok(()));
        assert_eq!(all.begin(Counted::Password("alice@acme"), from("10.0.0.2"), 1), Ok(()));
        assert_eq!(all.begin(Counted::Password("ALICE@acme"), from("10.0.0.3"), 2), Err(8));
        assert_eq!(all.begin(Counted::Password("bob@acme"), from("10.0.0.3"), 2), Ok(()));
        assert_eq!(all.begin(Counted::Password("alice@acme"), None, 10), Ok(()));
    }

    #[test]
    fn an_address_is_refused_whatever_the_login_and_its_network_with_it() {
        let all = throttle();
        for (index, login) in ["a", "b", "c", "d"].into_iter().enumerate() {
            assert_eq!(all.begin(Counted::Password(login), from(&format!("2001:db8::{index}")), 0), Ok(()));
        }
        assert!(all.begin(Counted::Password("e"), from("2001:db8::ffff:1"), 0).is_err());
        assert!(all.begin(Counted::Password("e"), from("2001:db8:0:1::1"), 0).is_ok());
    }

    #[test]
    fn a_success_is_not_held_against_anybody() {
        let all = throttle();
        for _ in 0..20 {
            assert_eq!(all.begin(Counted::Password("alice@acme"), from("10.0.0.1"), 0), Ok(()));
            all.succeeded(Counted::Password("alice@acme"), from("10.0.0.1"));
        }
    }

    #[test]
    fn memory_is_bounded_and_the_worst_offender_stays() {
        let all = throttle();
        for _ in 0..2 {
            all.begin(Counted::Password("victim"), None, 0).unwrap();
        }
        for index in 0..100 {
            all.begin(Counted::Password(&format!("x{index}")), None, 0).unwrap();
        }
        assert!(all.windows.lock().len() <= 8);
        assert!(all.begin(Counted::Password("victim"), None, 0).is_err());
    }

    #[test]
    fn who_guesses_at_one_thing_does_not_keep_its_owner_from_another() {
        let all = throttle();
        for _ in 0..2 {
            all.begin(Counted::Password("code alice@acme"), None, 0).unwrap();
            all.begin(Counted::Password("alice@acme"), None, 0).unwrap();
        }
        assert!(all.begin(Counted::Password("alice@acme"), None, 0).is_err());
        for _ in 0..2 {
            all.begin(Counted::Code("alice@acme"), None, 0).unwrap();
        }
        assert!(all.begin(Counted::Code("Alice@acme"), None, 0).is_err());
        all.begin(Counted::OwnPassword("alice@acme"), None, 0).unwrap();
        all.succeeded(Counted::NewAuthenticator("alice@acme"), None);
        assert!(all.begin(Counted::Code("alice@acme"), None, 0).is_err(), "a success elsewhere is none here");
        all.begin(Counted::NewAuthenticator("alice@acme"), None, 0).unwrap();
    }
}
