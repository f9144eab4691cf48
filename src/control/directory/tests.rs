//! The directory by API and console, through the router.

use serde_json::json;

use crate::control::tests::World;
use crate::control::tests::console::Browser;

const USERS: &str = "/directory/users";

#[tokio::test]
async fn a_user_is_added_with_a_link_found_changed_and_disabled() {
    let world = World::new().await;
    let ask = |method: &'static str, path: String, body| {
        let world = &world;
        async move { world.api("admin@acme", method, &path, body).await }
    };
    ask("POST", "/directory/groups".to_owned(), Some(json!({ "name": "ops" }))).await.expect(201);
    let new = json!({ "name": "carol", "display_name": "Carol <b>", "groups": ["ops"] });
    let added = ask("POST", USERS.to_owned(), Some(new.clone())).await.expect(201).json();
    assert_eq!(
        (&added["user"]["login"], &added["user"]["administrator"]),
        (&json!("carol@acme"), &json!(false))
    );
    assert!(
        added["invitation"]["link"].as_str().unwrap().starts_with("http://127.0.0.1:8081/set-password?link=")
    );
    ask("POST", USERS.to_owned(), Some(new)).await.expect_problem(409, "exists");
    let found = ask("GET", format!("{USERS}?search=carol"), None).await.expect(200).json();
    assert_eq!(found["users"].as_array().unwrap().len(), 1);
    let paged = ask("GET", format!("{USERS}?limit=2"), None).await.expect(200).json();
    let next = paged["next"].as_str().unwrap();
    assert_eq!(next, "alice@acme");
    let rest = ask("GET", format!("{USERS}?limit=100&after={next}"), None).await.expect(200).json();
    assert_eq!((rest["users"].as_array().unwrap().len(), &rest["next"]), (2, &json!(null)));
    let path = format!("{USERS}/carol@acme");
    let changed = ask("PATCH", path.clone(), Some(json!({ "administrator": true, "groups": [] }))).await;
    assert_eq!(changed.expect(200).json()["groups"], json!([]));
    let disabled = ask("PATCH", path.clone(), Some(json!({ "enabled": false }))).await.expect(200).json();
    assert_eq!((&disabled["enabled"], &disabled["administrator"]), (&json!(false), &json!(false)));
    let unknown = ask("PATCH", path, Some(json!({ "groups": ["nowhere"] }))).await;
    unknown.expect_problem(400, "invalid_request");
    for bad in [json!({ "name": "a b" }), json!({ "name": "" }), json!({ "name": "x", "role": 1 }), json!({})]
    {
        ask("POST", USERS.to_owned(), Some(bad)).await.expect_problem(400, "invalid_request");
    }
}

#[tokio::test]
async fn nobody_else_sees_or_changes_the_people_of_an_account() {
    let world = World::new().await;
    let change = Some(json!({ "enabled": false }));
    for (login, status) in [("alice@acme", 403), ("deploy@acme", 403), ("admin@globex", 404)] {
        let path = format!("{USERS}/admin@acme");
        world.api(login, "PATCH", &path, change.clone()).await.expect(status);
        world.api(login, "GET", &path, None).await.expect(status);
        world.api(login, "POST", &format!("{path}/password-link"), None).await.expect(status);
        world.api(login, "DELETE", &format!("{path}/factors"), None).await.expect(status);
        world.api(login, "PUT", "/directory/groups/ops/members/admin@acme", None).await.expect(status);
    }
    let listed = world.api("admin@globex", "GET", USERS, None).await.expect(200);
    assert!(!listed.text.contains("acme"), "{}", listed.text);
    assert!(world.principal("admin@acme").await.enabled);
}

#[tokio::test]
async fn the_last_administrator_and_the_root_identity_are_not_taken_by_another() {
    let world = World::new().await;
    let change = async |by: &str, whom: &str, body| {
        world.api(by, "PATCH", &format!("{USERS}/{whom}"), Some(body)).await
    };
    for body in [json!({ "administrator": false }), json!({ "enabled": false })] {
        change("admin@acme", "admin@acme", body.clone()).await.expect_problem(409, "conflict");
        change("admin@acme", "root@acme", body).await.expect_problem(409, "conflict");
    }
    let link = format!("{USERS}/root@acme/password-link");
    world.api("admin@acme", "POST", &link, None).await.expect_problem(409, "conflict");
    world.api("root@acme", "POST", &link, None).await.expect(201);
    change("admin@acme", "alice@acme", json!({ "administrator": true })).await.expect(200);
    change("alice@acme", "admin@acme", json!({ "administrator": false })).await.expect(200);
    change("admin@acme", "alice@acme", json!({ "administrator": false })).await.expect(403);
    change("root@acme", "alice@acme", json!({ "administrator": false })).await.expect(200);
}

