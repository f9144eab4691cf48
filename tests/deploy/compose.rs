//! Containers: the image's recipe, the compose file with what it mounts, and Redis with its users.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::{deploy, err, parsed, quoted, root, tool};
use crate::support::eventually;
use crate::support::sources::sources;

#[test]
fn the_image_is_made_of_files_that_are_there_and_runs_as_nobody() {
    let recipe = parsed("dockerfile", &fs::read_to_string(deploy().join("Dockerfile")).unwrap());
    let all = |name: &str| -> Vec<String> {
        let steps = recipe.as_array().unwrap().iter().filter(|step| step["instruction"] == name);
        steps.map(|step| step["value"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!((all("USER").as_slice(), all("FROM").len()), (["65532:65532".to_owned()].as_slice(), 2));
    let ignore = fs::read_to_string(deploy().join("Dockerfile.dockerignore")).unwrap();
    let (context, copies) = (ignore.lines().filter_map(|line| line.strip_prefix('!')), all("COPY"));
    let copied: Vec<_> = copies
        .iter()
        .filter(|copy| !copy.starts_with("--from"))
        .flat_map(|copy| copy.split(' ').rev().skip(1).collect::<Vec<_>>())
        .collect();
    assert_eq!(
        context.collect::<BTreeSet<_>>(),
        copied.iter().copied().collect(),
        "the context is what is copied"
    );
    for path in &copied {
        assert!(root().join(path).exists(), "{path}");
    }
    for included in included() {
        assert!(copied.iter().any(|path| included.starts_with(path)), "{} is not copied", included.display());
    }
}

#[test]
fn every_container_is_hardened_and_gets_only_files_that_are_there() {
    let compose = compose();
    let secrets = tempfile::tempdir().unwrap();
    make_secrets(secrets.path());
    for (name, service) in compose["services"].as_object().unwrap() {
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{name}");
        assert_eq!(service["security_opt"], serde_json::json!(["no-new-privileges:true"]), "{name}");
        let user = service["user"].as_str().unwrap();
        assert!(!["", "0", "root"].contains(&user.split(':').next().unwrap()), "{name} is {user}");
        assert!(service["mem_limit"].is_string() && service["privileged"].is_null(), "{name}");
        assert!(texts(&service["ports"]).iter().all(|port| port.starts_with("127.0.0.1:")), "{name}");
        for volume in texts(&service["volumes"]) {
            let from = volume.split(':').next().unwrap();
            let there = if from.starts_with('.') {
                assert!(volume.ends_with(":ro"), "{name}: {volume}");
                deploy().join(from).exists()
            } else {
                compose["volumes"].get(from).is_some()
            };
            assert!(there, "{name}: {volume}");
        }
        for secret in texts(&service["secrets"]) {
            let file = compose["secrets"][secret]["file"].as_str().unwrap();
            let file = file.strip_prefix("./compose/secrets/").unwrap();
            assert!(secrets.path().join(file).exists(), "secrets.sh makes no {file}");
        }
        for before in service["depends_on"].as_object().into_iter().flat_map(|before| before.keys()) {
            assert!(compose["services"][before]["healthcheck"].is_object(), "{name} waits for {before}");
        }
    }
}

#[test]
fn what_the_settings_name_is_mounted_and_who_they_name_can_be_reached() {
    let compose = compose();
    for role in ["control", "sidecar"] {
        let service = &compose["services"][role];
        let settings = fs::read_to_string(deploy().join(format!("compose/{role}.toml"))).unwrap();
        let mounts =
            texts(&service["volumes"]).into_iter().map(|volume| volume.split(':').nth(1).unwrap().to_owned());
        let secrets = texts(&service["secrets"]).into_iter().map(|secret| format!("/run/secrets/{secret}"));
        let mounts: Vec<_> = mounts.chain(secrets).collect();
        for named in quoted(&settings) {
            if ["/run/", "/etc/", "/var/"].iter().any(|folder| named.starts_with(folder)) {
                assert!(mounts.iter().any(|mount| named.starts_with(mount.as_str())), "{role}: {named}");
            } else if let Some((_, place)) = named.split_once("://") {
                let host = place.split(['/', ':']).next().unwrap();
                let host = if named.starts_with("postgres") { "postgres" } else { host };
                let shares = |network: &&str| texts(&compose["services"][host]["networks"]).contains(network);
                let reached = host == "127.0.0.1" || texts(&service["networks"]).iter().any(shares);
                assert!(reached, "{role}: {named}");
            }
        }
    }
    // Not even the control plane reaches the API behind the sidecar; nothing but the two roles can be reached.
    assert_eq!(texts(&compose["services"]["upstream"]["networks"]), ["upstream"]);
    assert_eq!(compose["networks"]["internal"]["internal"], true);
    assert_eq!(compose["networks"]["upstream"]["internal"], true);
}

#[test]
fn secrets_are_made_once_and_are_their_owners() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let secrets = folder.path().join("secrets");
    let read = || {
        make_secrets(&secrets);
        ["key", "postgres", "redis-control", "redis-sidecar"]
            .map(|name| fs::read_to_string(secrets.join(name)).unwrap())
    };
    let first = read();
    assert_eq!(first, read(), "what is there is kept");
    assert!(first.iter().all(|secret| secret.trim().len() >= 43) && BTreeSet::from(first).len() == 4);
    assert_eq!(fs::metadata(&secrets).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn redis_lets_a_sidecar_read_and_nothing_else_and_the_control_plane_write_its_own_keys() {
    let rules = fs::read_to_string(deploy().join("compose/redis/users.acl")).unwrap();
    let sidecar = rules.lines().find(|line| line.starts_with("user consentry-sidecar ")).unwrap();
    // Each of the two keeps it from writing; the server shows only that one of them does.
    assert!(sidecar.contains(" %R~consentry:* ") && sidecar.matches('~').count() == 1, "{sidecar}");
    assert!(sidecar.contains(" -@all ") && !sidecar.contains("+@"), "{sidecar}");
    let redis = Redis::start().await;
    let (mut control, mut sidecar) = (redis.user("control"), redis.user("sidecar"));
    // All that a sidecar does there.
    for (word, answer) in [("PING", "+PONG"), ("TIME", "*2"), ("INFO server replication", "run_id:")] {
        assert!(sidecar.ask(word).contains(answer), "{word}");
    }
    assert!(sidecar.ask("CLIENT TRACKING ON BCAST PREFIX consentry:{log}").contains("+OK"));
    assert!(control.ask("XADD consentry:{log} 7-0 entry signed").contains("7-0"));
    assert!(sidecar.hear("invalidate").contains("consentry:{log}"), "RESP3 tells it of the change");
    assert!(control.ask("SET consentry:grant signed PX 60000").contains("+OK"));
    assert!(sidecar.ask("XRANGE consentry:{log} (6-0 +").contains("signed"));
    assert!(sidecar.ask("GET consentry:grant").contains("signed"));
    assert!(sidecar.ask("GETRANGE consentry:grant 0 1000").contains("signed"));
    assert!(sidecar.ask("MGET consentry:grant consentry:none").contains("signed"));
    for word in FORBIDDEN_TO_SIDECARS {
        assert!(sidecar.ask(word).contains("-NOPERM"), "a sidecar may {word}");
    }
    for word in FORBIDDEN_TO_CONTROL {
        assert!(control.ask(word).contains("-NOPERM"), "the control plane may {word}");
    }
    assert!(control.ask("EVAL \"return redis.call('get', KEYS[1])\" 1 consentry:grant").contains("signed"));
    let mut nobody = redis.connect();
    assert!(
        nobody.ask("PING").contains("-NOAUTH") && nobody.ask("HELLO 3 AUTH default x").contains("-WRONGPASS")
    );
}

/// A Redis as `compose/redis/start.sh` starts it, on a socket of its own.
struct Redis {
    folder: TempDir,
    process: Child,
}

impl Redis {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        make_secrets(&folder.path().join("secrets"));
        let mut start = Command::new("sh");
        start.arg(deploy().join("compose/redis/start.sh"));
        start.args(["--port", "0", "--unixsocket"]).arg(folder.path().join("socket"));
        start.env("SECRETS", folder.path().join("secrets")).env("RUN", folder.path());
        start.env("USERS", deploy().join("compose/redis/users.acl"));
        start.stdout(fs::File::create(folder.path().join("log")).unwrap()).stderr(Stdio::inherit());
        let redis = Self { process: start.spawn().unwrap(), folder };
        eventually("redis-server listens (tests/run --install-only installs it)", || {
            std::future::ready(UnixStream::connect(redis.folder.path().join("socket")).ok())
        })
        .await;
        redis
    }

    fn connect(&self) -> Connection {
        let stream = UnixStream::connect(self.folder.path().join("socket")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Connection { stream, heard: String::new() }
    }

    fn user(&self, role: &str) -> Connection {
        let password = fs::read_to_string(self.folder.path().join(format!("secrets/redis-{role}"))).unwrap();
        let mut connection = self.connect();
        let hello = connection.ask(&format!("HELLO 3 AUTH consentry-{role} {}", password.trim()));
        assert!(hello.contains("server"), "{hello}");
        connection
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Connection {
    stream: UnixStream,
    heard: String,
}

impl Connection {
    /// Says a word, and hears everything up to the answer of a word that follows it and that nobody knows.
    fn ask(&mut self, word: &str) -> String {
        write!(self.stream, "{word}\r\nFULL-STOP\r\n").unwrap();
        self.hear("unknown command 'FULL-STOP'")
    }

    /// Hears everything up to a word, to the end of what has come by then.
    fn hear(&mut self, word: &str) -> String {
        let mut bytes = [0; 65536];
        while !self.heard.contains(word) {
            let length = self.stream.read(&mut bytes).unwrap();
            assert!(length > 0, "redis closed the connection after {:?}", self.heard);
            self.heard.push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
        std::mem::take(&mut self.heard)
    }
}

fn make_secrets(folder: &Path) {
    let made = tool(Command::new("sh").arg(deploy().join("compose/secrets.sh")).arg(folder));
    assert!(made.status.success(), "{}", err(&made));
}

fn compose() -> Value {
    parsed("compose", &fs::read_to_string(deploy().join("compose.yaml")).unwrap())
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().map(|text| text.as_str().unwrap()).collect()
}

/// What the program is built with besides its sources, by the path from the root of the repository.
fn included() -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for source in sources() {
        let text = source.code().collect::<String>();
        for rest in text.split("include_str!(\"").chain(text.split("include_bytes!(\"")).skip(1) {
            let Some((path, _)) = rest.split_once('"').filter(|(path, _)| path.starts_with("..")) else {
                continue;
            };
            let beside = root().join("src").join(&source.path).with_file_name(path);
            let path = beside.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", beside.display()));
            found.insert(path.strip_prefix(root()).unwrap().to_owned());
        }
    }
    assert!(found.len() > 5, "{found:?}");
    found
}

const FORBIDDEN_TO_SIDECARS: &[&str] = &[
    "SET consentry:grant forged",
    "DEL consentry:grant",
    "EXPIRE consentry:grant 1",
    "XADD consentry:{log} 8-0 a b",
    "XTRIM consentry:{log} MAXLEN 0",
    "XSETID consentry:{log} 9-0",
    "EVAL \"return 1\" 0",
    "GET other",
    "KEYS *",
    "SCAN 0",
    "SUBSCRIBE x",
    "PUBLISH x y",
    "FLUSHALL",
    "CONFIG GET *",
    "ACL LIST",
    "CLIENT KILL TYPE normal",
    "CLIENT LIST",
    "SHUTDOWN",
    "REPLICAOF 127.0.0.1 1",
    "MONITOR",
    "SELECT 1",
    "MULTI",
];
const FORBIDDEN_TO_CONTROL: &[&str] = &[
    "SET other x",
    "GET other",
    "FLUSHALL",
    "FLUSHDB",
    "KEYS *",
    "CONFIG GET *",
    "ACL LIST",
    "SWAPDB 0 1",
    "SHUTDOWN",
];
