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
use crate::policy::{CompiledGrant, PolicyVersion, Session};

/// A caller's standing, as of one moment; [`super::Grants::still`] says whether it may be counted on.
pub struct Standing {
    installed: Arc<Installed>,
    login: Arc<str>,
    session: Arc<Session>,
    compiled: Arc<CompiledGrant>,
    seal: Seal,
    ended: AtomicBool,
    named: Named,
}

/// A standing's parts as records name them: written out once, since each call's record carries them.
pub struct Named {
    /// The grant, `account/application`.
    pub grant: Arc<str>,
    /// The principal, `kind/id`.
    pub principal: Arc<str>,
    /// The scopes that count: those of the token that the grant holds.
    pub scopes: Arc<str>,
}

impl Standing {
    pub(super) fn new(
        installed: &Arc<Installed>,
        compiled: &Arc<CompiledGrant>,
        member: &Member,
        caller: &Caller,
        seal: Seal,
    ) -> Self {
        let session = Arc::new(compiled.session(member, &caller.scopes));
        let named = Named {
            grant: Arc::from(installed.grant.key.to_string()),
            principal: Arc::from(format!("{}/{}", caller.principal.kind, caller.principal.id)),
            scopes: Arc::from(session.scopes().to_string()),
        };
        Self {
            installed: Arc::clone(installed),
            login: Arc::from(member.principal.login.as_str()),
            session,
            compiled: Arc::clone(compiled),
            seal,
            ended: AtomicBool::new(false),
            named,
        }
    }

    /// The grant and its application.
    #[must_use]
    pub fn installed(&self) -> &Installed {
        &self.installed
    }

    /// Its parts as records name them.
    #[must_use]
    pub fn named(&self) -> &Named {
        &self.named
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

    /// The policy set that it was compiled under.
    #[must_use]
    pub fn policies(&self) -> &PolicyVersion {
        self.compiled.version()
    }

    /// Whether it no longer holds, so that what rests on it must end. It never holds again.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
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
