//! A process of the program in one of its roles: started from a settings file, found by what it says of itself, and
//! ended, stopped or killed as the test wishes.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::support::eventually;
use crate::support::world::consentry;

pub(crate) struct Role {
    /// `control` or `sidecar`.
    role: &'static str,
    folder: PathBuf,
    /// More of its environment.
    environment: Vec<(String, String)>,
    process: Option<Child>,
}

impl Role {
    /// One whose settings are in `folder`; not started.
    pub(crate) fn new(role: &'static str, folder: &Path, settings: &str) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let this = Self { role, folder: folder.to_owned(), environment: Vec::new(), process: None };
        std::fs::write(this.settings(), settings).unwrap();
        this
    }

    pub(crate) fn settings(&self) -> PathBuf {
        self.folder.join("settings.toml")
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Where its time of day is said.
    pub(crate) fn clock(&self) -> PathBuf {
        self.folder.join("clock")
    }

    /// From now on its time of day is so many seconds away from the true one.
    pub(crate) fn set_clock(&self, seconds: &str) {
        let new = self.folder.join("clock.new");
        std::fs::write(&new, format!("{seconds}\n")).unwrap();
        std::fs::rename(new, self.clock()).unwrap();
    }

    /// Starts it; ends an earlier process of it first.
    pub(crate) fn start(&mut self) {
        self.kill();
        let _ = std::fs::remove_file(self.folder.join(READY));
        let mut log = std::fs::File::create(self.folder.join(LOG)).unwrap();
        // A file that may not grow is to be an error and not the end of the process.
        let program = consentry();
        let mut command = Command::new("sh");
        command.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null());
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(program.get_program());
        command.arg(self.role).arg("--config").arg(self.settings());
        command.arg("--ready-file").arg(self.folder.join(READY));
        command.env_remove("CONSENTRY_ENROLMENT_TOKEN").envs(self.environment.iter().cloned());
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        // Through a pipe: what limits its files is not to silence it.
        let mut told = process.stderr.take().unwrap();
        std::thread::spawn(move || std::io::copy(&mut told, &mut log));
        self.process = Some(process);
    }

    /// Waits for its ready file.
    pub(crate) async fn ready(&mut self) -> Value {
        let file = self.folder.join(READY);
        let what = format!("the {} in {} is ready", self.role, self.folder.display());
        let ready = eventually(&what, || {
            if let Some(status) = self.ended() {
                panic!("it ended with {status}: {}", self.told());
            }
            std::future::ready(std::fs::read(&file).ok())
        });
        serde_json::from_slice(&ready.await).unwrap()
    }

    /// Waits until it says something after `mark`, and gives that, up to the end of the line.
    pub(crate) async fn says(&self, mark: &str) -> String {
        eventually(&format!("it says {mark:?}"), || {
            let told = self.told();
            let line = told.split_once(mark).and_then(|(_, rest)| rest.split_once('\n'));
            std::future::ready(line.map(|(line, _)| line.trim().to_owned()))
        })
        .await
    }

    pub(crate) fn told(&self) -> String {
        std::fs::read_to_string(self.folder.join(LOG)).unwrap_or_default()
    }

    /// No file that it writes may grow beyond so many bytes; none: as large as it likes.
    pub(crate) fn limit_files(&self, bytes: Option<u64>) {
        let id = self.process.as_ref().unwrap().id().to_string();
        let limit = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        let done =
            Command::new("prlimit").args(["--pid", &id, &format!("--fsize={limit}:")]).status().unwrap();
        assert!(done.success());
    }

    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            let _ = rustix::process::kill_process(Pid::from_child(process), signal);
        }
    }

    /// Ends it with SIGKILL; it is gone when this returns.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.process.as_mut().and_then(|process| process.try_wait().unwrap())
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let ended = self.ended();
        self.kill();
        if std::thread::panicking() {
            eprintln!("{} had ended: {ended:?}", self.folder.display());
            let told = self.told();
            let from = told.lines().count().saturating_sub(15);
            eprintln!("the last of {}:", self.folder.display());
            told.lines().skip(from).for_each(|line| eprintln!("  {line}"));
        }
    }
}

const READY: &str = "ready.json";
const LOG: &str = "log";
