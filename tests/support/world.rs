//! The real program: `consentry dev` in a process group of its own, on free ports, with its data in a
//! temporary folder, and gone with the test.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use rustix::process::{Pid, Signal};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use super::{Answer, Application, Call, eventually, get};

pub(crate) struct World {
    pub(crate) issuer: String,
    pub(crate) sidecar: String,
    /// All of them, when it runs several.
    pub(crate) sidecars: Vec<String>,
    pub(crate) upstream: String,
    pub(crate) admin: String,
    pub(crate) accounts: Vec<Account>,
    pub(crate) applications: Vec<Seed>,
    process: Child,
    arguments: Vec<String>,
    folder: TempDir,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) alias: String,
    pub(crate) principals: Vec<Principal>,
    pub(crate) api_token: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Principal {
    pub(crate) login: String,
    pub(crate) password: String,
}

/// An application as the ready file tells of it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Seed {
    pub(crate) client_id: String,
    #[serde(default)]
    pub(crate) client_secret: Option<String>,
    pub(crate) name: String,
    pub(crate) redirect_uris: Vec<String>,
    pub(crate) required_scopes: Vec<String>,
    pub(crate) optional_scopes: Vec<String>,
}

#[derive(Deserialize)]
struct Ready {
    issuer: String,
    sidecar: String,
    #[serde(default)]
    sidecars: Vec<String>,
    upstream: String,
    admin: String,
    accounts: Vec<Account>,
    applications: Vec<Seed>,
}

