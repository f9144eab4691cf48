//! Two relying parties that others wrote run the whole flow, unmodified. The test plays the person.

use serde_json::{Value, json};

use crate::support::script::Script;
use crate::support::{Person, World};

#[tokio::test]
async fn openid_client_runs_the_whole_flow() {
    runs_the_whole_flow("openid_client.mjs").await;
}

#[tokio::test]
async fn authlib_runs_the_whole_flow() {
    runs_the_whole_flow("authlib_client.py").await;
}

#[tokio::test]
async fn openid_client_as_a_public_application_runs_it_too() {
    let world = World::start().await;
    let mut script = Script::start("openid_client.mjs", &facts(&world, "desk-cli"));
    let page = administrator_authorizes(&world, &mut script).await;
    let done = script.ask(&json!({ "redirect": page }));
    assert_eq!(done["claims"]["aid"], world.account("acme").id.as_str(), "{done}");
    script.finish();
}

#[tokio::test]
async fn openid_client_understands_a_rejection() {
    let world = World::start().await;
    let mut script = Script::start("openid_client.mjs", &facts(&world, "report-hub"));
    let asked = script.hear();
    let mut admin = Person::new(&world, "admin@acme");
    let page = admin.visit(asked["authorize"].as_str().unwrap()).await;
    let page = admin.reject(&page).await;
    assert_eq!(script.ask(&json!({ "redirect": page.left().as_str() }))["error"], "access_denied");
    script.finish();
}

async fn runs_the_whole_flow(name: &str) {
    let world = World::start().await;
    let mut script = Script::start(name, &facts(&world, "report-hub"));
    let redirect = administrator_authorizes(&world, &mut script).await;
    let done = script.ask(&json!({ "redirect": redirect }));
    assert_eq!(done["claims"]["sub"], done["userinfo"]["sub"], "{done}");
    assert_eq!(done["userinfo"]["upn"], "admin@acme", "{done}");
    assert_eq!(done["introspection"]["active"], true, "{done}");
    assert_eq!(done["call"]["status"], 200, "{done}");
    assert_eq!(done["refused"]["status"], 403, "{done}");
    // The tokens of the refresh work, and are dead once the client has revoked them.
    assert_eq!(done["refreshed_call"]["status"], 200, "{done}");
    assert_eq!(done["after_revocation"], "invalid_grant", "{done}");
    script.finish();
}

/// Goes where the client sends the person, and authorizes; gives the address the person comes back with.
async fn administrator_authorizes(world: &World, script: &mut Script) -> String {
    let asked = script.hear();
    let mut admin = Person::new(world, "admin@acme");
    let page = admin.visit(asked["authorize"].as_str().unwrap()).await;
    admin.authorize(&page, &[]).await.left().to_string()
}

fn facts(world: &World, name: &str) -> Value {
    let application = world.application(name);
    json!({
        "issuer": world.issuer, "client_id": application.client_id, "client_secret": application.secret,
        "redirect_uri": application.redirect_uri, "scope": world.seed(name).required_scopes.join(" "),
        "allowed": format!("{}/oss/reports/q1.csv", world.sidecar),
        "refused": format!("{}/ecs/?Action=StopInstance", world.sidecar),
    })
}
