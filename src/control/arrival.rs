//! That a request's body arrives, whole and in time, before anyone works on the request.
//!
//! In: any request. Out: the same with its body in memory, as far as a body may go; or a 408. Who sends slowly, or not
//! at all, holds a connection for a moment and nothing else. It does not refuse a body that is too long: whoever reads
//! it does, in words of their own.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body::Body as _;
use http_body_util::BodyExt;

use super::Problem;

/// How much is taken in, and within which time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    /// The largest body, in bytes.
    pub(super) limit: usize,
    /// From the head of the request to the end of its body.
    pub(super) within: Duration,
}

/// Lets the request through once its body is there.
pub(super) async fn whole(State(arrival): State<Arrival>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    if body.is_end_stream() {
        return next.run(Request::from_parts(head, body)).await;
    }
    match tokio::time::timeout(arrival.within, gather(body, arrival.limit)).await {
        Ok(Some(bytes)) => next.run(Request::from_parts(head, Body::from(bytes))).await,
        Ok(None) | Err(_) => late(),
    }
}

/// The body; of one that is too long only so much that it shows. Nothing when it breaks off.
async fn gather(mut body: Body, limit: usize) -> Option<Bytes> {
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(part) = frame.ok()?.into_data() {
            whole.extend_from_slice(&part);
        }
        if whole.len() > limit {
            break;
        }
    }
    Some(Bytes::from(whole))
}

fn late() -> Response {
    let detail = "The body of the request did not arrive whole and in time.";
    let problem = Problem::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", detail);
    let mut response = problem.next("Send it again.").into_response();
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use axum::Router;
    use axum::extract::DefaultBodyLimit;
    use axum::middleware::from_fn_with_state;
    use axum::routing::post;
    use http_body::Frame;
    use tower::ServiceExt;

    use super::*;

    async fn status(body: Body) -> StatusCode {
        let arrival = Arrival { limit: 4, within: Duration::from_millis(1) };
        let router = Router::new()
            .route("/", post(async |_: Bytes| StatusCode::OK))
            .layer(DefaultBodyLimit::max(arrival.limit))
            .layer(from_fn_with_state(arrival, whole));
        router.oneshot(Request::post("/").body(body).unwrap()).await.unwrap().status()
    }

    /// Sends a byte, and then nothing for ever.
    struct Stalls(bool);

    impl http_body::Body for Stalls {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if std::mem::replace(&mut self.0, true) {
                return Poll::Pending;
            }
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"a")))))
        }
    }

    #[tokio::test]
    async fn a_body_that_arrives_is_passed_on() {
        assert_eq!(status(Body::empty()).await, StatusCode::OK);
        assert_eq!(status(Body::from("1234")).await, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_body_that_does_not_arrive_is_not_waited_for_and_a_long_one_is_refused_by_its_reader() {
        assert_eq!(status(Body::new(Stalls(false))).await, StatusCode::REQUEST_TIMEOUT);
        assert_eq!(status(Body::from("12345")).await, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
