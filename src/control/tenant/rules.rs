//! Reading and changing an account's rules: what the admin API and the console both do.

use std::collections::{HashMap, HashSet};

use axum::http::StatusCode;

use super::{Objection, objection_where};
use crate::control::admin::request::{Administrator, invalid};
use crate::control::admin::state::Change;
use crate::control::{Control, Problem, Reply};
use crate::grants::acknowledge::Receipt;
use crate::model::application::Application;
use crate::model::grant::Grant;
use crate::model::id::{ApplicationId, GrantKey};
use crate::policy::ConsoleAction;
use crate::store::{InstallRefused, MOST_RULES, Manner, Rule, Standing, StoreError, TenantPolicy};

/// A rule with what stands against it.
pub(in crate::control) struct Looked {
    /// The application.
    pub(in crate::control) application: Application,
    /// What is said about it.
    pub(in crate::control) rule: Rule,
    /// Why it has no effect, if it is a pre-approval that has none.
    pub(in crate::control) objection: Option<Objection>,
}

/// All that the account has said.
pub(in crate::control) async fn read(
    control: &Control,
    by: &Administrator,
) -> Reply<(u64, Manner, Vec<Looked>)> {
    let TenantPolicy { revision, manner, rules } = control.store().tenant_policy(by.account()).await?;
    let (mut looked, mut rights) = (Vec::new(), HashMap::new());
    for (application, rule) in rules {
        // Few people make many rules: each is looked up once.
        let may = match rights.get(&rule.by) {
            Some(may) => *may,
            None => {
                let may = super::may_authorize(control, &rule.by).await?;
                rights.insert(rule.by.clone(), may);
                may
            }
        };
        let objection = objection_where(&application, &rule, may);
        looked.push(Looked { application, rule, objection });
    }
    Ok((revision, manner, looked))
}

/// Replaces all of it, and waits until every sidecar knows if it is to be waited for.
///
/// # Errors
/// 400 for what cannot be, 403 for a new pre-approval by who may not authorize, 409 when `seen` is not the newest.
pub(in crate::control) async fn write(
    control: &Control,
    by: &Administrator,
    manner: &Manner,
    rules: &[(ApplicationId, Standing)],
    seen: u64,
    wait: bool,
) -> Reply<Option<Receipt>> {
    check(manner, rules)?;
    let present = control.store().tenant_policy(by.account()).await?;
    let is_new = |(id, standing): &&(ApplicationId, Standing)| {
        !present.rules.iter().any(|(application, rule)| application.id == *id && rule.standing == *standing)
    };
    if rules.iter().filter(is_new).any(|(_, standing)| is_pre_approval(standing)) {
        may_authorize(control, by)?;
    }
    let change = Change::begin(control, wait);
    let now = control.clock().now();
    let seq = control.store().set_tenant_policy(by.account(), manner, rules, seen, &by.actor(), now).await?;
    Ok(change.settle(control, seq).await)
}

/// Says something about one application, or takes it back, and waits until every sidecar knows if it is to be waited
/// for. Answers the grant that was suspended by it.
///
/// # Errors
/// As [`write`]; 404 for an application that is not registered, or nothing to take back.
pub(in crate::control) async fn set(
    control: &Control,
    by: &Administrator,
    client_id: &str,
    standing: Option<&Standing>,
    wait: bool,
) -> Reply<(Option<Grant>, Option<Receipt>)> {
    let key = GrantKey { account: by.account().clone(), application: id(client_id)? };
    if let Some(standing) = standing {
        check_standing(standing)?;
        if is_pre_approval(standing) {
            may_authorize(control, by)?;
        }
    }
    let change = Change::begin(control, wait).of(&key);
    let now = control.clock().now();
    let (grant, seq) = match control.store().set_rule(&key, standing, &by.actor(), now).await {
        Ok(done) => done,
        Err(InstallRefused::NoApplication(_)) => return Err(unknown()),
        Err(InstallRefused::Store(StoreError::Missing(_))) => {
            let detail = "The account has said nothing about this application.";
            return Err(Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
                .next("GET /api/v1/tenant-policy lists what it has said."));
        }
        Err(refused) => return Err(refused.into()),
    };
    Ok((grant, change.settle(control, seq).await))
}

/// An application's id.
pub(in crate::control) fn id(client_id: &str) -> Reply<ApplicationId> {
    client_id.parse().map_err(|_| unknown())
}

/// A registered application.
pub(in crate::control) async fn registered(control: &Control, client_id: &str) -> Reply<Application> {
    control.store().application(&id(client_id)?).await?.ok_or_else(unknown)
}

/// A sentence from outside: one line of at most so many characters.
pub(in crate::control) fn sentence(field: &str, text: &str) -> Reply<String> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() > LONGEST {
        return Err(invalid(format!("`{field}` is at most {LONGEST} characters.")));
    }
    if text.chars().any(char::is_control) {
        return Err(invalid(format!("`{field}` holds a character that cannot be shown.")));
    }
    Ok(text)
}

fn check(manner: &Manner, rules: &[(ApplicationId, Standing)]) -> Reply<()> {
    if !(1..=90).contains(&manner.request_days) {
        return Err(invalid("`request_days` is a number from 1 to 90."));
    }
    sentence("message", &manner.message)?;
    if rules.len() > MOST_RULES {
        return Err(invalid(format!("At most {MOST_RULES} applications can be blocked or pre-approved."))
            .next("Set `unknown_applications` to `refuse` rather than block every one."));
    }
    let mut named = HashSet::new();
    for (id, standing) in rules {
        if !named.insert(id) {
            return Err(invalid(format!("The application {id} is named twice.")));
        }
        check_standing(standing)?;
    }
    Ok(())
}

fn check_standing(standing: &Standing) -> Reply<()> {
    match standing {
        Standing::Blocked { word } => sentence("word", word).map(|_| ()),
        Standing::PreApproved { .. } => Ok(()),
    }
}

fn is_pre_approval(standing: &Standing) -> bool {
    match standing {
        Standing::PreApproved { .. } => true,
        Standing::Blocked { .. } => false,
    }
}

/// Whoever approves beforehand authorizes, only earlier.
fn may_authorize(control: &Control, by: &Administrator) -> Reply<()> {
    Administrator::check(control, by.principal.clone(), ConsoleAction::Authorize).map(|_| ())
}

fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "There is no application with this client ID.")
        .next("The page that refused somebody shows the client ID.")
}

const LONGEST: usize = 400;
