//! Session policies: what a grant allows, said in a cloud's own policy language, for its STS to hold a role to.
//!
//! Comes in: a [`Permit`] (so that nobody asks for a grant that does not stand), the cloud, which of its services are
//! meant, and who will hold the credentials. Goes out: a policy of one `Allow` within the cloud's limit of size, that
//! allows no action of the catalogue beyond the grant; or a refusal, never a wider policy. Of resources it says
//! only whose they may be, where the cloud's language can (AWS): a bucket's name does not tell its owner. Which of them a
//! call may touch is decided call by call.
//!
//! Whoever asks for a role may give a policy along ([`Narrowing`]): then what comes out allows what both do.
//!
//! `sts` itself is never in one: who may assume a further role with a role's credentials has left the session policy
//! behind.

#[cfg(test)]
mod guarded;
#[cfg(test)]
mod judge;
mod narrow;
mod permissions;
#[cfg(test)]
mod properties;
mod shorten;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use cedar_policy::ActionConstraint;
use serde::Serialize;

use super::catalogue::Catalogue;
use super::compile::{names, reaches};
use super::decide::Permit;
use super::generate::needs_consent;
use super::session::Session;
use crate::model::call::Action;
use crate::model::grant::GrantState;
use crate::model::scope::ScopeSet;
use narrow::{Conditions, Effect, OPERATOR, OWNER, Once, Scalar, Values};
pub use narrow::{Narrowing, NotUnderstood};
use permissions::{goes_by_content, needs};
use shorten::Patterns;

/// Whose policy language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    /// Alibaba Cloud: RAM.
    Alibaba,
    /// AWS: IAM.
    Aws,
}

/// Who will hold the credentials that the policy bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// A sidecar, which decides each call itself. Where the policy would be too long, names may be shortened to
    /// `Describe*`, if all of the catalogue that begins so is granted.
    Sidecar,
    /// The application. Names are never shortened, since a cloud has actions that the catalogue does not know; and
    /// what a guardrail could forbid is left out, with whatever would make it possible, since no guardrail stands between
    /// the application and the cloud.
    Application,
}

/// A session policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionPolicy {
    text: String,
    left_out: Vec<Action>,
}

/// Why there is no session policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotExpressible {
    /// A policy that allows nothing is no policy.
    #[error("what was granted allows no action of the services that the role is for")]
    Nothing,
    /// It does not fit, even as short as it may become.
    #[error(
        "the session policy would have {found} characters, and a cloud takes {longest}; grant fewer scopes, or give \
         the route fewer products",
        longest = LONGEST
    )]
    TooLong {
        /// How many characters it would have.
        found: usize,
    },
    /// A mistake of ours, found by the check before a policy is given out.
    #[error("the session policy would not say what was granted, so it is not used; please report it")]
    Mistaken,
}

/// The longest session policy that both clouds take, in characters.
pub const LONGEST: usize = 2048;

impl Cloud {
    fn version(self) -> &'static str {
        match self {
            Self::Alibaba => "1",
            Self::Aws => "2012-10-17",
        }
    }
}

impl SessionPolicy {
    /// The policy, as JSON.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Granted actions that it does not allow, because the cloud's permission for each allows something else too that
    /// was not granted, or would do so together with others what a guardrail could forbid. The cloud will refuse them.
    #[must_use]
    pub fn left_out(&self) -> &[Action] {
        &self.left_out
    }
}

impl Permit<'_> {
    /// The session policy of the permit's session for the services that `meant` says yes to. `account` is the number
    /// at the cloud of the only account whose resources may be touched, where the cloud's language can say that.
    ///
    /// # Errors
    /// It cannot be said, or not briefly enough.
    pub fn session_policy(
        &self,
        cloud: Cloud,
        holder: Holder,
        account: Option<&str>,
        meant: impl Fn(&str) -> bool,
    ) -> Result<SessionPolicy, NotExpressible> {
        self.narrowed_session_policy(cloud, holder, account, meant, None)
    }

    /// The same, and of it what `narrowing` leaves.
    ///
    /// # Errors
    /// As [`Permit::session_policy`]; a policy that leaves nothing is none.
    pub fn narrowed_session_policy(
        &self,
        cloud: Cloud,
        holder: Holder,
        account: Option<&str>,
        meant: impl Fn(&str) -> bool,
        narrowing: Option<&Narrowing>,
    ) -> Result<SessionPolicy, NotExpressible> {
        let session = self.session();
        let catalogue = session.grant.policies.catalogue();
        let reaching = match holder {
            Holder::Sidecar => Vec::new(),
            Holder::Application => guardrails(session),
        };
        let inside = |action: &Action| meant(action.service()) && has(session, action);
        let forbidden =
            |action: &Action| reaching.iter().any(|guardrail| names(guardrail, action, catalogue));
        Wanted { cloud, holder, account, catalogue, narrowing }.guarded(inside, forbidden)
    }
}

