//! The upstream: the least that hyper can do, 1 KiB an answer.

use std::convert::Infallible;
use std::net::Ipv4Addr;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::LocalRuntime;

use super::{Fallible, role};

pub(crate) fn run() -> Fallible<()> {
    let runtime = LocalRuntime::new()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        role::ready(listener.local_addr()?, "")?;
        let body = Bytes::from(vec![b'x'; 1024]);
        loop {
            let (tcp, _) = listener.accept().await?;
            tcp.set_nodelay(true)?;
            let body = body.clone();
            let service = service_fn(move |_| {
                let answer = Response::new(Full::new(body.clone()));
                async move { Ok::<_, Infallible>(answer) }
            });
            drop(tokio::task::spawn_local(
                http1::Builder::new().serve_connection(TokioIo::new(tcp), service),
            ));
        }
    })
}
