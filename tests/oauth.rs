//! The authorization server keeps to the standards that real clients were written against.

use serde_json::{Value, json};

use crate::support::application::{claims, header};
use crate::support::{Application, Call, Page, Person, World, get};

#[tokio::test]
async fn discovery_is_the_same_at_every_well_known_address_and_complete() {
    let world = World::start().await;
    let read = |path: &str| get(format!("{}{path}", world.issuer)).send();
    let metadata = read("/.well-known/openid-configuration").await.expect(200);
    for path in ["/.well-known/oauth-authorization-server"] {
        assert_eq!(read(path).await.expect(200), metadata, "{path}");
    }
    assert_eq!(metadata["issuer"], world.issuer.as_str(), "no slash at the end, and nothing else");
    for (name, path) in [
        ("authorization_endpoint", "/oauth2/v1/auth"),
        ("token_endpoint", "/v1/token"),
        ("userinfo_endpoint", "/v1/userinfo"),
        ("revocation_endpoint", "/v1/revoke"),
        ("introspection_endpoint", "/v1/introspect"),
        ("jwks_uri", "/v1/keys"),
    ] {
        assert_eq!(metadata[name], format!("{}{path}", world.issuer), "{name}");
    }
    let has = |name: &str, value: &str| {
        let values = metadata[name].as_array().unwrap_or_else(|| panic!("{name}: {metadata}"));
        assert!(values.contains(&json!(value)), "{name} has no {value}: {values:?}");
    };
    has("response_types_supported", "code");
    has("subject_types_supported", "public");
    has("id_token_signing_alg_values_supported", "RS256");
    has("grant_types_supported", "authorization_code");
    has("grant_types_supported", "refresh_token");
    has("scopes_supported", "openid");
    for method in ["client_secret_basic", "client_secret_post", "none"] {
        has("token_endpoint_auth_methods_supported", method);
    }
    assert_eq!(metadata["code_challenge_methods_supported"], json!(["S256"]), "plain is no protection");
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
}

#[tokio::test]
async fn the_sidecar_says_for_each_path_whose_tokens_it_takes() {
    let world = World::start().await;
    for (path, resource) in [("", ""), ("/oss/reports", "/oss/reports")] {
        let metadata = get(format!("{}/.well-known/oauth-protected-resource{path}", world.sidecar));
        let metadata = metadata.send().await.expect(200);
        assert_eq!(metadata["authorization_servers"], json!([world.issuer]), "{path}");
        let found = metadata["resource"].as_str().unwrap().trim_end_matches('/');
        assert!(found == world.sidecar || found == format!("{}{resource}", world.sidecar), "{metadata}");
        assert_eq!(metadata["bearer_methods_supported"], json!(["header"]), "{metadata}");
    }
}

#[tokio::test]
async fn the_keys_are_public_halves_only_and_one_of_them_signed_the_id_token() {
    let world = World::start().await;
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let keys = get(format!("{}/v1/keys", world.issuer)).send().await.expect(200);
    let keys = keys["keys"].as_array().unwrap();
    for key in keys {
        assert!(key["kid"].is_string() && key["use"] == "sig", "{key}");
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert!(key.get(private).is_none(), "{private} of {}", key["kid"]);
        }
    }
    let id = header(&tokens.id);
    assert_eq!(id["alg"], "RS256");
    assert!(keys.iter().any(|key| key["kid"] == id["kid"] && key["kty"] == "RSA"), "{keys:?}");
    let access = header(&tokens.access);
    assert_eq!(access["typ"], "at+jwt", "RFC 9068 §2.1");
    assert!(keys.iter().any(|key| key["kid"] == access["kid"]), "{keys:?}");
}

