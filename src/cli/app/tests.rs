//! The commands against an admin API of their own, over loopback.

use std::net::SocketAddr;

use clap::Parser;
use serde_json::Value;

use super::table::{plain, table};
use super::*;
use crate::cli::api::Api;
use crate::control::tests::World;
use crate::token::random::Secret;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    app: App,
}

fn parse(line: &str) -> App {
    Line::try_parse_from(std::iter::once("app").chain(line.split(' '))).unwrap().app
}

/// A control plane with two accounts, at a real address.
async fn served(world: &World) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = world.control.router().into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await });
    format!("http://{address}")
}

async fn told(server: &str, login: &str, line: &str) -> Result<(Value, String), Failure> {
    let api = Api::new(server, Secret::new(format!("token-of-{login}")))?;
    parse(line).verb.ask(&api).await
}

#[tokio::test]
async fn an_official_application_is_provisioned_assigned_suspended_and_revoked_by_name() {
    let world = World::new().await;
    let server = served(&world).await;
    let admin = async |line: &str| told(&server, "admin@acme", line).await.unwrap();
    let (_, text) = admin("list --official").await;
    assert!(text.contains("mcp-server") && text.contains("no"), "{text}");
    admin("provision mcp-server --scope /acs/ecs:read").await;
    let (value, _) = admin("assign mcp-server --user alice@acme").await;
    assert_eq!(value["users"], serde_json::json!(["alice@acme"]));
    let (value, _) = admin("assign mcp-server --add --user admin@acme --role 3001").await;
    assert_eq!((&value["users"], &value["roles"]), (&serde_json::json!(2), &serde_json::json!(1)));
    admin("assign mcp-server --remove --user alice@acme --role deploy@acme").await;
    assert_eq!(admin("assign mcp-server").await.0["users"], serde_json::json!(["admin@acme"]));
    assert_eq!(admin("consents mcp-server").await.1, "Nobody has agreed in person.\n");
    let none = told(&server, "admin@acme", "withdraw mcp-server alice@acme").await.unwrap_err();
    assert!(matches!(none, Failure::No(_)), "{none}");
    let (_, text) = admin("show mcp-server").await;
    assert!(text.contains("authorized by  admin@acme") && text.contains("/acs/ecs:read"), "{text}");
    admin("suspend mcp-server").await;
    assert!(admin("list").await.1.contains("suspended"));
    admin("resume mcp-server").await;
    let (_, text) = admin("show mcp-server --policies").await;
    assert!(text.contains("permit"), "{text}");
    let (_, text) = admin("revoke mcp-server").await;
    assert!(text.starts_with("True everywhere after "), "{text}");
    assert_eq!(admin("list").await.1, "No application is installed.\n");
}

#[tokio::test]
async fn a_refusal_an_unfit_request_and_a_missing_server_have_exit_codes_of_their_own() {
    let world = World::new().await;
    let server = served(&world).await;
    let no = told(&server, "alice@acme", "list").await.unwrap_err();
    assert!(matches!(&no, Failure::No(text) if text.contains("forbidden")), "{no}");
    let no = told(&server, "admin@acme", "revoke report-hub").await.unwrap_err();
    assert!(matches!(no, Failure::No(_)), "{no}");
    let unfit = told(&server, "admin@acme", "register x --type WebApp").await.unwrap_err();
    assert!(matches!(&unfit, Failure::Usage(text) if text.contains("redirect_uris")), "{unfit}");
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gone = told(&format!("http://{closed}"), "admin@acme", "list").await.unwrap_err();
    assert!(matches!(&gone, Failure::Unreachable(text) if text.contains("--server")), "{gone}");
}

#[tokio::test]
async fn a_secret_is_shown_when_an_application_is_registered() {
    let world = World::new().await;
    let server = served(&world).await;
    let line =
        "register our-tool --type WebApp --redirect-uri https://tool.example/cb --required-scope profile";
    let (value, text) = told(&server, "admin@acme", line).await.unwrap();
    assert!(text.contains(value["client_secret"].as_str().unwrap()), "{text}");
    assert!(told(&server, "admin@acme", "list --published").await.unwrap().1.contains("our-tool"));
}

#[test]
fn a_token_is_not_sent_in_the_clear_to_another_machine() {
    for server in ["http://control.example:8081", "ftp://127.0.0.1", "control.example"] {
        assert!(matches!(Api::new(server, Secret::new(String::new())), Err(Failure::Usage(_))), "{server}");
    }
    for server in ["https://control.example", "http://127.0.0.1:8081", "http://[::1]:1", "http://localhost:1"]
    {
        assert!(Api::new(server, Secret::new(String::new())).is_ok(), "{server}");
    }
}

#[test]
fn columns_line_up_and_a_name_cannot_play_with_the_terminal() {
    let rows = [vec!["a".to_owned(), plain("x\u{1b}[2Jy")], vec!["longer".to_owned(), "z".to_owned()]];
    assert_eq!(table(&["one", "two"], &rows, ""), "ONE     TWO\na       x\u{fffd}[2Jy\nlonger  z\n");
}
