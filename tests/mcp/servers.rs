//! MCP servers that know nothing of a sidecar, behind one: the SDKs' own, in both eras of the protocol.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{authorized, error, message, request, session, until_ended};
use crate::support::fleet::{Fleet, Lone};
use crate::support::redis::free_ports;
use crate::support::script::Script;
use crate::support::{Person, Tokens, eventually, get};

#[tokio::test]
async fn fast_mcp_is_called_in_the_modern_era_by_the_python_client() {
    fast_mcp("mcp_client.py", "python").await;
}

#[tokio::test]
async fn fast_mcp_is_called_in_the_modern_era_by_the_typescript_client() {
    fast_mcp("mcp.mjs", "v2").await;
}

async fn fast_mcp(client: &str, library: &str) {
    let behind = Behind::start("mcp_server.py").await;
    let (mut script, client_id) = behind.client(client, library, None).await;
    looks_and_changes_nothing(&mut script);
    if library == "python" {
        sees_no_more_than_the_rules_allow(&mut script);
    }
    let seen = behind.records().await;
    assert!(seen.contains("lab:Discover") && !seen.contains("lab:Initialize"), "{seen}");
    behind.asks_for_more_and_is_cut(&mut script, &client_id).await;
}

#[tokio::test]
async fn the_node_sdk_is_called_in_the_older_era_by_a_client_that_tried_the_modern_one() {
    node_sdk("mcp_client.py", "python").await;
}

#[tokio::test]
async fn the_node_sdk_is_called_in_the_older_era_by_a_client_of_that_time() {
    node_sdk("mcp.mjs", "v1").await;
}

async fn node_sdk(client: &str, library: &str) {
    let behind = Behind::start("mcp_server.mjs").await;
    let (mut script, client_id) = behind.client(client, library, None).await;
    looks_and_changes_nothing(&mut script);
    behind.asks_for_more_and_is_cut(&mut script, &client_id).await;
}

/// What the scope gives is shown and works; what it does not is neither.
pub(super) fn looks_and_changes_nothing(script: &mut Script) {
    let mut order = |order: Value| script.ask(&order);
    let listed = order(json!({ "do": "list" }));
    let tools: Vec<_> =
        listed["tools"].as_array().unwrap().iter().map(|tool| tool.as_str().unwrap()).collect();
    assert!(tools.contains(&"look") && !tools.contains(&"change") && !tools.contains(&"hidden"), "{tools:?}");
    let looked = order(json!({ "do": "call", "tool": "look" }));
    assert_eq!(looked["content"][0]["text"], "looked at i-1", "{looked}");
    let hidden = order(json!({ "do": "call", "tool": "hidden" }));
    assert_eq!(hidden["error"]["code"], -32003, "{hidden}");
}

/// What a rule forbids is neither shown nor given, in whatever spelling it is asked for.
fn sees_no_more_than_the_rules_allow(script: &mut Script) {
    let mut order = |order: Value| script.ask(&order);
    assert_eq!(order(json!({ "do": "prompts" }))["prompts"], json!(["ask"]));
    assert_eq!(order(json!({ "do": "resources" }))["resources"], json!(["demo://guide"]));
    for allowed in [json!({ "do": "get", "prompt": "ask" }), json!({ "do": "read", "uri": "demo://guide" })] {
        assert_eq!(order(allowed), json!({ "got": true }));
    }
    for forbidden in [
        json!({ "do": "get", "prompt": "hidden_prompt" }),
        json!({ "do": "read", "uri": "demo://hidden" }),
        json!({ "do": "read", "uri": "DEMO://hidden" }),
    ] {
        let refused = order(forbidden);
        assert_eq!(refused["error"]["code"], -32003, "{refused}");
    }
}

#[tokio::test]
async fn a_list_that_a_client_resumes_is_narrowed_too() {
    let behind = Behind::start("mcp_server.mjs").await;
    let url = format!("{}/mcp", behind.sidecar.url);
    let session = session(&url, &behind.tokens.access).await;
    // The version in which a stream begins with an event to resume from.
    let ask = |body: &Value| {
        let call = message(&url, &behind.tokens.access, body).header("mcp-session-id", session.as_str());
        call.header("mcp-protocol-version", "2025-11-25")
    };
    let listed = ask(&request(1, "tools/list", &json!({}))).send().await;
    assert_eq!(listed.status, 200);
    let text = listed.text();
    assert!(text.contains("\"look\"") && !text.contains("\"hidden\""), "{text}");
    // From the beginning of that very stream.
    let first = text.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().to_owned();
    // The store of events is one for all sessions: the server itself would replay it in any.
    let upstreams =
        String::from_utf8(URL_SAFE_NO_PAD.decode(first.split_once('.').unwrap().1).unwrap()).unwrap();
    let other = self::session(&url, &behind.tokens.access).await;
    for (session, last) in [(&other, &first), (&session, &upstreams), (&other, &upstreams)] {
        let refused = behind.sidecar.call("/mcp").bearer(&behind.tokens.access);
        let refused =
            refused.header("mcp-session-id", session.as_str()).header("last-event-id", last.as_str());
        let refused = refused.header("accept", "text/event-stream").send().await;
        assert_eq!(error(&refused, 404, -32001)["data"]["code"], "unknown_session");
    }
    let resumed =
        behind.sidecar.call("/mcp").bearer(&behind.tokens.access).header("mcp-session-id", session.as_str());
    let resumed = resumed.header("mcp-protocol-version", "2025-11-25");
    let resumed = resumed.header("accept", "text/event-stream").header("last-event-id", first);
    let mut stream = crate::support::eventually::in_time("the stream", resumed.open()).await;
    assert_eq!(stream.status(), 200);
    let mut events = String::new();
    while !events.contains("\"tools\"") {
        let frame = http_body_util::BodyExt::frame(stream.body_mut());
        let frame = crate::support::eventually::in_time("the list", frame).await.unwrap().unwrap();
        events.push_str(&String::from_utf8_lossy(&frame.into_data().unwrap()));
    }
    assert!(events.contains("\"look\"") && !events.contains("\"hidden\""), "{events}");
}

