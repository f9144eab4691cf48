//! Use, ends, the report, a person's own side and publishing, through the router.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::console::Browser;
use super::{ACME, World, account};
use crate::control::usage::scopes_of;
use crate::model::decision::Decision;
use crate::model::id::GrantKey;

const ADMIN: &str = "admin@acme";
const PAGE: &str = "/console/applications/report-hub";

/// Records of forwarded calls of `alice`, as a sidecar sends them; the number makes the id.
async fn called(world: &World, actions: &[(u32, &str)]) {
    let at = world.control.clock().now();
    let record = |(number, action): &(u32, &str)| -> Decision {
        serde_json::from_value(json!({
            "id": format!("01-{number}"), "at": at.to_string(), "sidecar": "s", "outcome": "forwarded", "code": "ok",
            "status": 200, "method": "GET", "path": "/oss/b/o", "account": ACME, "application": "report-hub",
            "principal": "user/2002", "action": action, "grant.revision": 1,
            "scopes": "openid /acs/ecs /acs/oss:read", "trace": "t",
            "took": { "read": 9, "identify": 9, "find": 9, "decide": 9, "assume": 9, "forward": 900, "total": 950 },
        }))
        .unwrap()
    };
    let records: Vec<_> = actions.iter().map(record).collect();
    let policies = world.control.policies();
    world.control.store().keep_decisions(&records, &|one| scopes_of(&policies, one), at).await.unwrap();
}

fn hidden<'a>(html: &'a str, name: &str) -> &'a str {
    let (_, rest) =
        html.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("{name}: {html}"));
    rest.split('"').next().unwrap()
}

#[tokio::test]
async fn what_is_used_is_told_by_application_and_scope() {
    let world = World::new().await;
    world.install("report-hub", "/acs/ecs").await;
    called(&world, &[(1, "oss:GetObject"), (2, "ecs:DescribeInstances")]).await;
    let found = world.api(ADMIN, "GET", "/use?days=30", None).await.expect(200).json();
    let one = &found["applications"][0];
    assert_eq!(
        (&one["client_id"], &one["stale"], &one["young"]),
        (&json!("report-hub"), &json!(false), &json!(true))
    );
    let scope = |name: &str| {
        one["scopes"].as_array().unwrap().iter().find(|one| one["scope"] == name).unwrap().clone()
    };
    assert!(scope("/acs/oss:read")["last_used"].is_string());
    assert_eq!(scope("/acs/ecs")["only"], json!(["/acs/ecs:read"]), "a part of it is all that was used");
    assert_eq!(one["unused"], json!([]));
    world.control.clock().advance(40 * 86_400);
    let later = world.api(ADMIN, "GET", "/use?days=30", None).await.json();
    let one = &later["applications"][0];
    assert_eq!((&one["stale"], &one["unused"]), (&json!(true), &json!(["/acs/ecs"])));
    let other = world.api("admin@globex", "GET", "/use", None).await.expect(200).json();
    assert_eq!(other["applications"], json!([]));
    for wrong in ["days=0", "days=366", "days=x", "after=a%20b", "limit=0", "page=2"] {
        world.api(ADMIN, "GET", &format!("/use?{wrong}"), None).await.expect_problem(400, "invalid_request");
    }
}

