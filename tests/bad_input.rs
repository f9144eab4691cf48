//! What a person gets wrong is answered by one clear sentence and the right exit code.

use std::process::Output;

use crate::support::World;
use crate::support::world::run;

#[test]
fn a_usage_error_is_exit_2_and_shows_the_way() {
    for arguments in
        [["frobnicate"].as_slice(), &["dev", "--no-such-option"], &["dev", "--control-port", "x"]]
    {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains("--help"), "{}", stderr(&output));
        assert!(output.stdout.is_empty(), "data only on stdout");
    }
}

#[test]
fn a_configuration_error_is_exit_3_with_file_line_and_column() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.toml");
    for (text, place, word) in [
        ("[listen\n", "wrong.toml:1:", "expected"),
        ("\n\nno_such_setting = 1\n", "wrong.toml:3:1", "no_such_setting"),
    ] {
        std::fs::write(&file, text).unwrap();
        for command in ["check", "sidecar", "control"] {
            let output = run(&[command, "--config", file.to_str().unwrap()]);
            assert_eq!(output.status.code(), Some(3), "{command}: {}", stderr(&output));
            let told = stderr(&output);
            assert!(told.contains(place) && told.contains(word), "{command}: {told}");
            assert_plain(&told);
        }
    }
    let missing = run(&["check", "--config", "/no/such/file.toml"]);
    assert_eq!(missing.status.code(), Some(3), "{}", stderr(&missing));
    assert!(stderr(&missing).contains("/no/such/file.toml"), "{}", stderr(&missing));
}

#[test]
fn every_example_of_a_configuration_is_right() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let examples: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|kind| kind == "toml")).collect();
    assert!(!examples.is_empty());
    for example in examples {
        let good = run(&["check", "--config", example.to_str().unwrap()]);
        assert_eq!(good.status.code(), Some(0), "{}: {}", example.display(), stderr(&good));
    }
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for option in ["--control-port", "--sidecar-port", "--upstream-port", "--admin-port"] {
        let folder = tempfile::tempdir().unwrap();
        let output = dev(folder.path().to_str().unwrap(), &[option, &port]);
        assert_eq!(output.status.code(), Some(4), "{option}: {}", stderr(&output));
        let told = stderr(&output);
        assert!(told.contains(&port) && told.contains("in use"), "{option}: {told}");
        assert_plain(&told);
    }
}

#[test]
fn a_data_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a-file");
    std::fs::write(&file, "not a folder").unwrap();
    // Root may write nearly everywhere, but not here.
    for data in [file.join("data").to_str().unwrap(), file.to_str().unwrap(), "/proc/consentry"] {
        let output = dev(data, &[]);
        assert!([Some(3), Some(4)].contains(&output.status.code()), "{data}: {}", stderr(&output));
        assert!(stderr(&output).contains(data), "{}", stderr(&output));
        assert_plain(&stderr(&output));
    }
}

#[tokio::test]
async fn a_corrupt_database_is_refused_and_left_as_it_is() {
    let mut world = World::start().await;
    world.install("report-hub", "admin@acme", &[]).await;
    world.terminate().await;
    let mut entries = std::fs::read_dir(world.data()).unwrap().map(|entry| entry.unwrap().path());
    let starts = |path: &std::path::PathBuf| {
        std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"SQLite format 3\0"))
    };
    let database = entries.find(starts).unwrap();
    let mut bytes = std::fs::read(&database).unwrap();
    bytes.iter_mut().take(4096).for_each(|byte| *byte = 0x5a);
    std::fs::write(&database, &bytes).unwrap();
    let output = dev(world.data().to_str().unwrap(), &[]);
    assert!([Some(3), Some(4)].contains(&output.status.code()), "{}", stderr(&output));
    let told = stderr(&output);
    assert!(told.contains(database.to_str().unwrap()), "{told}");
    assert_plain(&told);
    assert_eq!(std::fs::read(&database).unwrap(), bytes, "nothing is tidied away");
}

#[tokio::test]
async fn two_processes_do_not_share_one_data_folder() {
    let world = World::start().await;
    let output = dev(world.data().to_str().unwrap(), &[]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(stderr(&output).contains(world.data().to_str().unwrap()), "{}", stderr(&output));
    crate::support::get(format!("{}/livez", world.admin)).send().await.expect(200);
}

/// Runs `consentry dev` on free ports where it is expected to end by itself.
fn dev(data: &str, more: &[&str]) -> Output {
    let mut arguments = vec!["dev", "--data", data];
    for port in ["--control-port", "--sidecar-port", "--upstream-port", "--admin-port"] {
        if !more.contains(&port) {
            arguments.extend([port, "0"]);
        }
    }
    arguments.extend(more);
    run(&arguments)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Fails the test when a person would see the program's insides.
#[track_caller]
fn assert_plain(told: &str) {
    for inside in ["panicked", "RUST_BACKTRACE", "Err(", "Some(", "Error {", "src/"] {
        assert!(!told.contains(inside), "{inside}: {told}");
    }
    assert!(told.lines().count() <= 12, "one clear sentence: {told}");
}
