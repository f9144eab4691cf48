//! A host of one's own: systemd's units, and a probe without curl.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::{deploy, err, out, quoted, tool};
use crate::support::world::{self, consentry};
use crate::support::{World, eventually};

pub(super) const UNITS: &[&str] = &["consentry-control.service", "consentry-sidecar.service"];

#[test]
fn systemd_understands_every_line_of_the_units_and_would_tell_of_one_that_it_does_not() {
    for unit in UNITS {
        let text = unit_text(unit);
        assert_eq!(verify(unit, &text), "", "{unit}");
        let told = verify(unit, &text.replace("[Service]", "[Service]\nProtectTheWorld=yes"));
        assert!(told.contains("ProtectTheWorld"), "{told}");
    }
}

#[test]
fn the_units_are_exposed_to_at_most_one_and_a_half_of_ten() {
    for unit in UNITS {
        let (good, answer) = exposure(unit, &unit_text(unit));
        assert!(good, "{answer}");
        assert!(!exposure(unit, &unit_text(unit).replace("CapabilityBoundingSet=\n", "")).0, "{unit}");
    }
}

#[test]
fn the_units_give_what_their_settings_name() {
    for unit in UNITS {
        let role = unit.trim_start_matches("consentry-").trim_end_matches(".service");
        let (text, settings) = (unit_text(unit), format!("{role}.toml"));
        assert!(text.contains(&format!("--config /etc/consentry/{settings}\n")), "{unit}");
        let settings = fs::read_to_string(deploy().join("systemd").join(settings)).unwrap();
        for named in quoted(&settings) {
            let named = named.trim_start_matches("sqlite:");
            if let Some(credential) = named.strip_prefix(&format!("/run/credentials/{unit}/")) {
                assert!(text.contains(&format!("\nLoadCredential={credential}:")), "{named} in {unit}");
            } else if let Some(folder) = named.strip_prefix("/var/lib/") {
                let folder = folder.split('/').next().unwrap();
                assert!(text.contains(&format!("\nStateDirectory={folder}\n")), "{named} in {unit}");
            } else {
                assert!(
                    !named.starts_with('/')
                        || named.starts_with("/etc/consentry/")
                        || named.ends_with("/ecs/"),
                    "{named}"
                );
            }
        }
    }
}

#[tokio::test]
async fn health_tells_by_its_exit_code_whether_a_role_is_well() {
    let world = World::start().await;
    let health = |path: &str| world::run(&["health", "--url", &format!("{}{path}", world.admin)]);
    let ready = health("/readyz");
    assert!(ready.status.success() && out(&ready).contains("\"ready\":true"), "{}", err(&ready));
    let no = health("/no-such-probe");
    assert!(no.status.code() == Some(1) && err(&no).contains("404"), "{}", err(&no));
    let nobody = world::run(&["health", "--url", "http://127.0.0.1:1/readyz"]);
    assert_eq!(nobody.status.code(), Some(4), "{}", err(&nobody));
    assert_eq!(world::run(&["health", "--url", "https://127.0.0.1:1/readyz"]).status.code(), Some(2));
}

#[tokio::test]
async fn a_control_plane_tells_systemd_when_it_serves_and_when_it_ends_and_operators_how_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let systemd = UnixDatagram::bind(place("notify")).unwrap();
    systemd.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let hears = || {
        let mut word = [0; 64];
        let length = systemd.recv(&mut word).unwrap();
        String::from_utf8_lossy(&word[..length]).into_owned()
    };
    let (store, key) = (place("store.db"), place("key"));
    let settings = format!(
        "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nissuer = \"http://127.0.0.1:8081\"\nstore = \"sqlite:{}\"\nkey_file = \"{}\"\n",
        store.display(),
        key.display()
    );
    fs::write(place("control.toml"), settings).unwrap();
    let mut control = consentry();
    control.arg("control").arg("--config").arg(place("control.toml")).env("NOTIFY_SOCKET", place("notify"));
    control.stdout(Stdio::null()).stderr(fs::File::create(place("told")).unwrap());
    let mut control = control.spawn().unwrap();
    assert_eq!(hears().trim(), "READY=1");
    let operators = eventually("it says where operators reach it", || {
        let told = fs::read_to_string(place("told")).unwrap();
        let address = told.split_once("operators on ").and_then(|(_, rest)| rest.split_once('\n'));
        std::future::ready(address.map(|(address, _)| address.to_owned()))
    })
    .await;
    for probe in ["/livez", "/readyz"] {
        let well = world::run(&["health", "--url", &format!("{operators}{probe}")]);
        assert!(well.status.success(), "{}", err(&well));
    }
    kill_process(Pid::from_child(&control), Signal::TERM).unwrap();
    assert_eq!(hears().trim(), "STOPPING=1");
    assert!(control.wait().unwrap().success());
}

/// The unit, with the program where it is here: systemd looks whether it is there.
fn unit_text(unit: &str) -> String {
    let text = fs::read_to_string(deploy().join("systemd").join(unit)).unwrap();
    text.replace("/usr/bin/consentry", env!("CARGO_BIN_EXE_consentry"))
}

fn verify(unit: &str, text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(unit);
    fs::write(&path, text).unwrap();
    let output = tool(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(path));
    // Of other units of this machine it may have its own opinion.
    let own =
        err(&output).lines().filter(|line| line.contains(unit)).map(|line| format!("{line}\n")).collect();
    assert!(output.status.success(), "{}", err(&output));
    own
}

fn exposure(unit: &str, text: &str) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(unit);
    fs::write(&path, text).unwrap();
    let mut analyze = Command::new("systemd-analyze");
    analyze.args(["security", "--no-pager", "--offline=true", "--threshold=15"]).arg(path);
    let output = tool(&mut analyze);
    (output.status.success(), format!("{}{}", out(&output), err(&output)))
}
