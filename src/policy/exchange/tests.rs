//! What the exchanges may, beside the calls.

use cedar_policy::{ValidationMode, Validator};

use super::*;
use crate::model::grant::GrantState;
use crate::policy::load::schema::{self, Vocabulary};
use crate::policy::tests::{alice, call, folder_with, installed, official, scopes, session, shipped};
use crate::policy::{Surroundings, decide, explain, generate};

fn loaded(guardrail: &str) -> Arc<Policies> {
    Arc::new(Policies::load(folder_with(guardrail).path()).unwrap())
}

fn asked<'a>(exchanging: Exchanging, scopes: &'a ScopeSet, target: Option<&'a str>) -> Exchange<'a> {
    let time = Timestamp::from_second(1_800_000_000).unwrap();
    let ip = Some(IpAddr::from([127, 0, 0, 1]));
    Exchange { exchanging, target, scopes, ip, time, host: "login.example", path: "/v1/token" }
}

/// The code of the denial, or `ok`.
fn of(
    policies: &Arc<Policies>,
    installed: Installed,
    member: &Member,
    exchange: &Exchange<'_>,
) -> &'static str {
    decide_exchange(policies, installed, member, exchange).map_or_else(|denial| denial.code(), |()| "ok")
}

#[test]
fn whoever_has_a_scope_may_exchange_and_who_has_none_may_not() {
    let policies = shipped();
    for kind in Exchanging::ALL {
        for held in ["openid", "/acs/ecs", "/aws/s3:read openid"] {
            let held = scopes(held);
            assert_eq!(
                of(&policies, installed(&held.to_string()), &alice(), &asked(kind, &held, None)),
                "ok"
            );
        }
        // Nothing, what the catalogue does not know, and what the grant does not hold.
        for (granted, token) in [("openid", ""), ("/acs/unheard", "/acs/unheard"), ("openid", "/acs/ecs")] {
            let token = scopes(token);
            let code = of(&policies, installed(granted), &alice(), &asked(kind, &token, None));
            assert_ne!(code, "ok", "{granted} {token}");
        }
    }
}

#[test]
fn a_grant_that_does_not_stand_and_a_person_who_may_not_exchange_nothing() {
    let (policies, held) = (shipped(), scopes("openid"));
    let exchange = asked(Exchanging::Token, &held, None);
    for state in [GrantState::Suspended, GrantState::Revoked] {
        let mut facts = installed("openid");
        facts.grant.state = state;
        assert_eq!(of(&policies, facts, &alice(), &exchange), "not_installed");
    }
    let mut facts = installed("openid");
    facts.grant.expires_at = Some(Timestamp::from_second(1_700_000_000).unwrap());
    assert_eq!(of(&policies, facts, &alice(), &exchange), "not_installed");
    assert_eq!(of(&policies, official("openid"), &alice(), &exchange), "consent_required");
    let mut member = alice();
    member.consented = Some(scopes("openid"));
    assert_eq!(of(&policies, official("openid"), &member, &exchange), "ok");
    member.assigned = false;
    assert_eq!(of(&policies, official("openid"), &member, &exchange), "not_assigned");
}

#[test]
fn a_guardrail_forbids_an_exchange_by_application_person_place_scope_and_address() {
    let held = scopes("openid /acs/ecs");
    let forbids = |head: &str, condition: &str| {
        let text =
            format!("@id(\"own\") @reason(\"Not this.\") forbid ({head}, resource is Resource) {condition};");
        let exchange = asked(Exchanging::Credential, &held, Some("https://a.example/oss"));
        match decide_exchange(&loaded(&text), installed("openid /acs/ecs"), &alice(), &exchange) {
            Ok(()) => false,
            Err(denial) => {
                assert_eq!(
                    (denial.policies(), denial.to_string().as_str()),
                    (&["own".into()][..], "Not this.")
                );
                true
            }
        }
    };
    let key = "action == Action::\"identity:ExchangeCredential\"";
    let session = format!("principal is Session, {key}");
    assert!(forbids(&session, ""));
    assert!(forbids("principal is Session, action", ""), "a guardrail on every action is one on exchanges");
    assert!(!forbids("principal is Session, action == Action::\"identity:ExchangeToken\"", ""));
    assert!(!forbids("principal is Session, action in Action::\"/acs/ecs\"", ""), "no scope gives it");
    let hub = "principal in Application::\"4611686018427387904\"";
    assert!(forbids(&format!("{hub}, {key}"), ""));
    assert!(!forbids(&format!("{}, {key}", hub.replace("7904", "7905")), ""));
    assert!(forbids(&session, "when { principal.login == \"alice@acme\" }"));
    assert!(forbids(&session, "when { resource.name like \"https://a.example/*\" }"));
    assert!(!forbids(&session, "when { resource.name == \"*\" }"));
    assert!(forbids(&session, "when { context.scopes.contains(\"/acs/ecs\") }"));
    assert!(!forbids(&session, "unless { context.ip.isLoopback() && context.method == \"POST\" }"));
}

