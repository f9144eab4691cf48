//! What a guardrail could forbid is out of reach of who calls the cloud itself, also by way of permissions that are each
//! allowed: judged by a reader of policies that shares no code with what makes them.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::judge::Judge;
use super::*;
use crate::policy::tests::{alice, around, call, folder_with, installed, session, shipped};
use crate::policy::{Policies, decide};

impl Wanted<'_> {
    /// The policy where there are no guardrails.
    pub(super) fn policy(&self, inside: impl Fn(&Action) -> bool) -> Result<SessionPolicy, NotExpressible> {
        self.guarded(inside, |_| false)
    }
}

/// A grant under guardrails, one of which forbids what `forbidden` names: in whole, or on some condition.
struct Guarded(Arc<Policies>);

impl Guarded {
    fn against(forbidden: &str, condition: &str) -> Self {
        let guardrail = format!(
            "@id(\"own\") @reason(\"r\") forbid (principal is Session, action == Action::\"{forbidden}\", resource is \
             Resource){condition};"
        );
        Self(Arc::new(Policies::load(folder_with(&guardrail).path()).unwrap()))
    }

    /// Which of `permissions` the session policy allows; `scopes` are those of grant and token.
    fn allows(&self, holder: Holder, scopes: &str, permitted: &str, permissions: &[&str]) -> Vec<bool> {
        let session = session(&self.0, installed(scopes), &alice(), scopes);
        let call = call(permitted, "reports/2026.csv");
        let permit = decide(&session, &call, &around()).unwrap();
        // The whole of such a service has no room in a policy of exact names.
        let given = serde_json::json!({ "Version": "2012-10-17", "Statement": {
            "Effect": "Allow", "Action": permissions, "Resource": "*" }});
        let narrowing = Narrowing::read(Cloud::Aws, &given.to_string()).unwrap();
        let made = permit.narrowed_session_policy(
            Cloud::Aws,
            holder,
            None,
            |service| matches!(service, "s3" | "dynamodb"),
            Some(&narrowing),
        );
        let judge = match &made {
            Ok(policy) => Judge::of(&serde_json::from_str(policy.as_str()).unwrap()),
            Err(NotExpressible::Nothing) => return permissions.iter().map(|_| false).collect(),
            Err(other) => panic!("{other}"),
        };
        permissions.iter().map(|name| judge.allows(name, "*", &[])).collect()
    }
}

const COPY: &[&str] = &["s3:GetObject", "s3:PutObject", "s3:ListBucket"];
const OBJECTS: &str = "openid /aws/s3:read /aws/s3:write";

#[test]
fn who_may_read_and_write_but_not_copy_is_not_given_both() {
    for condition in ["", " when { resource.name like \"secret/*\" }"] {
        let guarded = Guarded::against("s3:CopyObject", condition);
        let allows = |holder, scopes: &str, permitted: &str| guarded.allows(holder, scopes, permitted, COPY);
        assert_eq!(allows(Holder::Application, OBJECTS, "s3:GetObject"), [true, false, true]);
        // Whoever cannot read has nothing to copy.
        let write = "openid /aws/s3:write";
        assert_eq!(allows(Holder::Application, write, "s3:PutObject"), [false, true, false]);
        // A sidecar asks the guardrail at each call.
        assert_eq!(allows(Holder::Sidecar, OBJECTS, "s3:GetObject"), [true, true, true]);
    }
}

#[test]
fn who_may_read_and_write_is_given_both_where_no_guardrail_forbids_to_copy() {
    let guarded = Guarded::against("s3:DeleteBucket", "");
    assert_eq!(guarded.allows(Holder::Application, OBJECTS, "s3:GetObject", COPY), [true, true, true]);
    let catalogue = SHIPPED.catalogue();
    let wanted =
        Wanted { cloud: Cloud::Aws, holder: Holder::Application, account: None, catalogue, narrowing: None };
    // Each that goes by one of these two permissions alone, and so no copy.
    let apart =
        |action: &Action| matches!(needs(Cloud::Aws, action).as_slice(), ["s3:GetObject" | "s3:PutObject"]);
    let policy = wanted.policy(apart).unwrap();
    assert!(policy.as_str().contains("s3:GetObject") && policy.as_str().contains("s3:PutObject"));
    // A guardrail holds for what was not granted too: its permissions came with something else.
    let guarded = wanted.guarded(apart, |action| action.as_str() == "s3:CopyObject").unwrap();
    assert!(guarded.as_str().contains("s3:GetObject") && !guarded.as_str().contains("s3:PutObject"));
    assert!(guarded.left_out().contains(&Action::new("s3:PutObject")));
}

