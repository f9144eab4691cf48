//! Controls and sidecars in processes of their own, with a network between each two of them that can be made to fail.

use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tempfile::TempDir;

use super::role::Role;
use super::servers::Server;
use crate::support::fault::{Mode, Proxy, faketime};
use crate::support::witness::Witness;
use crate::support::world::consentry;
use crate::support::{World, eventually, get};

/// Who plays.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cast {
    pub(crate) controls: usize,
    pub(crate) sidecars: usize,
    pub(crate) postgres: bool,
    pub(crate) redis: bool,
    /// Whether the time of day of each process can be set.
    pub(crate) clocks: bool,
}

pub(crate) struct Stage {
    /// The people and applications. Its issuer is the address of all control planes.
    pub(crate) world: World,
    pub(crate) witness: Witness,
    /// Where the issuer is: leads to one of the control planes.
    pub(crate) front: Proxy,
    pub(crate) controls: Vec<Role>,
    pub(crate) sidecars: Vec<Sidecar>,
    pub(crate) store: Option<Server>,
    pub(crate) redis: Option<Server>,
    /// From each control plane to the store.
    pub(crate) to_store: Vec<Proxy>,
    /// From each control plane to Redis.
    pub(crate) to_redis: Vec<Proxy>,
    /// Where each control plane listens: for everybody, and for sidecars.
    listening: Vec<[String; 2]>,
    /// To which of them the issuer's address leads.
    leads_to: usize,
    clocks: bool,
    folder: TempDir,
}

pub(crate) struct Sidecar {
    pub(crate) role: Role,
    /// From it to each control plane.
    pub(crate) to_control: Vec<Proxy>,
    /// From it to Redis.
    pub(crate) to_redis: Proxy,
    /// Where it listens, as `127.0.0.1:8080`. No network of the test's own stands before it: what it has sent is
    /// there at once.
    pub(crate) door: String,
    /// Its operators' port.
    admin: String,
}

impl Cast {
    /// One control plane on SQLite with three sidecars.
    pub(crate) const SMALL: Self =
        Self { controls: 1, sidecars: 3, postgres: false, redis: false, clocks: false };
    /// Two control planes on PostgreSQL with three sidecars.
    pub(crate) const TWO: Self =
        Self { controls: 2, sidecars: 3, postgres: true, redis: false, clocks: false };
    /// The same with Redis.
    pub(crate) const WHOLE: Self =
        Self { controls: 2, sidecars: 3, postgres: true, redis: true, clocks: false };
}

impl Stage {
    pub(crate) async fn set(cast: Cast) -> Self {
        let mut world = World::start().await;
        assert!(world.terminate().await.success(), "{}", world.narration());
        let front = Proxy::start("127.0.0.1:1").await;
        world.issuer = front.url();
        let mut stage = Self {
            world,
            witness: Witness::start(),
            front,
            controls: Vec::new(),
            sidecars: Vec::new(),
            store: None,
            redis: None,
            to_store: Vec::new(),
            to_redis: Vec::new(),
            listening: Vec::new(),
            leads_to: 0,
            clocks: cast.clocks,
            folder: tempfile::tempdir().unwrap(),
        };
        if cast.postgres {
            stage.move_to_postgres().await;
        }
        if cast.redis {
            stage.redis = Some(Server::redis().await);
        }
        for number in 0..cast.controls {
            stage.add_control(number).await;
        }
        for number in 0..cast.controls {
            stage.start_control(number).await;
        }
        for number in 0..cast.sidecars {
            stage.add_sidecar(number).await;
        }
        for number in 0..cast.sidecars {
            stage.start_sidecar(number).await;
        }
        stage.until_ready().await;
        stage
    }

    async fn move_to_postgres(&mut self) {
        let server = Server::postgres().await;
        let from = format!("sqlite:{}", self.world.data().join("consentry.db").display());
        let to = format!("postgres://consentry@{}/consentry", server.address());
        let copied = consentry().args(["store", "copy", &from, &to]).output().unwrap();
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        self.store = Some(server);
    }

    async fn add_control(&mut self, number: usize) {
        let data = self.world.data();
        let to_store = self.store.as_ref().map_or("127.0.0.1:1".to_owned(), Server::address);
        let to_store = Proxy::start(&to_store).await;
        let store = match &self.store {
            Some(_) => format!("postgres://consentry@{}/consentry", to_store.address()),
            None => format!("sqlite:{}", data.join("consentry.db").display()),
        };
        let to_redis = self.redis.as_ref().map_or("127.0.0.1:1".to_owned(), Server::address);
        let to_redis = Proxy::start(&to_redis).await;
        let settings = format!(
            "node = \"control-{number}\"\nlisten = \"127.0.0.1:0\"\nissuer = \"{}\"\nstore = \"{store}\"\n\
             key_file = \"{}\"\nlease_seconds = {LEASE}\n[internal]\nlisten = \"127.0.0.1:0\"\n{}",
            self.front.url(),
            data.join("key").display(),
            self.redis_settings(&to_redis),
        );
        let folder = self.folder.path().join(format!("control-{number}"));
        let mut role = Role::new("control", &folder, &settings);
        self.give_clock(&mut role);
        self.controls.push(role);
        self.to_store.push(to_store);
        self.to_redis.push(to_redis);
        self.listening.push(Default::default());
    }

    fn redis_settings(&self, network: &Proxy) -> String {
        match &self.redis {
            Some(_) => format!("[redis]\nurl = \"redis://{}\"\n", network.address()),
            None => String::new(),
        }
    }

