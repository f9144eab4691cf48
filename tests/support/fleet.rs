//! The roles apart, each the real program in a process of its own: a control plane and any number of sidecars, over a
//! store that `consentry dev` has filled. Every port is a free one, and everything is gone with the test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::cloud::Cloud;
use super::fault::faketime;
use super::redis::free_ports;
use super::world::consentry;
use super::{Answer, Call, World, eventually, get};

/// A control plane, and the world that its store holds.
pub(crate) struct Fleet {
    /// The people and applications; its sidecar is the one that was started last.
    pub(crate) world: World,
    pub(crate) cloud: Cloud,
    /// The internal API's address.
    pub(crate) internal: String,
    control: Option<Role>,
    settings: String,
    folder: TempDir,
}

/// A sidecar in a process of its own.
pub(crate) struct Lone {
    pub(crate) url: String,
    pub(crate) admin: String,
    /// The process, as receipts name it.
    pub(crate) id: String,
    /// Where its settings, its token and its state are.
    pub(crate) folder: PathBuf,
    role: Role,
}

/// A process of the program.
struct Role {
    process: Child,
    told: PathBuf,
    ready: PathBuf,
}

impl Fleet {
    /// A control plane whose leases last two seconds.
    pub(crate) async fn start() -> Self {
        let mut fleet = Self::asleep("").await;
        fleet.wake().await;
        fleet
    }

    /// The same, not running yet; `internal` is added to the settings of the internal API.
    pub(crate) async fn asleep(internal: &str) -> Self {
        Self::asleep_with("", internal).await
    }

    /// The same with more settings of the control plane.
    pub(crate) async fn asleep_with(control: &str, internal: &str) -> Self {
        let mut world = World::start().await;
        assert!(world.terminate().await.success(), "{}", world.narration());
        let cloud = Cloud::start().await;
        world.upstream.clone_from(&cloud.url);
        let (data, port) = (world.data(), world.issuer.rsplit_once(':').unwrap().1);
        let settings = format!(
            "listen = \"127.0.0.1:{port}\"\nissuer = \"{}\"\nstore = \"sqlite:{}\"\nkey_file = \"{}\"\n\
             lease_seconds = 2\n{control}\n[internal]\n{internal}",
            world.issuer,
            data.join("consentry.db").display(),
            data.join("key").display(),
        );
        let internal = format!("http://127.0.0.1:{}", free_ports::<1>()[0]);
        Self { world, cloud, internal, control: None, settings, folder: tempfile::tempdir().unwrap() }
    }

    /// From now on the control plane publishes in this Redis.
    pub(crate) fn publish_in(&mut self, redis: &str) {
        self.settings =
            self.settings.replacen("[internal]", &format!("[redis]\nurl = \"{redis}\"\n[internal]"), 1);
    }

    /// From its next start the control plane has `new` in its settings where it had `old`.
    pub(crate) fn set(&mut self, old: &str, new: &str) {
        assert!(self.settings.contains(old), "{}", self.settings);
        self.settings = self.settings.replacen(old, new, 1);
    }

    /// Starts the control plane, on the address that it had before.
    pub(crate) async fn wake(&mut self) {
        let port = self.internal.rsplit_once(':').unwrap().1;
        let config = self.control_settings();
        std::fs::write(&config, format!("{}\nlisten = \"127.0.0.1:{port}\"\n", self.settings)).unwrap();
        let mut control = Role::start("control", self.folder.path(), &config, &[]);
        let told = control.ready().await;
        self.internal = told["internal"].as_str().unwrap().to_owned();
        self.control = Some(control);
    }

    /// Starts the control plane without an internal API: no sidecar can ask it anything.
    pub(crate) async fn wake_without_internal(&mut self) {
        let (settings, _) = self.settings.split_once("[internal]").unwrap();
        let config = self.control_settings();
        std::fs::write(&config, settings).unwrap();
        let mut control = Role::start("control", self.folder.path(), &config, &[]);
        control.ready().await;
        self.control = Some(control);
    }

    pub(crate) fn control_settings(&self) -> PathBuf {
        self.folder.path().join("control.toml")
    }

