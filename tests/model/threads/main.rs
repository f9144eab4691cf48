//! The slot clock and single flight, compiled a second time on loom's primitives: every order in which two or three
//! threads can meet is gone through. Each promise has its mutant, the same without the guard, which loom must find.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking, and says why")]
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::allow_attributes,
    reason = "they are parts of a library"
)]

mod clock;
#[path = "../../../src/grants/flight.rs"]
mod flight;
mod flights;
mod schedules;
#[path = "../../../src/grants/slots.rs"]
mod slots;
mod sync;

/// As much of the model as the slot clock sees.
mod model {
    pub(crate) mod change {
        /// A subject with a slot of its own, as far as there are slots.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) struct Subject(pub(crate) u8);

        impl std::hash::Hash for Subject {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                state.write_u8(self.0);
            }
        }
    }
}