#[test]
fn who_may_not_write_several_at_once_is_given_nothing_that_such_a_write_could_be_made_of() {
    let table = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"];
    let scopes = "openid /aws/dynamodb:read /aws/dynamodb:write";
    let allows = |forbidden| {
        Guarded::against(forbidden, "").allows(Holder::Application, scopes, "dynamodb:GetItem", &table)
    };
    assert_eq!(allows("dynamodb:TransactWriteItems"), [true, false, false, false]);
    assert_eq!(allows("dynamodb:DeleteTable"), [true, true, true, true]);
    assert_eq!(allows("dynamodb:PutItem"), [true, false, true, true]);
}

/// Read once: it is large.
static SHIPPED: LazyLock<Arc<Policies>> = LazyLock::new(shipped);

/// The actions of the services that share permissions; those that need several stand first, again and again.
static SHARING: LazyLock<Vec<Action>> = LazyLock::new(|| {
    let among = |action: &&Action| matches!(action.service(), "s3" | "oss" | "dynamodb");
    let mut all: Vec<_> =
        SHIPPED.catalogue().actions().map(|(action, _)| action).filter(among).cloned().collect();
    all.sort();
    let several =
        |action: &&Action| [Cloud::Aws, Cloud::Alibaba].iter().any(|cloud| needs(*cloud, action).len() > 1);
    let several: Vec<_> = all.iter().filter(several).cloned().collect();
    let often = several.iter().cycle().take(all.len()).cloned().collect::<Vec<_>>();
    [often, all].concat()
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_forbidden_no_permissions_that_are_allowed_do_it_together(
        granted in prop::collection::vec(any::<prop::sample::Index>(), 1..30),
        forbidden in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        aws in any::<bool>(),
    ) {
        let named = |chosen: &[prop::sample::Index]| -> Vec<&Action> {
            chosen.iter().map(|index| index.get(&SHARING)).collect()
        };
        let (mut granted, forbidden) = (named(&granted), named(&forbidden));
        // What each is made of, so that there is something to be put together.
        let parts = SHARING.iter().filter(|one| forbidden.iter().any(|action| {
            needs(Cloud::Aws, action).contains(&one.as_str()) || needs(Cloud::Alibaba, action).contains(&one.as_str())
        }));
        granted.extend(parts);
        let (cloud, catalogue) = (if aws { Cloud::Aws } else { Cloud::Alibaba }, SHIPPED.catalogue());
        let wanted = Wanted { cloud, holder: Holder::Application, account: None, catalogue, narrowing: None };
        let make = || wanted.guarded(|action| granted.contains(&action), |action| forbidden.contains(&action));
        let made = make();
        prop_assert_eq!(&made, &make());
        let policy = match &made {
            Ok(policy) => policy,
            Err(NotExpressible::Nothing) => return Ok(()),
            Err(other) => return Err(TestCaseError::fail(other.to_string())),
        };
        let judge = Judge::of(&serde_json::from_str(policy.as_str()).unwrap());
        let judged = |name: &str| judge.allows(name, "*", &[]);
        for action in &forbidden {
            let needed = needs(cloud, action);
            prop_assert!(!judged(action.as_str()), "{action}: {}", policy.as_str());
            prop_assert!(!needed.iter().all(|name| judged(name)), "{action}: {}", policy.as_str());
            let in_part = goes_by_content(cloud, action) && needed.iter().any(|name| judged(name));
            prop_assert!(!in_part, "{action}: {}", policy.as_str());
        }
        // Nor is more left out than has to be.
        for action in granted.iter().filter(|action| !forbidden.contains(action)) {
            let needed = needs(cloud, action);
            let with = |name: &str| judged(name) || needed.iter().any(|one| one.eq_ignore_ascii_case(name));
            let closes = |other: &Action| {
                let several = needs(cloud, other);
                let together = several.iter().all(|name| with(name));
                let in_part = goes_by_content(cloud, other) && several.iter().any(|name| with(name));
                let only = several.len() == 1 && with(several[0]);
                with(other.as_str()) || (forbidden.contains(&other) && (together || in_part)) || only
            };
            let barred = |other: &Action| forbidden.contains(&other) || !granted.contains(&other);
            let has_to_be = catalogue.actions().any(|(other, _)| barred(other) && closes(other));
            prop_assert_eq!(needed.iter().all(|name| judged(name)), !has_to_be, "{}: {}", action, policy.as_str());
        }
    }
}
