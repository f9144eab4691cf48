//! The roles, as processes of their own: started, pinned to a core, and looked at from outside.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write, stdin, stdout};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};

use super::{Fallible, bare, gateway, target};

/// What a process of this program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Upstream,
    Bare,
    Sidecar,
}

/// A started role. It ends with this value.
pub(crate) struct Running {
    child: Child,
    address: SocketAddr,
    remark: String,
}

impl Role {
    pub(crate) fn named(name: &str) -> Fallible<Self> {
        let all = [Self::Upstream, Self::Bare, Self::Sidecar];
        Ok(all.into_iter().find(|role| role.name() == name).ok_or("a role is upstream, bare or sidecar")?)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Bare => "bare",
            Self::Sidecar => "sidecar",
        }
    }

    /// Proxies have one core, load and upstream the other.
    fn core(self) -> usize {
        match self {
            Self::Upstream => LOAD_CORE,
            Self::Bare | Self::Sidecar => PROXY_CORE,
        }
    }

    /// Starts this program again in this role.
    pub(crate) fn start(self, arguments: &[&str]) -> Fallible<Running> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["role", self.name()])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let said = child.stdout.take().ok_or("no pipe")?;
        BufReader::new(said).read_line(&mut line)?;
        let (address, remark) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        let address = address.parse().map_err(|_| format!("{} did not start", self.name()))?;
        Ok(Running { child, address, remark: remark.to_owned() })
    }

    /// Is this role until the one who started it goes away.
    pub(crate) fn play(self, arguments: &[&str]) -> Fallible<()> {
        stay_on(self.core());
        let to = |words: &[&str]| -> Fallible<SocketAddr> {
            Ok(words.first().ok_or("to which upstream?")?.parse()?)
        };
        match self {
            Self::Upstream => target::run(),
            Self::Bare => bare::run(to(arguments)?),
            Self::Sidecar => gateway::run(to(arguments)?, arguments.get(1).copied()),
        }
    }
}

/// Says that a role serves, and where.
pub(crate) fn ready(address: SocketAddr, remark: &str) -> Fallible<()> {
    let mut out = stdout().lock();
    writeln!(out, "{address} {remark}")?;
    out.flush()?;
    // When the pipe closes, whoever started this has gone.
    std::thread::spawn(|| {
        let _ = stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    Ok(())
}

/// Keeps this process on one core; says whether that could be done.
pub(crate) fn stay_on(core: usize) -> bool {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).is_ok()
}

impl Running {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it said beside its address.
    pub(crate) fn remark(&self) -> &str {
        &self.remark
    }

    /// The time that its threads have been on a core so far: user and system together, to the nanosecond, where
    /// `/proc/PID/stat` counts in hundredths of a second.
    pub(crate) fn on_core(&self) -> Fallible<Duration> {
        let mut sum = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.id()))? {
            let spent = fs::read_to_string(thread?.path().join("schedstat"))?;
            sum += spent.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
        Ok(Duration::from_nanos(sum))
    }

    /// Its resident memory.
    pub(crate) fn resident_kib(&self) -> Fallible<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) const LOAD_CORE: usize = 1;
const PROXY_CORE: usize = 0;
