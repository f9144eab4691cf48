//! Official applications: provisioned by an administrator, assigned, agreed to in person, and each of these undone, at
//! once, on every sidecar. Assignment can be asked for of any application.

use serde_json::{Value, json};

use crate::support::fleet::{Fleet, Lone};
use crate::support::world::run;
use crate::support::{Answer, Person, Tokens, World};

/// A route that the official application's scope allows a call on.
pub(crate) const MCP_ROUTE: &str = "[[route]]\npath = \"/mcp/tools\"\nupstream = \"cloud\"\nadapter = \"rest\"\n\
    actions = { GET = \"mcp-server:ListTools\" }\nresource = \"tools\"\n";

const MCP: &str = "openapi-mcp-server";

#[tokio::test]
async fn an_assigned_person_is_asked_first_and_nothing_works_before_or_after_its_end() {
    let mut fleet = Fleet::start().await;
    let sidecars = [mcp_sidecar(&mut fleet, "east").await, mcp_sidecar(&mut fleet, "west").await];
    let world = &fleet.world;
    let application = world.application(MCP);
    provision(world).await;

    // Not assigned: refused, and told whom to ask.
    let refused = world.first_access(&application, "alice@acme").await;
    assert!(refused.status == 403 && refused.text().contains("not assigned"), "{}", refused.text());
    assert!(refused.text().contains("root@acme") && refused.text().contains("Ask an administrator"));

    // Assigned: asked, and no code before the answer.
    change(world, MCP, &json!({ "add": { "groups": ["developers"] } })).await;
    let attempt = application.ask();
    let mut alice = Person::new(world, "alice@acme");
    let page = alice.visit(&attempt.url).await;
    assert!(page.asks_consent() && !page.has_left() && page.text().contains("Your own consent"));
    let rejected = alice.reject(&page).await;
    assert_eq!(rejected.returned("error").as_deref(), Some("access_denied"));
    let page = alice.visit(&attempt.url).await;
    let page = alice.submit(&page, &page.consent().form, &[("decision", "authorize")]).await;
    let tokens = application.tokens(&attempt, &page).await;
    for sidecar in &sidecars {
        tools(sidecar, &tokens).await.expect(200);
    }
    assert_eq!(world.first_access(&application, "bob@acme").await.status, 403, "in another group");

    // Withdrawn by an administrator: over everywhere when that is answered, and asked again.
    let path = format!("/applications/{}/consents/alice@acme", application.client_id);
    let receipt = world.api("acme", "DELETE", &path).send().await.expect(200);
    for sidecar in &sidecars {
        assert!(receipt["sidecars"].to_string().contains(&sidecar.id), "{receipt}");
    }
    for sidecar in &sidecars {
        let answer = tools(sidecar, &tokens).await;
        assert!([401, 403].contains(&answer.status), "{} {}", answer.status, answer.text());
    }
    application.refresh(&tokens.refresh).await.expect_oauth_error(400, "invalid_grant");
    let tokens = agreed(world, "alice@acme").await;
    tools(&sidecars[0], &tokens).await.expect(200);

    // Assigned no more: the same.
    change(world, MCP, &json!({ "remove": { "groups": ["developers"] } })).await;
    for sidecar in &sidecars {
        tools(sidecar, &tokens).await.expect_problem(403, "not_assigned");
    }
}

#[tokio::test]
async fn the_root_identity_needs_no_assignment_and_agrees_for_itself() {
    let mut fleet = Fleet::start().await;
    let sidecar = mcp_sidecar(&mut fleet, "east").await;
    let world = &fleet.world;
    provision(world).await;
    let tokens = agreed(world, "root@acme").await;
    tools(&sidecar, &tokens).await.expect(200);
}

#[tokio::test]
async fn assignment_can_be_asked_for_of_any_application() {
    let world = World::start().await;
    world.install("report-hub", "admin@acme", &[]).await;
    let alice = world.sign_in("report-hub", "alice@acme").await;
    let root = world.sign_in("report-hub", "root@acme").await;
    world.read_object(&alice.access).await.expect(200);
    change(&world, "report-hub", &json!({ "mode": "assigned", "add": { "users": ["bob@acme"] } })).await;
    world.read_object(&alice.access).await.expect_problem(403, "not_assigned");
    world.read_object(&root.access).await.expect(200);
    let page = world.first_access(&world.application("report-hub"), "alice@acme").await;
    assert!(page.status == 403 && page.text().contains("not assigned"), "{}", page.text());
    let bob = world.sign_in("report-hub", "bob@acme").await;
    world.read_object(&bob.access).await.expect(200);
    change(&world, "report-hub", &json!({ "mode": "all" })).await;
    world.read_object(&alice.access).await.expect(200);
}

