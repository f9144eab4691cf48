//! Reaching Redis: one server, a primary that sentinels name, or a cluster; over TLS with an own authority; as an ACL
//! user whose password comes from a file or `CONSENTRY_REDIS_PASSWORD`, and is never printed.
//!
//! Comes in: the settings. Goes out: [`Commands`], for records, wherever they lie; and a [`Primary`], a connection of
//! its own to the one server that holds the log, with that server's run id. Nothing is retried here.

use std::time::Duration;

use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::cluster::ClusterClientBuilder;
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue, IntoConnectionInfo,
    ProtocolVersion, RedisConnectionInfo, RedisError, RedisResult, TlsCertificates, cmd,
};

use super::names::Names;
use crate::config::redis::{Mode, Redis};
use crate::token::random::Secret;

/// How Redis is reached.
pub struct Reach {
    mode: Mode,
    nodes: Vec<ConnectionInfo>,
    master: String,
    username: Option<String>,
    password: Option<Secret>,
    database: i64,
    certificates: Option<TlsCertificates>,
    names: Names,
}

/// The settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("[redis]: {0}")]
pub struct OpenError(String);

/// Redis cannot be reached, or is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Redis cannot be reached: {0}")]
pub struct Unreached(pub(super) String);

/// A connection for commands on any key.
#[derive(Clone)]
pub enum Commands {
    /// To the one server.
    One(MultiplexedConnection),
    /// To all of a cluster.
    Cluster(ClusterConnection),
}

/// A connection to the server that holds the log.
pub struct Primary {
    /// The connection.
    pub connection: MultiplexedConnection,
    /// Which run of which server it leads to, as long as it lives.
    pub run_id: String,
}

/// Reads what the settings name; connects to nothing yet, so that Redis may come later.
///
/// # Errors
/// [`OpenError`]: a file cannot be read, or an address has no meaning.
pub fn open(settings: &Redis) -> Result<Reach, OpenError> {
    let unreadable = |path: &std::path::Path, error: std::io::Error| {
        OpenError(format!(
            "{} cannot be read: {error}; give a file that this process may read",
            path.display()
        ))
    };
    let from_file = |path: &std::path::PathBuf| match std::fs::read_to_string(path) {
        Ok(text) => Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned())),
        Err(error) => Err(unreadable(path, error)),
    };
    let password = match std::env::var(PASSWORD) {
        Ok(text) => Some(Secret::new(text)),
        Err(_) => settings.password_file.as_ref().map(from_file).transpose()?,
    };
    let authority = |path: &std::path::PathBuf| std::fs::read(path).map_err(|error| unreadable(path, error));
    let root_cert = settings.ca.as_ref().map(authority).transpose()?;
    let mut nodes = Vec::new();
    for url in settings.addresses() {
        if url.fragment().is_some() {
            return Err(OpenError("an address has no # part; a certificate is always checked".to_owned()));
        }
        let read: RedisResult<ConnectionInfo> = url.clone().into_connection_info();
        nodes.push(read.map_err(|error| OpenError(format!("{url} is no address of Redis: {error}")))?);
    }
    let first = nodes.first().ok_or_else(|| OpenError("no address is given".to_owned()))?.redis_settings();
    Ok(Reach {
        mode: settings.mode,
        master: settings.master.clone().unwrap_or_default(),
        username: settings.username.clone().or_else(|| first.username().map(str::to_owned)),
        password,
        database: if settings.mode == Mode::Standalone { first.db() } else { 0 },
        certificates: root_cert.map(|pem| TlsCertificates { client_tls: None, root_cert: Some(pem) }),
        names: Names::new(&settings.prefix),
        nodes,
    })
}

impl Reach {
    /// What the keys are called.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Connects for commands.
    ///
    /// # Errors
    /// [`Unreached`].
    pub async fn commands(&self) -> Result<Commands, Unreached> {
        let connected = async {
            match self.mode {
                Mode::Standalone | Mode::Sentinel => {
                    Ok(Commands::One(self.connect(self.whereabouts().await?, None).await?))
                }
                Mode::Cluster => Ok(Commands::Cluster(self.cluster().await?)),
            }
        };
        within(CONNECTING, connected).await
    }

    /// Connects to the server that holds the log. What it pushes goes to `pushed`, and so does the connection's end.
    ///
    /// # Errors
    /// [`Unreached`], also when the server found is not, or no longer, the one that may be written to.
    pub async fn primary(&self, pushed: impl AsyncPushSender + Clone) -> Result<Primary, Unreached> {
        within(CONNECTING, self.find_primary(pushed)).await
    }

