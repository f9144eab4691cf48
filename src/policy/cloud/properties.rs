//! Whatever was granted, the policy allows that and no more: judged by a reader of policies that shares no code with
//! what makes them, over the shipped catalogue and over made-up ones that are far too large.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::judge::Judge;
use super::tests::{catalogue, made};
use super::*;
use crate::policy::Policies;
use crate::policy::tests::{scopes, shipped};

/// Holds a policy against what was granted.
fn holds(
    cloud: Cloud,
    catalogue: &Catalogue,
    granted: &ScopeSet,
    made: &SessionPolicy,
) -> Result<(), TestCaseError> {
    prop_assert!(made.as_str().len() <= LONGEST, "{} characters", made.as_str().len());
    let policy = Judge::of(&serde_json::from_str(made.as_str()).unwrap());
    let judged = |permission: &str| policy.allows(permission, "*", &[]);
    for (action, _) in catalogue.actions() {
        let needed = needs(cloud, action);
        let by_needs = needed.iter().all(|permission| judged(permission));
        let by_name = judged(action.as_str());
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

/// What somebody may give along: sense and nonsense, of every form that is understood.
fn narrowings(aws: bool) -> impl Strategy<Value = serde_json::Value> {
    let patterns: &[&str] = if aws {
        &[
            "*",
            "s3:*",
            "s3:Get*",
            "S3:LISTBUCKET",
            "s3:?etObject",
            "*:Describe*",
            "dynamodb:PutItem",
            "sqs:*Message*",
            "sts:*",
        ]
    } else {
        &[
            "*",
            "oss:*",
            "oss:Get*",
            "OSS:PUTOBJECT",
            "oss:?etObject",
            "*:Describe*",
            "ecs:StopInstance",
            "ecs:*Instance*",
        ]
    };
    let conditions = [
        serde_json::Value::Null,
        serde_json::json!({ "StringEquals": { "aws:username": ["alice", "bob"] } }),
        serde_json::json!({ "StringEqualsIfExists": { "aws:PrincipalTag/a": "b" }, "Bool": { "aws:SecureTransport": true } }),
    ];
    let statement = (
        prop::sample::select(vec!["Allow", "Allow", "Deny"]),
        prop::collection::vec(prop::sample::select(patterns), 1..4),
        prop::sample::select(vec!["*", "arn:aws:s3:::reports/*", "acs:oss:*:*:reports/*"]),
        prop::sample::select(conditions.to_vec()),
    );
    let statement = statement.prop_map(|(effect, action, resource, condition)| {
        let mut one = serde_json::json!({ "Effect": effect, "Action": action, "Resource": resource });
        if !condition.is_null() {
            one["Condition"] = condition;
        }
        one
    });
    let version = if aws { "2012-10-17" } else { "1" };
    prop::collection::vec(statement, 1..4)
        .prop_map(move |statements| serde_json::json!({ "Version": version, "Statement": statements }))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn whatever_policy_is_given_along_what_comes_out_allows_what_both_do(
        chosen in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
        (aws, given) in any::<bool>().prop_flat_map(|aws| (Just(aws), narrowings(aws))),
    ) {
        let catalogue = SHIPPED.catalogue();
        let all: Vec<_> = catalogue.scopes().map(|entry| entry.scope.clone()).collect();
        let granted: ScopeSet = chosen.iter().map(|index| index.get(&all).clone()).collect();
        let (cloud, account) = if aws { (Cloud::Aws, Some("123456789012")) } else { (Cloud::Alibaba, None) };
        let narrowing = Narrowing::read(cloud, &given.to_string()).unwrap();
        let wanted = Wanted { cloud, holder: Holder::Application, account, catalogue, narrowing: Some(&narrowing) };
        let made = wanted.policy(|action| catalogue.allows(&granted, action));
        let text = match &made {
            Ok(policy) => policy.as_str(),
            Err(NotExpressible::Nothing) => r#"{"Statement":[]}"#,
            Err(NotExpressible::TooLong { found }) => {
                prop_assert!(*found > LONGEST);
                return Ok(());
            }
            Err(NotExpressible::Mistaken) => {
                prop_assert!(false, "the check found a mistake");
                return Ok(());
            }
        };
        let (policy, along) = (Judge::of(&serde_json::from_str(text).unwrap()), Judge::of(&given));
        // Who needs each permission: what it may stand for.
        let mut needing = BTreeMap::<&str, Vec<&Action>>::new();
        for (action, _) in catalogue.actions() {
            needs(cloud, action).into_iter().for_each(|name| needing.entry(name).or_default().push(action));
        }
        needing.extend([("s3:BypassGovernanceRetention", Vec::new()), ("sts:AssumeRole", Vec::new())]);
        let sayable = |action: &Action| action.service() != "sts" && !action.as_str().contains('/');
        let inside = |action: &&Action| catalogue.allows(&granted, action) && sayable(action);
        for (name, actions) in needing {
            // What would be allowed without it, for however many letters that takes.
            let granted = actions.iter().any(inside)
                && actions.iter().all(|action| inside(action) || needs(cloud, action).len() > 1);
            let left_out = made.as_ref().is_ok_and(|made| made.left_out().iter().any(|one| actions.contains(&one)));
            for (resource, keys) in SITUATIONS {
                let foreign = aws && keys.contains(&("aws:ResourceAccount", "999999999999"));
                let both = granted && !foreign && along.allows(name, resource, keys);
                let out = policy.allows(name, resource, keys);
                prop_assert!(!out || both, "{name} on {resource}: {given} became {text}");
                // That one character is any is not said of every service of Alibaba Cloud.
                let exact = (aws || !given.to_string().contains('?')) && !left_out;
                prop_assert!(out || !both || !exact, "{name} on {resource}: {given} became {text}");
            }
        }
    }
}

/// A resource, and a request's keys.
const SITUATIONS: &[(&str, &[(&str, &str)])] = &[
    ("*", &[]),
    ("arn:aws:s3:::reports/a", &[("aws:ResourceAccount", "123456789012")]),
    ("arn:aws:s3:::other", &[("aws:username", "alice"), ("aws:SecureTransport", "true")]),
    ("acs:oss:*:1:reports/a", &[("aws:username", "eve")]),
    ("*", &[("aws:username", "alice"), ("aws:ResourceAccount", "999999999999")]),
];
