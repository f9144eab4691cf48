//! Whatever was granted, the policy allows that and no more: judged by a reader of policies that shares no code with
//! what makes them, over the shipped catalogue and over made-up ones that are far too large.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::*;
use crate::policy::load::problem::Source;
use crate::policy::tests::{alice, around, call, installed, official, scopes, session, shipped};
use crate::policy::{Policies, decide};

/// What a cloud does with a policy and a permission: each statement, each pattern, `*` and `?`, no regard to case.
fn judge(policy: &str, permission: &str) -> bool {
    judged(&serde_json::from_str(policy).unwrap(), permission)
}

fn judged(policy: &serde_json::Value, permission: &str) -> bool {
    let statements = policy["Statement"].as_array().unwrap();
    let matching = |effect: &str| {
        statements.iter().any(|statement| {
            statement["Effect"] == effect
                && statement["Resource"] == "*"
                && statement["Action"].as_array().unwrap().iter().any(|pattern| {
                    let pattern = pattern.as_str().unwrap().to_lowercase();
                    fits(
                        &pattern.chars().collect::<Vec<_>>(),
                        &permission.to_lowercase().chars().collect::<Vec<_>>(),
                    )
                })
        })
    };
    matching("Allow") && !matching("Deny")
}

fn fits(pattern: &[char], text: &[char]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) => {
            fits(rest, text) || text.split_first().is_some_and(|(_, text)| fits(pattern, text))
        }
        (Some(('?', rest)), Some((_, text))) => fits(rest, text),
        (Some((one, rest)), Some((other, text))) => one == other && fits(rest, text),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// Holds a policy against what was granted.
fn holds(
    cloud: Cloud,
    catalogue: &Catalogue,
    granted: &ScopeSet,
    made: &SessionPolicy,
) -> Result<(), TestCaseError> {
    prop_assert!(made.as_str().len() <= LONGEST, "{} characters", made.as_str().len());
    let policy: serde_json::Value = serde_json::from_str(made.as_str()).unwrap();
    for (action, _) in catalogue.actions() {
        let needed = needs(cloud, action);
        let by_needs = needed.iter().all(|permission| judged(&policy, permission));
        let by_name = judged(&policy, action.as_str());
        // A tool of an MCP server, `CallTool/name`, is no permission of any cloud.
        let spellable = !action.as_str().contains('/');
        let inside = catalogue.allows(granted, action) && action.service() != "sts" && spellable;
        if !inside {
            prop_assert!(!by_name, "{action} is not granted: {}", made.as_str());
            // What needs several permissions may be put together of what each was granted for.
            prop_assert!(!by_needs || needed.len() > 1, "{action} is not granted: {}", made.as_str());
        } else if !made.left_out().contains(action) {
            prop_assert!(by_needs, "{action} is granted: {}", made.as_str());
        }
    }
    Ok(())
}

fn made(
    cloud: Cloud,
    holder: Holder,
    catalogue: &Catalogue,
    granted: &ScopeSet,
) -> Result<SessionPolicy, NotExpressible> {
    Wanted { cloud, holder, account: None, catalogue }.policy(|action| catalogue.allows(granted, action))
}

/// A catalogue of services, each with operations in a `:read` and a `:write` part.
fn catalogue(services: &[(&str, Vec<String>, Vec<String>)]) -> Catalogue {
    let sources: Vec<_> = services
        .iter()
        .map(|(service, read, write)| {
            let risk = serde_json::json!({ "level": "low", "why": "It is made up." });
            let part = |name: String, operations: &[String]| {
                let actions: Vec<_> = operations.iter().map(|one| format!("{service}:{one}")).collect();
                serde_json::json!({ "scope": name, "title": "t", "consent": "c", "risk": risk, "actions": actions })
            };
            let whole = format!("/acs/{service}");
            let file = serde_json::json!({ "service": service, "title": "t", "scopes": [
                part(whole.clone(), &[]), part(format!("{whole}:read"), read), part(format!("{whole}:write"), write),
            ]});
            Source { path: format!("scopes/{service}.json").into(), text: file.to_string().into() }
        })
        .collect();
    Catalogue::read(&sources).unwrap()
}

