//! Everything in `deploy` is read by the tools that will read it: settings by the program, manifests by kubectl and
//! Kubernetes' schemas, units by systemd, access rules by Redis. A file that nothing reads is a failure.

mod compose;
mod host;
mod kubernetes;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::script;
use crate::support::world::consentry;

#[test]
fn every_file_is_read_by_some_test() {
    let forgotten: Vec<_> = files().into_iter().filter(|path| reader(path).is_none()).collect();
    assert!(forgotten.is_empty(), "no test reads {forgotten:?}: add them where they belong");
}

#[test]
fn every_settings_file_is_good_for_its_role_and_a_mistake_in_it_is_seen() {
    let found: Vec<_> =
        files().into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "toml")).collect();
    assert!(found.len() > 10, "{found:?}");
    for path in found {
        let role = if path.ends_with("control.toml") { "control plane" } else { "sidecar" };
        let (text, policies) = (fs::read_to_string(deploy().join(&path)).unwrap(), root().join("policies"));
        is_good(role, &text, &policies);
        let bad = check(&format!("{text}\nnonsense = 1\n"), &policies);
        assert!(bad.status.code() == Some(3) && err(&bad).contains("nonsense"), "{}", err(&bad));
    }
}

/// What people are told to type is what the program understands: asked for its help, it says nothing of a mistake.
#[test]
fn every_command_that_a_file_or_guide_names_is_one_that_the_program_has() {
    let guides = fs::read_dir(root().join("src/docs")).unwrap().map(|file| file.unwrap().path());
    let texts =
        files().into_iter().map(|file| deploy().join(file)).chain(guides).chain([root().join("README.md")]);
    let mut seen = 0;
    for path in texts {
        let text = fs::read_to_string(&path).unwrap();
        for (_, rest) in text.match_indices("consentry sidecars ").map(|(at, _)| text.split_at(at)) {
            let words =
                rest.split(['`', '\n', '\\', ';', '|', '>']).next().unwrap().split_whitespace().skip(1);
            let asked = consentry().args(words).arg("--help").output().unwrap();
            assert!(asked.status.success(), "{}: {}", path.display(), err(&asked));
            seen += 1;
        }
    }
    assert!(seen >= 4, "{seen}");
    assert!(
        !consentry()
            .args(["sidecars", "invite", "--name", "web", "--help"])
            .output()
            .unwrap()
            .status
            .success()
    );
}

/// Which test reads a file.
fn reader(path: &Path) -> Option<&'static str> {
    let text = |name: &str| fs::read_to_string(deploy().join(name)).unwrap();
    let name = path.file_name().unwrap().to_string_lossy();
    let parts: Vec<_> = path.iter().map(|part| part.to_str().unwrap()).collect();
    match parts.as_slice() {
        [.., file] if file.ends_with(".toml") => Some("every_settings_file_is_good_for_its_role"),
        ["kubernetes", "overlays", overlay, _] => {
            kubernetes::SITES.contains(&format!("overlays/{overlay}").as_str()).then_some("kubernetes")
        }
        // The overlays render what the base and the components name.
        ["kubernetes", "base" | "components", .., "kustomization.yaml"] => Some("kubernetes"),
        ["kubernetes", "base" | "components", ..] => {
            let beside = deploy().join(path).with_file_name("kustomization.yaml");
            fs::read_to_string(beside).unwrap().contains(&*name).then_some("kubernetes")
        }
        ["systemd", file] if file.ends_with(".service") => host::UNITS.contains(file).then_some("host"),
        ["compose.yaml" | "Dockerfile" | "Dockerfile.dockerignore"] | ["compose", "secrets.sh"] => {
            Some("compose")
        }
        ["build.rs"] => {
            let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
            manifest.contains("build = \"deploy/build.rs\"").then_some("Cargo, at each build")
        }
        ["compose", ".gitignore"] => text("compose/.gitignore").contains("/secrets/").then_some("compose"),
        ["compose", "secrets", _] => Some("nobody: one's own, and never committed"),
        ["compose", rest @ ..] => {
            text("compose.yaml").contains(&format!("./compose/{}:", rest.join("/"))).then_some("compose")
        }
        _ => None,
    }
}

/// Has the program read settings, with these policies in the place of those that they mount.
fn check(settings: &str, policies: &Path) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.toml");
    fs::write(&path, settings.replace("/etc/consentry/policies", &policies.display().to_string())).unwrap();
    consentry().arg("check").arg("--config").arg(&path).current_dir(root()).output().unwrap()
}

fn is_good(role: &str, settings: &str, policies: &Path) {
    let good = check(settings, policies);
    assert!(good.status.success() && out(&good).contains(role), "{}{}\n{settings}", out(&good), err(&good));
}

/// What `deploy_files.py` makes of a text.
fn parsed(kind: &str, text: &str) -> Value {
    let mut reading = script::command("deploy_files.py");
    reading.arg(kind).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut reading = reading.spawn().unwrap();
    // It reads everything before it writes anything; one that fails early closes the pipe.
    let _ = reading.stdin.take().unwrap().write_all(text.as_bytes());
    let output = reading.wait_with_output().unwrap();
    assert!(output.status.success(), "{kind}: {}", err(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The absolute paths and the addresses that settings name.
fn quoted(settings: &str) -> Vec<&str> {
    let lines = settings.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.flat_map(|line| line.split('"').skip(1).step_by(2)).collect()
}

/// Everything below `deploy`, by its path there.
fn files() -> Vec<PathBuf> {
    let (mut folders, mut found) = (vec![deploy()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(deploy()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

fn tool(command: &mut Command) -> Output {
    let name = command.get_program().to_string_lossy().into_owned();
    command.output().unwrap_or_else(|error| panic!("{name}: {error}; tests/run --install-only installs it"))
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn deploy() -> PathBuf {
    root().join("deploy")
}
