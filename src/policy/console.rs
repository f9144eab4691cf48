//! Who may do what at the console and the admin API: `policies/console.cedar`, asked.
//!
//! Comes in: a principal, an action and the account that it is about. Goes out: yes or no; every doubt is a no.

use std::collections::{HashMap, HashSet};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request,
    RestrictedExpression,
};

use super::load::{Policies, schema};
use crate::model::account::{Principal, PrincipalKind};
use crate::model::id::AccountId;

/// What can be done to an account's applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConsoleAction {
    /// Authorize, and so install, a third-party application.
    Authorize,
    /// Install an official application without visiting it.
    Provision,
    /// Say who may use an application; see and end personal consents.
    Assign,
    /// Stop an application for a while.
    Suspend,
    /// Let it go on.
    Resume,
    /// Delete it.
    Revoke,
    /// See what is installed, and the account's decision records.
    List,
    /// Register and change the account's own applications.
    Publish,
    /// See and end the sessions of the account's people, and say whom providers' subjects stand for.
    Sessions,
    /// Deny requests for approval.
    Deny,
    /// Say which applications are blocked or approved beforehand, and what becomes of unknown ones.
    SetPolicy,
    /// See and change the account's people, groups and roles, and what they log in with.
    ManagePeople,
    /// Read the account's audit.
    Audit,
}

impl ConsoleAction {
    /// Its name in `console.cedar`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authorize => "console:Authorize",
            Self::Provision => "console:Provision",
            Self::Assign => "console:Assign",
            Self::Suspend => "console:Suspend",
            Self::Resume => "console:Resume",
            Self::Revoke => "console:Revoke",
            Self::List => "console:List",
            Self::Publish => "console:Publish",
            Self::Sessions => "console:Sessions",
            Self::Deny => "console:Deny",
            Self::SetPolicy => "console:SetPolicy",
            Self::ManagePeople => "console:ManagePeople",
            Self::Audit => "console:Audit",
        }
    }
}

impl Policies {
    /// Whether `principal` may do `action` in `account`.
    #[must_use]
    pub fn may(&self, principal: &Principal, action: ConsoleAction, account: &AccountId) -> bool {
        principal.enabled && self.ask(principal, action, account).unwrap_or(false)
    }

    fn ask(&self, principal: &Principal, action: ConsoleAction, account: &AccountId) -> Option<bool> {
        let who = entity_of(principal)?;
        let action = uid("Action", action.as_str())?;
        let request =
            Request::new(who.uid(), action, uid("Account", account.as_str())?, Context::empty(), None)
                .ok()?;
        let actions = self.console_actions.get_or_init(|| schema::console_actions().ok());
        let entities: Entities = actions.clone()?.add_entities([who], None).ok()?;
        let answer = Authorizer::new().is_authorized(&request, &self.console, &entities);
        Some(answer.decision() == Decision::Allow && answer.diagnostics().errors().next().is_none())
    }
}

/// The principal at the console: the root identity is its account.
fn entity_of(principal: &Principal) -> Option<Entity> {
    let account = &principal.key.account;
    let id = format!("{account}/{}", principal.key.id);
    let name = match principal.key.kind {
        PrincipalKind::Account => {
            return Some(Entity::new_no_attrs(uid("Account", account.as_str())?, HashSet::new()));
        }
        PrincipalKind::User => uid("User", &id)?,
        PrincipalKind::Role => uid("Role", &id)?,
    };
    let mut parents = HashSet::from([uid("Account", account.as_str())?]);
    for group in &principal.groups {
        parents.insert(uid("Group", &format!("{account}/{group}"))?);
    }
    let attributes = HashMap::from([
        ("login".to_owned(), RestrictedExpression::new_string(principal.login.clone())),
        ("administrator".to_owned(), RestrictedExpression::new_bool(principal.is_administrator())),
    ]);
    Entity::new(name, attributes, parents).ok()
}

/// The entity `kind::"id"`; nothing only if `kind` were no type name.
pub(super) fn uid(kind: &str, id: &str) -> Option<EntityUid> {
    let name: EntityTypeName = kind.parse().ok()?;
    Some(EntityUid::from_type_name_and_id(name, EntityId::new(id)))
}