#[tokio::test]
async fn id_token_access_token_and_userinfo_carry_what_the_scopes_allow() {
    let world = World::start().await;
    let application = world.application("report-hub");
    world.install("report-hub", "admin@acme", &[]).await;
    let attempt = application.ask();
    let page = Person::new(&world, "alice@acme").visit(&attempt.url).await;
    let tokens = application.tokens(&attempt, &page).await;
    let id = claims(&tokens.id);
    assert_eq!(id["iss"], world.issuer.as_str());
    assert_eq!(id["aud"], application.client_id.as_str());
    assert_eq!(id["nonce"], attempt.nonce.as_str());
    assert_eq!((&id["type"], &id["upn"]), (&json!("user"), &json!("alice@acme")));
    assert!(id["exp"].is_u64() && id["iat"].is_u64() && id["auth_time"].is_u64(), "{id}");
    assert!(id.get("aid").is_none(), "that takes the scope aliuid: {id}");
    assert!(!id["sub"].as_str().unwrap().contains("alice"), "sub is opaque: {id}");

    let access = claims(&tokens.access);
    assert_eq!(access["client_id"], application.client_id.as_str());
    assert_eq!(access["sub"], id["sub"]);
    for claim in ["iss", "exp", "aud", "iat", "jti", "scope"] {
        assert!(!access[claim].is_null(), "RFC 9068 §2.2 asks for {claim}: {access}");
    }
    let userinfo = get(format!("{}/v1/userinfo", world.issuer)).bearer(&tokens.access).send().await;
    let userinfo = userinfo.expect(200);
    assert_eq!((&userinfo["sub"], &userinfo["upn"]), (&id["sub"], &id["upn"]));
    assert!(userinfo.get("aid").is_none(), "{userinfo}");
}

#[tokio::test]
async fn the_scope_aliuid_tells_the_ids() {
    let world = World::start().await;
    let tokens = world.install("desk-cli", "admin@acme", &[]).await;
    let id = claims(&tokens.id);
    assert_eq!(id["aid"], world.account("acme").id.as_str());
    assert!(id["uid"].is_string() && id.get("upn").is_none(), "{id}");
}

#[tokio::test]
async fn an_authorization_request_that_is_not_the_applications_own_never_leaves_the_issuer() {
    let world = World::start().await;
    let application = world.application("report-hub");
    for (name, value) in [
        ("client_id", "no-such-application"),
        ("redirect_uri", "http://127.0.0.1:9100/callback/"),
        ("redirect_uri", "http://127.0.0.1:9101/callback"),
        ("redirect_uri", "http://127.0.0.1:9100/callback?x=1"),
        ("redirect_uri", "http://localhost:9100/callback"),
        ("redirect_uri", "http://127.0.0.1:9100.evil.example/callback"),
        ("redirect_uri", "https://evil.example/"),
    ] {
        let attempt = application.ask_for("openid", &[(name, value)]);
        let page = Person::new(&world, "admin@acme").visit(&attempt.url).await;
        assert!(!page.has_left() && page.status == 400, "{name}={value}: {} {}", page.status, page.text());
    }
    let twice = format!("{}&client_id=other", application.ask().url);
    let page = Person::new(&world, "admin@acme").visit(twice).await;
    assert!(!page.has_left() && page.status == 400, "{} {}", page.status, page.text());
}