#[tokio::test]
async fn one_click_takes_away_what_is_not_used() {
    let world = World::new().await;
    world.install("report-hub", "/acs/ecs /acs/ecs:read").await;
    called(&world, &[(1, "oss:GetObject")]).await;
    let admin = Browser::of(&world, ADMIN).await;
    let page = admin.open("/console/use").await.expect(200).text;
    assert!(page.contains("not used") && page.contains("Take away what is not used"), "{page}");
    let fields = format!(
        "revision={}&days=90&scope=%2Facs%2Fecs&scope=%2Facs%2Fecs%3Aread",
        hidden(&page, "revision")
    );
    let path = "/console/use/report-hub/narrow";
    for (who, status) in [("alice@acme", 403), ("admin@globex", 404)] {
        Browser::of(&world, who).await.post(path, &fields).await.expect(status);
    }
    admin.post_raw(path, &fields).await.expect(403);
    for wrong in
        ["revision=1&scope=openid", "revision=1&scope=%2Facs%2Foss%3Aread", "revision=9&scope=%2Facs%2Fecs"]
    {
        admin.post(path, wrong).await.expect(409);
    }
    for wrong in ["scope=%2Facs%2Fecs", "revision=1", "revision=1&scope=a%22b"] {
        admin.post(path, wrong).await.expect(400);
    }
    admin.post(path, &fields).await.expect(303);
    let key = GrantKey { account: account(ACME), application: "report-hub".parse().unwrap() };
    let grant = world.control.store().installed(&key).await.unwrap().unwrap().grant;
    assert_eq!((grant.scopes.to_string().as_str(), grant.revision.0), ("/acs/oss:read openid profile", 2));
    admin.post(path, &fields).await.expect(409);
}

#[tokio::test]
async fn an_end_is_set_by_form_and_by_api_and_no_token_outlives_it() {
    let world = World::new().await;
    world.install("report-hub", "").await;
    let admin = Browser::of(&world, ADMIN).await;
    let path = format!("{PAGE}/expiry");
    let page = admin.open(&path).await.expect(200).text;
    let revision = hidden(&page, "revision").to_owned();
    for (who, status) in [("alice@acme", 403), ("admin@globex", 404)] {
        let other = Browser::of(&world, who).await;
        other.open(&path).await.expect(status);
        other.post(&path, &format!("revision={revision}&lasts=never")).await.expect(status);
    }
    admin.post_raw(&path, &format!("revision={revision}&lasts=never")).await.expect(403);
    for wrong in [
        "lasts=days&days=0",
        "lasts=days&days=x",
        "lasts=date&date=2001-01-01",
        "lasts=date&date=soon",
        "lasts=soon",
        "",
    ] {
        let again = admin.post(&path, &format!("revision={revision}&{wrong}")).await.expect(400);
        assert!(again.text.contains("Nothing was changed"), "{wrong}: {}", again.text);
    }
    admin.post(&path, "revision=7&lasts=days&days=3").await.expect(409);
    admin.post(&path, &format!("revision={revision}&lasts=date&date=2027-03-01")).await.expect(303);
    let shown = world.api(ADMIN, "GET", "/applications/report-hub", None).await.json();
    assert_eq!((&shown["expires_at"], &shown["revision"]), (&json!("2027-03-02T00:00:00Z"), &json!(2)));
    assert!(admin.open(&path).await.expect(200).text.contains("value=\"2027-03-01\""));

    let api = "/applications/report-hub/expiry";
    let soon = world.control.clock().now() + SignedDuration::from_secs(100);
    for (body, status) in [
        (json!({}), 400),
        (json!({ "expires_at": "2001-01-01T00:00:00Z" }), 400),
        (json!({ "expires_at": "2099-01-01T00:00:00Z" }), 400),
        (json!({ "expires_at": null, "revision": 1 }), 409),
    ] {
        world.api(ADMIN, "PUT", api, Some(body)).await.expect(status);
    }
    let set = json!({ "expires_at": soon.to_string(), "revision": 2 });
    let effect = world.api(ADMIN, "PUT", api, Some(set)).await.expect(200).json();
    assert_eq!((&effect["effective"], &effect["revision"]), (&json!(true), &json!(3)));
    let endless = json!({ "expires_at": null });
    world.api("admin@globex", "PUT", api, Some(endless)).await.expect_problem(404, "not_installed");
}