impl World {
    /// Starts on an empty data folder.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts on an empty data folder with more arguments, such as `--policies DIR`.
    pub(crate) async fn start_with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let process = launch(folder.path(), ["0"; 4], &arguments);
        let mut world = Self {
            issuer: String::new(),
            sidecar: String::new(),
            sidecars: Vec::new(),
            upstream: String::new(),
            admin: String::new(),
            accounts: Vec::new(),
            applications: Vec::new(),
            process,
            arguments,
            folder,
        };
        world.wait_ready().await;
        world
    }

    /// Asks it to stop, waits, and starts it again on the same data and ports.
    pub(crate) async fn restart(&mut self) {
        assert!(self.terminate().await.success(), "{}", self.narration());
        self.start_again().await;
    }

    /// Starts it again on the same data and ports, after its end.
    pub(crate) async fn start_again(&mut self) {
        let ports = [&self.issuer, &self.sidecar, &self.upstream, &self.admin]
            .map(|url| url.rsplit_once(':').unwrap().1.to_owned());
        let _ = std::fs::remove_file(self.folder.path().join(READY));
        self.process = launch(self.folder.path(), ports.each_ref().map(String::as_str), &self.arguments);
        self.wait_ready().await;
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended().await
    }

    /// Ends it with SIGKILL, as a crash of the machine's scheduler would: with no chance to tidy up.
    pub(crate) async fn kill9(&mut self) {
        self.signal(Signal::KILL);
        self.ended().await;
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let group = Pid::from_child(&self.process);
        let _ = rustix::process::kill_process_group(group, signal);
    }

    /// Waits for the end of the process.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        eventually("the process ends", || std::future::ready(self.process.try_wait().unwrap())).await
    }

    /// Where it keeps its data.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join(DATA)
    }

    /// What it has written, to stderr and stdout.
    pub(crate) fn narration(&self) -> String {
        std::fs::read_to_string(self.folder.path().join(OUTPUT)).unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn account(&self, alias: &str) -> &Account {
        self.accounts.iter().find(|account| account.alias == alias).unwrap()
    }

    #[track_caller]
    pub(crate) fn principal(&self, login: &str) -> &Principal {
        let mut principals = self.accounts.iter().flat_map(|account| &account.principals);
        principals.find(|principal| principal.login == login).unwrap()
    }

    #[track_caller]
    pub(crate) fn seed(&self, name: &str) -> &Seed {
        self.applications.iter().find(|application| application.name == name).unwrap()
    }

    /// The application's side of one of the seeded applications.
    #[track_caller]
    pub(crate) fn application(&self, name: &str) -> Application {
        let seed = self.seed(name);
        let registered = seed.redirect_uris.first().unwrap();
        Application {
            issuer: self.issuer.clone(),
            client_id: seed.client_id.clone(),
            secret: seed.client_secret.clone(),
            // A loopback address without a port stands for any port (RFC 8252 §7.3).
            redirect_uri: registered.replace("127.0.0.1/", "127.0.0.1:45671/"),
            scopes: [seed.required_scopes.as_slice(), &seed.optional_scopes].concat(),
        }
    }

    /// A request to the admin API with the token of an account's administrator.
    pub(crate) fn api(&self, alias: &str, method: &str, path: &str) -> Call {
        let url = format!("{}/api/v1{path}", self.issuer);
        Call::new(method, url).bearer(&self.account(alias).api_token)
    }

    /// A request to the sidecar.
    pub(crate) fn call(&self, method: &str, path: &str) -> Call {
        Call::new(method, format!("{}{path}", self.sidecar))
    }

    /// A read that the scope `/acs/oss:read` allows.
    pub(crate) async fn read_object(&self, token: &str) -> Answer {
        self.call("GET", "/oss/reports/q1.csv").bearer(token).send().await
    }

    /// One call of the RPC style; the action is in its header.
    pub(crate) fn rpc(&self, product: &str, action: &str) -> Call {
        self.call("POST", &format!("/{product}/")).header("x-acs-action", action)
    }

    /// What the demo upstream has received: the number of requests, and the last ones.
    pub(crate) async fn seen(&self) -> (u64, Vec<Value>) {
        let seen = get(format!("{}/_seen", self.upstream)).send().await.expect(200);
        (seen["count"].as_u64().unwrap(), seen["last"].as_array().unwrap().clone())
    }

    /// The last request that the demo upstream has received.
    pub(crate) async fn last_seen(&self) -> Value {
        self.seen().await.1.pop().unwrap()
    }

    async fn wait_ready(&mut self) {
        let file = self.folder.path().join(READY);
        let ready = eventually("consentry dev is ready", || {
            if let Some(status) = self.process.try_wait().unwrap() {
                panic!("consentry dev ended with {status} before it was ready:\n{}", self.narration());
            }
            std::future::ready(std::fs::read(&file).ok())
        })
        .await;
        let ready: Ready = serde_json::from_slice(&ready).unwrap();
        self.issuer = ready.issuer;
        self.sidecar = ready.sidecar;
        self.sidecars = ready.sidecars;
        self.upstream = ready.upstream;
        self.admin = ready.admin;
        self.accounts = ready.accounts;
        self.applications = ready.applications;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.process.wait();
        if std::thread::panicking() {
            let narration = self.narration();
            let from = narration.lines().count().saturating_sub(60);
            eprintln!("the last that consentry dev wrote:");
            narration.lines().skip(from).for_each(|line| eprintln!("  {line}"));
        }
    }
}

/// The program, to be run from the root of the repository with nothing on stdin.
pub(crate) fn consentry() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consentry"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null()).env("NO_COLOR", "1");
    command
}

/// Runs the program to its end.
pub(crate) fn run<S: AsRef<OsStr>>(arguments: &[S]) -> Output {
    consentry().args(arguments).output().unwrap()
}

fn launch(folder: &Path, ports: [&str; 4], arguments: &[String]) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(folder.join(OUTPUT)).unwrap();
    let [control, sidecar, upstream, admin] = ports;
    consentry()
        .args(["dev", "--control-port", control, "--sidecar-port", sidecar])
        .args(["--upstream-port", upstream, "--admin-port", admin])
        .arg("--data")
        .arg(folder.join(DATA))
        .arg("--ready-file")
        .arg(folder.join(READY))
        .args(arguments)
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .process_group(0)
        .spawn()
        .unwrap()
}

const READY: &str = "ready.json";
const DATA: &str = "data";
const OUTPUT: &str = "output";
