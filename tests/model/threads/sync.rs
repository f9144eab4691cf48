//! Loom's primitives under the names that `src/grants` gives to the machine's.

use std::hash::{BuildHasherDefault, Hasher};

pub(crate) use loom::sync::Arc;
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};

/// A lock that cannot be poisoned, like the one in use.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().unwrap()
    }
}

/// The subject's number is its slot.
pub(crate) type Hashing = BuildHasherDefault<Number>;

#[derive(Debug, Default)]
pub(crate) struct Number(u64);

impl Hasher for Number {
    fn write(&mut self, _: &[u8]) {}

    fn write_u8(&mut self, number: u8) {
        self.0 = u64::from(number);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

pub(crate) const SLOTS: usize = 2;

pub(crate) fn slots() -> Box<[AtomicU64]> {
    (0..SLOTS).map(|_| AtomicU64::new(0)).collect()
}