    /// Starts a control plane, again if it has run before, and leads to it who looks for it.
    pub(crate) async fn start_control(&mut self, number: usize) {
        let control = &mut self.controls[number];
        control.start();
        let ready = control.ready().await;
        let public = control.says("control plane on http://").await;
        let internal = ready["internal"].as_str().unwrap().trim_start_matches("http://").to_owned();
        for sidecar in &self.sidecars {
            sidecar.to_control[number].lead_to(&internal);
        }
        self.listening[number] = [public, internal];
        if number == 0 {
            self.lead_to_control(0);
        }
    }

    /// From now on this control plane is the issuer for people, applications and administrators.
    pub(crate) fn lead_to_control(&mut self, number: usize) {
        self.leads_to = number;
        self.front.lead_to(&self.listening[number][0]);
    }

    /// Where that control plane listens for everybody, with no network between.
    pub(crate) fn control_address(&self) -> String {
        self.listening[self.leads_to][0].clone()
    }

    async fn add_sidecar(&mut self, number: usize) {
        let name = format!("s{number}");
        let folder = self.folder.path().join(&name);
        let mut to_control = Vec::new();
        for [_, internal] in &self.listening {
            to_control.push(Proxy::start(internal).await);
        }
        let to_redis = self.redis.as_ref().map_or("127.0.0.1:1".to_owned(), Server::address);
        let to_redis = Proxy::start(&to_redis).await;
        let urls: Vec<_> = to_control.iter().map(|network| format!("\"{}\"", network.url())).collect();
        let at = |file: &str| folder.join(file).display().to_string();
        let settings = format!(
            "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nissuer = \"{}\"\nworkers = 1\n\
             records = \"{}\"\ndrain_seconds = 2\n[control]\nurls = [{}]\nname = \"{name}\"\nstate = \"{}\"\n\
             token_file = \"{}\"\n{}{}",
            self.front.url(),
            at("records.jsonl"),
            urls.join(", "),
            at("state"),
            at("token"),
            self.redis_settings(&to_redis),
            self.routes(),
        );
        let mut role = Role::new("sidecar", &folder, &settings);
        self.give_clock(&mut role);
        std::fs::write(folder.join("token"), self.invite(&name)).unwrap();
        self.sidecars.push(Sidecar { role, to_control, to_redis, door: String::new(), admin: String::new() });
    }

    fn routes(&self) -> String {
        let example = include_str!("../../deploy/sidecar.toml");
        let (_, routes) = example.split_once("[upstreams").unwrap();
        format!("[upstreams{routes}").replace("127.0.0.1:8082", &self.witness.address.to_string())
    }

    fn invite(&self, name: &str) -> String {
        let invited = consentry()
            .args(["sidecars", "invite", name, "--config"])
            .arg(self.controls[0].settings())
            .output()
            .unwrap();
        assert!(invited.status.success(), "{}", String::from_utf8_lossy(&invited.stderr));
        String::from_utf8(invited.stdout).unwrap()
    }

    /// Starts a sidecar, again if it has run before.
    pub(crate) async fn start_sidecar(&mut self, number: usize) {
        let sidecar = &mut self.sidecars[number];
        sidecar.role.start();
        let ready = sidecar.role.ready().await;
        let text = |name: &str| ready[name].as_str().unwrap().to_owned();
        sidecar.door = text("sidecar").trim_start_matches("http://").to_owned();
        sidecar.admin = text("admin");
    }

    /// Waits until every sidecar says that it serves.
    pub(crate) async fn until_ready(&self) {
        for sidecar in &self.sidecars {
            eventually("the sidecar says that it serves", || async {
                let answer = tokio::spawn(get(format!("{}/readyz", sidecar.admin)).send()).await;
                answer.is_ok_and(|answer| answer.status == 200).then_some(())
            })
            .await;
        }
    }

    /// Where applications reach the sidecars.
    pub(crate) fn doors(&self) -> Vec<String> {
        self.sidecars.iter().map(|sidecar| sidecar.door.clone()).collect()
    }

    fn give_clock(&self, role: &mut Role) {
        if self.clocks {
            role.set_clock("+0");
            role.set("LD_PRELOAD", &faketime());
            role.set("FAKETIME_TIMESTAMP_FILE", &role.clock().display().to_string());
            role.set("FAKETIME_NO_CACHE", "1");
            // The clocks that only go forward do so: they are what a lease counts by.
            role.set("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
    }

    /// Every network passes again.
    pub(crate) fn heal(&self) {
        let own = [&self.front].into_iter().chain(&self.to_store).chain(&self.to_redis);
        let theirs = self.sidecars.iter();
        let theirs = theirs.flat_map(|sidecar| sidecar.to_control.iter().chain([&sidecar.to_redis]));
        own.chain(theirs).for_each(|network| network.set(Mode::Pass));
    }

    /// Between every sidecar and Redis, and every control plane and Redis.
    pub(crate) fn redis_is(&self, mode: Mode) {
        let theirs = self.sidecars.iter().map(|sidecar| &sidecar.to_redis);
        theirs.chain(&self.to_redis).for_each(|network| network.set(mode));
    }

    /// Redis is another server from now on.
    pub(crate) fn lead_to_redis(&self) {
        let address = self.redis.as_ref().unwrap().address();
        let theirs = self.sidecars.iter().map(|sidecar| &sidecar.to_redis);
        theirs.chain(&self.to_redis).for_each(|network| network.lead_to(&address));
    }

    /// What the store answers to a query whose rows are one text each.
    pub(crate) async fn query(&self, text: &str) -> Vec<String> {
        if let Some(store) = &self.store {
            return store.tell_in("consentry", text).lines().map(str::to_owned).collect();
        }
        let options = SqliteConnectOptions::new().filename(self.world.data().join("consentry.db"));
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let rows = sqlx::query_scalar(sqlx::AssertSqlSafe(text)).fetch_all(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        rows
    }
}

/// The shortest lease that is allowed, in seconds.
pub(crate) const LEASE: u64 = 2;
