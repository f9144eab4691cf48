//! A caller's standing: its grant, compiled, with the caller's session in it. What a decision needs, and nothing
//! that a decision would have to wait for.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use jiff::Timestamp;

use super::slots::Seal;
use crate::model::caller::Caller;
use crate::model::grant::Installed;
use crate::model::member::Member;
use crate::observe::line::Piece;
use crate::policy::{CompiledGrant, Session};

/// A caller's standing, as of one moment; [`super::Grants::still`] says whether it may be counted on.
pub struct Standing {
    installed: Arc<Installed>,
    login: Arc<str>,
    session: Arc<Session>,
    seal: Seal,
    /// Of the policies that it was compiled under.
    generation: u64,
    ended: AtomicBool,
    recorded: Piece,
}

impl Standing {
    pub(super) fn new(
        installed: &Arc<Installed>,
        compiled: &Arc<CompiledGrant>,
        member: &Member,
        caller: &Caller,
        (seal, generation): (Seal, u64),
    ) -> Self {
        let session = Arc::new(compiled.session(member, &caller.scopes));
        let recorded = Piece::of(|line| {
            line.text(r#""grant":"#, &installed.grant.key.to_string());
            line.number(r#""grant.revision":"#, installed.grant.revision.0);
            line.text(r#""scopes":"#, &session.scopes().to_string());
        });
        Self {
            installed: Arc::clone(installed),
            login: Arc::from(member.principal.login.as_str()),
            session,
            seal,
            generation,
            ended: AtomicBool::new(false),
            recorded,
        }
    }

    /// The grant and its application.
    #[must_use]
    pub fn installed(&self) -> &Installed {
        &self.installed
    }

    /// What the records of all its calls say of it: the grant, its revision, and the scopes that count, those of the
    /// token that the grant holds.
    #[must_use]
    pub fn recorded(&self) -> &Piece {
        &self.recorded
    }

    /// The principal's login, for the assumed identity.
    #[must_use]
    pub fn login(&self) -> &str {
        &self.login
    }

    /// What policy decides on.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Whether it no longer holds, so that what rests on it must end. It never holds again.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn seal(&self) -> &Seal {
        &self.seal
    }

    pub(super) fn ends_at(&self) -> Option<Timestamp> {
        self.installed.grant.expires_at
    }
}

/// Where a caller's last standing is kept, beside its token.
#[derive(Default)]
pub struct Held(ArcSwapOption<Standing>);

impl Held {
    pub(super) fn get(&self) -> Option<Arc<Standing>> {
        self.0.load_full()
    }

    pub(super) fn put(&self, standing: &Arc<Standing>) {
        self.0.store(Some(Arc::clone(standing)));
    }
}
