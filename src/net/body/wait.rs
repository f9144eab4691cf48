//! How a body waits for its next piece: not for ever, and not once it is cut.

use std::rc::Rc;
use std::task::Context;

use super::Broken;
use crate::net::watch::{Cut, Link, Patience, Slot, Verdict};

/// How a body waits for its next piece.
#[derive(Debug)]
pub(super) struct Wait {
    pub(super) slot: Slot,
    pub(super) ticks: u32,
    pub(super) cut: Option<Cut>,
}

impl Wait {
    /// Whether it was cut, asked before any piece of what has waited once is passed on: in a process that stood still
    /// until its lease was over, what lies in the sockets may come before the sweep does.
    pub(super) fn check(&self) -> Result<(), Broken> {
        if self.slot.is_armed() && self.cut.as_ref().is_some_and(Cut::is_fired) {
            self.slot.notice_cut();
        }
        if self.slot.verdict() == Verdict::Cut { Err(Broken::Cut) } else { Ok(()) }
    }

    /// Nothing came: wait, unless the time is over.
    pub(super) fn on(
        &mut self,
        cx: &Context<'_>,
        link: Option<&Rc<Link>>,
        counted: bool,
    ) -> Result<(), Broken> {
        match self.slot.verdict() {
            Verdict::Late => return Err(Broken::Idle),
            Verdict::Cut => return Err(Broken::Cut),
            Verdict::Wait => {}
        }
        let patience = Patience { ticks: self.ticks, cut: self.cut.as_ref(), link, counted };
        if !self.slot.is_armed() && self.cut.as_ref().is_some_and(Cut::is_fired) {
            return Err(Broken::Cut);
        }
        self.slot.arm(cx, patience);
        Ok(())
    }

    /// Something came: the time begins anew.
    pub(super) fn again(&mut self, cx: &Context<'_>, link: Option<&Rc<Link>>) {
        let patience = Patience { ticks: self.ticks, cut: self.cut.as_ref(), link, counted: true };
        self.slot.arm(cx, patience);
    }
}
