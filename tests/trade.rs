//! `assume = "exchange"`: the upstream receives a token of the platform's own token service, which is shown who calls and
//! through which application. It is asked once for a standing, and what it gave ends with the grant.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::application::{claims, header};
use crate::support::fleet::{Fleet, Lone};
use crate::support::get;

#[tokio::test]
async fn the_upstream_receives_the_token_services_token_asked_for_once_for_each_caller() {
    let (fleet, sidecar, service) = scene().await;
    fleet.world.install("report-hub", "admin@acme", &[]).await;
    let alice = fleet.world.sign_in("report-hub", "alice@acme").await;
    let at_once: Vec<_> = (0..8).map(|_| list(&sidecar, &alice.access)).collect();
    for answer in futures(at_once).await {
        assert_eq!(answer["authorization"], "Bearer upstream-1", "{answer}");
    }
    assert_eq!(service.count(), 1, "all of them waited for the one");
    let (authorization, asked) = service.last();
    assert_eq!(authorization, "Basic Y29uc2VudHJ5OmEtc2VjcmV0LXRoZXJl");
    let field =
        |name: &str| asked.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    assert_eq!(field("grant_type"), "urn:ietf:params:oauth:grant-type:token-exchange");
    assert_eq!(field("subject_token_type"), "urn:ietf:params:oauth:token-type:jwt");
    assert_eq!((field("audience"), field("scope")), ("files", "files.list files.read"));
    // It is shown who calls, and through what: signed by the sidecar, with a key that the issuer publishes.
    let shown = claims(field("subject_token"));
    assert_eq!(shown["sub"], claims(&alice.access)["sub"]);
    assert_eq!(shown["act"]["sub"], fleet.world.seed("report-hub").client_id.as_str());
    assert_eq!(shown["aud"], service.url.as_str());
    let keys = get(format!("{}/v1/keys", fleet.world.issuer)).send().await.expect(200);
    let kid = header(field("subject_token"))["kid"].clone();
    assert!(keys["keys"].as_array().unwrap().iter().any(|key| key["kid"] == kid), "{keys}");

    let bob = fleet.world.sign_in("report-hub", "bob@acme").await;
    assert_eq!(
        list(&sidecar, &bob.access).await["authorization"],
        "Bearer upstream-2",
        "nobody has another's"
    );
    assert_eq!(list(&sidecar, &alice.access).await["authorization"], "Bearer upstream-1");
}

#[tokio::test]
async fn whoever_may_not_call_costs_the_token_service_nothing_and_what_it_gave_ends_with_the_grant() {
    let (fleet, sidecar, service) = scene().await;
    let tokens = fleet.world.install("report-hub", "admin@acme", &[]).await;
    let other = fleet.world.install("desk-cli", "admin@acme", &["/acs/ecs"]).await;
    sidecar.call("/files/reports").bearer(&other.access).send().await.expect(403);
    assert_eq!(service.count(), 0);
    list(&sidecar, &tokens.access).await;
    let path = format!("/applications/{}", fleet.world.seed("report-hub").client_id);
    fleet.world.api("acme", "POST", &format!("{path}/suspend")).send().await.expect(200);
    sidecar.call("/files/reports").bearer(&tokens.access).send().await.expect(403);
    fleet.world.api("acme", "POST", &format!("{path}/resume")).send().await.expect(200);
    assert_eq!(
        list(&sidecar, &tokens.access).await["authorization"],
        "Bearer upstream-2",
        "not the one from before"
    );
    let before = fleet.cloud.seen();
    fleet.world.delete_application("acme", "report-hub").await.expect(200);
    assert!([401, 403].contains(&sidecar.call("/files/reports").bearer(&tokens.access).send().await.status));
    assert_eq!((service.count(), fleet.cloud.seen()), (2, before));
}

