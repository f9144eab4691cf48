//! The reference: the fastest reverse proxy that hyper gives, without a thought about who calls.
//!
//! One thread, its own pool of upstream connections, each driven by a task of its own; hop-by-hop fields are taken
//! out and nothing else is looked at.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONNECTION, HOST};
use http::{HeaderValue, Request, Response};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1 as client;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::LocalRuntime;

use super::{Fallible, role};

type Sender = client::SendRequest<Incoming>;
type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Pool {
    upstream: SocketAddr,
    host: HeaderValue,
    idle: RefCell<Vec<Sender>>,
}

/// An upstream's answer, which gives the connection back at its end.
struct Answer {
    incoming: Incoming,
    lease: Option<(Rc<Pool>, Sender)>,
}

pub(crate) fn run(upstream: SocketAddr) -> Fallible<()> {
    let runtime = LocalRuntime::new()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        role::ready(listener.local_addr()?, "")?;
        let host = HeaderValue::from_str(&upstream.to_string())?;
        let pool = Rc::new(Pool { upstream, host, idle: RefCell::default() });
        loop {
            let (tcp, _) = listener.accept().await?;
            tcp.set_nodelay(true)?;
            let pool = Rc::clone(&pool);
            let service = service_fn(move |request| forward(Rc::clone(&pool), request));
            drop(tokio::task::spawn_local(
                server::Builder::new().serve_connection(TokioIo::new(tcp), service),
            ));
        }
    })
}

async fn forward(pool: Rc<Pool>, mut request: Request<Incoming>) -> Result<Response<Answer>, Failure> {
    let headers = request.headers_mut();
    headers.remove(CONNECTION);
    headers.insert(HOST, pool.host.clone());
    let mut sender = pool.take().await?;
    let mut response = sender.send_request(request).await?;
    response.headers_mut().remove(CONNECTION);
    Ok(response.map(|incoming| Answer { incoming, lease: Some((pool, sender)) }))
}

impl Pool {
    async fn take(&self) -> Result<Sender, Failure> {
        while let Some(sender) = self.idle.borrow_mut().pop() {
            if !sender.is_closed() {
                return Ok(sender);
            }
        }
        let tcp = TcpStream::connect(self.upstream).await?;
        tcp.set_nodelay(true)?;
        let (sender, connection) = client::handshake(TokioIo::new(tcp)).await?;
        drop(tokio::task::spawn_local(connection));
        Ok(sender)
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        if (frame.is_none() || self.incoming.is_end_stream())
            && let Some((pool, sender)) = self.lease.take()
        {
            pool.idle.borrow_mut().push(sender);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