#[tokio::test]
async fn an_authorization_request_with_a_fault_of_its_own_goes_back_with_its_error() {
    let world = World::start().await;
    let application = world.application("report-hub");
    world.install("report-hub", "admin@acme", &[]).await;
    for (name, value, error) in [
        ("response_type", "token", "unsupported_response_type"),
        ("response_type", "", "invalid_request"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge_method", "", "invalid_request"),
        ("scope", "openid /acs/alidns", "invalid_scope"),
        ("resource", "https://evil.example/", "invalid_target"),
        ("prompt", "none", "login_required"),
    ] {
        let attempt = application.ask_for("openid", &[(name, value)]);
        let mut alice = Person::new(&world, "alice@acme");
        let page = alice.visit(&attempt.url).await;
        let found = page.returned("error").unwrap_or_else(|| panic!("{name}={value}: {}", page.left()));
        assert_eq!(found, error, "{name}={value}: {}", page.left());
        assert_eq!(page.returned("state"), Some(attempt.state));
        assert_eq!(page.returned("iss"), Some(world.issuer.clone()), "RFC 9207");
    }
}

#[tokio::test]
async fn a_loopback_address_matches_on_any_port() {
    let world = World::start().await;
    world.install("desk-cli", "admin@acme", &[]).await;
    let mut application = world.application("desk-cli");
    for (address, fits) in [
        ("http://127.0.0.1:50123/callback", true),
        ("http://127.0.0.1/callback", true),
        ("http://127.0.0.1:50123/other", false),
        ("http://192.0.2.1:50123/callback", false),
        ("https://127.0.0.1:50123/callback", false),
    ] {
        application.redirect_uri = address.to_owned();
        let attempt = application.ask();
        let page = Person::new(&world, "alice@acme").visit(&attempt.url).await;
        assert_eq!(page.has_left(), fits, "{address}: {} {}", page.status, page.text());
        if fits {
            application.tokens(&attempt, &page).await;
        }
    }
}

#[tokio::test]
async fn a_code_is_redeemed_once_by_its_application_with_its_verifier_at_its_address() {
    let world = World::start().await;
    let application = world.application("report-hub");
    world.install("report-hub", "admin@acme", &[]).await;
    let mut alice = Person::new(&world, "alice@acme");

    let (attempt, code) = code(&application, &mut alice).await;
    let mut other = attempt.clone();
    other.verifier = application.ask().verifier;
    application.redeem(&other, &code).await.expect_oauth_error(400, "invalid_grant");

    let (attempt, code) = self::code(&application, &mut alice).await;
    let mut elsewhere = application.clone();
    elsewhere.redirect_uri = "http://127.0.0.1:9100/other".to_owned();
    elsewhere.redeem(&attempt, &code).await.expect_oauth_error(400, "invalid_grant");

    let (attempt, code) = self::code(&application, &mut alice).await;
    let mut thief = world.application("desk-cli");
    thief.redirect_uri.clone_from(&application.redirect_uri);
    thief.redeem(&attempt, &code).await.expect_oauth_error(400, "invalid_grant");

    application.redeem(&attempt, "no-such-code").await.expect_oauth_error(400, "invalid_grant");
    let (attempt, code) = self::code(&application, &mut alice).await;
    application.redeem(&attempt, &code).await.expect(200);
}

#[tokio::test]
async fn a_code_used_twice_takes_back_what_it_gave() {
    let world = World::start().await;
    let application = world.application("report-hub");
    let bystander = world.install("report-hub", "admin@acme", &[]).await;
    let (attempt, code) = code(&application, &mut Person::new(&world, "alice@acme")).await;
    let first = application.redeem(&attempt, &code).await.expect(200);
    let (access, refresh) = (&first["access_token"], &first["refresh_token"]);
    world.read_object(access.as_str().unwrap()).await.expect(200);
    application.redeem(&attempt, &code).await.expect_oauth_error(400, "invalid_grant");
    application.refresh(refresh.as_str().unwrap()).await.expect_oauth_error(400, "invalid_grant");
    assert_eq!(application.introspect(access.as_str().unwrap()).await["active"], false);
    world.read_object(&bystander.access).await.expect(200);
}

#[tokio::test]
async fn of_many_redeemings_at_once_at_most_one_succeeds() {
    let world = World::start().await;
    let application = world.application("report-hub");
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let (attempt, code) = code(&application, &mut Person::new(&world, "alice@acme")).await;
    let mut codes = tokio::task::JoinSet::new();
    let mut refreshes = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (application, attempt, code) = (application.clone(), attempt.clone(), code.clone());
        let (other, refresh) = (application.clone(), tokens.refresh.clone());
        codes.spawn(async move { application.redeem(&attempt, &code).await.status });
        refreshes.spawn(async move { other.refresh(&refresh).await.status });
    }
    for statuses in [codes.join_all().await, refreshes.join_all().await] {
        assert!(statuses.iter().all(|status| [200, 400].contains(status)), "{statuses:?}");
        assert!(statuses.iter().filter(|status| **status == 200).count() <= 1, "{statuses:?}");
    }
}

