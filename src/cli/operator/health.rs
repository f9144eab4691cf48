//! `consentry health`: asks a role's probe, for images that have no other client in them.
//!
//! Comes in: the address of `/livez` or `/readyz`. Goes out: what it says, and the exit code: 0 well, 1 it says no,
//! 4 nothing answers. Plain HTTP only: probes are asked on the machine they run on.

use std::time::Duration;

use clap::Args;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::Url;

use super::super::{Failure, print};

/// Ask a running role whether it is well: exit code 0 yes, 1 no, 4 nothing answers.
#[derive(Debug, Args)]
pub(in crate::cli) struct Health {
    /// The probe's address
    #[arg(long, value_name = "URL", default_value = DEFAULT)]
    url: Url,
}

impl Health {
    /// Asks, and prints the answer.
    ///
    /// # Errors
    /// [`Failure::No`] with what is said, [`Failure::Unreachable`], or [`Failure::Usage`] for another kind of address.
    pub(in crate::cli) fn run(self) -> Result<(), Failure> {
        super::super::on_runtime(self.ask())
    }

    async fn ask(self) -> Result<(), Failure> {
        let url = &self.url;
        let Some(host) = url.host_str().filter(|_| url.scheme() == "http") else {
            return Err(Failure::Usage(format!("{url} is no http address, such as {DEFAULT}")));
        };
        let host = host.trim_matches(['[', ']']);
        let address = (host, url.port_or_known_default().unwrap_or(80));
        let answer = tokio::time::timeout(PATIENCE, exchange(url, address));
        match answer.await {
            Ok(Ok((status, text))) if status.is_success() => print::data(&format!("{}\n", text.trim_end())),
            Ok(Ok((status, text))) => {
                Err(Failure::No(format!("{url} answers {status}: {}", text.trim_end())))
            }
            Ok(Err(error)) => Err(Failure::Unreachable(format!("{url} does not answer: {error}"))),
            Err(_) => {
                Err(Failure::Unreachable(format!("{url} has not answered within {} s", PATIENCE.as_secs())))
            }
        }
    }
}

async fn exchange(
    url: &Url,
    address: (&str, u16),
) -> Result<(StatusCode, String), Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the connection, which ends with the answer; an error in it is the answer's too.
    tokio::spawn(connection);
    let request = Request::get(url.path()).header("host", url.authority()).body(Empty::<Bytes>::new())?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, LARGEST).collect().await?.to_bytes();
    Ok((head.status, String::from_utf8_lossy(&body).into_owned()))
}

const DEFAULT: &str = "http://127.0.0.1:9901/readyz";
const PATIENCE: Duration = Duration::from_secs(3);
const LARGEST: usize = 64 * 1024;
