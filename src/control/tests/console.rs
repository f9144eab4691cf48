//! The console through the router, over the embedded store.

use axum::body::Body;
use axum::http::Request;

use super::{Answer, World};

pub(super) struct Browser<'a> {
    world: &'a World,
    cookie: String,
    csrf: String,
}

impl<'a> Browser<'a> {
    pub(super) async fn of(world: &'a World, login: &str) -> Self {
        let (cookie, csrf) = world.session(login).await;
        Self { world, cookie, csrf }
    }

    pub(super) async fn open(&self, path: &str) -> Answer {
        let ask = Request::builder().uri(path).header("cookie", &self.cookie);
        self.world.send(ask.body(Body::empty()).unwrap()).await
    }

    pub(super) async fn post(&self, path: &str, fields: &str) -> Answer {
        self.post_raw(path, &format!("csrf={}&{fields}", self.csrf)).await
    }

    pub(super) async fn post_raw(&self, path: &str, body: &str) -> Answer {
        let ask = Request::builder()
            .method("POST")
            .uri(path)
            .header("cookie", &self.cookie)
            .header("origin", "http://127.0.0.1:8081")
            .header("content-type", "application/x-www-form-urlencoded");
        self.world.send(ask.body(Body::from(body.to_owned())).unwrap()).await
    }
}

const PAGE: &str = "/console/applications/report-hub";

#[tokio::test]
async fn an_administrator_sees_the_list_and_the_details() {
    let world = World::new().await;
    world.install("report-hub", "/acs/ecs:read").await;
    let admin = Browser::of(&world, "admin@acme").await;
    let list = admin.open("/console").await.expect(200);
    assert!(list.text.contains("Report &#60;Hub&#62;") && list.text.contains(PAGE), "{}", list.text);
    assert!(list.headers["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"));
    let details = admin.open(PAGE).await.expect(200);
    for word in
        ["report-hub", "admin@acme", "/acs/ecs:read", "help@globex.example", "Delete Application", "permit"]
    {
        assert!(details.text.contains(word), "{word}: {}", details.text);
    }
    assert!(!details.text.contains("<Hub>"));
}

#[tokio::test]
async fn nobody_else_sees_or_changes_anything() {
    let world = World::new().await;
    world.install("report-hub", "").await;
    let alice = Browser::of(&world, "alice@acme").await;
    let other = Browser::of(&world, "admin@globex").await;
    for path in [PAGE.to_owned(), format!("{PAGE}/delete"), format!("{PAGE}/assignments")] {
        let refused = alice.open(&path).await.expect(403);
        assert!(
            refused.text.contains("root@acme") && !refused.text.contains("Delete Application"),
            "{}",
            refused.text
        );
        other.open(&path).await.expect(404);
    }
    for action in ["suspend", "resume", "delete", "assignments"] {
        alice.post(&format!("{PAGE}/{action}"), "mode=all").await.expect(403);
        other.post(&format!("{PAGE}/{action}"), "mode=all").await.expect(404);
    }
    let grant = world.control.store().installed_in(&super::account(super::ACME)).await.unwrap();
    assert_eq!((grant.len(), grant[0].grant.revision.0), (1, 1));
}

#[tokio::test]
async fn who_is_not_logged_in_is_led_to_the_login_and_back() {
    let world = World::new().await;
    let ask = Request::builder().uri(PAGE).body(Body::empty()).unwrap();
    let answer = world.send(ask).await.expect(303);
    assert_eq!(answer.headers["location"], "/login?continue=%2Fconsole%2Fapplications%2Freport-hub");
    let ask = Request::builder().uri("/").body(Body::empty()).unwrap();
    assert_eq!(world.send(ask).await.expect(303).headers["location"], "/console");
}

#[tokio::test]
async fn a_form_without_its_csrf_field_changes_nothing() {
    let world = World::new().await;
    world.install("report-hub", "").await;
    let admin = Browser::of(&world, "admin@acme").await;
    for action in ["suspend", "resume", "delete", "assignments"] {
        admin.post_raw(&format!("{PAGE}/{action}"), "mode=all").await.expect(403);
        admin.post_raw(&format!("{PAGE}/{action}"), "csrf=wrong&mode=all").await.expect(403);
    }
    admin.post_raw("/console/official/mcp-server", "scope=openid").await.expect(403);
    let installed = world.control.store().installed_in(&super::account(super::ACME)).await.unwrap();
    assert_eq!((installed.len(), installed[0].grant.revision.0), (1, 1));
}

#[tokio::test]
async fn deleting_asks_once_more_and_ends_in_a_receipt() {
    let world = World::new().await;
    world.install("report-hub", "").await;
    let admin = Browser::of(&world, "admin@acme").await;
    let question = admin.open(&format!("{PAGE}/delete")).await.expect(200);
    assert!(
        question.text.contains("Keep it") && question.text.contains(&format!("action=\"{PAGE}/delete\""))
    );
    let receipt = admin.post(&format!("{PAGE}/delete"), "").await.expect(200);
    assert!(receipt.text.contains("milliseconds") && receipt.text.contains("is deleted, everywhere"));
    admin.open(PAGE).await.expect(404);
    admin.post(&format!("{PAGE}/delete"), "").await.expect(404);
}

#[tokio::test]
async fn suspending_and_resuming_lead_back_to_the_details() {
    let world = World::new().await;
    world.install("report-hub", "").await;
    let admin = Browser::of(&world, "admin@acme").await;
    let answer = admin.post(&format!("{PAGE}/suspend"), "").await.expect(303);
    assert_eq!(answer.headers["location"], PAGE);
    assert!(admin.open(PAGE).await.expect(200).text.contains("Resume</button>"));
    admin.post(&format!("{PAGE}/resume"), "").await.expect(303);
    assert!(admin.open(PAGE).await.expect(200).text.contains("Suspend</button>"));
}

#[tokio::test]
async fn an_official_application_is_provisioned_and_assigned_by_forms() {
    let world = World::new().await;
    let admin = Browser::of(&world, "admin@acme").await;
    assert!(
        admin
            .open("/console/official")
            .await
            .expect(200)
            .text
            .contains("action=\"/console/official/mcp-server\"")
    );
    let answer = admin.post("/console/official/mcp-server", "scope=%2Facs%2Fecs%3Aread").await.expect(303);
    assert_eq!(answer.headers["location"], "/console/applications/mcp-server/assignments");
    let path = "/console/applications/mcp-server/assignments";
    admin.post(path, "mode=assigned&users=alice%40acme%0D%0A&groups=&roles=").await.expect(303);
    assert!(admin.open(path).await.expect(200).text.contains("alice@acme</textarea>"));
    let wrong = admin.post(path, "mode=assigned&users=carol%40acme").await.expect(400);
    assert!(
        wrong.text.contains("Nothing was changed") && wrong.text.contains("carol@acme"),
        "{}",
        wrong.text
    );
    admin.post("/console/official/report-hub", "").await.expect(404);
}