#[tokio::test]
async fn the_report_needs_nothing_from_anywhere_and_says_all_in_words_as_well() {
    let world = World::new().await;
    world.install("report-hub", "/acs/ecs").await;
    called(&world, &[(1, "oss:GetObject"), (2, "ecs:DescribeInstances"), (3, "oss:GetObject")]).await;
    for path in ["/report", "/report?days=7&application=report-hub"] {
        let answer = world.api(ADMIN, "GET", path, None).await.expect(200);
        let html = &answer.text;
        for forbidden in ["<script", " src=", "href=", "@import", "http://", "https://", " style="] {
            assert!(!html.contains(forbidden), "{forbidden}");
        }
        assert_eq!(html.matches("<svg").count(), html.matches("role=\"img\"").count());
        assert_eq!(html.matches("<svg").count(), html.matches("</desc>").count(), "each has its words");
        assert!(html.matches("<table").count() >= html.matches("<svg").count(), "and a table");
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        let style = html.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, style.as_bytes());
        let hash = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, hash.as_ref());
        assert!(policy.contains(&format!("'sha256-{hash}'")), "{policy}");
    }
    let admin = Browser::of(&world, ADMIN).await;
    let page = admin.open("/console/report?application=report-hub").await.expect(200).text;
    assert!(
        page.contains("Decisions over time") && page.contains("data-label=\"Forwarded\">3</td>"),
        "{page}"
    );
    for path in ["/report?application=mcp-server", "/report?application=unheard-of"] {
        world.api(ADMIN, "GET", path, None).await.expect_problem(404, "not_installed");
    }
    world.api(ADMIN, "GET", "/report?application=", None).await.expect_problem(400, "invalid_request");
    let empty = world.api("admin@globex", "GET", "/report", None).await.expect(200).text;
    assert!(!empty.contains("report-hub") && empty.contains("Nothing was forwarded"), "{empty}");
}

#[tokio::test]
async fn everybody_sees_what_acts_as_them_and_takes_it_back() {
    let world = World::new().await;
    let grant = world.install("mcp-server", "").await;
    let alice = world.principal("alice@acme").await.key;
    let now = world.control.clock().now();
    world.control.store().consent_in_person(&grant.key, &alice, &grant.scopes, now).await.unwrap();
    let mine = |login: &'static str| {
        let world = &world;
        async move { world.api(login, "GET", "/me/applications", None).await.expect(200).json() }
    };
    assert_eq!(mine("alice@acme").await["applications"][0]["client_id"], "mcp-server");
    for other in ["admin@acme", "deploy@acme", "alice@globex"] {
        assert_eq!(mine(other).await["applications"], json!([]), "{other}");
        world
            .api(other, "DELETE", "/me/applications/mcp-server", None)
            .await
            .expect_problem(404, "not_found");
    }
    let browser = Browser::of(&world, "alice@acme").await;
    let page = browser.open("/me").await.expect(200).text;
    assert!(page.contains("Withdraw my consent") && !page.contains("/console/use\""), "{page}");
    let path = "/me/applications/mcp-server/withdraw";
    browser.post_raw(path, "").await.expect(403);
    browser.post_raw(path, "csrf=wrong").await.expect(403);
    assert_eq!(mine("alice@acme").await["applications"].as_array().unwrap().len(), 1);
    assert_eq!(browser.post(path, "").await.expect(303).headers["location"], "/me");
    assert!(browser.open("/me").await.expect(200).text.contains("no application holds anything of yours"));
    browser.post(path, "").await.expect(404);
    browser.post("/me/applications/a%20b/withdraw", "").await.expect(404);
    let consents = world.api(ADMIN, "GET", "/applications/mcp-server/consents", None).await.json();
    assert_eq!(consents["consents"], json!([]));
}