    /// Ends the control plane with SIGKILL.
    pub(crate) async fn kill_control(&mut self) {
        self.control.take().unwrap().kill().await;
    }

    /// A one-time token for `name`, with more arguments.
    pub(crate) fn invite(&self, name: &str, arguments: &[&str]) -> String {
        let data = self.world.data();
        let output = consentry()
            .args(["sidecars", "invite", name, "--data"])
            .arg(data)
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Ends the enrolment of `name`.
    pub(crate) fn revoke(&self, name: &str) {
        let output = consentry().args(["sidecars", "revoke", name, "--data"]).arg(self.world.data()).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Keeps what a cloud's script has told as the sidecars' own key there, for settings to name; gives the file.
    pub(crate) fn keep_cloud_key(&self, told: &Value) -> PathBuf {
        let file = self.world.data().join("cloud-key.json");
        let key =
            json!({ "access_key_id": told["accessKeyId"], "secret_access_key": told["accessKeySecret"] });
        std::fs::write(&file, key.to_string()).unwrap();
        file
    }

    /// An invited sidecar that serves.
    pub(crate) async fn sidecar(&mut self, name: &str) -> Lone {
        let token = self.invite(name, &[]);
        let sidecar = self.lone(name, &token, "").await;
        sidecar.until_ready().await;
        sidecar
    }

    /// An invited sidecar that serves, whose time of day [`Lone::set_clock`] moves.
    pub(crate) async fn sidecar_with_clock(&mut self, name: &str) -> Lone {
        let folder = self.sidecar(name).await.terminate().await;
        let clock = folder.join(CLOCK).display().to_string();
        let lines = [
            format!("LD_PRELOAD={}", faketime()),
            format!("FAKETIME_TIMESTAMP_FILE={clock}"),
            "FAKETIME_NO_CACHE=1".to_owned(),
            // The clocks that only go forward do so: they are what a lease counts by.
            "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
        ];
        std::fs::write(folder.join(CLOCK), "+0\n").unwrap();
        std::fs::write(folder.join(ENVIRONMENT), lines.join("\n")).unwrap();
        let sidecar = Lone::start(folder).await;
        sidecar.until_ready().await;
        sidecar
    }

    /// A sidecar with this token, which listens; `control` is added to its settings of the control plane.
    pub(crate) async fn lone(&mut self, name: &str, token: &str, control: &str) -> Lone {
        let folder = tempfile::tempdir_in(self.folder.path()).unwrap().keep();
        let at = |file: &str| folder.join(file).display().to_string();
        std::fs::write(folder.join("token"), token).unwrap();
        let example = include_str!("../../deploy/sidecar.toml");
        let (_, routes) = example.split_once("[upstreams").unwrap();
        let routes = format!("[upstreams{routes}").replace("http://127.0.0.1:8082", &self.cloud.url);
        let settings = format!(
            "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nissuer = \"{}\"\nworkers = 1\nrecords = \"{}\"\n\
             drain_seconds = 2\n[control]\nurls = [\"{}\"]\nname = \"{name}\"\nstate = \"{}\"\ntoken_file = \"{}\"\n\
             {control}\n{routes}",
            self.world.issuer,
            at("records.jsonl"),
            self.internal,
            at("state"),
            at("token"),
        );
        std::fs::write(folder.join("sidecar.toml"), settings).unwrap();
        let lone = Lone::start(folder).await;
        self.world.sidecar.clone_from(&lone.url);
        lone
    }
}

impl Lone {
    /// Starts from the settings in `folder`, and waits until it listens.
    pub(crate) async fn start(folder: PathBuf) -> Self {
        let mut role = Role::start("sidecar", &folder, &folder.join("sidecar.toml"), &[]);
        let told = role.ready().await;
        let text = |name: &str| told[name].as_str().unwrap().to_owned();
        Self { url: text("sidecar"), admin: text("admin"), id: text("id"), folder, role }
    }

    /// A read that the scope `/acs/oss:read` allows.
    pub(crate) async fn read_object(&self, token: &str) -> Answer {
        self.call("/oss/reports/q1.csv").bearer(token).send().await
    }

    /// From now on its time of day is so many seconds away from the true one.
    pub(crate) fn set_clock(&self, seconds: i64) {
        let new = self.folder.join("clock.new");
        std::fs::write(&new, format!("{seconds:+}\n")).unwrap();
        std::fs::rename(new, self.folder.join(CLOCK)).unwrap();
    }

    pub(crate) fn call(&self, path: &str) -> Call {
        get(format!("{}{path}", self.url))
    }

    /// Waits until `/readyz` says that it serves.
    pub(crate) async fn until_ready(&self) {
        eventually("the sidecar is ready", || async {
            (get(format!("{}/readyz", self.admin)).send().await.status == 200).then_some(())
        })
        .await;
    }

    /// Waits until `/readyz` says that it does not serve, for a reason that contains `reason`.
    pub(crate) async fn until_not_ready(&self, reason: &str) {
        eventually(&format!("the sidecar is not ready: {reason}"), || async {
            let answer = get(format!("{}/readyz", self.admin)).send().await;
            let reasons = answer.json()["reasons"].to_string();
            (answer.status == 503 && reasons.contains(reason)).then_some(())
        })
        .await;
    }

    /// The number of its process.
    pub(crate) fn process(&self) -> u32 {
        self.role.process.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.role.signal(signal);
    }

    /// Ends it with SIGKILL.
    pub(crate) async fn kill(mut self) {
        self.role.kill().await;
    }

    /// Asks it to end, and waits; gives its folder, to start from again.
    pub(crate) async fn terminate(mut self) -> PathBuf {
        self.signal(Signal::TERM);
        let status = self.role.ended().await;
        assert!(status.success(), "{status}: {}", self.told());
        self.folder.clone()
    }

    /// The decision records so far.
    pub(crate) fn records(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.join("records.jsonl")).unwrap_or_default();
        // The last line may be on its way.
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// What it has written to standard error.
    pub(crate) fn told(&self) -> String {
        std::fs::read_to_string(&self.role.told).unwrap_or_default()
    }
}

impl Role {
    fn start(role: &str, folder: &Path, config: &Path, arguments: &[&str]) -> Self {
        let (told, ready) = (folder.join(format!("{role}.log")), folder.join(format!("{role}.ready")));
        // Of an earlier process.
        let _ = std::fs::remove_file(&ready);
        let log = std::fs::File::options().create(true).append(true).open(&told).unwrap();
        let mut command: Command = consentry();
        // More of its environment, where a test has left some.
        let more = std::fs::read_to_string(folder.join(ENVIRONMENT)).unwrap_or_default();
        command.envs(more.lines().filter_map(|line| line.split_once('=')));
        command.arg(role).arg("--config").arg(config).arg("--ready-file").arg(&ready).args(arguments);
        // What runs the tests may have a token of its own.
        command.env_remove("CONSENTRY_ENROLMENT_TOKEN");
        let process = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Self { process, told, ready }
    }

    async fn ready(&mut self) -> Value {
        let ready = eventually("the role has written its ready file", || {
            if let Some(status) = self.process.try_wait().unwrap() {
                panic!("it ended with {status}: {}", std::fs::read_to_string(&self.told).unwrap_or_default());
            }
            std::future::ready(std::fs::read(&self.ready).ok())
        });
        serde_json::from_slice(&ready.await).unwrap()
    }

    fn signal(&self, signal: Signal) {
        let _ = rustix::process::kill_process(Pid::from_child(&self.process), signal);
    }

    async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.ended().await;
    }

    async fn ended(&mut self) -> std::process::ExitStatus {
        eventually("the process ends", || std::future::ready(self.process.try_wait().unwrap())).await
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            let told = std::fs::read_to_string(&self.told).unwrap_or_default();
            let from = told.lines().count().saturating_sub(20);
            eprintln!("the last of {}:", self.told.display());
            told.lines().skip(from).for_each(|line| eprintln!("  {line}"));
        }
    }
}

const ENVIRONMENT: &str = "environment";
const CLOCK: &str = "clock";