#[tokio::test]
async fn a_change_names_people_of_the_own_account_or_changes_nothing() {
    let world = World::start().await;
    provision(&world).await;
    let path = format!("/applications/{}/assignments", world.seed(MCP).client_id);
    let patch = |body: Value| world.api("acme", "PATCH", &path).json(&body).send();
    for wrong in [
        json!({ "add": { "users": ["alice@acme", "eve@globex"] } }),
        json!({ "add": { "users": ["root@acme"] } }),
        json!({ "add": { "roles": ["2000000000000012"] } }),
        json!({ "add": { "groups": ["no such/group"] } }),
        json!({ "remove": { "users": ["nobody"] } }),
        json!({ "add": { "people": ["alice@acme"] } }),
        json!({ "mode": "some" }),
        json!({ "more": true }),
    ] {
        patch(wrong).await.expect_problem(400, "invalid_request");
    }
    let assigned = world.api("acme", "GET", &path).send().await.expect(200);
    assert_eq!(assigned, json!({ "mode": "assigned", "users": [], "groups": [], "roles": [] }));
    let part = json!({ "mode": "assigned", "users": [], "more": true });
    world.api("acme", "PUT", &path).json(&part).send().await.expect_problem(400, "invalid_request");
}

#[tokio::test]
async fn a_file_is_applied_once_and_grants_nothing_that_it_does_not_name() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("applications.toml");
    let apply = |text: &str, more: &[&str]| {
        std::fs::write(&file, text).unwrap();
        let token = &world.account("acme").api_token;
        let arguments = ["app", "apply", file.to_str().unwrap(), "--server", &world.issuer, "--token", token];
        run(&[arguments.as_slice(), more].concat())
    };
    let said = |output: &std::process::Output| String::from_utf8_lossy(&output.stdout).into_owned();

    let narrow = FILE.replace(", \"/acs/mcp-server\"", "");
    let refused = apply(&narrow, &[]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(why.contains("requires /acs/mcp-server"), "{why}");
    assert!(world.installed("acme").await.is_empty());

    assert!(said(&apply(FILE, &["--dry-run"])).contains("3 changes would be made"));
    assert!(world.installed("acme").await.is_empty());
    let done = apply(FILE, &[]);
    assert!(said(&done).contains("3 changes made"), "{}", said(&done));
    assert_eq!(said(&apply(FILE, &[])), "Nothing to change.\n");
    let path = format!("/applications/{}", world.seed(MCP).client_id);
    let revision = async || world.api("acme", "GET", &path).send().await.expect(200)["revision"].clone();
    let before = revision().await;
    apply(FILE, &["--prune"]);
    assert_eq!(revision().await, before, "nothing was changed");

    // What somebody else has assigned stays, unless it is to be taken away.
    change(&world, MCP, &json!({ "add": { "users": ["bob@acme"] } })).await;
    let kept = said(&apply(FILE, &[]));
    assert!(kept.contains("left as it is: 1 users") && kept.contains("Nothing to change"), "{kept}");
    assert!(said(&apply(FILE, &["--prune"])).contains("take users bob@acme off the list"));
    let assigned = world.api("acme", "GET", &format!("{path}/assignments")).send().await.expect(200);
    assert_eq!(assigned["users"], json!(["alice@acme"]));
    for wrong in ["[[application]]\nname = \"x\"", "application = 1", &FILE.repeat(2)] {
        assert_eq!(apply(wrong, &[]).status.code(), Some(3), "{wrong}");
    }
}

const FILE: &str = "[[application]]\napplication = \"openapi-mcp-server\"\n\
    scopes = [\"openid\", \"profile\", \"aliuid\", \"/acs/mcp-server\"]\nmode = \"assigned\"\n\
    users = [\"alice@acme\"]\ngroups = [\"developers\"]\n";

/// acme's administrator installs the official application.
pub(crate) async fn provision(world: &World) {
    let path = format!("/official-applications/{}/provision", world.seed(MCP).client_id);
    world.api("acme", "POST", &path).json(&json!({})).send().await.expect(201);
}

/// A sidecar with a route for the official application.
pub(crate) async fn mcp_sidecar(fleet: &mut Fleet, name: &str) -> Lone {
    let token = fleet.invite(name, &[]);
    let sidecar = fleet.lone(name, &token, MCP_ROUTE).await;
    sidecar.until_ready().await;
    sidecar
}

/// A call that the official application's scope allows.
pub(crate) async fn tools(sidecar: &Lone, tokens: &Tokens) -> Answer {
    sidecar.call("/mcp/tools").bearer(&tokens.access).send().await
}

async fn change(world: &World, application: &str, body: &Value) {
    let path = format!("/applications/{}/assignments", world.seed(application).client_id);
    world.api("acme", "PATCH", &path).json(body).send().await.expect(200);
}

/// `login` agrees in person, and the application has its tokens.
async fn agreed(world: &World, login: &str) -> Tokens {
    let application = world.application(MCP);
    let attempt = application.ask();
    let mut person = Person::new(world, login);
    let page = person.visit(&attempt.url).await;
    let page = person.submit(&page, &page.consent().form, &[("decision", "authorize")]).await;
    application.tokens(&attempt, &page).await
}