#[tokio::test]
async fn a_refresh_token_is_rotated_and_a_replayed_one_kills_its_family() {
    let world = World::start().await;
    let application = world.application("report-hub");
    let first = world.install("report-hub", "admin@acme", &[]).await;
    let other = world.sign_in("report-hub", "alice@acme").await;
    let second = application.refresh(&first.refresh).await.expect(200);
    let newer = second["refresh_token"].as_str().unwrap();
    assert_ne!(newer, first.refresh);
    world.read_object(second["access_token"].as_str().unwrap()).await.expect(200);
    assert!(second["scope"].as_str().unwrap().contains("/acs/oss:read"), "{second}");

    application.refresh(&first.refresh).await.expect_oauth_error(400, "invalid_grant");
    application.refresh(newer).await.expect_oauth_error(400, "invalid_grant");
    application.refresh(&other.refresh).await.expect(200);
    world.application("desk-cli").refresh(newer).await.expect_oauth_error(400, "invalid_grant");
}

#[tokio::test]
async fn a_refresh_may_ask_for_less_and_not_for_more() {
    let world = World::start().await;
    let application = world.application("report-hub");
    let tokens = world.install("report-hub", "admin@acme", &["/acs/ecs:read"]).await;
    let refresh = |token: String, scope: &'static str| {
        let application = application.clone();
        async move {
            let fields =
                [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), ("scope", scope)];
            application.token(&fields).await
        }
    };
    refresh(tokens.refresh.clone(), "openid /acs/ecs").await.expect_oauth_error(400, "invalid_scope");
    let less = refresh(tokens.refresh, "openid /acs/ecs:read").await.expect(200);
    let access = less["access_token"].as_str().unwrap();
    world.rpc("ecs", "DescribeInstances").bearer(access).send().await.expect(200);
    world.read_object(access).await.expect_problem(403, "insufficient_scope");
}

#[tokio::test]
async fn an_application_proves_itself_in_one_way_and_only_with_its_own_secret() {
    let world = World::start().await;
    let application = world.application("report-hub");
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let secret = application.secret.clone().unwrap();
    let url = format!("{}/v1/token", world.issuer);
    let ask = |more: &[(&str, &str)]| {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh.as_str())];
        Call::new("POST", &url).form(&[&fields, more].concat())
    };
    let id = application.client_id.as_str();
    for call in [
        ask(&[]),
        ask(&[("client_id", id)]),
        ask(&[("client_id", id), ("client_secret", "wrong")]),
        ask(&[]).basic(id, "wrong"),
        ask(&[]).basic("no-such-application", &secret),
    ] {
        let refused = call.send().await;
        refused.expect_oauth_error(401, "invalid_client");
    }
    let basic = ask(&[]).basic(id, "wrong").send().await;
    assert!(basic.header("www-authenticate").starts_with("Basic"), "RFC 6749 §5.2");
    let both = ask(&[("client_id", id), ("client_secret", &secret)]).basic(id, &secret).send().await;
    both.expect_oauth_error(400, "invalid_request");
    // A client_id beside Basic that agrees is what one library sends, and no fault.
    let next = ask(&[("client_id", id), ("state", "x")]).basic(id, &secret).send().await.expect(200);
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", next["refresh_token"].as_str().unwrap()),
        ("client_id", id),
        ("client_secret", &secret),
    ];
    Call::new("POST", &url).form(&fields).send().await.expect(200);
}

#[tokio::test]
async fn an_application_can_revoke_its_own_tokens_and_no_others() {
    let world = World::start().await;
    let application = world.application("report-hub");
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    // Another application gets the same answer and no effect (RFC 7009 §2.1 and §2.2).
    let foreign = world.application("desk-cli").revoke(&tokens.refresh).await;
    assert!([200, 400].contains(&foreign.status), "{}", foreign.status);
    let next = application.refresh(&tokens.refresh).await.expect(200);
    let (access, refresh) = (next["access_token"].as_str().unwrap(), next["refresh_token"].as_str().unwrap());
    world.read_object(access).await.expect(200);
    application.revoke(refresh).await.expect(200);
    application.refresh(refresh).await.expect_oauth_error(400, "invalid_grant");
    world.read_object(access).await.expect_problem(401, "invalid_token");
    application.revoke("no-such-token").await.expect(200);
    application.revoke(refresh).await.expect(200);
}

