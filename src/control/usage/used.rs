//! Which scopes a decision used, from its record: those that give its action, as far as they counted.
//!
//! Comes in: the record of a call that was forwarded. Goes out: scopes in their narrowest spelling, `/acs/ecs:read` also
//! where the token held `/acs/ecs`, so that a product scope of which only a part is used can be told.

use crate::model::call::Action;
use crate::model::decision::Decision;
use crate::model::scope::ScopeSet;
use crate::policy::Policies;

/// The scopes that gave the action of `decision`; none when it cannot be said.
#[must_use]
pub fn scopes_of(policies: &Policies, decision: &Decision) -> ScopeSet {
    let held = decision.scopes.as_deref().and_then(|text| text.parse::<ScopeSet>().ok());
    let (Some(held), Some(action)) = (held, decision.action.as_deref()) else { return ScopeSet::new() };
    let action = Action::new(action);
    policies.catalogue().scopes_for(&action).iter().filter(|scope| held.covers(scope)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(action: &str, held: &str) -> String {
        let text = format!(
            r#"{{"id":"a","at":"2026-01-01T00:00:00Z","sidecar":"s","outcome":"forwarded","code":"ok","status":200,
                "method":"GET","path":"/","action":"{action}","scopes":"{held}","trace":"",
                "took":{{"read":0,"identify":0,"find":0,"decide":0,"assume":0,"forward":0,"total":0}}}}"#
        );
        let decision: Decision = serde_json::from_str(&text).unwrap();
        scopes_of(&Policies::embedded().unwrap(), &decision).to_string()
    }

    #[test]
    fn a_use_is_of_the_part_that_gives_the_action_also_where_the_whole_was_held() {
        assert_eq!(used("oss:GetObject", "openid /acs/oss:read"), "/acs/oss:read");
        assert_eq!(used("ecs:DescribeInstances", "/acs/ecs /acs/oss"), "/acs/ecs:read");
    }

    #[test]
    fn a_scope_that_was_not_held_or_an_action_that_nobody_knows_is_no_use() {
        assert_eq!(used("oss:GetObject", "openid /acs/ecs"), "");
        assert_eq!(used("oss:Unheard", "/acs/oss"), "");
        assert_eq!(used("no action", "/acs/oss"), "");
    }
}
