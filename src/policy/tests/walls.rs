//! Each limit of a grant, from both sides.

use std::sync::Arc;

use super::*;
use crate::policy::{Cause, ConsoleAction};

fn code(result: Result<Permit<'_>, Denial>) -> &'static str {
    result.map_or_else(|denial| denial.code(), |_| "ok")
}

#[test]
fn a_granted_scope_allows_its_actions() {
    let call = call("oss:GetObject", "reports/a");
    let permit = decided(installed("openid /acs/oss:read"), &alice(), &call).unwrap();
    assert_eq!(permit.policies(), [Arc::from(format!("grant:{ACME}/{HUB}:permit"))]);
    assert_eq!(permit.call().resource.name, "reports/a");
    assert!(!permit.remembered());
}

#[test]
fn a_product_scope_allows_both_of_its_parts() {
    for action in ["ecs:DescribeInstances", "ecs:DeleteInstance"] {
        assert_eq!(code(decided(installed("/acs/ecs"), &alice(), &call(action, "*"))), "ok");
    }
}

#[test]
fn an_action_outside_of_the_scopes_is_denied_with_what_would_help() {
    let mut grant = installed("openid /acs/oss:read");
    grant.grant.declined = scopes("/acs/ecs");
    let denial = decided(grant, &alice(), &call("ecs:StartInstance", "*")).unwrap_err();
    let missing = denial.missing().unwrap();
    assert_eq!(missing.needed, scopes("/acs/ecs:write"));
    assert_eq!(missing.offered, scopes("/acs/ecs"));
    assert!(missing.declined && !missing.granted);
    assert_eq!(missing.least(), scopes("/acs/ecs:write"));
    assert!(denial.next_step().contains("/acs/ecs and declined"), "{}", denial.next_step());
}

#[test]
fn a_token_that_is_narrower_than_the_grant_stays_narrower() {
    let policies = shipped();
    let session = session(&policies, installed("openid /acs/ecs"), &alice(), "/acs/ecs:read");
    assert_eq!(code(decide(&session, &call("ecs:DescribeDisks", "*"), &around())), "ok");
    let denial = decide(&session, &call("ecs:StopInstance", "*"), &around()).unwrap_err();
    assert!(denial.missing().unwrap().granted);
}

#[test]
fn a_token_that_is_wider_than_the_grant_gains_nothing() {
    let policies = shipped();
    let session = session(&policies, installed("/acs/oss:read"), &alice(), "openid /acs/oss /acs/ecs");
    assert_eq!(code(decide(&session, &call("oss:GetObject", "a/b"), &around())), "ok");
    assert_eq!(code(decide(&session, &call("oss:PutObject", "a/b"), &around())), "insufficient_scope");
    assert_eq!(code(decide(&session, &call("ecs:DescribeDisks", "*"), &around())), "insufficient_scope");
}

#[test]
fn another_accounts_resource_is_denied() {
    let mut other = call("oss:GetObject", "reports/a");
    other.resource.account = "1000000000000002".parse().unwrap();
    assert_eq!(code(decided(installed("/acs/oss"), &alice(), &other)), "access_denied");
}

#[test]
fn an_unknown_action_is_denied() {
    assert_eq!(code(decided(installed("/acs/oss"), &alice(), &call("oss:Explode", "a/b"))), "access_denied");
}

#[test]
fn a_suspended_or_expired_grant_allows_nothing() {
    let read = call("oss:GetObject", "a/b");
    let mut suspended = installed("/acs/oss");
    suspended.grant.state = GrantState::Suspended;
    assert_eq!(code(decided(suspended, &alice(), &read)), "not_installed");
    let mut expired = installed("/acs/oss");
    expired.grant.expires_at = Some(around().time);
    assert_eq!(code(decided(expired, &alice(), &read)), "not_installed");
}

#[test]
fn an_official_application_asks_for_assignment_then_for_consent() {
    let tool = call("mcp-server:CallTool/stop_instance", "*");
    let grant = || official("openid /acs/mcp-server");
    let mut member = alice();
    member.assigned = false;
    assert_eq!(code(decided(grant(), &member, &tool)), "not_assigned");
    member.assigned = true;
    assert_eq!(code(decided(grant(), &member, &tool)), "consent_required");
    member.consented = Some(scopes("openid"));
    assert_eq!(code(decided(grant(), &member, &tool)), "consent_required");
    member.consented = Some(scopes("openid /acs/mcp-server"));
    assert_eq!(code(decided(grant(), &member, &tool)), "ok");
}

#[test]
fn a_guardrail_denies_with_its_reason_and_leaves_the_rest_alone() {
    let denial = decided(installed("/acs/oss"), &alice(), &call("oss:DeleteObject", "books/legal-hold/a"))
        .unwrap_err();
    assert_eq!(denial.policies(), [Arc::from("legal-hold.no-change")]);
    assert!(
        matches!(denial.cause(), Cause::AccessDenied(grounds) if grounds[0].reason.contains("legal-hold/"))
    );
    for member in [alice(), root()] {
        for action in ["oss:GetObject", "oss:PutObject", "oss:DeleteObject"] {
            assert_eq!(code(decided(installed("/acs/oss"), &member, &call(action, "books/a"))), "ok");
        }
        for action in ["ecs:DescribeInstances", "ecs:StartInstance", "ecs:StopInstance", "ecs:DeleteInstance"]
        {
            assert_eq!(code(decided(installed("/acs/ecs"), &member, &call(action, "i-1"))), "ok");
        }
    }
}

#[test]
fn a_decision_is_remembered_for_the_same_action_and_resource_only() {
    let policies = shipped();
    let session = session(&policies, installed("/acs/oss"), &alice(), "/acs/oss");
    let remembered =
        |action: &str, name: &str| decide(&session, &call(action, name), &around()).unwrap().remembered();
    assert!(!remembered("oss:GetObject", "a/b"));
    assert!(remembered("oss:GetObject", "a/b"));
    assert!(!remembered("oss:GetObject", "a/c"));
    assert!(!remembered("oss:PutObject", "a/b"));
    // A caller chooses names: long ones would fill the memory.
    let long = "a/".repeat(1000);
    assert!(!remembered("oss:GetObject", &long) && !remembered("oss:GetObject", &long));
    let mut elsewhere = call("oss:GetObject", "a/b");
    elsewhere.resource.account = "1000000000000002".parse().unwrap();
    assert!(decide(&session, &elsewhere, &around()).is_err());
}

#[test]
fn a_memory_does_not_outlive_its_session_or_the_grants_end() {
    let policies = shipped();
    let mut grant = installed("/acs/oss");
    grant.grant.expires_at = Some(around().time + jiff::SignedDuration::from_secs(10));
    let first = session(&policies, grant.clone(), &alice(), "/acs/oss");
    let read = call("oss:GetObject", "a/b");
    assert_eq!(code(decide(&first, &read, &around())), "ok");
    let later = Surroundings { time: around().time + jiff::SignedDuration::from_secs(10), ..around() };
    assert_eq!(code(decide(&first, &read, &later)), "not_installed");
    let second = session(&policies, grant, &root(), "openid");
    assert_eq!(code(decide(&second, &read, &around())), "insufficient_scope");
}

#[test]
fn who_administers_may_manage_the_own_account_and_no_other() {
    let policies = shipped();
    let (acme, globex) = (ACME.parse().unwrap(), "1000000000000002".parse().unwrap());
    let mut administrator = alice().principal;
    administrator.full_access = true;
    for principal in [root().principal, administrator.clone()] {
        assert!(policies.may(&principal, ConsoleAction::Authorize, &acme));
        assert!(policies.may(&principal, ConsoleAction::List, &acme));
        assert!(!policies.may(&principal, ConsoleAction::Authorize, &globex));
    }
    assert!(!policies.may(&alice().principal, ConsoleAction::Authorize, &acme));
    assert!(!policies.may(&alice().principal, ConsoleAction::List, &acme));
    administrator.enabled = false;
    assert!(!policies.may(&administrator, ConsoleAction::Revoke, &acme));
    let mut role = administrator;
    role.enabled = true;
    role.key.kind = PrincipalKind::Role;
    assert!(!policies.may(&role, ConsoleAction::Revoke, &acme));
}
