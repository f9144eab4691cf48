//! Real Redis servers: processes of the test's own, on a socket in a temporary folder or on free ports, that keep
//! nothing on disk and are gone with the test, even with one that is killed.

use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use redis::{Client, FromRedisValue, cmd};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// One server.
pub(crate) struct RealRedis {
    /// Where it is reached.
    pub(crate) url: String,
    /// Where it keeps what it needs.
    pub(crate) folder: TempDir,
    arguments: Vec<String>,
    process: Option<Child>,
}

impl RealRedis {
    /// On a socket.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// On a socket, with more settings (`["--maxmemory", "1mb"]`).
    pub(crate) fn start_with(settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("redis.sock").display().to_string();
        let own = ["--port", "0", "--unixsocket", &socket];
        let arguments = own.iter().chain(settings).map(|word| (*word).to_owned()).collect();
        Self::launch(format!("redis+unix://{socket}"), folder, arguments)
    }

    /// On a port, as sentinels and clusters need it.
    pub(crate) fn on_port(port: u16, settings: &[&str]) -> Self {
        let own = ["--port", &port.to_string(), "--bind", "127.0.0.1"].map(str::to_owned);
        let arguments = own.into_iter().chain(settings.iter().map(|word| (*word).to_owned())).collect();
        Self::launch(format!("redis://127.0.0.1:{port}"), tempfile::tempdir().unwrap(), arguments)
    }

    /// A sentinel on a port, which watches what `watched` says (lines of its settings file).
    pub(crate) fn sentinel(port: u16, watched: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sentinel.conf");
        std::fs::write(&file, format!("port {port}\nbind 127.0.0.1\n{watched}\n")).unwrap();
        let arguments = vec![file.display().to_string(), "--sentinel".to_owned()];
        Self::launch(format!("redis://127.0.0.1:{port}"), folder, arguments)
    }

    fn launch(url: String, folder: TempDir, arguments: Vec<String>) -> Self {
        let mut this = Self { url, folder, arguments, process: None };
        this.start_again();
        this
    }

    /// Starts it (again), empty.
    pub(crate) fn start_again(&mut self) {
        let sentinel = self.arguments.iter().any(|word| word == "--sentinel");
        let nothing_kept: &[&str] =
            if sentinel { &[] } else { &["--save", "", "--appendonly", "no", "--loglevel", "notice"] };
        let mut process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "redis-server"])
            .args(&self.arguments)
            .args(nothing_kept)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let (ready, all): (_, Vec<String>) = {
            let mut all = Vec::new();
            let ready = said.by_ref().any(|line| {
                all.push(line.clone());
                ["eady to accept connections", "server is now ready", "Sentinel ID is", "+monitor"]
                    .iter()
                    .any(|word| line.contains(word))
            });
            (ready, all)
        };
        assert!(ready, "redis-server did not start:\n{}", all.join("\n"));
        // Nobody reads on; without this it would hang once the pipe is full.
        std::thread::spawn(move || said.for_each(drop));
        self.process = Some(process);
    }

    /// Asks it as somebody who may do everything there: an operator, or an attacker.
    pub(crate) fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_ask(words).unwrap()
    }

    /// The same, when it may fail.
    pub(crate) fn try_ask<T: FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        let client = Client::open(self.url.as_str())?;
        let mut connection = client.get_connection_with_timeout(Duration::from_secs(5))?;
        let (first, rest) = words.split_first().unwrap();
        cmd(first).arg(rest).query(&mut connection)
    }

    /// Puts bytes under a key.
    pub(crate) fn put(&self, key: &str, value: &[u8]) {
        let mut connection = Client::open(self.url.as_str()).unwrap().get_connection().unwrap();
        cmd("SET").arg(key).arg(value).query::<()>(&mut connection).unwrap();
    }

    /// What stands under a key.
    pub(crate) fn get(&self, key: &str) -> Vec<u8> {
        self.ask(&["GET", key])
    }

    /// Stops it where it stands: its connections stay open, and nothing is answered.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Ends it without a word.
    pub(crate) fn kill9(&mut self) {
        self.signal(Signal::KILL);
        if let Some(mut process) = self.process.take() {
            process.wait().unwrap();
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            let _ = kill_process(Pid::from_child(process), signal);
        }
    }
}

impl Drop for RealRedis {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// Ports that nothing listens on, for what has to be known before it is listened on. They lie below those that Linux
/// gives to outgoing connections, one of which would take such a port meanwhile.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| {
        let any = || 12_000 + u16::try_from(RandomState::new().hash_one(()) % 20_000).unwrap();
        let mut ports = std::iter::repeat_with(any);
        ports.find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok()).unwrap()
    });
    held.map(|listener| listener.local_addr().unwrap().port())
}

/// A certificate for 127.0.0.1 and its key as files, good as their own authority.
pub(crate) fn certificate(folder: &Path) -> [String; 2] {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
    [("certificate.pem", made.cert.pem()), ("key.pem", made.signing_key.serialize_pem())].map(
        |(name, text)| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        },
    )
}
