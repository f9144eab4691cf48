//! The admin API answers whatever it is asked by what its description says: Schemathesis reads the description and asks.

use serde_json::json;

use crate::support::script::Script;
use crate::support::{World, get};

#[tokio::test]
async fn every_answer_is_one_that_the_description_names_and_none_is_a_fault_of_the_server() {
    let world = World::start().await;
    world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    let registration = json!({ "name": "own", "display_name": "Own", "type": "WebApp",
        "redirect_uris": ["http://127.0.0.1:9200/callback"], "required_scopes": ["openid"] });
    let own =
        world.api("acme", "POST", "/publisher/applications").json(&registration).send().await.expect(201);
    let clients =
        ["report-hub", "desk-cli", "openapi-mcp-server"].map(|name| world.seed(name).client_id.clone());
    let clients: Vec<_> =
        clients.into_iter().map(serde_json::Value::from).chain([own["client_id"].clone()]).collect();
    let mut script = Script::start(
        "admin_api.py",
        &json!({
            "description": format!("{}/api/v1/openapi.json", world.issuer),
            "token": world.account("acme").api_token,
            "known": { "path.client_id": clients, "path.login": ["alice@acme", "bob@acme"] },
            "examples": 15,
            "seed": 7,
        }),
    );
    assert_eq!(script.hear()["code"], 0, "what Schemathesis found is above");
    script.finish();
    get(format!("{}/api/v1/openapi.json", world.issuer)).send().await.expect(200);
}
