//! A role in a process of its own, from settings of the test's own.

use std::process::{Child, Stdio};

use tempfile::TempDir;

use super::eventually;
use super::world::consentry;

/// A running `consentry sidecar`.
pub(crate) struct Standalone {
    /// Where it listens.
    pub(crate) address: String,
    process: Child,
    _folder: TempDir,
}

impl Standalone {
    /// A sidecar with one route and, before its tables, these settings; what they name lies in `folder`.
    pub(crate) async fn sidecar(folder: TempDir, settings: &str) -> Self {
        let (config, told) = (folder.path().join("sidecar.toml"), folder.path().join("told.txt"));
        let state = folder.path().join("state").display().to_string();
        std::fs::write(&config, format!("{settings}{}", SETTINGS.replace("STATE", &state))).unwrap();
        let log = std::fs::File::create(&told).unwrap();
        let mut command = consentry();
        command.arg("sidecar").arg("--config").arg(&config).stdout(Stdio::null()).stderr(log);
        let process = command.spawn().unwrap();
        let address = eventually("the sidecar says where it listens", || {
            let text = std::fs::read_to_string(&told).unwrap_or_default();
            let address = text.split_once("sidecar on ").and_then(|(_, rest)| rest.split_once('\n'));
            std::future::ready(address.map(|(address, _)| address.to_owned()))
        })
        .await;
        Self { address, process, _folder: folder }
    }
}

impl Drop for Standalone {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const SETTINGS: &str = r#"
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
issuer = "http://127.0.0.1:1"
workers = 1

[control]
urls = ["http://127.0.0.1:1"]
name = "alone"
state = "STATE"

[upstreams.nowhere]
url = "http://127.0.0.1:1"

[[route]]
path = "/oss/{bucket}"
upstream = "nowhere"
adapter = "rest"
actions = { GET = "oss:ListObjects" }
resource = "{bucket}"
"#;