#[tokio::test]
async fn a_publisher_registers_changes_and_replaces_secrets_by_forms() {
    let world = World::new().await;
    let admin = Browser::of(&world, ADMIN).await;
    let form = admin.open("/publisher/new").await.expect(200).text;
    assert!(form.contains("name=\"scope:/acs/oss:read\"") && form.contains("Redirect URIs"), "{form}");
    let fields = "name=our-tool&type=WebApp&display_name=Our+Tool&redirect_uris=https%3A%2F%2Ftool.example%2Fcb%0D%0A\
                  &scope%3A%2Facs%2Foss%3Aread=required&scope%3A%2Facs%2Fecs=optional";
    let told = admin.post("/publisher/new", fields).await.expect(200).text;
    let secret = told.split_once("id=\"client-secret\">").unwrap().1.split('<').next().unwrap().to_owned();
    let id = told.split_once("/publisher/applications/").unwrap().1.split('"').next().unwrap().to_owned();
    let page_of = format!("/publisher/applications/{id}");
    let page = admin.open(&page_of).await.expect(200).text;
    assert!(page.contains("Our Tool") && !page.contains(&secret), "a secret is shown once");
    let shown = world.api(ADMIN, "GET", &format!("/publisher/applications/{id}"), None).await.json();
    assert_eq!(shown["required_scopes"], json!(["/acs/oss:read", "openid"]));

    let told = admin.post(&format!("{page_of}/secrets"), "").await.expect(200).text;
    assert!(told.contains("client-secret"), "{told}");
    admin.post(&format!("{page_of}/secrets"), "").await.expect(409);
    let page = admin.open(&page_of).await.text;
    let delete = page.split_once(&format!("{page_of}/secrets/")).unwrap().1.split('"').next().unwrap();
    let delete = format!("{page_of}/secrets/{delete}");
    assert!(admin.open(&delete).await.expect(200).text.contains("Keep it"));
    admin.post(&delete, "").await.expect(303);
    admin.post(&delete, "").await.expect(404);

    let seen = hidden(&page, "seen").to_owned();
    let change = |more: &str| {
        format!(
            "seen={seen}&display_name=Our+Tool&enabled=yes&redirect_uris=https%3A%2F%2Ftool.example%2Fcb&\
             access_token_seconds=900&refresh_token_seconds=7200&scope%3A%2Facs%2Foss%3Aread=required&{more}"
        )
    };
    for other in ["alice@acme", "admin@globex"] {
        let other = Browser::of(&world, other).await;
        for (path, fields) in
            [(&page_of, change("")), (&format!("{page_of}/secrets"), String::new()), (&delete, String::new())]
        {
            let refused = other.post(path, &fields).await;
            assert!([403, 404].contains(&refused.status.as_u16()), "{path}: {}", refused.text);
        }
        assert!([403, 404].contains(&other.open(&page_of).await.status.as_u16()));
    }
    admin.post_raw(&page_of, &change("")).await.expect(403);
    admin.post(&page_of, &change("description=Reads")).await.expect(303);
    let stale = admin.post(&page_of, &change("description=Overwrites")).await.expect(409);
    assert!(stale.text.contains("changed by someone else"), "{}", stale.text);
    let shown = world.api(ADMIN, "GET", &format!("/publisher/applications/{id}"), None).await.json();
    assert_eq!((&shown["description"], &shown["optional_scopes"]), (&json!("Reads"), &json!([])));
}

