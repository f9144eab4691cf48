//! Real clients: a script of `tests/clients` in its own language, with its own library, unmodified. The test
//! and the script exchange lines of JSON.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

pub(crate) struct Script {
    name: String,
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Script {
    /// Starts a script, `.mjs` with Node or `.py` with Python, and tells it what it must know.
    pub(crate) fn start(name: &str, facts: &Value) -> Self {
        let mut process = command(name).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, from) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        let mut script = Self { name: name.to_owned(), process, to, from };
        script.tell(facts);
        script
    }

    /// Sends a line.
    pub(crate) fn tell(&mut self, line: &Value) {
        writeln!(self.to, "{line}").unwrap();
        self.to.flush().unwrap();
    }

    /// Reads a line.
    pub(crate) fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        match serde_json::from_str(&line) {
            Ok(value) => value,
            Err(_) => panic!("{} ended or spoke otherwise than in JSON: {line:?}", self.name),
        }
    }

    /// Sends a line, and reads what is said to it.
    pub(crate) fn ask(&mut self, line: &Value) -> Value {
        self.tell(line);
        self.hear()
    }

    /// Waits for its good end.
    pub(crate) fn finish(mut self) {
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{} ended with {status}", self.name);
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What random requests come from: the same in each run, unless `CONSENTRY_SEED` says otherwise. It is shown where a
/// test fails, which then fails with it again.
pub(crate) fn seed() -> u32 {
    let seed = std::env::var("CONSENTRY_SEED").map_or(20_261_122, |seed| seed.parse().unwrap());
    eprintln!("CONSENTRY_SEED={seed}");
    seed
}

/// The command that runs a script of `tests/clients`, `.mjs` with Node or `.py` with Python.
pub(crate) fn command(name: &str) -> Command {
    let clients = clients();
    let interpreter = match name.rsplit_once('.') {
        Some((_, "py")) => clients.join("python/bin/python"),
        _ => clients.join("node/bin/node"),
    };
    assert!(
        clients.join("stamp").exists() && interpreter.exists(),
        "{} is not prepared: run tests/run once (or tests/run --install-only)",
        clients.display()
    );
    let mut command = Command::new(interpreter);
    command
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name))
        // All that a client talks to is on this machine.
        .envs([("no_proxy", "*"), ("NO_PROXY", "*")]);
    command
}

/// Where `tests/run` has put the clients: beside the build, in `clients` of cargo's target folder.
fn clients() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_consentry"));
    program.ancestors().nth(2).unwrap().join("clients")
}
