//! A gRPC service behind a sidecar, with a client that others wrote: calls are decided by service and method, and what
//! is open when the application is deleted ends by the status that gRPC has for it.

use serde_json::json;

use crate::support::fleet::Fleet;
use crate::support::script::Script;

#[tokio::test]
async fn grpc_calls_are_decided_and_streams_end_with_the_application_by_status_16() {
    let mut script = Script::start("grpc_watch.py", &json!({}));
    let service = script.hear();
    let mut fleet = Fleet::start().await;
    let tokens = fleet.world.install("report-hub", "admin@acme", &[]).await;
    let token = fleet.invite("web", &[]);
    let sidecar = fleet.lone("web", &token, &ROUTES.replace("PORT", &service["port"].to_string())).await;
    sidecar.until_ready().await;
    let address = sidecar.url.strip_prefix("http://").unwrap();
    script.tell(&json!({ "sidecar": address, "token": tokens.access }));

    let called = script.hear();
    assert_eq!(called["answer"], "q1, answered");
    let authorization = called["seen"]["authorization"].as_str().unwrap();
    assert!(
        authorization.starts_with("Bearer ") && !authorization.contains(&tokens.access),
        "the user's identity"
    );
    assert_eq!(script.hear(), json!({ "code": "UNAUTHENTICATED", "seen": 1 }), "without a token");
    assert_eq!(script.hear(), json!({ "code": "PERMISSION_DENIED", "seen": 1 }), "a method of another scope");

    assert_eq!(script.hear()["open"], 2);
    let receipt = fleet.world.delete_application("acme", "report-hub").await.expect(200);
    assert_eq!(receipt["streams_closed"], 2, "{receipt}");
    let ends = script.hear();
    for stream in ["watched", "talked"] {
        assert_eq!(ends[stream]["code"], "UNAUTHENTICATED", "{ends}");
        assert!(ends[stream]["details"].as_str().unwrap().contains("authorize again"), "{ends}");
    }
    let after = script.hear();
    assert!(after["code"] == "UNAUTHENTICATED" || after["code"] == "PERMISSION_DENIED", "{after}");
    assert_eq!(script.hear()["told_the_service"], true);
    script.finish();
}

const ROUTES: &str = r#"
[upstreams.objects]
url = "http://127.0.0.1:PORT"
http2 = true

[[route]]
path = "/demo.Objects/Other"
upstream = "objects"
adapter = "rest"
actions = { POST = "oss:PutObject" }
resource = "*"

[[route]]
path = "/demo.Objects/{method}"
upstream = "objects"
adapter = "rest"
actions = { POST = "oss:WatchObjects" }
resource = "*"
"#;
