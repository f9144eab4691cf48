//! Servers of a test's own that can be stopped, killed, emptied and replaced: Redis and PostgreSQL.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;

use crate::support::eventually;

/// A server process on a port of its own.
pub(crate) struct Server {
    port: u16,
    start: Vec<String>,
    ask: Vec<String>,
    process: Option<Child>,
    _folder: TempDir,
}

impl Server {
    /// A Redis that keeps nothing on disk.
    pub(crate) async fn redis() -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let start = format!(
            "redis-server --port {port} --bind 127.0.0.1 --save  --appendonly no --repl-diskless-sync-delay 0"
        );
        let start = start.split(' ').map(str::to_owned).collect();
        let ask = format!("timeout 2 redis-cli -p {port}").split(' ').map(str::to_owned).collect();
        let mut server = Self { port, start, ask, process: None, _folder: folder };
        server.start();
        server.until_up("PING", "PONG").await;
        server
    }

    /// A PostgreSQL with a database `consentry`.
    pub(crate) async fn postgres() -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let programs = programs();
        let is_root = Path::new("/proc/self").metadata().unwrap().uid() == 0;
        if is_root {
            // PostgreSQL refuses to run as the superuser.
            std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let user: &[&str] = if is_root { &["--reuid=65534", "--regid=65534", "--clear-groups"] } else { &[] };
        let (place, data) = (folder.path().display().to_string(), folder.path().join("data"));
        let data = data.display().to_string();
        let program = |name: &str| programs.join(name).display().to_string();
        let mut initdb = Command::new("setpriv");
        initdb.args(user).arg(program("initdb")).args(["--pgdata", &data, "--username=consentry"]);
        initdb.args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        let made = initdb.current_dir(folder.path()).stdout(Stdio::null()).output().unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let mut start = vec!["setpriv".to_owned(), "--pdeathsig=KILL".to_owned()];
        start.extend(user.iter().map(|word| (*word).to_owned()));
        start.extend([program("postgres"), "-D".to_owned(), data, "-k".to_owned(), place]);
        let port_text = port.to_string();
        for setting in ["listen_addresses=127.0.0.1", "shared_buffers=32MB", "max_connections=100"] {
            start.extend(["-c".to_owned(), setting.to_owned()]);
        }
        start.extend(["-p".to_owned(), port_text.clone()]);
        let psql = "-h 127.0.0.1 -U consentry --no-psqlrc -tA -v ON_ERROR_STOP=1 -d postgres -p";
        let mut ask = vec![program("psql")];
        ask.extend(psql.split(' ').map(str::to_owned).chain([port_text, "-c".to_owned()]));
        let mut server = Self { port, start, ask, process: None, _folder: folder };
        server.start();
        server.until_up("SELECT 1", "1").await;
        server.tell("CREATE DATABASE consentry");
        server
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts it, or starts it again.
    pub(crate) fn start(&mut self) {
        let (program, arguments) = self.start.split_first().unwrap();
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self._folder.path()).stdin(Stdio::null());
        self.process = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    }

    pub(crate) async fn until_up(&self, question: &str, answer: &str) {
        eventually("the server answers", || {
            let said = self.try_tell(question).filter(|said| said == answer);
            std::future::ready(said)
        })
        .await;
    }

    /// Waits until its answer contains this.
    pub(crate) async fn until_says(&self, question: &str, part: &str) {
        eventually(&format!("{question} says {part}"), || {
            let said = self.try_tell(question).filter(|said| said.contains(part));
            std::future::ready(said)
        })
        .await;
    }

    /// Sends it a command, and gives what it answers.
    #[track_caller]
    pub(crate) fn tell(&self, words: &str) -> String {
        self.try_tell(words).unwrap_or_else(|| panic!("the server does not do {words:?}"))
    }

    /// The same in one of PostgreSQL's databases.
    #[track_caller]
    pub(crate) fn tell_in(&self, database: &str, words: &str) -> String {
        let (program, arguments) = self.ask.split_first().unwrap();
        let mut command = Command::new(program);
        let said = command.args(arguments).args([words, "-d", database]).output().unwrap();
        assert!(said.status.success(), "{words}: {}", String::from_utf8_lossy(&said.stderr));
        String::from_utf8_lossy(&said.stdout).trim().to_owned()
    }

    /// Ends it without a word and starts it again.
    pub(crate) async fn crash(&mut self, question: &str, answer: &str) {
        self.kill();
        self.start();
        eventually("the server is back", || {
            // Until what it had started has noticed and is gone, it may not be able to.
            if self.process.as_mut().is_none_or(|process| process.try_wait().unwrap().is_some()) {
                self.start();
            }
            let said = self.try_tell(question).filter(|said| said == answer);
            std::future::ready(said)
        })
        .await;
    }

    fn try_tell(&self, words: &str) -> Option<String> {
        let (program, arguments) = self.ask.split_first().unwrap();
        let mut command = Command::new(program);
        command.args(arguments);
        // SQL is one word; a command of Redis is several.
        if program.ends_with("psql") {
            command.arg(words)
        } else {
            command.args(words.split(' '))
        };
        let said = command.stdin(Stdio::null()).output().unwrap();
        said.status.success().then(|| String::from_utf8_lossy(&said.stdout).trim().to_owned())
    }

    /// Stops it where it stands, with all that it has started.
    pub(crate) fn freeze(&self) {
        self.signal_all(Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal_all(Signal::CONT);
    }

    /// Ends it without a word.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // A stopped one is ended by SIGKILL too.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    fn signal_all(&self, signal: Signal) {
        let Some(process) = &self.process else { return };
        let own = Pid::from_child(process);
        let children = format!("/proc/{0}/task/{0}/children", process.id());
        let children = std::fs::read_to_string(children).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?));
        for one in [own].into_iter().chain(children) {
            let _ = rustix::process::kill_process(one, signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.thaw();
        self.kill();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The newest installation.
fn programs() -> PathBuf {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = installed.map(|entry| entry.path().join("bin")).filter(|bin| bin.join("initdb").is_file());
    found.max().unwrap_or_else(|| panic!("PostgreSQL is not installed: tests/run installs it"))
}

const NOBODY: u32 = 65534;
