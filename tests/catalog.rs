//! A scope file is proposed from what a product says of itself, taken by `policy check`, and never written over one that
//! is there.

use std::path::Path;

use crate::support::world::run;

#[test]
fn a_proposal_joins_a_policy_folder_and_passes_its_check() {
    let folder = policies();
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
    let folder = policies();
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

/// A copy of the shipped policies.
fn policies() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    for part in ["scopes", "guardrails"] {
        std::fs::create_dir(folder.path().join(part)).unwrap();
        for entry in std::fs::read_dir(shipped.join(part)).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), folder.path().join(part).join(entry.file_name())).unwrap();
        }
    }
    std::fs::copy(shipped.join("console.cedar"), folder.path().join("console.cedar")).unwrap();
    folder
}