fn operations(verbs: &'static [&'static str], nouns: usize) -> impl Strategy<Value = Vec<String>> {
    let name = (prop::sample::select(verbs), prop::sample::select(NOUNS), prop::sample::select(NOUNS));
    // A part that lists nothing is no scope.
    prop::collection::btree_set(name.prop_map(|(verb, a, b)| format!("{verb}{a}{b}")), 1..nouns)
        .prop_map(|set| set.into_iter().collect())
}

/// Reading verbs among the writing ones, and words that begin like others, so that many beginnings are not safe.
const READ: &[&str] = &["Describe", "Get", "List", "Describ", "describe", "DescribeX"];
const WRITE: &[&str] = &["Create", "Delete", "Describe", "Put", "Get", "ListAnd"];
const NOUNS: &[&str] = &[
    "Instance",
    "Instances",
    "Disk",
    "DiskMonitorData",
    "Snapshot",
    "SecurityGroupAttribute",
    "Vpc",
    "VSwitchTable",
    "NetworkInterfaceTag",
    "X",
    "KeyPair",
    "LaunchTemplateVersion",
    "Object",
    "Bucket",
];

/// Read once: it is large.
static SHIPPED: LazyLock<Arc<Policies>> = LazyLock::new(shipped);

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_granted_of_the_shipped_catalogue_the_policy_allows_exactly_that(
        chosen in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        aws in any::<bool>(),
        application in any::<bool>(),
    ) {
        let catalogue = SHIPPED.catalogue();
        let all: Vec<_> = catalogue.scopes().map(|entry| entry.scope.clone()).collect();
        let granted: ScopeSet = chosen.iter().map(|index| index.get(&all).clone()).collect();
        let cloud = if aws { Cloud::Aws } else { Cloud::Alibaba };
        let holder = if application { Holder::Application } else { Holder::Sidecar };
        match made(cloud, holder, catalogue, &granted) {
            Ok(policy) => holds(cloud, catalogue, &granted, &policy)?,
            Err(NotExpressible::Nothing) => {
                let some = |action: &Action| catalogue.allows(&granted, action) && action.service() != "sts";
                prop_assert!(!catalogue.actions().any(|(action, _)| some(action)));
            }
            Err(NotExpressible::TooLong { found }) => prop_assert!(found > LONGEST),
            Err(NotExpressible::Mistaken) => prop_assert!(false, "the check found a mistake"),
        }
    }

    #[test]
    fn whatever_is_granted_of_any_catalogue_the_policy_allows_exactly_that(
        a in (operations(READ, 90), operations(WRITE, 90)),
        b in (operations(READ, 30), operations(WRITE, 30)),
        parts in prop::collection::vec(prop::sample::select(vec!["/acs/a", "/acs/a:read", "/acs/a:write", "/acs/ab:read", "/acs/ab:write"]), 1..4),
        aws in any::<bool>(),
    ) {
        let catalogue = catalogue(&[("a", a.0, a.1), ("ab", b.0, b.1)]);
        let granted = scopes(&parts.join(" "));
        let cloud = if aws { Cloud::Aws } else { Cloud::Alibaba };
        match made(cloud, Holder::Sidecar, &catalogue, &granted) {
            Ok(policy) => holds(cloud, &catalogue, &granted, &policy)?,
            Err(NotExpressible::TooLong { found }) => prop_assert!(found > LONGEST),
            Err(NotExpressible::Nothing) => {
                // All that is granted goes by a name that something else goes by too.
                prop_assert!(catalogue.actions().all(|(action, _)| !catalogue.allows(&granted, action)
                    || catalogue.actions().any(|(other, _)| !catalogue.allows(&granted, other)
                        && other.as_str().eq_ignore_ascii_case(action.as_str()))));
            }
            Err(NotExpressible::Mistaken) => prop_assert!(false, "the check found a mistake"),
        }
    }
}