#[test]
fn an_address_that_is_asked_for_and_not_known_denies() {
    let held = scopes("openid");
    let exchange = Exchange { ip: None, ..asked(Exchanging::Token, &held, None) };
    assert_eq!(of(&shipped(), installed("openid"), &alice(), &exchange), "ok");
    let text = "@id(\"own\") @reason(\"r\") forbid (principal is Session, action == Action::\"identity:ExchangeToken\", \
                resource is Resource) when { context.ip.isMulticast() };";
    assert_eq!(of(&loaded(text), installed("openid"), &alice(), &exchange), "policy_error");
    let known = asked(Exchanging::Token, &held, None);
    assert_eq!(of(&loaded(text), installed("openid"), &alice(), &known), "ok");
}

#[test]
fn no_call_is_an_exchange_and_no_scope_file_gives_one() {
    let policies = shipped();
    let session = session(&policies, installed("openid /acs/ecs"), &alice(), "openid /acs/ecs");
    let time = Timestamp::from_second(1_800_000_000).unwrap();
    let ip = IpAddr::from([127, 0, 0, 1]);
    let around = Surroundings { ip, time, method: "POST", host: "h", path: "/" };
    for kind in Exchanging::ALL {
        let call = call(kind.as_str(), "*");
        assert!(decide(&session, &call, &around).is_err());
        assert!(
            !crate::policy::decide::second_wall_alone(&session, &call, &around),
            "nor does the other wall"
        );
        assert!(!policies.catalogue().knows_action(&call.action));
    }
    let dir = folder_with("");
    let file = dir.path().join("scopes/identity.json");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("identity:ReadSubject", "identity:ExchangeToken")).unwrap();
    let problem = Policies::load(dir.path()).unwrap_err().to_string();
    assert!(problem.contains("scopes/identity.json:") && problem.contains("is of no scope"), "{problem}");
}

#[test]
fn editors_cases_and_people_are_told_of_them() {
    let text = "@id(\"own\") @reason(\"r\") forbid (principal is Session, action == \
                Action::\"identity:ExchangeCredential\", resource is Resource);";
    let policies = loaded(text);
    let shown = explain::show(&installed("openid"), &policies);
    assert!(
        shown.guardrails.contains("ExchangeCredential") && !shown.generated.contains("Exchange"),
        "{shown}"
    );
    let combined = schema::combined(policies.catalogue()).unwrap();
    assert!(Exchanging::ALL.iter().all(|one| combined.contains(one.as_str())), "{combined}");
    let mistyped = text.replace("ExchangeCredential", "ExchangeCredentials");
    let problem = Policies::load(folder_with(&mistyped).path()).unwrap_err().to_string();
    assert!(problem.contains("Did you mean \"identity:ExchangeCredential\"?"), "{problem}");
}

#[test]
fn what_is_generated_for_exchanges_holds_to_the_schema() {
    let policies = shipped();
    for facts in [installed("openid"), official("openid /acs/mcp-server:read")] {
        let text = generate::exchanges(&facts, &facts.grant.scopes, policies.catalogue());
        let set: cedar_policy::PolicySet = text.parse().unwrap();
        let validator = Validator::new(Vocabulary::of(policies.catalogue()).unwrap().calls);
        let verdict = validator.validate(&set, ValidationMode::Strict);
        assert!(verdict.validation_passed_without_warnings(), "{verdict}");
    }
}