#[tokio::test]
async fn introspection_tells_its_own_application_and_nobody_else() {
    let world = World::start().await;
    let application = world.application("report-hub");
    let tokens = world.install("report-hub", "admin@acme", &[]).await;
    let told = application.introspect(&tokens.access).await;
    assert_eq!(told["active"], true, "{told}");
    assert_eq!(told["client_id"], application.client_id.as_str());
    assert_eq!(told["iss"], world.issuer.as_str());
    assert!(told["scope"].as_str().unwrap().contains("/acs/oss:read") && told["exp"].is_u64(), "{told}");
    for token in ["nonsense", "a.b.c", ""] {
        let answer = application.post("/v1/introspect", &[("token", token)]).send().await;
        assert!(answer.status == 400 || answer.json() == json!({"active": false}), "{token}");
    }
    let call = Call::new("POST", format!("{}/v1/introspect", world.issuer));
    call.form(&[("token", &tokens.access)]).send().await.expect_oauth_error(401, "invalid_client");
    let stranger = world.application("desk-cli").post("/v1/introspect", &[("token", &tokens.access)]);
    let stranger = stranger.send().await;
    assert!(stranger.status == 401 || stranger.json() == json!({"active": false}), "{}", stranger.text());
}

#[tokio::test]
async fn a_token_asked_for_one_resource_is_for_that_resource() {
    let world = World::start().await;
    let application = world.application("report-hub");
    world.install("report-hub", "admin@acme", &[]).await;
    let metadata = get(format!("{}/.well-known/oauth-protected-resource", world.sidecar)).send().await;
    let resource = metadata.expect(200)["resource"].as_str().unwrap().to_owned();
    let attempt = application.ask_for(&application.scopes.join(" "), &[("resource", &resource)]);
    let page = Person::new(&world, "alice@acme").visit(&attempt.url).await;
    let code = application.code(&attempt, &page);
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", application.redirect_uri.as_str()),
        ("code_verifier", &attempt.verifier),
        ("resource", &resource),
    ];
    let tokens = application.token(&fields).await.expect(200);
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(audience(&claims(access)), [resource]);
    world.read_object(access).await.expect(200);
}

#[tokio::test]
async fn a_public_application_gets_its_tokens_without_a_secret() {
    let world = World::start().await;
    let tokens = world.install("desk-cli", "admin@acme", &["/acs/alidns"]).await;
    let call = world.rpc("alidns", "DescribeDomainRecords").bearer(&tokens.access);
    call.send().await.expect(200);
    let application = world.application("desk-cli");
    assert!(application.secret.is_none());
    application.refresh(&tokens.refresh).await.expect(200);
}

#[tokio::test]
async fn without_offline_access_a_web_application_gets_no_refresh_token() {
    let world = World::start().await;
    world.install("report-hub", "admin@acme", &[]).await;
    let application = world.application("report-hub");
    let attempt = application.ask_for("openid /acs/oss:read", &[("access_type", "")]);
    let page: Page = Person::new(&world, "alice@acme").visit(&attempt.url).await;
    let tokens = application.tokens(&attempt, &page).await;
    assert!(tokens.refresh.is_empty() && !tokens.access.is_empty());
}

/// A fresh code for a person whose account has authorized the application.
async fn code(application: &Application, person: &mut Person) -> (crate::support::Attempt, String) {
    let attempt = application.ask();
    let page = person.visit(&attempt.url).await;
    let code = application.code(&attempt, &page);
    (attempt, code)
}

fn audience(claims: &Value) -> Vec<String> {
    let list = claims["aud"].as_array().cloned().unwrap_or_else(|| vec![claims["aud"].clone()]);
    list.iter().map(|audience| audience.as_str().unwrap().to_owned()).collect()
}