fn permitted(
    holder: Holder,
    granted: &str,
    is_official: bool,
    consented: Option<&str>,
) -> Result<SessionPolicy, NotExpressible> {
    let mut member = alice();
    member.consented = consented.map(scopes);
    let made = if is_official { official(granted) } else { installed(granted) };
    let token = made.grant.scopes.to_string();
    let session = session(&shipped(), made, &member, &token);
    let call = call("oss:GetObject", "reports/2026.csv");
    let permit = decide(&session, &call, &around()).unwrap();
    permit.session_policy(Cloud::Alibaba, holder, Some("1001"), |service| {
        matches!(service, "oss" | "ecs" | "alidns")
    })
}

#[test]
fn a_policy_is_what_the_clouds_read() {
    let small = catalogue(&[("ecs", vec!["DescribeDisks".to_owned()], vec!["DeleteDisk".to_owned()])]);
    let text = |cloud| made(cloud, Holder::Application, &small, &scopes("/acs/ecs:read")).unwrap().text;
    let statement = r#""Statement":[{"Effect":"Allow","Action":["ecs:DescribeDisks"],"Resource":"*"}]}"#;
    assert_eq!(text(Cloud::Alibaba), format!(r#"{{"Version":"1",{statement}"#));
    assert_eq!(text(Cloud::Aws), format!(r#"{{"Version":"2012-10-17",{statement}"#));
}

#[test]
fn names_are_shortened_only_when_they_must_be_and_only_for_a_sidecar() {
    let many = |verb: &str| (0..120).map(|n| format!("{verb}Thing{n:03}")).collect::<Vec<_>>();
    let large = catalogue(&[("ecs", many("Describe"), many("Modify"))]);
    let read = scopes("/acs/ecs:read");
    let short = made(Cloud::Alibaba, Holder::Sidecar, &large, &read).unwrap();
    assert!(short.as_str().contains("ecs:Describe*"), "{}", short.as_str());
    assert!(matches!(
        made(Cloud::Alibaba, Holder::Application, &large, &read),
        Err(NotExpressible::TooLong { .. })
    ));
    let small = catalogue(&[("ecs", vec!["DescribeA".to_owned(), "DescribeB".to_owned()], many("Modify"))]);
    let exact = made(Cloud::Alibaba, Holder::Sidecar, &small, &read).unwrap();
    assert!(!exact.as_str().contains("Describe*"), "{}", exact.as_str());
}

#[test]
fn what_cannot_be_shortened_without_allowing_more_is_refused() {
    let many = |from: usize| (from..from + 120).map(|n| format!("DescribeThing{n:03}")).collect::<Vec<_>>();
    let large = catalogue(&[("ecs", many(0), many(120))]);
    let refused = made(Cloud::Alibaba, Holder::Sidecar, &large, &scopes("/acs/ecs:read"));
    assert!(matches!(refused, Err(NotExpressible::TooLong { .. })), "{refused:?}");
}

#[test]
fn a_whole_service_is_never_one_star_and_sts_is_never_in_a_policy() {
    let many = (0..200).map(|n| format!("Verb{n}Thing{n}")).collect::<Vec<_>>();
    let large = catalogue(&[("ecs", many, vec!["DeleteDisk".to_owned()])]);
    let whole = made(Cloud::Aws, Holder::Sidecar, &large, &scopes("/acs/ecs")).unwrap();
    assert!(whole.as_str().contains('*') && !whole.as_str().contains("ecs:*"), "{}", whole.as_str());
    let sts = catalogue(&[("sts", vec!["GetCallerIdentity".to_owned()], vec!["AssumeRole".to_owned()])]);
    assert_eq!(made(Cloud::Aws, Holder::Sidecar, &sts, &scopes("/acs/sts")), Err(NotExpressible::Nothing));
}

#[test]
fn a_permission_that_would_allow_more_than_was_granted_is_left_out() {
    let objects = catalogue(&[(
        "s3",
        vec!["GetObject".to_owned()],
        vec!["PutObject".to_owned(), "CopyObject".to_owned(), "UploadPart".to_owned()],
    )]);
    let write = made(Cloud::Aws, Holder::Sidecar, &objects, &scopes("/acs/s3:write")).unwrap();
    assert_eq!(write.left_out(), [Action::new("s3:CopyObject")]);
    assert!(judge(write.as_str(), "s3:PutObject") && !judge(write.as_str(), "s3:GetObject"));
    let both = made(Cloud::Aws, Holder::Sidecar, &objects, &scopes("/acs/s3")).unwrap();
    assert!(both.left_out().is_empty());
    // Who may read and may write may copy, though nobody granted a copy as such.
    let wanted = Wanted {
        cloud: Cloud::Aws,
        holder: Holder::Sidecar,
        account: Some("123456789012"),
        catalogue: &objects,
    };
    let apart = wanted.policy(|action| action.as_str() != "s3:CopyObject").unwrap();
    assert!(apart.left_out().is_empty() && judge(apart.as_str(), "s3:GetObject"));
    // A bucket's name does not tell whose it is.
    let owner = r#""Condition":{"StringEqualsIfExists":{"aws:ResourceAccount":"123456789012"}}"#;
    assert!(apart.as_str().contains(owner), "{}", apart.as_str());
    assert!(!write.as_str().contains("Condition"), "said only of an account that is known");
}

#[test]
fn only_the_services_that_are_meant_and_the_scopes_that_count_are_in_it() {
    let policy = permitted(Holder::Sidecar, "openid /acs/oss:read /acs/ecs:read", false, None).unwrap();
    assert!(judge(policy.as_str(), "oss:GetObject") && judge(policy.as_str(), "ecs:DescribeInstances"));
    assert!(!judge(policy.as_str(), "ecs:StopInstance") && !judge(policy.as_str(), "identity:ReadSubject"));
}

#[test]
fn an_official_application_has_no_more_than_its_user_agreed_to() {
    let granted = "openid /acs/oss:read /acs/ecs:read";
    let policy = permitted(Holder::Sidecar, granted, true, Some("openid /acs/oss:read")).unwrap();
    assert!(judge(policy.as_str(), "oss:GetObject") && !judge(policy.as_str(), "ecs:DescribeInstances"));
}

#[test]
fn what_a_guardrail_could_forbid_is_for_sidecars_only() {
    let granted = "openid /acs/oss /acs/alidns";
    let sidecar = permitted(Holder::Sidecar, granted, false, None).unwrap();
    assert!(judge(sidecar.as_str(), "alidns:DeleteDomain") && judge(sidecar.as_str(), "oss:PutObject"));
    let application = permitted(Holder::Application, granted, false, None).unwrap();
    assert!(judge(application.as_str(), "alidns:AddDomainRecord"), "{}", application.as_str());
    for forbidden in ["alidns:DeleteDomain", "oss:PutObject", "oss:DeleteObject"] {
        assert!(!judge(application.as_str(), forbidden), "{forbidden}");
    }
}

#[test]
fn the_shipped_products_fit_as_they_are() {
    let policies = shipped();
    for entry in policies.catalogue().scopes().filter(|entry| entry.scope.as_str().starts_with("/acs/")) {
        let granted = [entry.scope.clone()].into_iter().collect();
        let made = made(Cloud::Alibaba, Holder::Sidecar, policies.catalogue(), &granted);
        assert!(matches!(made, Ok(_) | Err(NotExpressible::Nothing)), "{}: {made:?}", entry.scope);
    }
}
