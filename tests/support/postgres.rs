//! A PostgreSQL for tests: one cluster for all test processes, a database of its own for each test.
//!
//! The first test that needs it starts it, in a folder of its own and reachable by a socket in it only; a watcher ends
//! it and removes it seconds after the last process that uses it has ended, however that ended. It does not wait for
//! the disk.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A database of a test's own, empty at first.
pub(crate) struct Database {
    name: String,
    cluster: Cluster,
}

/// What keeps the cluster alive: a lock that ends with the process.
struct Cluster {
    folder: PathBuf,
    programs: PathBuf,
    _in_use: File,
}

impl Database {
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let cluster = Cluster::join();
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros();
        let name = format!("t{}_{}_{since}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        cluster.run("createdb", &["--strategy=file_copy", "--template=template0", &name]);
        Self { name, cluster }
    }

    /// Where `store::open` finds it.
    pub(crate) fn url(&self) -> String {
        let folder = self.cluster.folder.display().to_string().replace('/', "%2F");
        format!("postgres://consentry@{folder}/{}", self.name)
    }

    /// Makes the database do something behind the store's back, and gives what it answers.
    pub(crate) fn tell(&self, statement: &str) -> Result<String, String> {
        let said = self
            .cluster
            .command("psql")
            .args(["--no-psqlrc", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"])
            .args(["--dbname", &self.name, "--command", statement])
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if said.status.success() { Ok(text(&said.stdout)) } else { Err(text(&said.stderr)) }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Not waited for: it goes with its cluster at the latest.
        let mut drop = self.cluster.command("dropdb");
        let _ = drop
            .args(["--if-exists", "--force", &self.name])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
    }
}

impl Cluster {
    fn join() -> Self {
        let programs = programs();
        let id = Path::new("/proc/self").metadata().unwrap().uid();
        let folder = std::env::temp_dir().join(format!("consentry-postgres-{id}"));
        std::fs::create_dir_all(&folder).unwrap();
        if id == 0 {
            // PostgreSQL refuses to run as the superuser.
            std::os::unix::fs::chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let start = lock_file(&folder.join("start.lock"));
        start.lock().unwrap();
        let in_use = lock_file(&folder.join("in-use.lock"));
        in_use.lock_shared().unwrap();
        let cluster = Self { folder, programs, _in_use: in_use };
        if !cluster.answers() {
            cluster.start(id == 0);
        }
        cluster
    }

    fn answers(&self) -> bool {
        self.command("pg_isready").stdout(Stdio::null()).status().unwrap().success()
    }

    #[expect(clippy::zombie_processes, reason = "the watcher outlives this process")]
    #[expect(clippy::disallowed_methods, reason = "PostgreSQL tells nobody that it is ready; it is asked")]
    fn start(&self, as_root: bool) {
        let log = File::create(self.folder.join("log")).unwrap();
        let mut watcher = if as_root {
            let mut command = Command::new("setpriv");
            let (user, group) = (format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"));
            command.args([&user, &group, "--clear-groups", "setsid", "sh", "-c", WATCHER, "sh"]);
            command
        } else {
            let mut command = Command::new("setsid");
            command.args(["sh", "-c", WATCHER, "sh"]);
            command
        };
        watcher.arg(&self.programs).current_dir(&self.folder).stdin(Stdio::null());
        watcher.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        for _ in 0..600 {
            if self.answers() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        panic!("PostgreSQL does not start; tests/run installs it. It says: {log}");
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.env("PGHOST", &self.folder).env("PGUSER", "consentry").env("PGDATABASE", "postgres");
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let said = self.command(program).args(arguments).output().unwrap();
        assert!(said.status.success(), "{program}: {}", String::from_utf8_lossy(&said.stderr));
    }
}

fn lock_file(path: &Path) -> File {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).unwrap();
    let _ = file.set_permissions(std::fs::Permissions::from_mode(0o666)); // Only its owner may, and has.
    file
}

/// The newest installation.
fn programs() -> PathBuf {
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = installed.map(|entry| entry.path().join("bin")).filter(|bin| bin.join("initdb").is_file());
    found.max().unwrap_or_else(|| panic!("PostgreSQL is not installed: tests/run installs it"))
}

const NOBODY: u32 = 65534;

/// Runs the cluster of the working directory with the programs in `$1`, and ends it when nobody holds `in-use.lock`.
const WATCHER: &str = r#"
rm -rf data
"$1/initdb" --pgdata=data --username=consentry --auth=trust --encoding=UTF8 --locale=C --no-sync || exit
setpriv --pdeathsig KILL "$1/postgres" -D data -k "$PWD" -c listen_addresses= -c fsync=off -c full_page_writes=off \
    -c synchronous_commit=off -c max_connections=300 -c shared_buffers=32MB -c autovacuum=off -c wal_level=minimal \
    -c max_wal_senders=0 &
exec 9<>start.lock
while sleep 3; do
    flock --nonblock in-use.lock true || continue
    flock 9
    if flock --nonblock in-use.lock true; then
        kill -INT $!
        wait
        rm -rf data
        exit
    fi
    flock --unlock 9
done
"#;
