//! The command line is a contract: commands, options, exit codes, and where data and narration go.

use crate::support::golden::assert_golden;
use crate::support::world::run;
use crate::support::{World, eventually};

#[test]
fn help_tells_every_command_and_stays_as_it_is() {
    let mut text = help(&[]);
    for command in COMMANDS {
        let part = help(&command.split(' ').collect::<Vec<_>>());
        text.push_str(&format!("\n\n## consentry {command}\n\n{part}"));
    }
    assert_golden("help.txt", &text);
}

#[tokio::test]
async fn dev_tells_a_person_what_to_open_and_what_to_try() {
    let world = World::start().await;
    let story = eventually("the story is told", || {
        let told = world.narration();
        std::future::ready(told.contains("curl").then_some(told))
    })
    .await;
    for word in [&world.issuer, &world.sidecar, "@acme", "/oauth2/v1/auth", "/api/v1/applications"] {
        assert!(story.contains(word), "{word}: {story}");
    }
}

#[test]
fn the_version_is_on_stdout() {
    let output = run(&["--version"]);
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8(output.stdout).unwrap().trim(),
        concat!("consentry ", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn completions_and_the_manual_are_data_on_stdout() {
    for arguments in [["completions", "bash"].as_slice(), &["man"]] {
        let output = run(arguments);
        assert!(output.status.success(), "{arguments:?}");
        assert!(output.stdout.len() > 500 && output.stderr.is_empty(), "{arguments:?}");
    }
}

fn help(command: &[&str]) -> String {
    let output = run(&[command, &["--help"]].concat());
    assert_eq!(output.status.code(), Some(0), "{command:?}");
    assert!(output.stderr.is_empty(), "{command:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

const COMMANDS: &[&str] = &[
    "dev",
    "control",
    "sidecar",
    "check",
    "health",
    "policy",
    "policy check",
    "policy format",
    "policy test",
    "policy show",
    "policy explain",
    "catalog",
    "catalog import",
    "app",
    "app list",
    "app show",
    "app provision",
    "app apply",
    "app assign",
    "app consents",
    "app withdraw",
    "app revoke",
    "directory",
    "directory account add",
    "directory user",
    "directory user add",
    "directory group",
    "directory role",
    "directory token add",
    "directory apply",
    "audit",
    "audit tail",
    "audit verify",
    "audit export",
    "audit key",
    "audit checkpoint",
    "store",
    "store copy",
    "completions",
    "man",
];
