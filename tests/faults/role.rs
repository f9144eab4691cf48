//! A process of the program in one of its roles: started from a settings file, found by what it says of itself, and
//! ended, stopped or killed as the test wishes.

use std::path::{Path, PathBuf};
use std::process::Child;

use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::support::eventually;
use crate::support::world::consentry;

pub(super) struct Role {
    /// `control` or `sidecar`.
    role: &'static str,
    folder: PathBuf,
    /// More of its environment.
    environment: Vec<(String, String)>,
    process: Option<Child>,
}

impl Role {
    /// One whose settings are in `folder`; not started.
    pub(super) fn new(role: &'static str, folder: &Path, settings: &str) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let this = Self { role, folder: folder.to_owned(), environment: Vec::new(), process: None };
        std::fs::write(this.settings(), settings).unwrap();
        this
    }

    pub(super) fn settings(&self) -> PathBuf {
        self.folder.join("settings.toml")
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Starts it; ends an earlier process of it first.
    pub(super) fn start(&mut self) {
        self.kill();
        let _ = std::fs::remove_file(self.folder.join(READY));
        let log = std::fs::File::create(self.folder.join(LOG)).unwrap();
        let mut command = consentry();
        command.arg(self.role).arg("--config").arg(self.settings());
        command.arg("--ready-file").arg(self.folder.join(READY));
        command.env_remove("CONSENTRY_ENROLMENT_TOKEN").envs(self.environment.iter().cloned());
        self.process = Some(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    }

    /// Waits for its ready file.
    pub(super) async fn ready(&mut self) -> Value {
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

    /// What it says after `mark`, up to the end of the line.
    pub(super) fn says(&self, mark: &str) -> String {
        let told = self.told();
        let rest = told.split_once(mark).map(|(_, rest)| rest.lines().next().unwrap_or_default());
        rest.unwrap_or_else(|| panic!("it does not say {mark:?}: {told}")).trim().to_owned()
    }

    pub(super) fn told(&self) -> String {
        std::fs::read_to_string(self.folder.join(LOG)).unwrap_or_default()
    }

    pub(super) fn is_running(&mut self) -> bool {
        self.process.is_some() && self.ended().is_none()
    }

    pub(super) fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            let _ = rustix::process::kill_process(Pid::from_child(process), signal);
        }
    }

    /// Ends it with SIGKILL; it is gone when this returns.
    pub(super) fn kill(&mut self) {
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
        self.kill();
        if std::thread::panicking() {
            let told = self.told();
            let from = told.lines().count().saturating_sub(15);
            eprintln!("the last of {}:", self.folder.display());
            told.lines().skip(from).for_each(|line| eprintln!("  {line}"));
        }
    }
}

const READY: &str = "ready.json";
const LOG: &str = "log";