#[tokio::test]
async fn hostile_names_and_addresses_are_refused_with_a_page_that_says_so() {
    let world = World::new().await;
    let admin = Browser::of(&world, ADMIN).await;
    let made = json!({ "name": "tool", "type": "NativeApp", "redirect_uris": ["http://127.0.0.1/cb"] });
    let made = world.api(ADMIN, "POST", "/publisher/applications", Some(made)).await.expect(201).json();
    let id = made["client_id"].as_str().unwrap().to_owned();
    let before = world.api(ADMIN, "GET", &format!("/publisher/applications/{id}"), None).await.json();
    for (field, value) in [
        ("display_name", json!("Pay\u{202e}lap")),
        ("display_name", json!("zero\u{200b}width")),
        ("display_name", json!("")),
        ("description", json!("two\nlines")),
        ("contact", json!("x".repeat(201))),
        ("redirect_uris", json!(["javascript:alert(1)"])),
        ("redirect_uris", json!(["http://evil.example/cb"])),
        ("redirect_uris", json!(["https://a.example/cb#f"])),
        ("redirect_uris", json!([])),
        ("required_scopes", json!(["/acs/unheard-of"])),
        ("access_token_seconds", json!(1)),
    ] {
        let body = json!({ field: value });
        let path = format!("/publisher/applications/{id}");
        world.api(ADMIN, "PATCH", &path, Some(body)).await.expect_problem(400, "invalid_request");
    }
    let unknown = json!({ "publisher": "1000000000000002" });
    world.api(ADMIN, "PATCH", &format!("/publisher/applications/{id}"), Some(unknown)).await.expect(400);
    let fields = "name=%3Cscript%3E&type=WebApp&display_name=%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E\
                  &redirect_uris=javascript%3Aalert(1)";
    let refused = admin.post("/publisher/new", fields).await.expect(400).text;
    assert!(refused.contains("Nothing was registered") && !refused.contains("<script"), "{refused}");
    assert!(refused.contains("javascript:alert(1)"), "what was typed stands there to be mended");
    admin.post("/publisher/new", "name=x&type=Toaster").await.expect(400);
    admin
        .post("/publisher/new", "name=tool&type=NativeApp&redirect_uris=http%3A%2F%2F127.0.0.1%2Fcb")
        .await
        .expect(400);
    let after: Value = world.api(ADMIN, "GET", &format!("/publisher/applications/{id}"), None).await.json();
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_publisher_is_told_of_accounts_on_older_scopes_and_nothing_else() {
    let world = World::new().await;
    world.install("report-hub", "").await;
    let list = "/publisher/applications/report-hub/accounts";
    let none = world.api("admin@globex", "GET", list, None).await.expect(200).json();
    assert_eq!(none["accounts"], json!([]));
    let body = json!({ "optional_scopes": ["/acs/ecs", "/acs/ecs:read", "/acs/alidns"] });
    world.api("admin@globex", "PATCH", "/publisher/applications/report-hub", Some(body)).await.expect(200);
    let found = world.api("admin@globex", "GET", list, None).await.json();
    let one = found["accounts"][0].as_object().unwrap();
    assert_eq!(one["alias"], "acme");
    assert_eq!(one.keys().collect::<Vec<_>>(), ["id", "alias", "since"]);
    world.api(ADMIN, "GET", list, None).await.expect_problem(404, "not_found");
    let globex = Browser::of(&world, "admin@globex").await;
    let page = globex.open("/publisher/applications/report-hub").await.expect(200).text;
    assert!(page.contains("1 account has") && !page.contains(ADMIN), "{page}");
    let key = GrantKey { account: account(ACME), application: "report-hub".parse().unwrap() };
    let grant = world.control.store().installed(&key).await.unwrap().unwrap().grant;
    assert_eq!(grant.revision.0, 1, "no grant is touched by it");
}

#[tokio::test]
async fn every_page_has_one_heading_and_a_label_for_each_field_and_no_script() {
    let world = World::new().await;
    world.install("report-hub", "/acs/ecs").await;
    called(&world, &[(1, "oss:GetObject")]).await;
    let (admin, globex) = (Browser::of(&world, ADMIN).await, Browser::of(&world, "admin@globex").await);
    let hub = "/publisher/applications/report-hub";
    for (who, path) in [
        (&admin, "/console/use"),
        (&admin, "/console/report"),
        (&admin, "/console/applications/report-hub/expiry"),
        (&admin, "/console/applications/report-hub"),
        (&admin, "/me"),
        (&admin, "/publisher"),
        (&admin, "/publisher/new"),
        (&globex, "/publisher"),
        (&globex, hub),
    ] {
        let html = who.open(path).await.expect(200).text;
        assert_eq!(html.matches("<h1").count(), 1, "{path}");
        for forbidden in ["<script", "<style", " style=", " onclick=", "<Hub>"] {
            assert!(!html.contains(forbidden), "{path} holds {forbidden}");
        }
        let fields = ["<input ", "<textarea ", "<select "].map(|tag| html.split(tag).skip(1));
        for field in fields.into_iter().flatten() {
            let tag = field.split('>').next().unwrap();
            let id = tag.split("id=\"").nth(1).and_then(|rest| rest.split('"').next());
            match id {
                Some(id) => assert!(html.contains(&format!("<label for=\"{id}\"")), "{path}: {tag}"),
                None => assert!(tag.contains("type=\"hidden\""), "{path}: {tag}"),
            }
        }
    }
}