/// Whether the session's grant, token and personal consent give `action`.
fn has(session: &Session, action: &Action) -> bool {
    let catalogue = session.grant.policies.catalogue();
    let installed = session.grant.installed();
    let active = match installed.grant.state {
        GrantState::Active => true,
        GrantState::Suspended | GrantState::Revoked => false,
    };
    let agreed = |scopes: &ScopeSet| catalogue.allows(scopes, action);
    let consented = !needs_consent(installed) || session.member().consented.as_ref().is_some_and(agreed);
    active && consented && catalogue.allows(session.scopes(), action)
}

/// What the guardrails name that could forbid the session's grant anything, on whatever condition. Also what was never
/// granted counts: its permissions may be had for something else.
fn guardrails(session: &Session) -> Vec<ActionConstraint> {
    let guardrails = session.grant.policies.guardrails.iter();
    let reaching = guardrails.filter(|one| reaches(&one.policy, session.grant.installed()));
    reaching.map(|one| one.policy.action_constraint()).collect()
}

/// What is to be made.
struct Wanted<'a> {
    cloud: Cloud,
    holder: Holder,
    account: Option<&'a str>,
    catalogue: &'a Catalogue,
    narrowing: Option<&'a Narrowing>,
}

impl Wanted<'_> {
    /// The policy that allows what is `inside` and not `forbidden`. One after the other is taken in, as long as nothing
    /// that is barred becomes possible by it: what would make it so is left out. So the order decides which one of two
    /// goes that must not stand together (whoever may not copy may either read or write): what only reads comes first,
    /// since it is what more calls need and does less harm, and then the names, so that the same grant always has the
    /// same policy.
    fn guarded(
        &self,
        inside: impl Fn(&Action) -> bool,
        forbidden: impl Fn(&Action) -> bool,
    ) -> Result<SessionPolicy, NotExpressible> {
        let (granted, barred) = self.parted(inside, forbidden);
        let mut held = Held::default();
        let mut left_out = Vec::new();
        for action in granted.iter().copied() {
            let more: Vec<_> = needs(self.cloud, action).into_iter().filter(|name| !held.has(name)).collect();
            let with = |name: &str| held.has(name) || more.iter().any(|new| new.eq_ignore_ascii_case(name));
            if barred.iter().any(|barred| barred.is_allowed(with)) {
                left_out.push(action.clone());
            } else {
                more.into_iter().for_each(|name| held.add(name));
            }
        }
        if held.0.is_empty() {
            return Err(NotExpressible::Nothing);
        }
        if let Some(narrowing) = self.narrowing {
            let text = self.narrowed(&held, &barred, narrowing)?;
            return Ok(SessionPolicy { text, left_out });
        }
        let mut patterns = Patterns::exact(held.spelled());
        let mut text = self.text(&patterns)?;
        while text.len() > LONGEST {
            let shorter = match self.holder {
                Holder::Sidecar => patterns.shorten(&held, &barred),
                Holder::Application => false,
            };
            if !shorter {
                return Err(NotExpressible::TooLong { found: text.len() });
            }
            text = self.text(&patterns)?;
        }
        self.check(&patterns, &granted, &left_out, &barred)?;
        Ok(SessionPolicy { text, left_out })
    }

    /// All actions of the catalogue: those to be taken in, in order, and those that are barred.
    fn parted(
        &self,
        inside: impl Fn(&Action) -> bool,
        forbidden: impl Fn(&Action) -> bool,
    ) -> (Vec<&Action>, Vec<Barred>) {
        let may = |action: &Action| spellable(action) && action.service() != "sts" && inside(action);
        let (mut granted, mut barred) = (Vec::new(), Vec::new());
        for (action, giving) in self.catalogue.actions() {
            if forbidden(action) {
                barred.push(Barred::forbidden(self.cloud, action));
            } else if may(action) {
                let changes = !giving.iter().any(|scope| scope.as_str().ends_with(":read"));
                granted.push((changes, needs(self.cloud, action).len(), action));
            } else {
                barred.push(Barred::not_granted(self.cloud, action));
            }
        }
        granted.sort();
        (granted.into_iter().map(|(_, _, action)| action).collect(), barred)
    }

    fn text(&self, patterns: &Patterns) -> Result<String, NotExpressible> {
        let action = patterns.iter().collect();
        let condition = self.condition(Conditions::default());
        let statement = Statement { effect: Effect::Allow, action, resource: Resource::All("*"), condition };
        self.document(vec![statement])
    }

    /// What `narrowing` leaves of the permissions that are held. Names are not shortened: a narrower policy is short.
    fn narrowed(
        &self,
        held: &Held,
        barred: &[Barred],
        narrowing: &Narrowing,
    ) -> Result<String, NotExpressible> {
        let mut statements = Vec::new();
        let mut left = Held::default();
        for one in &narrowing.statements {
            let (action, condition): (Vec<_>, _) = match one.effect {
                Effect::Allow => {
                    let action: Vec<_> =
                        held.spelled().filter(|name| narrowing.takes_in(one, name)).collect();
                    action.iter().for_each(|name| left.add(name));
                    (action, self.condition(one.condition.clone()))
                }
                Effect::Deny => (one.action.iter().map(String::as_str).collect(), one.condition.clone()),
            };
            // A statement that allows none of what was granted says nothing.
            if !action.is_empty() {
                let resource = Resource::These(&one.resource);
                statements.push(Statement { effect: one.effect, action, resource, condition });
            }
        }
        if left.0.is_empty() {
            return Err(NotExpressible::Nothing);
        }
        if barred.iter().any(|barred| barred.is_allowed(|name| left.has(name))) {
            return Err(NotExpressible::Mistaken);
        }
        let text = self.document(statements)?;
        if text.len() > LONGEST { Err(NotExpressible::TooLong { found: text.len() }) } else { Ok(text) }
    }

    /// These conditions, and that of the account.
    fn condition(&self, mut conditions: Conditions) -> Conditions {
        match (self.cloud, self.account) {
            // What has no resource has no such key, and is the role's own account's.
            (Cloud::Aws, Some(account)) => {
                let Once(keys) = conditions.0.entry(OPERATOR.to_owned()).or_default();
                keys.insert(OWNER.to_owned(), Values::One(Scalar::Text(account.to_owned())));
            }
            (Cloud::Aws, None) | (Cloud::Alibaba, _) => {}
        }
        conditions
    }

    fn document(&self, statement: Vec<Statement<'_>>) -> Result<String, NotExpressible> {
        let document = Document { version: self.cloud.version(), statement };
        serde_json::to_string(&document).map_err(|_| NotExpressible::Mistaken)
    }

    /// Once more from the end: what the policy allows is what was granted, no matter how it came to be.
    fn check(
        &self,
        patterns: &Patterns,
        granted: &[&Action],
        left_out: &[Action],
        barred: &[Barred],
    ) -> Result<(), NotExpressible> {
        let allowed = |name: &str| patterns.allow(name);
        let all = |action: &Action| needs(self.cloud, action).into_iter().all(allowed);
        let missing = granted.iter().any(|action| !left_out.contains(action) && !all(action));
        let wider = barred.iter().any(|barred| barred.is_allowed(allowed));
        if missing || wider { Err(NotExpressible::Mistaken) } else { Ok(()) }
    }
}