#[tokio::test]
async fn a_list_that_comes_as_the_answer_to_another_message_is_narrowed_too() {
    let behind = Behind::start("mcp_server.mjs").await;
    let url = format!("{}/mcp", behind.sidecar.url);
    for way in ["json", "events"] {
        let ping = request(7, "ping", &json!({ "mistaken": way }));
        let answer = message(&url, &behind.tokens.access, &ping).send().await;
        assert_eq!(answer.status, 200);
        let text = answer.text();
        assert!(text.contains("\"look\"") && !text.contains("\"hidden\""), "{way}: {text}");
    }
}

#[tokio::test]
async fn the_conformance_suite_finds_the_same_through_the_sidecar_as_directly() {
    let behind = Behind::start_with("mcp_server.mjs", "/acs/lab").await;
    let facts = json!({ "direct": behind.url, "through": behind.sidecar.url, "token": behind.tokens.access });
    let mut script = Script::start("mcp_conformance.mjs", &facts);
    let told = script.hear();
    let (direct, through) = (&told["direct"]["found"], &told["through"]["found"]);
    let scenarios = direct.as_object().unwrap();
    assert!(scenarios.len() >= 25, "{told}");
    let passed = direct.to_string().matches(" SUCCESS").count();
    assert!(passed >= 25, "the server itself passes most: {direct}");
    for (name, checks) in scenarios {
        assert_eq!(checks, &through[name], "{name}: {told}");
    }
    script.finish();
}

/// A sidecar before a real MCP server, with a client that registered itself.
pub(super) struct Behind {
    sidecar: Lone,
    url: String,
    tokens: Tokens,
    fleet: Fleet,
    _server: Script,
    _policies: TempDir,
}

impl Behind {
    /// With the right to look.
    async fn start(server: &str) -> Self {
        Self::start_with(server, "/acs/lab:read").await
    }

    async fn start_with(server: &str, scope: &str) -> Self {
        Self::registering(server, scope, "").await
    }

    /// With more settings of who may register.
    pub(super) async fn registering(server: &str, scope: &str, registration: &str) -> Self {
        let mut server = Script::start(server, &json!({}));
        let url = server.hear()["url"].as_str().unwrap().to_owned();
        let policies = policies();
        let port = free_ports::<1>()[0];
        let settings = format!(
            "resources = [\"http://127.0.0.1:{port}\"]\npolicies = \"{}\"\n[registration]\ndynamic = true\n{registration}",
            policies.path().display()
        );
        let mut fleet = Fleet::asleep_with(&settings, "").await;
        fleet.wake().await;
        let token = fleet.invite("lab", &[]);
        let route = format!(
            "[upstreams.lab]\nurl = \"{url}\"\n[[route]]\npath = \"/mcp\"\nupstream = \"lab\"\nadapter = \"mcp\"\n\
             product = \"lab\"\nscopes = [\"/acs/lab:read\"]\nassume = \"none\"\n"
        );
        // Its address is known beforehand, since tokens are asked for it.
        let folder = fleet.lone("lab", &token, &route).await.terminate().await;
        let file = folder.join("sidecar.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.replacen("listen = \"127.0.0.1:0\"", &format!("listen = \"127.0.0.1:{port}\""), 1);
        std::fs::write(&file, text).unwrap();
        let sidecar = Lone::start(folder).await;
        sidecar.until_ready().await;
        let (_, tokens) = authorized(&fleet.world, scope).await;
        Self { sidecar, url, tokens, fleet, _server: server, _policies: policies }
    }

