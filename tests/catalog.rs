//! A scope file is proposed from what a product says of itself, taken by `policy check`, and never written over one that
//! is there.

use std::path::Path;

use serde_json::Value;

use crate::policy_files::copied;
use crate::support::World;
use crate::support::world::run;

#[test]
fn a_proposal_joins_a_policy_folder_and_passes_its_check() {
    let folder = copied();
    let list = folder.path().join("operations.txt");
    std::fs::write(&list, "DescribeLoadBalancers\nDeleteLoadBalancer\nListTagResources\n").unwrap();
    let out = folder.path().join("scopes/slb.json");
    let import = |more: &[&str]| {
        let (list, out) = (list.to_str().unwrap(), out.to_str().unwrap());
        let fixed = ["catalog", "import", "--from", "api-list", list, "--product", "slb", "--out", out];
        run(&[fixed.as_slice(), more].concat())
    };
    let done = import(&[]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert!(
        done.stdout.is_empty()
            && String::from_utf8(done.stderr).unwrap().contains("2 operations read, 1 change")
    );
    let check = run(&["policy", "check", "--policies", folder.path().to_str().unwrap()]);
    assert_eq!(check.status.code(), Some(0), "{check:?}");

    // What a person has made of it stays.
    std::fs::write(&out, "edited").unwrap();
    let again = import(&[]);
    assert_eq!(again.status.code(), Some(2), "{again:?}");
    assert!(String::from_utf8(again.stderr).unwrap().contains("--force"));
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "edited");
    assert_eq!(import(&["--force"]).status.code(), Some(0));
    assert!(std::fs::read_to_string(&out).unwrap().contains("slb:DescribeLoadBalancers"));
}

#[test]
fn without_out_the_proposal_is_data_and_a_bad_document_writes_nothing() {
    let folder = copied();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("tools.json"), r#"{"tools":[{"name":"look","annotations":{"readOnlyHint":true}}]}"#)
        .unwrap();
    let import = |file: &Path, more: &[&str]| {
        run(&[
            ["catalog", "import", "--from", "mcp", file.to_str().unwrap(), "--product", "notes"].as_slice(),
            more,
        ]
        .concat())
    };
    let shown = import(&at("tools.json"), &[]);
    assert_eq!(shown.status.code(), Some(0), "{shown:?}");
    let proposal: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(proposal["service"], "notes");

    std::fs::write(at("bad.json"), "{\"tools\": [{\"name\": \"a b\"}]}").unwrap();
    let refused = import(&at("bad.json"), &["--out", at("scopes/notes.json").to_str().unwrap()]);
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(3), 0), "{refused:?}");
    assert!(!at("scopes/notes.json").exists());
    assert_eq!(import(&at("missing.json"), &[]).status.code(), Some(4));
}

#[tokio::test]
async fn calls_are_decided_by_a_proposal_as_a_person_has_edited_it() {
    let folder = copied();
    let (document, out) = (folder.path().join("dns.yaml"), folder.path().join("scopes/alidns.json"));
    std::fs::write(&document, DNS).unwrap();
    let [document, file, at] = [&document, &out, folder.path()].map(|path| path.to_str().unwrap());
    let import = ["catalog", "import", "--from", "openapi", document, "--product", "alidns"];
    let done = run(&[import.as_slice(), &["--under", "/acs", "--out", file, "--force"]].concat());
    assert_eq!(done.status.code(), Some(0), "{done:?}");

    // What is asked for by POST was taken for a change; a person knows that it only looks, and moves it.
    let mut proposal: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    let scopes = proposal["scopes"].as_array_mut().unwrap();
    let mut actions = |scope: &str| {
        let found = scopes.iter_mut().find(|one| one["scope"] == scope).unwrap();
        std::mem::take(found["actions"].as_array_mut().unwrap())
    };
    let (mut read, mut write) = (actions("/acs/alidns:read"), actions("/acs/alidns:write"));
    assert_eq!(read, ["alidns:DescribeDomainRecords"]);
    assert_eq!(write, ["alidns:AddDomainRecord", "alidns:DeleteDomain", "alidns:DescribeDomainLogs"]);
    read.push(write.pop().unwrap());
    for (scope, actions) in [("/acs/alidns:read", read), ("/acs/alidns:write", write)] {
        let found = scopes.iter_mut().find(|one| one["scope"] == scope).unwrap();
        found["actions"] = actions.into();
    }
    std::fs::write(&out, proposal.to_string()).unwrap();
    let check = run(&["policy", "check", "--policies", at]);
    assert_eq!(check.status.code(), Some(0), "{check:?}");

    let world = World::start_with(&["--policies", at]).await;
    let (_, tokens) = world.published("names", &["/acs/alidns:read"]).await;
    let call = |action: &str| world.rpc("alidns", action).bearer(&tokens.access).send();
    call("DescribeDomainRecords").await.expect(200);
    call("DescribeDomainLogs").await.expect(200);
    let (before, _) = world.seen().await;
    let refused = call("AddDomainRecord").await.expect_problem(403, "insufficient_scope");
    assert!(refused.to_string().contains("/acs/alidns:write"), "{refused}");
    // Of what the document does not speak, nobody has anything.
    call("DeleteDomainRecord").await.expect_problem(403, "access_denied");
    assert_eq!(world.seen().await.0, before, "nothing more has reached the upstream");
}

const DNS: &str = r#"
openapi: 3.1.0
info: { title: "Domain names", version: "1" }
paths:
  /records:
    get: { operationId: DescribeDomainRecords }
    post: { operationId: AddDomainRecord }
  /domains/{name}:
    delete: { operationId: DeleteDomain }
  /logs:
    post: { operationId: DescribeDomainLogs }
"#;