#[tokio::test]
async fn without_a_token_that_can_be_used_nothing_is_forwarded() {
    let (fleet, sidecar, service) = scene().await;
    fleet.world.install("report-hub", "admin@acme", &[]).await;
    let before = fleet.cloud.seen();
    for (number, (status, answer)) in [
        (500, json!({})),
        (400, json!({ "error": "invalid_grant", "error_description": "hunter2" })),
        (302, json!({})),
        (200, json!({ "access_token": "x", "token_type": "Bearer", "scope": "files.read files.write" })),
        (200, json!({ "access_token": "x", "token_type": "mac" })),
        (200, json!({ "access_token": "x y", "token_type": "Bearer" })),
        (200, json!({ "access_token": "x".repeat(100_000), "token_type": "Bearer" })),
    ]
    .into_iter()
    .enumerate()
    {
        service.answer_with(status, answer.clone());
        // Each failure is a caller's own: another token has another standing.
        let tokens = fleet.world.sign_in("report-hub", "alice@acme").await;
        let refused = sidecar.call("/files/reports").bearer(&tokens.access).send().await;
        let told = refused.expect(503);
        assert_eq!(told["code"], "authorization_unavailable", "{answer}: {told}");
        assert!(
            refused.headers.contains_key("retry-after") && !told.to_string().contains("hunter2"),
            "{told}"
        );
        assert!(!told.to_string().contains(&service.url) && !told.to_string().contains("corp"), "{told}");
        let (log, decision) = (sidecar.told(), told["decision"].as_str().unwrap());
        let line = log.lines().find(|line| line.contains(decision));
        assert!(line.is_some_and(|line| line.contains("the token service corp gave no token")), "{log}");
        assert_eq!(service.count(), number + 1, "{answer}");
    }
    assert_eq!(fleet.cloud.seen(), before, "nothing was forwarded");
}

async fn list(sidecar: &Lone, token: &str) -> Value {
    sidecar.call("/files/reports").bearer(token).send().await.expect(200)
}

async fn futures<T>(all: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut all: Vec<_> = all.into_iter().map(Box::pin).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|cx| {
        all.retain_mut(|one| match one.as_mut().poll(cx) {
            std::task::Poll::Ready(value) => {
                done.push(value);
                false
            }
            std::task::Poll::Pending => true,
        });
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}

async fn scene() -> (Fleet, Lone, TokenService) {
    let mut fleet = Fleet::start().await;
    let service = TokenService::start().await;
    let token = fleet.invite("trade", &[]);
    let secret = fleet.world.data().join("secret-there");
    std::fs::write(&secret, "a-secret-there\n").unwrap();
    let settings = SETTINGS
        .replace("SERVICE", &service.url)
        .replace("SECRET", &secret.display().to_string())
        .replace("CLOUD", &fleet.cloud.url);
    let sidecar = fleet.lone("trade", &token, &settings).await;
    sidecar.until_ready().await;
    (fleet, sidecar, service)
}

/// A token service that keeps what it is asked, and answers as it is told.
struct TokenService {
    url: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    asked: Vec<(String, Vec<(String, String)>)>,
    answer: Option<(u16, Value)>,
}

impl TokenService {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/token", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            loop {
                let Ok((tcp, _)) = listener.accept().await else { return };
                let state = Arc::clone(&shared);
                let service = service_fn(move |request| answer(Arc::clone(&state), request));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tcp), service),
                );
            }
        });
        Self { url, state }
    }

    fn count(&self) -> usize {
        self.state.lock().asked.len()
    }

    fn last(&self) -> (String, Vec<(String, String)>) {
        self.state.lock().asked.last().unwrap().clone()
    }

    fn answer_with(&self, status: u16, answer: Value) {
        self.state.lock().answer = Some((status, answer));
    }
}

async fn answer(
    state: Arc<Mutex<State>>,
    request: Request<hyper::body::Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let authorization = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let authorization = authorization.unwrap_or_default().to_owned();
    let form = request.into_body().collect().await.unwrap().to_bytes();
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(&form).into_owned().collect();
    let mut state = state.lock();
    let scope = fields.iter().find(|(name, _)| name == "scope").map(|(_, scope)| scope.clone());
    state.asked.push((authorization, fields));
    let usual = json!({
        "access_token": format!("upstream-{}", state.asked.len()), "token_type": "Bearer", "expires_in": 300,
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "scope": scope,
    });
    let (status, body) = state.answer.clone().unwrap_or((200, usual));
    let response = Response::builder().status(status).header("content-type", "application/json");
    let response = response.header("location", "http://127.0.0.1:1/");
    Ok(response.body(Full::new(body.to_string().into())).unwrap())
}

const SETTINGS: &str = r#"
[upstreams.files]
url = "CLOUD"

[exchange.corp]
url = "SERVICE"
client_id = "consentry"
client_secret_file = "SECRET"
audience = "files"

[exchange.corp.scopes]
"/acs/oss:read" = ["files.read", "files.list"]
"/acs/oss:write" = ["files.write"]

[[route]]
path = "/files/{bucket}"
upstream = "files"
adapter = "rest"
actions = { GET = "oss:ListObjects" }
resource = "{bucket}"
assume = "exchange"
exchange = "corp"
"#;