    /// A client that registers itself or is known by its description, and is authorized by an administrator; and its
    /// client ID.
    pub(super) async fn client(&self, name: &str, library: &str, document: Option<&str>) -> (Script, String) {
        let facts = json!({
            "server": format!("{}/mcp", self.sidecar.url), "library": library, "document": document,
            "mode": if library == "v1" { Value::Null } else { json!("auto") },
            "redirect_uri": "http://127.0.0.1:45675/callback",
        });
        let mut script = Script::start(name, &facts);
        let asked = script.hear();
        self.authorizes(&mut script, &asked, &["/acs/lab:read"]).await;
        let connected = script.hear();
        assert_eq!(connected["connected"], true, "{connected}");
        (script, connected["client_id"].as_str().unwrap().to_owned())
    }

    /// An administrator comes with what a client asks for, and authorizes it.
    async fn authorizes(&self, script: &mut Script, asked: &Value, scopes: &[&str]) {
        let mut admin = Person::new(&self.fleet.world, "admin@acme");
        let page = admin.visit(asked["authorize"].as_str().unwrap_or_else(|| panic!("{asked}"))).await;
        let consent = page.consent();
        let required = |scope: &str| consent.required.iter().any(|one| one == scope);
        let optional: Vec<_> = scopes.iter().copied().filter(|scope| !required(scope)).collect();
        let page = admin.authorize(&page, &optional).await;
        script.tell(&json!({ "redirect": page.left().as_str() }));
    }

    /// The step up to what changes something, and the end of it all in the middle of a stream.
    async fn asks_for_more_and_is_cut(&self, script: &mut Script, client_id: &str) {
        assert_eq!(self.called().await, json!(["look"]), "what was refused never reached the server");
        let asked = script.ask(&json!({ "do": "call", "tool": "change" }));
        self.authorizes(script, &asked, &["/acs/lab:write"]).await;
        let changed = script.hear();
        assert_eq!(changed["content"][0]["text"], "changed i-1", "{changed}");

        let watching = script.ask(&json!({ "do": "watch", "tool": "watch" }));
        assert_eq!(watching["watching"], true, "{watching}");
        let path = format!("/applications/{client_id}");
        let receipt = self.fleet.world.api("acme", "DELETE", &path).send().await.expect(200);
        assert!(receipt["streams_closed"].as_u64() >= Some(1), "{receipt}");
        until_ended(script);
        assert_eq!(self.called().await, json!(["look", "change", "watch"]), "and nothing since");
    }

    /// The tools that were called at the server itself.
    async fn called(&self) -> Value {
        get(format!("{}/_called", self.url)).send().await.expect(200)
    }

    pub(super) async fn records(&self) -> String {
        let file = self.sidecar.folder.join("records.jsonl");
        eventually("records are written", || async {
            std::fs::read_to_string(&file).ok().filter(|text| text.contains("CallTool/look"))
        })
        .await
    }
}

/// What nobody gets from the servers here.
const RULES: &str = r#"
@id("lab.hidden-prompt")
@reason("The prompt is hidden.")
forbid (principal is Session, action == Action::"lab:GetPrompt", resource is Resource)
when { resource.name == "prompts/hidden_prompt" };
@id("lab.hidden-resource")
@reason("The resource is hidden.")
forbid (principal is Session, action == Action::"lab:ReadResource", resource is Resource)
when { resource.name == "resources/demo://hidden" };
"#;

/// The shipped policies, and those of the servers here.
fn policies() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let mut inner = vec![Path::new("").to_owned()];
    while let Some(at) = inner.pop() {
        for entry in std::fs::read_dir(shipped.join(&at)).unwrap() {
            let name = at.join(entry.unwrap().file_name());
            if shipped.join(&name).is_dir() {
                std::fs::create_dir(folder.path().join(&name)).unwrap();
                inner.push(name);
            } else {
                std::fs::copy(shipped.join(&name), folder.path().join(&name)).unwrap();
            }
        }
    }
    let text = std::fs::read_to_string(shipped.join("scopes/mcp-server.json")).unwrap();
    let mut file: Value = serde_json::from_str(&text.replace("mcp-server", "lab")).unwrap();
    let tools = |names: &[&str]| -> Vec<Value> {
        names.iter().map(|name| json!(format!("lab:CallTool/{name}"))).collect()
    };
    let tests = [
        "test_simple_text",
        "test_image_content",
        "test_audio_content",
        "test_embedded_resource",
        "test_multiple_content_types",
        "test_tool_with_logging",
        "test_error_handling",
        "test_tool_with_progress",
        "test_sampling",
        "test_elicitation",
        "test_reconnection",
        "test_elicitation_sep1034_defaults",
        "test_elicitation_sep1330_enums",
        "json_schema_2020_12_tool",
        "change",
    ];
    file["scopes"][1]["actions"].as_array_mut().unwrap().extend(tools(&["look", "watch"]));
    // What is hidden from who only looks, the suite may use.
    file["scopes"][2]["actions"].as_array_mut().unwrap().extend(tools(&tests));
    std::fs::write(folder.path().join("scopes/lab.json"), file.to_string()).unwrap();
    std::fs::write(folder.path().join("guardrails/lab.cedar"), RULES).unwrap();
    folder
}