/// Permissions that the policy is to allow: each in small letters, since clouds do not look at the case, with its
/// spelling.
#[derive(Default)]
struct Held(BTreeMap<String, String>);

impl Held {
    fn has(&self, name: &str) -> bool {
        self.0.contains_key(&name.to_ascii_lowercase())
    }

    fn add(&mut self, name: &str) {
        self.0.insert(name.to_ascii_lowercase(), name.to_owned());
    }

    fn spelled(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(String::as_str)
    }
}

/// An action that the policy must not allow.
struct Barred {
    name: String,
    needs: Vec<String>,
    bar: Bar,
}

/// Why an action is barred, which says what of its permissions may stand in the policy where it needs several.
#[derive(Clone, Copy)]
enum Bar {
    /// Nobody granted it. All of them: it does no more than each of them allows by itself, and nobody holds one of them
    /// to whom it was not granted. A copy is a read and a write.
    NotGranted,
    /// A guardrail could forbid it, whatever else is allowed. All but one: the cloud takes them together for it.
    Forbidden,
    /// The same, and the cloud asks for one or the other. None: each does some of it.
    ForbiddenInPart,
}

impl Barred {
    fn not_granted(cloud: Cloud, action: &Action) -> Self {
        Self::new(cloud, action, Bar::NotGranted)
    }

    fn forbidden(cloud: Cloud, action: &Action) -> Self {
        let in_part = goes_by_content(cloud, action);
        Self::new(cloud, action, if in_part { Bar::ForbiddenInPart } else { Bar::Forbidden })
    }

    fn new(cloud: Cloud, action: &Action, bar: Bar) -> Self {
        let needs = needs(cloud, action).into_iter().map(ToOwned::to_owned).collect();
        Self { name: action.as_str().to_owned(), needs, bar }
    }

    /// Whether permissions would allow it: those that it needs, or, should a cloud check it by its own name after all,
    /// that name.
    fn is_allowed(&self, permitted: impl Fn(&str) -> bool) -> bool {
        let needed = || match self.bar {
            Bar::NotGranted => matches!(self.needs.as_slice(), [only] if permitted(only)),
            Bar::Forbidden => self.needs.iter().all(|name| permitted(name)),
            Bar::ForbiddenInPart => self.needs.iter().any(|name| permitted(name)),
        };
        permitted(&self.name) || needed()
    }
}

/// Whether a name can stand in a policy without meaning more than itself.
fn spellable(action: &Action) -> bool {
    let plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    action.as_str().split_once(':').is_some_and(|(service, operation)| plain(service) && plain(operation))
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    version: &'static str,
    statement: Vec<Statement<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement<'a> {
    effect: Effect,
    action: Vec<&'a str>,
    resource: Resource<'a>,
    #[serde(skip_serializing_if = "is_none")]
    condition: Conditions,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Resource<'a> {
    All(&'static str),
    These(&'a [String]),
}

fn is_none(conditions: &Conditions) -> bool {
    conditions.0.is_empty()
}