#[tokio::test]
async fn groups_and_roles_come_and_go() {
    let world = World::new().await;
    let ask = |method: &'static str, path: &'static str, body| {
        let world = &world;
        async move { world.api("admin@acme", method, path, body).await }
    };
    let group = json!({ "name": "ops", "description": "on call" });
    ask("POST", "/directory/groups", Some(group.clone())).await.expect(201);
    ask("POST", "/directory/groups", Some(group)).await.expect_problem(409, "exists");
    let inside = ask("PUT", "/directory/groups/ops/members/alice@acme", None).await.expect(200).json();
    assert_eq!(inside["groups"], json!(["ops"]));
    assert_eq!(ask("GET", "/directory/groups/ops", None).await.expect(200).json()["members"], 1);
    let purpose = json!({ "description": "on duty" });
    ask("PATCH", "/directory/groups/ops", Some(purpose)).await.expect(200);
    ask("DELETE", "/directory/groups/ops/members/alice@acme", None).await.expect(200);
    ask("DELETE", "/directory/groups/ops", None).await.expect(204);
    ask("DELETE", "/directory/groups/ops", None).await.expect_problem(404, "not_found");
    let role = ask("POST", "/directory/roles", Some(json!({ "name": "backup" }))).await.expect(201).json();
    assert_eq!((&role["id"], &role["login"]), (&json!("backup"), &json!("backup@acme")));
    ask("PATCH", "/directory/roles/backup", Some(json!({ "enabled": false }))).await.expect(200);
    assert_eq!(
        ask("GET", "/directory/roles", None).await.expect(200).json()["roles"].as_array().unwrap().len(),
        2
    );
    ask("GET", "/directory/roles/3002", None).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn people_are_managed_by_forms() {
    let world = World::new().await;
    let admin = Browser::of(&world, "admin@acme").await;
    let list = admin.open("/console/people?search=ali").await.expect(200);
    assert!(list.text.contains("alice@acme") && !list.text.contains("root@acme"), "{}", list.text);
    admin.post("/console/people/groups", "name=ops&description=on+call").await.expect(303);
    let added =
        admin.post("/console/people", "name=carol&display_name=Carol+%3Cb%3E&groups=ops").await.expect(200);
    assert!(
        added.text.contains("/set-password?link=") && added.text.contains("Carol &#60;b&#62;"),
        "{}",
        added.text
    );
    let page = "/console/people/users/carol@acme";
    let again = admin.open(page).await.expect(200);
    assert!(!again.text.contains("/set-password?link="), "the link is shown once");
    for (what, shown) in [
        ("do=administrator", "Take the administrator"),
        ("do=no-administrator", "Make an administrator"),
        ("do=disable", "Enable"),
        ("do=enable", "Disable"),
        ("do=groups&groups=", "<dt>Groups</dt><dd>none"),
        ("do=name&display_name=Caroline", "Caroline"),
    ] {
        admin.post(page, what).await.expect(303);
        assert!(admin.open(page).await.expect(200).text.contains(shown), "{what}");
    }
    admin.post(page, "do=groups&groups=nowhere").await.expect(400);
    admin.post(page, "do=anything").await.expect(400);
    admin.post("/console/people/groups/ops", "do=join&login=carol@acme").await.expect(303);
    assert!(admin.open("/console/people/groups/ops").await.expect(200).text.contains("carol@acme"));
    admin.post("/console/people/groups/ops", "do=join&login=admin@globex").await.expect(400);
    admin.post("/console/people/groups/ops", "do=delete").await.expect(303);
    admin.post("/console/people/roles", "name=backup").await.expect(303);
    admin.post("/console/people/roles/backup", "do=disable").await.expect(303);
    assert!(admin.open("/console/people/roles").await.expect(200).text.contains("disabled"));
}

#[tokio::test]
async fn pages_about_people_are_for_administrators_and_their_forms_are_ours() {
    let world = World::new().await;
    let alice = Browser::of(&world, "alice@acme").await;
    let other = Browser::of(&world, "admin@globex").await;
    let admin = Browser::of(&world, "admin@acme").await;
    let page = "/console/people/users/admin@acme";
    for path in
        ["/console/people", "/console/people/new", page, "/console/people/groups", "/console/people/roles"]
    {
        alice.open(path).await.expect(403);
    }
    other.open(page).await.expect(404);
    for (path, fields) in [
        (page, "do=disable"),
        ("/console/people", "name=x"),
        ("/console/people/rules", "administrators_need_second_factor=yes"),
        ("/console/people/groups", "name=x"),
        ("/console/people/roles", "name=x"),
        ("/console/people/roles/3001", "do=disable"),
    ] {
        alice.post(path, fields).await.expect(403);
        admin.post_raw(path, fields).await.expect(403);
        admin.post_raw(path, &format!("csrf={}&{fields}", other.csrf)).await.expect(403);
    }
    other.post(page, "do=disable").await.expect(404);
    other.post("/console/people/roles/3001x", "do=disable").await.expect(404);
    let unknown = admin.open("/console/people/users/%3Cscript%3E").await.expect(404);
    assert!(!unknown.text.contains("<script"));
    assert!(world.principal("deploy@acme").await.enabled);
}
