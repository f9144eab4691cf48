//! What the console's pages cost the server in a large account, over SQLite and over PostgreSQL.
//!
//! ```text
//! cargo bench --bench console
//! ```
//! One account with 1,000 applications, 10,000 users and 50,000 assignments; `CONSENTRY_LARGE=10` makes it a tenth. Each
//! page is asked for through the whole router, one at a time; the median and the slowest of many are told. Starts a
//! PostgreSQL of its own.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::panic,
    reason = "a benchmark tells what it finds, and has nothing better to do than to stop when it cannot begin"
)]

#[path = "../support/postgres.rs"]
#[expect(dead_code, reason = "shared with the tests, which need more of it")]
mod real;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, to_bytes};
use axum::http::Request;
use axum::http::header::COOKIE;
use consentry::control::{Control, Settings, Setup};
use consentry::grants::source::Source;
use consentry::model::account::{Account, Principal, PrincipalKey, PrincipalKind};
use consentry::model::application::{Application, ApplicationType};
use consentry::model::id::{AccountId, GrantKey};
use consentry::model::time::Clock;
use consentry::policy::Policies;
use consentry::policy::reload::Current;
use consentry::store::{
    self, Actor, Assignees, AssignmentChange, BrowserSession, Install, Lasting, NewPrincipal, Shared,
};
use consentry::token::random::Secret;
use consentry::token::seal::Sealer;
use tower::ServiceExt as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let part = std::env::var("CONSENTRY_LARGE").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let large = Large { applications: 1000 / part, users: 10_000 / part, assignments: 50_000 / part };
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        measure("SQLite", &format!("sqlite:{}", folder.path().join("store.db").display()), &large).await;
        let database = real::Database::new();
        let place = database.url();
        measure("PostgreSQL", &place, &large).await;
    });
}

struct Large {
    applications: usize,
    users: usize,
    assignments: usize,
}

async fn measure(name: &str, place: &str, large: &Large) {
    let store = store::open(place).await.unwrap();
    let began = Instant::now();
    fill(&store, large).await;
    println!(
        "{name}: {} applications, {} users, {} assignments, filled in {:.1} s",
        large.applications,
        large.users,
        large.assignments,
        began.elapsed().as_secs_f64()
    );
    let control = control(Arc::clone(&store)).await;
    let cookie = session(&store).await;
    for (page, address) in pages(large) {
        let mut took = Vec::new();
        for _ in 0..ROUNDS {
            let began = Instant::now();
            let length = ask(&control, &cookie, &address).await;
            took.push(began.elapsed());
            assert!(length > 1000, "{page}");
        }
        took.sort_unstable();
        let at = |index: usize| took.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0);
        println!("  {page:32} median {:7.2} ms   slowest {:7.2} ms", at(ROUNDS / 2), at(ROUNDS - 1));
    }
    store.close().await;
}

/// Every page of the console, and the worst questions to its lists.
fn pages(large: &Large) -> Vec<(&'static str, String)> {
    let application = |rest: &str| format!("/console/applications/{}{rest}", application_id(0));
    let middle = user_login(large.users / 2);
    vec![
        ("applications", "/console".to_owned()),
        ("applications by name", "/console?sort=name".to_owned()),
        ("applications by last use", "/console?sort=-last_used&limit=200".to_owned()),
        ("applications by state", "/console?sort=state".to_owned()),
        ("applications searched", "/console?search=application-09".to_owned()),
        ("applications, nothing found", "/console?search=nothing".to_owned()),
        ("details", application("")),
        ("delete, the question", application("/delete")),
        ("assignments", application("/assignments")),
        ("assignments, a page on", application(&format!("/assignments?after={middle}"))),
        ("assignments searched", application("/assignments?search=-0999")),
        ("assignments, somebody found", application("/assignments?find=user-0")),
        ("assignments, nobody found", application("/assignments?find=nobody")),
        ("assignments, groups", application("/assignments?kind=groups&find=group")),
        ("personal consents", application("/consents")),
        ("official applications", "/console/official".to_owned()),
        ("official applications searched", "/console/official?search=nothing".to_owned()),
        ("official application", format!("/console/official/{}", official_id(0))),
    ]
}

async fn ask(control: &Arc<Control>, cookie: &str, address: &str) -> usize {
    let request = Request::builder().uri(address).header(COOKIE, cookie).body(Body::empty()).unwrap();
    let answer = control.router().oneshot(request).await.unwrap();
    let status = answer.status();
    let body = to_bytes(answer.into_body(), 10_000_000).await.unwrap();
    assert!(status.is_success(), "{address}: {status} {}", String::from_utf8_lossy(&body));
    body.len()
}

