//! What policy authors edit: taken in while running when it is right, refused with its place when it is not.

use std::path::{Path, PathBuf};
use std::process::Output;

use tempfile::TempDir;

use crate::support::golden::assert_golden;
use crate::support::world::run;
use crate::support::{World, eventually};

#[tokio::test]
async fn a_guardrail_takes_effect_while_running_and_its_removal_too() {
    let (folder, world) = with_policies().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let read = |object: &str| world.call("GET", &format!("/oss/reports/{object}")).bearer(&tokens.access);
    read("secret.csv").send().await.expect(200);
    let file = folder.path().join("guardrails/secrets.cedar");
    std::fs::write(&file, SECRETS).unwrap();
    let refused = eventually("the new guardrail forbids", || async {
        let answer = read("secret.csv").send().await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    let problem = refused.expect_problem(403, "access_denied");
    let text = problem.to_string();
    assert!(text.contains("Secrets stay at home."), "the author's reason: {text}");
    read("q1.csv").send().await.expect(200);

    std::fs::remove_file(&file).unwrap();
    eventually("nothing forbids any more", || async {
        (read("secret.csv").send().await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_file_with_a_fault_is_refused_with_its_place_and_the_last_good_set_stays() {
    let (folder, world) = with_policies().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let read = |object: &str| world.call("GET", &format!("/oss/reports/{object}")).bearer(&tokens.access);
    let file = folder.path().join("guardrails/secrets.cedar");
    std::fs::write(&file, SECRETS).unwrap();
    eventually("the guardrail forbids", || async {
        (read("secret.csv").send().await.status == 403).then_some(())
    })
    .await;

    for (text, place) in FAULTS {
        std::fs::write(&file, text).unwrap();
        eventually(&format!("the fault at {place} is told"), || {
            std::future::ready(world.narration().contains(place).then_some(()))
        })
        .await;
        read("secret.csv").send().await.expect_problem(403, "access_denied");
        read("q1.csv").send().await.expect(200);
    }
    std::fs::write(&file, SECRETS.replace("secret", "q1")).unwrap();
    eventually("the mended file counts", || async {
        (read("q1.csv").send().await.status == 403).then_some(())
    })
    .await;
    read("secret.csv").send().await.expect(200);
}

#[tokio::test]
async fn no_file_can_widen_a_consent() {
    let (folder, world) = with_policies().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let before = world.narration().len();
    let permit = "@id(\"wide\")\n@reason(\"x\")\npermit (principal, action, resource);\n";
    std::fs::write(folder.path().join("guardrails/wide.cedar"), permit).unwrap();
    eventually("the permit is refused", || {
        std::future::ready(world.narration().get(before..).unwrap().contains("wide.cedar:").then_some(()))
    })
    .await;
    let write = world.call("PUT", "/oss/reports/q1.csv").bearer(&tokens.access).body("x");
    write.send().await.expect_problem(403, "insufficient_scope");
}

#[test]
fn policies_that_start_with_a_fault_do_not_start() {
    let folder = copied();
    std::fs::write(folder.path().join("guardrails/secrets.cedar"), FAULTS[0].0).unwrap();
    let data = tempfile::tempdir().unwrap();
    let (policies, data) = (folder.path().to_str().unwrap(), data.path().to_str().unwrap());
    let ports = ["--control-port", "0", "--sidecar-port", "0", "--upstream-port", "0", "--admin-port", "0"];
    let output = run(&[&["dev", "--policies", policies, "--data", data][..], &ports].concat());
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains(FAULTS[0].1), "{}", stderr(&output));
}

#[test]
fn check_says_yes_to_what_is_shipped_and_no_to_a_fault_with_its_place() {
    let good = policy("check", &repository());
    assert_eq!(good.status.code(), Some(0), "{}", stderr(&good));
    for (text, place) in FAULTS {
        let folder = copied();
        std::fs::write(folder.path().join("guardrails/secrets.cedar"), text).unwrap();
        let bad = policy("check", folder.path());
        assert_eq!(bad.status.code(), Some(3), "{place}: {}", stderr(&bad));
        let told = format!("{}{}", String::from_utf8_lossy(&bad.stdout), stderr(&bad));
        assert!(told.contains(place), "{place}: {told}");
    }
}

#[test]
fn format_says_whether_files_are_formatted_and_mends_them() {
    let folder = copied();
    let file = folder.path().join("guardrails/secrets.cedar");
    let crowded = SECRETS.replace('\n', " ");
    std::fs::write(&file, &crowded).unwrap();
    let options = ["policy", "format", "--check", "--policies", folder.path().to_str().unwrap()];
    assert_eq!(run(&options).status.code(), Some(1), "{}", stderr(&run(&options)));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), crowded, "--check changes nothing");
    assert_eq!(policy("format", folder.path()).status.code(), Some(0));
    assert_eq!(run(&options).status.code(), Some(0), "{}", stderr(&run(&options)));
    assert_eq!(policy("check", folder.path()).status.code(), Some(0));
}

#[test]
fn test_runs_the_cases_beside_the_guardrails() {
    let good = policy("test", &repository());
    assert_eq!(good.status.code(), Some(0), "{}", stderr(&good));
    // Without its guardrail, a case that expects a denial fails.
    let folder = copied();
    let cases =
        std::fs::read_dir(folder.path().join("guardrails")).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = cases.filter(|path| path.to_string_lossy().ends_with(".test.json")).collect();
    cases.sort();
    let guardrail = cases[0].to_str().unwrap().replace(".test.json", ".cedar");
    std::fs::write(&guardrail, "").unwrap();
    let bad = policy("test", folder.path());
    assert_eq!(bad.status.code(), Some(1), "{}", stderr(&bad));
    let told = format!("{}{}", String::from_utf8_lossy(&bad.stdout), stderr(&bad));
    assert!(told.contains(cases[0].file_name().unwrap().to_str().unwrap()), "{told}");
}

#[tokio::test]
async fn show_prints_the_policies_of_a_grant_and_they_stay_as_they_are() {
    let world = World::start().await;
    world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    let client_id = world.seed("report-hub").client_id.clone();
    let data = world.data();
    let show = |account: &str| {
        run(&["policy", "show", &client_id, "--account", account, "--data", data.to_str().unwrap()])
    };
    let shown = show("acme");
    assert_eq!(shown.status.code(), Some(0), "{}", stderr(&shown));
    let text = String::from_utf8(shown.stdout).unwrap();
    for part in ["permit", "forbid", "/acs/oss:read", "/acs/ecs:read"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("/acs/alidns"), "{text}");
    let text = text.replace(&client_id, "CLIENT_ID").replace(&world.account("acme").id, "ACCOUNT_ID");
    assert_golden("grant.cedar", &text);
    let nothing = show("globex");
    assert_eq!(nothing.status.code(), Some(1), "{}", stderr(&nothing));
}

#[tokio::test]
async fn explain_tells_what_decided_and_the_next_step() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let data = world.data();
    let explain = |id: &str| run(&["policy", "explain", id, "--data", data.to_str().unwrap()]);
    let allowed = world.read_object(&tokens.access).await;
    let stop = world.rpc("ecs", "StopInstance").bearer(&tokens.access).send().await;
    for (answer, words) in [
        (&allowed, ["report-hub", "/acs/oss:read", "admin@acme"].as_slice()),
        (&stop, &["report-hub", "/acs/ecs", "declined"]),
    ] {
        let id = answer.header("x-consentry-decision");
        let told = eventually("the record is there", || {
            let output = explain(id);
            std::future::ready(output.status.success().then(|| String::from_utf8(output.stdout).unwrap()))
        })
        .await;
        for word in words {
            assert!(told.contains(word), "{word}: {told}");
        }
    }
    let unknown = explain("00000000-0000-7000-8000-000000000000");
    assert_eq!(unknown.status.code(), Some(1), "{}", stderr(&unknown));
    assert!(stderr(&unknown).contains("00000000-0000-7000-8000-000000000000"), "{}", stderr(&unknown));
}

/// A world on its own copy of the shipped policies.
async fn with_policies() -> (TempDir, World) {
    let folder = copied();
    let world = World::start_with(&["--policies", folder.path().to_str().unwrap()]).await;
    (folder, world)
}

/// The policies that are shipped, to be changed.
pub(crate) fn copied() -> TempDir {
    let from = repository();
    let folder = tempfile::tempdir().unwrap();
    let mut folders = vec![PathBuf::new()];
    while let Some(inner) = folders.pop() {
        for entry in std::fs::read_dir(from.join(&inner)).unwrap() {
            let name = inner.join(entry.unwrap().file_name());
            if from.join(&name).is_dir() {
                std::fs::create_dir(folder.path().join(&name)).unwrap();
                folders.push(name);
            } else {
                std::fs::copy(from.join(&name), folder.path().join(&name)).unwrap();
            }
        }
    }
    folder
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")
}

fn policy(command: &str, folder: &Path) -> Output {
    run(&["policy", command, "--policies", folder.to_str().unwrap()])
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const SECRETS: &str = r#"@id("secrets.no-reading")
@reason("Secrets stay at home.")
forbid (
  principal is Session,
  action == Action::"oss:GetObject",
  resource is Resource
)
when { resource.name like "*secret*" };
"#;

/// Faults, and the place that must be told.
const FAULTS: &[(&str, &str)] = &[
    // not Cedar
    ("@id(\"a\")\n@reason(\"b\")\nforbid (principal, action, resource)\n", "secrets.cedar:"),
    // an attribute that the schema does not know
    (
        "@id(\"a\")\n@reason(\"b\")\nforbid (principal is Session, action == Action::\"oss:GetObject\", resource is Resource)\nwhen { resource.colour == \"red\" };\n",
        "secrets.cedar:4:",
    ),
    // no reason
    (
        "\n@id(\"a\")\nforbid (principal is Session, action == Action::\"oss:GetObject\", resource is Resource);\n",
        "secrets.cedar:2:",
    ),
    // a permit
    (
        "@id(\"a\")\n@reason(\"b\")\n\npermit (principal is Session, action == Action::\"oss:GetObject\", resource is Resource);\n",
        "secrets.cedar:",
    ),
];
