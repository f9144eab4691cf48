//! A session is good for the caller that it was given to, at every sidecar, and for nobody else.

use serde_json::json;

use super::{SERVER, authorized, error, message, request, session, signed_in};
use crate::support::{Call, World};

#[tokio::test]
async fn a_session_is_its_callers_at_every_sidecar_and_nobody_elses() {
    let world = World::start_with(&["--sidecars", "2"]).await;
    let (application, tokens) = authorized(&world, "/acs/mcp-server:read").await;
    let bob = signed_in(&world, &application, "bob@acme").await;
    let (_, other) = authorized(&world, "/acs/mcp-server:read").await;
    let url = |sidecar: &str| format!("{sidecar}{SERVER}");
    let first = url(&world.sidecars[0]);
    let own = session(&first, &tokens.access).await;
    let upstreams = world.last_seen().await;
    assert!(!own.is_empty() && !upstreams.to_string().contains(&own));

    let list = request(1, "tools/list", &json!({}));
    let with = |call: Call| call.header("mcp-session-id", own.as_str());
    for sidecar in &world.sidecars {
        let listed = with(message(&url(sidecar), &tokens.access, &list)).send().await;
        assert_eq!(listed.expect(200)["result"]["tools"].as_array().map(Vec::len), Some(3));
    }
    let (before, _) = world.seen().await;
    for stranger in [&bob.access, &other.access] {
        for sidecar in &world.sidecars {
            let refused = with(message(&url(sidecar), stranger, &list)).send().await;
            assert_eq!(error(&refused, 404, -32001)["data"]["code"], "unknown_session");
            for method in ["GET", "DELETE"] {
                let refused = with(Call::new(method, url(sidecar)).bearer(stranger)).send().await;
                error(&refused, 404, -32001);
            }
        }
    }
    // Neither does the upstream's own id, nor one that was tampered with.
    for changed in ["demo", own.get(1..).unwrap(), &format!("{own}A")] {
        let refused = message(&first, &tokens.access, &list).header("mcp-session-id", changed);
        error(&refused.send().await, 404, -32001);
    }
    assert_eq!(world.seen().await.0, before, "nothing reached the server");

    let ended = with(Call::new("DELETE", &first).bearer(&tokens.access)).send().await;
    ended.expect(200);
    let gone = with(message(&first, &tokens.access, &list)).send().await;
    assert_eq!(gone.status, 404, "the server knows it no more: {}", gone.text());
}