/// The account; every application but the official ones that are not installed has assignments, the first of everybody.
async fn fill(store: &Shared, large: &Large) {
    store.add_account(&Account { id: account(), alias: "large".to_owned() }).await.unwrap();
    let admin = person(PrincipalKind::User, "admin", "admin@large", true, 0);
    store.add_principal(&admin).await.unwrap();
    let by = Actor::from(&admin.principal);
    each(store, large.users, |store, number| async move {
        let new = person(PrincipalKind::User, &user_id(number), &user_login(number), false, number);
        store.add_principal(&new).await.unwrap();
    })
    .await;
    let actor = by.clone();
    each(store, large.applications, move |store, number| {
        let by = actor.clone();
        async move {
            store.register(&application(&application_id(number), number % 3 == 0), &[], &by).await.unwrap();
            store.register(&application(&official_id(number), true), &[], &by).await.unwrap();
            store.install(&install(number, &by), Clock::system().now()).await.unwrap();
        }
    })
    .await;
    // The first application is assigned to everybody, one by one; the others share the rest.
    let rest = large.assignments.saturating_sub(large.users);
    let others = rest.div_ceil(large.applications.max(2) - 1);
    assign(store, 0, large.users, large, &by).await;
    for number in 1..large.applications {
        assign(store, number, others, large, &by).await;
    }
    let key = key(0);
    each(store, large.users, move |store, number| {
        let key = key.clone();
        async move {
            let whom = PrincipalKey {
                account: account(),
                kind: PrincipalKind::User,
                id: user_id(number).parse().unwrap(),
            };
            let scopes = "openid profile".parse().unwrap();
            store.consent_in_person(&key, &whom, &scopes, Clock::system().now()).await.unwrap();
        }
    })
    .await;
}

async fn assign(store: &Shared, number: usize, count: usize, large: &Large, by: &Actor) {
    let users: Vec<_> =
        (0..count).map(|user| user_id((number * 7 + user) % large.users).parse().unwrap()).collect();
    for users in users.chunks(1000) {
        let add = Assignees { users: users.to_vec(), ..Assignees::default() };
        let change = AssignmentChange { add, ..AssignmentChange::default() };
        store.change_assignment(&key(number), &change, by, Clock::system().now()).await.unwrap();
    }
}

/// Does it for each number, many at once, so that they share the disk's time.
async fn each<F>(store: &Shared, count: usize, act: impl Fn(Shared, usize) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let numbers: Vec<usize> = (0..count).collect();
    for batch in numbers.chunks(100) {
        let tasks: Vec<_> =
            batch.iter().map(|number| tokio::spawn(act(Arc::clone(store), *number))).collect();
        for task in tasks {
            task.await.unwrap();
        }
    }
}

async fn control(store: Shared) -> Arc<Control> {
    let clock = Clock::system();
    let source = Source::new(Arc::clone(&store), Duration::from_secs(5), clock.clone(), false).await.unwrap();
    let setup = Setup {
        issuer: "http://127.0.0.1:8081".parse().unwrap(),
        resources: Vec::new(),
        store,
        policies: Current::fixed(Policies::embedded().unwrap()),
        source,
        sealer: Sealer::new(&[7; 32]).unwrap(),
        clock,
        settings: Settings::default(),
        providers: Vec::new(),
        registration: consentry::config::registration::Registration::default(),
    };
    Control::start(setup).await.unwrap()
}

/// A session of the administrator: its cookie.
async fn session(store: &Shared) -> String {
    let cookie = Secret::random().unwrap();
    let now = Clock::system().now();
    let whose = person(PrincipalKind::User, "admin", "admin@large", true, 0).principal.key;
    let session = BrowserSession::new(cookie.hash(), whose, now, now + jiff::SignedDuration::from_hours(1));
    store.open_session(&session).await.unwrap();
    format!("consentry_session={}", cookie.expose())
}

fn install(number: usize, by: &Actor) -> Install {
    let scopes = "openid profile /acs/ecs:read".parse().unwrap();
    let declined = "/acs/ecs".parse().unwrap();
    let (key, by) = (key(number), by.clone());
    Install { key, scopes, declined, at_most: None, by, seen: None, lasting: Lasting::AsItWas }
}

fn person(kind: PrincipalKind, id: &str, login: &str, full_access: bool, number: usize) -> NewPrincipal {
    let principal = Principal {
        key: PrincipalKey { account: account(), kind, id: id.parse().unwrap() },
        login: login.to_owned(),
        display_name: format!("User {number} of the large account"),
        enabled: true,
        full_access,
        groups: vec![format!("group-{}", number % 200).parse().unwrap()],
    };
    NewPrincipal { principal, password_hash: None }
}

fn application(id: &str, official: bool) -> Application {
    Application {
        id: id.parse().unwrap(),
        name: format!("{id}-name"),
        display_name: format!("{id} shown"),
        description: "One of many.".to_owned(),
        publisher: "1000000000000009".parse().unwrap(),
        publisher_name: "A publisher".to_owned(),
        contact: String::new(),
        official,
        kind: ApplicationType::WebApp,
        redirect_uris: vec!["https://a.example/back".to_owned()],
        required: "openid profile".parse().unwrap(),
        optional: "/acs/ecs /acs/ecs:read".parse().unwrap(),
        access_token_seconds: 3600,
        refresh_token_seconds: 86_400,
        enabled: true,
        created_at: jiff::Timestamp::UNIX_EPOCH,
    }
}

fn account() -> AccountId {
    "1000000000000001".parse().unwrap()
}

fn key(number: usize) -> GrantKey {
    GrantKey { account: account(), application: application_id(number).parse().unwrap() }
}

fn application_id(number: usize) -> String {
    format!("application-{number:05}")
}

fn official_id(number: usize) -> String {
    format!("official-{number:05}")
}

fn user_id(number: usize) -> String {
    format!("{number:016}")
}

fn user_login(number: usize) -> String {
    format!("user-{number:05}@large")
}

const ROUNDS: usize = 51;