    async fn find_primary(&self, pushed: impl AsyncPushSender + Clone) -> Result<Primary, Unreached> {
        let mut address = self.whereabouts().await?;
        for _ in 0..REDIRECTIONS {
            let config = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(CONNECTING))
                .set_response_timeout(Some(ANSWERING))
                .set_push_sender(pushed.clone());
            let mut connection = self.connect(address.clone(), Some(config)).await?;
            // In a cluster whoever does not hold the log says who does.
            let probe = cmd("GETRANGE").arg(self.names.watermark()).arg(0).arg(0).to_owned();
            if let Err(error) = probe.query_async::<Vec<u8>>(&mut connection).await {
                match error.redirect_node().and_then(|(node, _)| moved(node, &address)) {
                    Some(elsewhere) => {
                        address = elsewhere;
                        continue;
                    }
                    // A key of another type is the publisher's to mend.
                    None if error.code() == Some("WRONGTYPE") => {}
                    None => return Err(error.into()),
                }
            }
            let told: String =
                cmd("INFO").arg("server").arg("replication").query_async(&mut connection).await?;
            let field = |name: &str| {
                told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
            };
            let Some(run_id) = field("run_id").filter(|_| field("role") == Some("master")) else {
                return Err(Unreached("the server found is no primary (any more)".to_owned()));
            };
            return Ok(Primary { run_id: run_id.to_owned(), connection });
        }
        Err(Unreached("the cluster's servers send from one to the other".to_owned()))
    }

    /// The address to connect to first.
    async fn whereabouts(&self) -> Result<ConnectionAddr, Unreached> {
        let mut last = Unreached("no address is given".to_owned());
        for node in &self.nodes {
            let found = match self.mode {
                Mode::Standalone => Ok(node.addr().clone()),
                // Whichever answers; it is asked for commands as soon as it is connected to.
                Mode::Cluster => self.connect(node.addr().clone(), None).await.map(|_| node.addr().clone()),
                Mode::Sentinel => within(ASKING, self.ask_sentinel(node)).await,
            };
            match found {
                Ok(address) => return Ok(address),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn ask_sentinel(&self, node: &ConnectionInfo) -> Result<ConnectionAddr, Unreached> {
        // Sentinels have users of their own; they are asked without a log-in.
        let plain = node.clone().set_redis_settings(RedisConnectionInfo::default().set_skip_set_lib_name());
        let mut sentinel = self.client(plain)?.get_multiplexed_async_connection().await?;
        let found: Option<(String, u16)> = cmd("SENTINEL")
            .arg("get-master-addr-by-name")
            .arg(&self.master)
            .query_async(&mut sentinel)
            .await?;
        let (host, port) =
            found.ok_or_else(|| Unreached(format!("the sentinels watch nothing named {}", self.master)))?;
        Ok(at(host, port, node.addr()))
    }

    async fn connect(
        &self,
        address: ConnectionAddr,
        config: Option<AsyncConnectionConfig>,
    ) -> Result<MultiplexedConnection, Unreached> {
        let config = config.unwrap_or_else(|| {
            AsyncConnectionConfig::new()
                .set_connection_timeout(Some(CONNECTING))
                .set_response_timeout(Some(ANSWERING))
        });
        let info = address.into_connection_info()?.set_redis_settings(self.log_in());
        Ok(self.client(info)?.get_multiplexed_async_connection_with_config(&config).await?)
    }

    async fn cluster(&self) -> Result<ClusterConnection, Unreached> {
        let nodes: Vec<ConnectionInfo> =
            self.nodes.iter().map(|node| node.clone().set_redis_settings(self.log_in())).collect();
        let mut builder = ClusterClientBuilder::new(nodes)
            .connection_timeout(ASKING)
            .response_timeout(ANSWERING)
            .overall_response_timeout(Some(ANSWERING))
            .retries(1);
        if let Some(certificates) = &self.certificates {
            builder = builder.certs(certificates.clone());
        }
        Ok(builder.build()?.get_async_connection().await?)
    }

    fn client(&self, info: ConnectionInfo) -> RedisResult<Client> {
        match (&self.certificates, info.addr()) {
            (Some(certificates), ConnectionAddr::TcpTls { .. }) => {
                Client::build_with_tls(info, certificates.clone())
            }
            _ => Client::open(info),
        }
    }

    fn log_in(&self) -> RedisConnectionInfo {
        let mut log_in = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_skip_set_lib_name()
            .set_db(self.database);
        if let Some(username) = &self.username {
            log_in = log_in.set_username(username);
        }
        if let Some(password) = &self.password {
            log_in = log_in.set_password(password.expose());
        }
        log_in
    }
}

impl Commands {
    /// Sends one command.
    ///
    /// # Errors
    /// The library's own.
    pub async fn query<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::One(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        }
    }
}

impl From<RedisError> for Unreached {
    fn from(error: RedisError) -> Self {
        Self(error.to_string())
    }
}

/// The same way of connecting, to another host.
fn at(host: String, port: u16, like: &ConnectionAddr) -> ConnectionAddr {
    if let ConnectionAddr::TcpTls { insecure, tls_params, .. } = like {
        ConnectionAddr::TcpTls { host, port, insecure: *insecure, tls_params: tls_params.clone() }
    } else {
        ConnectionAddr::Tcp(host, port)
    }
}

/// Where a redirection leads: `host:port`, or `:port` on the same host.
fn moved(node: &str, from: &ConnectionAddr) -> Option<ConnectionAddr> {
    let (host, port) = node.rsplit_once(':')?;
    let (ConnectionAddr::Tcp(same, _) | ConnectionAddr::TcpTls { host: same, .. }) = from else {
        return None;
    };
    let host = if host.is_empty() { same } else { host.trim_matches(['[', ']']) };
    Some(at(host.to_owned(), port.parse().ok()?, from))
}

async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Unreached>>,
) -> Result<T, Unreached> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => Err(Unreached(format!("no answer within {} ms", limit.as_millis()))),
    }
}

/// In the environment; goes before the file.
const PASSWORD: &str = "CONSENTRY_REDIS_PASSWORD";
/// For all of connecting.
const CONNECTING: Duration = Duration::from_secs(2);
/// For one sentinel or one server of a cluster, so that one that hangs does not use up the time for all.
const ASKING: Duration = Duration::from_millis(500);
/// For a command, unless the caller has less time.
const ANSWERING: Duration = Duration::from_millis(500);
const REDIRECTIONS: usize = 4;
