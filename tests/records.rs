//! Every call leaves one record whatever its end, and operators see how the system fares.

use serde_json::Value;

use crate::support::golden::assert_golden;
use crate::support::{World, eventually, get};

#[tokio::test]
async fn the_id_in_an_answer_leads_to_the_record_of_an_allowed_call() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    let answer = world.read_object(&tokens.access).await;
    answer.expect(200);
    let id = answer.header("x-consentry-decision").to_owned();
    let record = record(&world, "acme", &id).await;
    assert_eq!(record["application"], world.seed("report-hub").client_id.as_str(), "{record}");
    assert_eq!(record["account"], world.account("acme").id.as_str(), "{record}");
    assert_eq!(record["action"], "oss:GetObject", "{record}");
    assert_eq!(
        (&record["outcome"], &record["code"], &record["status"]),
        (&"forwarded".into(), &"ok".into(), &200.into())
    );
    assert_eq!((&record["method"], &record["path"]), (&"GET".into(), &"/oss/reports/q1.csv".into()));
    assert!(record["resource"].to_string().contains("reports"), "{record}");
    assert!(record["principal"].as_str().unwrap().starts_with("user/"), "{record}");
    assert!(record["scopes"].to_string().contains("/acs/oss:read"), "{record}");
    assert!(!record["policy"].is_null() && !record["cache"].is_null(), "{record}");
    assert!(record["grant"].is_string() && record["grant.revision"] == 1, "{record}");
    assert!(record["took"]["decide"].is_u64() && record["took"]["total"].is_u64(), "by phase: {record}");
    assert!(!record.to_string().contains(&tokens.access), "no credential in a record");
    assert_eq!(world.last_seen().await["headers"]["x-consentry-decision"], id.as_str());
}

#[tokio::test]
async fn a_refused_call_leaves_one_too_with_its_reason() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let refused = world.call("PUT", "/oss/reports/q1.csv").bearer(&tokens.access).body("x").send().await;
    let problem = refused.expect_problem(403, "insufficient_scope");
    let id = refused.header("x-consentry-decision");
    assert!(problem.to_string().contains(id), "the body names it too: {problem}");
    let record = record(&world, "acme", id).await;
    assert_eq!(record["action"], "oss:PutObject", "{record}");
    assert_eq!((&record["outcome"], &record["code"]), (&"denied".into(), &"insufficient_scope".into()));
    assert!(record["missing"].to_string().contains("/acs/oss:write"), "{record}");
}

#[tokio::test]
async fn an_account_sees_its_own_records_only() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let id = world.read_object(&tokens.access).await.header("x-consentry-decision").to_owned();
    record(&world, "acme", &id).await;
    assert!(records(&world, "globex").await.iter().all(|record| record["id"] != id.as_str()));
    get(format!("{}/api/v1/decisions", world.issuer)).send().await.expect(401);
}

#[tokio::test]
async fn the_admin_port_tells_liveness_readiness_and_metrics() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    world.read_object(&tokens.access).await.expect(200);
    world.read_object("nonsense").await.expect(401);
    get(format!("{}/livez", world.admin)).send().await.expect(200);
    let ready = get(format!("{}/readyz", world.admin)).send().await.expect(200);
    assert!(ready.is_object(), "with its reasons: {ready}");

    // Calls are counted when their records are written, which is a moment later.
    let text = eventually("both calls are counted", || async {
        let metrics = get(format!("{}/metrics", world.admin)).send().await;
        metrics.expect(200);
        let text = metrics.text();
        let counted = text.contains("outcome=\"forwarded\"") && text.contains("code=\"invalid_token\"");
        counted.then_some(text)
    })
    .await;
    assert!(!text.contains(&tokens.access) && !text.contains("alice"), "nobody's name is a label");

    // And nowhere else.
    for base in [&world.issuer, &world.sidecar] {
        for path in ["/metrics", "/livez", "/readyz"] {
            let answer = get(format!("{base}{path}")).send().await;
            assert!([401, 403, 404].contains(&answer.status), "{base}{path}: {}", answer.status);
        }
    }
}

#[tokio::test]
async fn the_names_of_the_metrics_stay_as_they_are() {
    let world = World::start().await;
    let metrics = get(format!("{}/metrics", world.admin)).send().await.text();
    let mut kinds: Vec<_> = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    kinds.sort_unstable();
    assert!(!kinds.is_empty() && kinds.iter().all(|kind| kind.starts_with("consentry_")), "{kinds:?}");
    assert_golden("metrics.txt", &kinds.join("\n"));
}

#[tokio::test]
async fn a_trace_goes_through_and_a_malformed_one_does_not() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let call = |parent: &str| {
        let call = world.call("GET", "/oss/reports/q1.csv").bearer(&tokens.access);
        call.header("traceparent", parent).header("tracestate", "vendor=1")
    };
    let answer = call(&format!("00-{trace}-00f067aa0ba902b7-01")).send().await;
    answer.expect(200);
    let seen = world.last_seen().await;
    let parent = seen["headers"]["traceparent"].as_str().unwrap();
    assert!(parent.starts_with(&format!("00-{trace}-")) && parent.ends_with("-01"), "{parent}");
    assert!(!parent.contains("00f067aa0ba902b7"), "with a span of our own: {parent}");
    assert_eq!(seen["headers"]["tracestate"], "vendor=1");
    let record = record(&world, "acme", answer.header("x-consentry-decision")).await;
    assert_eq!(record["trace"], trace, "{record}");

    for malformed in ["00-0-0-01", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"] {
        call(malformed).send().await.expect(200);
        let seen = world.last_seen().await;
        let parent = seen["headers"]["traceparent"].as_str().unwrap_or_default().to_owned();
        assert!(parent != malformed && !parent.contains(trace), "{parent}");
    }
}

/// The record with this id, once it is there.
async fn record(world: &World, alias: &str, id: &str) -> Value {
    eventually("the record is there", || async {
        records(world, alias).await.into_iter().find(|record| record["id"] == id)
    })
    .await
}

async fn records(world: &World, alias: &str) -> Vec<Value> {
    let answer = world.api(alias, "GET", "/decisions").send().await.expect(200);
    answer.as_array().or(answer["decisions"].as_array()).unwrap().clone()
}
