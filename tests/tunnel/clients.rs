//! The clients that ask for tunnels by themselves, each as its proxy and its trust are set: the clouds' own SDKs, and curl.

use std::process::Command;

use serde_json::{Value, json};

use super::Opened;
use crate::support::World;
use crate::support::fleet::Fleet;
use crate::support::script::Script;

// Not one thread alone: the upstream answers while the client is waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clouds_python_clients_call_over_https_through_the_sidecar() {
    let opened = Opened::start("").await;
    let key = opened.exchange().await;
    let call = |client: &str, action: &str, host: &str| {
        json!({
            "client": client, "endpoint": host, "proxy": opened.sidecar.url, "ca": opened.authority, "key": key,
            "action": action, "instance": "i-1",
        })
    };
    let ecs = "ecs.cn-hangzhou.aliyuncs.com";
    let mut script = Script::start("acs_clients.py", &call("ecs", "DescribeInstances", ecs));
    assert_eq!(script.hear(), json!({ "status": 200 }));
    let mut ask = |asked: Value| script.ask(&asked);
    let mut bearer = call("ecs", "DescribeInstances", ecs);
    bearer["bearer"] = json!(opened.tokens.access);
    for allowed in
        [call("core", "DescribeInstances", ecs), call("core-common", "DescribeInstances", ecs), bearer]
    {
        assert_eq!(ask(allowed), json!({ "status": 200 }));
    }
    let before = opened.fleet.cloud.seen();
    assert_eq!(before, 4);
    for client in ["ecs", "core"] {
        let refused = ask(call(client, "StopInstance", ecs));
        assert_eq!(refused["error"]["code"], "NoPermission", "{refused}");
        assert!(refused.to_string().contains("/acs/ecs"), "it names the scope: {refused}");
        // No tunnel leads to where nothing is intercepted.
        let elsewhere = ask(call(client, "DescribeInstances", "rds.aliyuncs.com")).to_string();
        assert!(elsewhere.contains("403"), "{elsewhere}");
        let mut distrustful = call(client, "DescribeInstances", ecs);
        distrustful["ca"] = json!(opened.fleet.world.data().join("other.crt"));
        let refused = ask(distrustful).to_string();
        assert!(refused.contains("CERTIFICATE_VERIFY_FAILED"), "{refused}");
    }
    let mut seen = 0;
    assert_eq!(opened.recorded("tunnel_to_host", &mut seen).await["path"], "rds.aliyuncs.com:443");
    assert_eq!(opened.recorded("tunnel_not_trusted", &mut seen).await["path"], format!("{ecs}:443"));

    // Kept open by the client or not, nothing comes through after the deletion.
    opened.fleet.world.delete_application("acme", "report-hub").await.expect(200);
    for client in ["ecs", "core"] {
        let refused = ask(call(client, "DescribeInstances", ecs));
        assert_eq!(refused["error"]["code"], "NoPermission", "{client}: {refused}");
    }
    assert_eq!(opened.fleet.cloud.seen(), before, "nothing more has reached the upstream");
}

#[tokio::test]
async fn boto3_calls_the_endpoints_of_aws_over_https_through_the_sidecar() {
    let mut script = Script::start("aws_boto.py", &json!({}));
    let moto = script.hear();
    let fleet = Fleet::start().await;
    let scopes = ["/aws/s3", "/aws/dynamodb", "/aws/sqs", "/aws/ec2:read", "/aws/sts:read"];
    let (application, tokens) = fleet.world.published("aws-reports", &scopes).await;
    let more = "host = \"*.amazonaws.com\"\nintercept = true\n";
    let settings = crate::aws::settings(&fleet, &moto, more);
    let opened = Opened::with(fleet, tokens, &settings).await;
    let credentials = opened.exchange().await;
    let mut run = |run: &str| {
        let proxy = json!([opened.sidecar.url, opened.authority]);
        script.ask(&json!({ "run": run, "sidecar": proxy, "credentials": credentials }))
    };
    let done = run("allowed");
    let session = format!("admin@acme.{}", application.client_id);
    assert_eq!(done["who"], format!("arn:aws:sts::123456789012:assumed-role/consentry/{session}"), "{done}");
    assert_eq!((&done["objects"]["back"], &done["items"]), (&json!(true), &json!(4)), "{done}");
    let hosts: Vec<String> =
        opened.sidecar.records().iter().filter(|record| record["method"] == "CONNECT").map(path).collect();
    for host in ["s3.eu-central-1.amazonaws.com:443", "sts.eu-central-1.amazonaws.com:443"] {
        assert!(hosts.iter().any(|known| known == host), "{host}: {hosts:?}");
    }
    let done = run("declined");
    for (what, code, scope) in [
        ("ec2", "UnauthorizedOperation", "/aws/ec2"),
        ("lambda", "AccessDeniedException", "/aws/lambda:read"),
    ] {
        assert_eq!(done[what]["code"], code, "{done}");
        assert!(done[what]["message"].as_str().unwrap().contains(scope), "{done}");
    }
    assert_eq!(run("one")["status"], 200);
    let path = format!("/applications/{}", application.client_id);
    let receipt = opened.fleet.world.api("acme", "DELETE", &path).send().await.expect(200);
    assert_eq!(receipt["effective"], true, "{receipt}");
    assert_eq!(run("one")["status"], 403);
    script.tell(&json!({ "run": "end" }));
    script.finish();
}

// Not one thread alone: the upstream answers while the client is waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_is_answered_in_either_protocol_and_believes_the_authority_alone() {
    let opened = Opened::start("").await;
    let url = "https://oss.example.com/oss/reports/q1.csv";
    let bearer = format!("authorization: Bearer {}", opened.tokens.access);
    let curl = |more: &[&str]| curl(&opened.sidecar.url, more);
    for (version, spoken) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let told = curl(&[version, "--cacert", &opened.authority, "-H", &bearer, url]);
        assert_eq!(told.1, format!("200 {spoken} 0"), "{}", told.0);
        let told = curl(&[version, "--cacert", &opened.authority, url]);
        assert_eq!(told.1, format!("401 {spoken} 0"), "{}", told.0);
    }
    let told = curl(&["--cacert", &opened.authority, "-H", &bearer, "-X", "PUT", url]);
    assert!(told.0.contains("insufficient_scope") && told.1.starts_with("403"), "{told:?}");
    // Neither who trusts nobody's authority nor a host that no route names gets as far as a call.
    assert_eq!(curl(&["-H", &bearer, url]).1.rsplit(' ').next(), Some("60"));
    assert_eq!(curl(&["--cacert", &opened.authority, "https://rds.example.com/"]).1, "000 0 56");
    let mut seen = 0;
    opened.recorded("tunnel_not_trusted", &mut seen).await;
    assert_eq!(opened.recorded("tunnel_to_host", &mut seen).await["path"], "rds.example.com:443");

    // A sidecar that has no authority opens none at all.
    let world = World::start().await;
    let (_, told) = self::curl(&world.sidecar, &["https://ecs.aliyuncs.com/"]);
    assert_eq!(told, "000 0 56");
}

/// What curl has written; and the status, the version of HTTP and its own exit code.
fn curl(proxy: &str, more: &[&str]) -> (String, String) {
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "20", "--proxy", proxy, "--noproxy", ""])
        .args(["--write-out", "\n%{http_code} %{http_version} %{exitcode}"])
        .args(more)
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let (body, told) = told.rsplit_once('\n').unwrap();
    (format!("{body}{}", String::from_utf8_lossy(&output.stderr)), told.to_owned())
}

fn path(record: &Value) -> String {
    record["path"].as_str().unwrap().to_owned()
}
