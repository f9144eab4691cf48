//! What becomes of an authorization request, once it is known who asks: the table of who is asked what.
//!
//! Comes in: facts. Goes out: an [`Answer`]. A pure function; the only way to an [`Agreed`], without which no code
//! can be given.

use jiff::Timestamp;

use super::request::AuthorizeRequest;
use crate::model::account::PrincipalKind;
use crate::model::application::{Application, Relation};
use crate::model::grant::{Grant, GrantState, Installed};
use crate::model::id::Revision;
use crate::model::member::Member;
use crate::model::scope::{Scope, ScopeSet};

/// What is known about a request and who is at the browser.
pub(crate) struct Facts<'a> {
    /// The request.
    pub(crate) request: &'a AuthorizeRequest,
    /// Who asks.
    pub(crate) application: &'a Application,
    /// What the application is to the person's account.
    pub(crate) relation: Relation,
    /// What the store holds for the account and the application, a tombstone included.
    pub(crate) installed: Option<Installed>,
    /// The person beside that grant.
    pub(crate) member: &'a Member,
    /// Whether policy lets the person authorize applications for the account.
    pub(crate) may_authorize: bool,
    /// Now.
    pub(crate) now: Timestamp,
}

/// What happens next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A first-party application: installed without a question, then looked at again.
    InstallSilently(Option<Revision>),
    /// The administrator at the browser is shown the consent page; the revision is that of the live grant.
    AskAdministrator(Option<Revision>),
    /// The person is asked for their own consent.
    AskPerson(Box<Installed>),
    /// Nothing is left to ask.
    Code(Agreed),
    /// It ends here, with a page.
    Stop(Stop),
}

/// Why there is no code and nothing to click.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Nobody who may has authorized the application for the account.
    NotInstalled,
    /// `prompt=admin_consent`, and the person is no administrator.
    OnlyAdministrators,
    /// An administrator has suspended the application.
    Suspended,
    /// The application is for assigned users, and the person is none.
    NotAssigned,
}

/// A grant that stands, and the scopes of it that this person's tokens may carry. Made here only, and used up by
/// giving a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Agreed {
    installed: Installed,
    scopes: ScopeSet,
}

impl Agreed {
    /// The grant with its application.
    pub(crate) fn installed(&self) -> &Installed {
        &self.installed
    }

    /// What the tokens may carry.
    pub(crate) fn scopes(&self) -> &ScopeSet {
        &self.scopes
    }
}

/// Reads from top to bottom as the table in the documentation does.
pub(crate) fn decide(facts: Facts<'_>) -> Answer {
    let Facts { request, application, relation, installed, member, may_authorize, now } = facts;
    let ask_administrator = |seen: Option<Revision>, otherwise: Stop| {
        if may_authorize { Answer::AskAdministrator(seen) } else { Answer::Stop(otherwise) }
    };
    let Some(installed) = installed else {
        return match relation {
            Relation::FirstParty => Answer::InstallSilently(None),
            Relation::ThirdParty | Relation::Official => ask_administrator(None, Stop::NotInstalled),
        };
    };
    let grant = &installed.grant;
    match grant.state {
        GrantState::Active => {}
        GrantState::Suspended => return Answer::Stop(Stop::Suspended),
        // Somebody took it away on purpose, so that not even a first-party application comes back by itself.
        GrantState::Revoked => return ask_administrator(None, Stop::NotInstalled),
    }
    if grant.expires_at.is_some_and(|end| end <= now) {
        return ask_administrator(Some(grant.revision), Stop::NotInstalled);
    }
    match relation {
        Relation::FirstParty if !lacks(grant, &request.scopes).is_empty() => {
            return Answer::InstallSilently(Some(grant.revision));
        }
        Relation::ThirdParty | Relation::Official if request.prompt.admin_consent => {
            return ask_administrator(Some(grant.revision), Stop::OnlyAdministrators);
        }
        Relation::FirstParty | Relation::ThirdParty | Relation::Official => {}
    }
    if !member.assigned {
        return Answer::Stop(Stop::NotAssigned);
    }
    let mut scopes = granted(&request.scopes, &grant.scopes);
    if application.official {
        let owed = application.required.meet(&grant.scopes);
        match &member.consented {
            Some(own) if !request.prompt.consent && owed.iter().all(|scope| own.covers(scope)) => {
                scopes = granted(&scopes, own);
            }
            Some(_) | None => return Answer::AskPerson(Box::new(installed)),
        }
    }
    Answer::Code(Agreed { scopes, installed })
}

/// Whether installing an official application makes whoever clicked a user of it: the root identity always is one,
/// and an administrator who installs by using it meant to use it.
pub(crate) fn joins_by_installing(application: &Application, kind: PrincipalKind, assigned: bool) -> bool {
    let is_user = match kind {
        PrincipalKind::User => true,
        PrincipalKind::Account | PrincipalKind::Role => false,
    };
    application.official && is_user && !assigned
}

/// What of `asked` a grant of `held` gives. `openid` only says that the person logged in; it is not dropped.
pub(crate) fn granted(asked: &ScopeSet, held: &ScopeSet) -> ScopeSet {
    let openid: ScopeSet = asked.iter().filter(|scope| is_openid(scope)).cloned().collect();
    asked.meet(held).union(&openid)
}

fn lacks(grant: &Grant, asked: &ScopeSet) -> ScopeSet {
    asked.iter().filter(|scope| !is_openid(scope) && !grant.scopes.covers(scope)).cloned().collect()
}

fn is_openid(scope: &Scope) -> bool {
    scope.as_str() == "openid"
}
