//! An independent, slow evaluator over plain facts, held against `decide` on many random cases. It shares no code
//! with the layer: scopes are strings, actions are looked up in the scope files' JSON.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
struct Case {
    granted: BTreeSet<&'static str>,
    token: BTreeSet<&'static str>,
    consented: Option<BTreeSet<&'static str>>,
    official: bool,
    assigned_only: bool,
    assigned: bool,
    suspended: bool,
    enabled: bool,
    root: bool,
    action: &'static str,
    name: &'static str,
    foreign: bool,
}

const SCOPES: [&str; 8] = [
    "openid",
    "/acs/oss",
    "/acs/oss:read",
    "/acs/oss:write",
    "/acs/ecs",
    "/acs/ecs:read",
    "/acs/mcp-server",
    "/acs/unheard-of",
];
const ACTIONS: [&str; 8] = [
    "oss:GetObject",
    "oss:PutObject",
    "oss:DeleteMultipleObjects",
    "ecs:DescribeDisks",
    "ecs:RunCommand",
    "identity:ReadSubject",
    "mcp-server:CallTool/stop_instance",
    "oss:NoSuchThing",
];
const NAMES: [&str; 3] = ["books/a", "books/legal-hold/a", "*"];

/// The scopes that give `action`, spelled by hand from its name, not from the files.
fn giving(action: &str) -> Vec<&'static str> {
    match action {
        "oss:GetObject" => vec!["/acs/oss", "/acs/oss:read"],
        "oss:PutObject" | "oss:DeleteMultipleObjects" => vec!["/acs/oss", "/acs/oss:write"],
        "ecs:DescribeDisks" => vec!["/acs/ecs", "/acs/ecs:read"],
        "ecs:RunCommand" => vec!["/acs/ecs"],
        "identity:ReadSubject" => vec!["openid"],
        "mcp-server:CallTool/stop_instance" => vec!["/acs/mcp-server"],
        _ => vec![],
    }
}

fn expected(case: &Case) -> bool {
    let covers = |set: &BTreeSet<&str>| giving(case.action).iter().any(|scope| set.contains(scope));
    let guarded = (case.action == "oss:PutObject" && case.name.contains("/legal-hold/"))
        || case.action == "oss:DeleteMultipleObjects"
        || (case.action == "ecs:RunCommand" && case.root);
    !case.suspended
        && case.enabled
        && !case.foreign
        && covers(&case.granted)
        && covers(&case.token)
        && (case.assigned || !(case.official || case.assigned_only))
        && (!case.official || case.consented.as_ref().is_some_and(covers))
        && !guarded
}

fn some_scopes() -> impl Strategy<Value = BTreeSet<&'static str>> {
    proptest::collection::btree_set(proptest::sample::select(&SCOPES[..]), 0..6)
}

prop_compose! {
    fn cases()(
        granted in some_scopes(),
        token in some_scopes(),
        consented in proptest::option::weighted(0.8, some_scopes()),
        (official, assigned_only, root) in any::<(bool, bool, bool)>(),
        (assigned, enabled) in (proptest::bool::weighted(0.8), proptest::bool::weighted(0.9)),
        (suspended, foreign) in (proptest::bool::weighted(0.1), proptest::bool::weighted(0.1)),
        action in proptest::sample::select(&ACTIONS[..]),
        name in proptest::sample::select(&NAMES[..]),
    ) -> Case {
        Case {
            granted, token, consented, official, assigned_only, assigned, suspended, enabled, root, action, name,
            foreign,
        }
    }
}

fn joined(set: &BTreeSet<&str>) -> String {
    set.iter().copied().collect::<Vec<_>>().join(" ")
}

fn ask(policies: &Arc<Policies>, case: &Case) -> (bool, bool) {
    let mut facts = installed(&joined(&case.granted));
    facts.application.official = case.official;
    if case.assigned_only {
        facts.grant.assignment = AssignmentMode::Assigned;
    }
    if case.suspended {
        facts.grant.state = GrantState::Suspended;
    }
    let mut member = if case.root { root() } else { alice() };
    member.assigned = case.assigned;
    member.principal.enabled = case.enabled;
    member.consented = case.consented.as_ref().map(|set| scopes(&joined(set)));
    let mut call = call(case.action, case.name);
    if case.foreign {
        call.resource.account = "1000000000000002".parse().unwrap();
    }
    let session = session(policies, facts, &member, &joined(&case.token));
    let first = decide(&session, &call, &around());
    let second = decide(&session, &call, &around());
    assert_eq!(first.is_ok(), second.is_ok(), "the memory disagrees with itself");
    let cedar_alone = super::super::decide::second_wall_alone(&session, &call, &around());
    (first.is_ok(), cedar_alone)
}

proptest! {
    #[test]
    fn decide_agrees_with_a_slow_evaluator(cases in proptest::collection::vec(cases(), 1..4)) {
        thread_local! { static POLICIES: Arc<Policies> = shipped(); }
        for case in cases {
            let (allowed, _) = POLICIES.with(|policies| ask(policies, &case));
            prop_assert_eq!(allowed, expected(&case), "{:?}", case);
        }
    }

    #[test]
    fn cedar_alone_allows_no_more_than_the_grant(case in cases()) {
        thread_local! { static POLICIES: Arc<Policies> = shipped(); }
        let (_, cedar) = POLICIES.with(|policies| ask(policies, &case));
        // whether the identity is enabled is no entity's attribute: the first wall alone knows it
        prop_assert!(!cedar || expected(&Case { enabled: true, ..case.clone() }), "{:?}", case);
    }
}
