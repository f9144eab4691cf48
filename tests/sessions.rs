//! Who is signed in where: everybody sees and ends their own sessions, administrators those of their account, and
//! nobody another's.

use serde_json::Value;

use crate::support::{Answer, Call, Page, Person, World};

#[tokio::test]
async fn everybody_sees_their_own_sessions_and_ends_one_or_all_others() {
    let world = World::start().await;
    let (mut desk, mut phone, mut tablet) = (
        Person::new(&world, "alice@acme"),
        Person::new(&world, "alice@acme"),
        Person::new(&world, "alice@acme"),
    );
    let mut bob = Person::new(&world, "bob@acme");
    for person in [&mut phone, &mut tablet, &mut bob] {
        signed_in(person, &world).await;
    }
    let page = desk.visit(mine(&world)).await;
    assert!(page.text().contains("this one") && page.text().contains("127.0.0.1"), "{}", page.text());
    assert!(page.text().contains("Password"), "how: {}", page.text());
    assert!(!page.text().contains("bob@acme"));

    let form = page.form_with("session").unwrap();
    let page = desk.submit(&page, &form, &[]).await;
    let left = [signed_in(&mut phone, &world).await, signed_in(&mut tablet, &world).await];
    assert_eq!(left.iter().filter(|there| **there).count(), 1, "one of the two has ended");
    assert!(page.html.contains("/me/sessions/end-others"));
    let form = forms(&page).into_iter().find(|form| form.action.ends_with("end-others")).unwrap();
    desk.submit(&page, &form, &[]).await;
    for (person, there) in [(&mut phone, false), (&mut tablet, false), (&mut desk, true), (&mut bob, true)] {
        assert_eq!(is_there(person, &world).await, there, "{}", person.login);
    }
}

#[tokio::test]
async fn nobody_ends_a_session_that_is_not_theirs_to_end() {
    let world = World::start().await;
    let (mut alice, mut bob, mut eve) = (
        Person::new(&world, "alice@acme"),
        Person::new(&world, "bob@acme"),
        Person::new(&world, "eve@globex"),
    );
    let page = alice.visit(mine(&world)).await;
    signed_in(&mut bob, &world).await;
    signed_in(&mut eve, &world).await;
    let bobs = id_of(&world, "acme", "bob@acme").await;
    let form = forms(&page).remove(0);
    for id in [bobs.as_str(), id_of(&world, "globex", "eve@globex").await.as_str(), "", "nonsense"] {
        let fields = [("csrf".to_owned(), csrf(&page)), ("session".to_owned(), id.to_owned())];
        let mut end = form.clone();
        end.action = "/me/sessions/end".into();
        let refused = alice.post(&page, &end, &fields).await;
        assert_eq!(refused.status, 404, "{id}: {}", refused.text());
        end.action = "/console/sessions/end".into();
        let refused = alice.post(&page, &end, &fields).await;
        assert_eq!(refused.status, 403, "{id}: {}", refused.text());
    }
    // Of another account, and by an administrator there; and a form that nobody sent on purpose.
    let path = format!("/sessions/{bobs}");
    world.api("globex", "DELETE", &path).send().await.expect_problem(404, "not_found");
    world.api("globex", "DELETE", "/users/bob@acme/sessions").send().await.expect_problem(404, "not_found");
    let own = format!("/me/sessions/{bobs}");
    world.api("acme", "DELETE", &own).send().await.expect_problem(404, "not_found");
    let mut end = form.clone();
    end.action = "/me/sessions/end-others".into();
    let fields = [("csrf".to_owned(), csrf(&page))];
    assert_eq!(alice.post_from("http://evil.example", &page, &end, &fields).await.status, 403);
    assert_eq!(alice.post(&page, &end, &[("csrf".to_owned(), "forged".to_owned())]).await.status, 403);
    assert!(is_there(&mut bob, &world).await && is_there(&mut eve, &world).await);
}

#[tokio::test]
async fn an_administrator_lists_and_ends_the_sessions_of_the_account() {
    let world = World::start().await;
    let (mut alice, mut bob, mut eve) = (
        Person::new(&world, "alice@acme"),
        Person::new(&world, "bob@acme"),
        Person::new(&world, "eve@globex"),
    );
    for person in [&mut alice, &mut bob, &mut eve] {
        signed_in(person, &world).await;
    }
    let mut admin = Person::new(&world, "admin@acme");
    let page = admin.visit(format!("{}/console/sessions", world.issuer)).await;
    for login in ["alice@acme", "bob@acme", "admin@acme"] {
        assert!(page.text().contains(login), "{}", page.text());
    }
    assert!(!page.text().contains("globex"), "{}", page.text());
    let page = admin.open(format!("{}/console/sessions?login=alice@acme", world.issuer)).await;
    let form = forms(&page).into_iter().find(|form| form.action.ends_with("end-all")).unwrap();
    let page = admin.submit(&page, &form, &[]).await;
    assert!(page.text().contains("Nobody is signed in"), "{}", page.text());
    assert!(!is_there(&mut alice, &world).await && is_there(&mut bob, &world).await);

    let list = sessions(&world, "acme", "?limit=1").await.expect(200);
    let next = list["next"].as_str().unwrap();
    let rest = sessions(&world, "acme", &format!("?after={next}")).await.expect(200);
    assert_eq!(rest["sessions"].as_array().unwrap().len(), 1, "bob and admin, one a page: {rest}");
    assert_ne!(list["sessions"][0]["id"], rest["sessions"][0]["id"]);
    for bad in ["?limit=0", "?after=x", "?after=1.zz", "?unknown=1"] {
        sessions(&world, "acme", bad).await.expect_problem(400, "invalid_request");
    }
    sessions(&world, "acme", "?login=eve@globex").await.expect_problem(404, "not_found");
    let bobs = id_of(&world, "acme", "bob@acme").await;
    world.api("acme", "DELETE", &format!("/sessions/{bobs}")).send().await.expect(204);
    assert!(!is_there(&mut bob, &world).await && is_there(&mut eve, &world).await);
}

#[tokio::test]
async fn a_program_of_ones_own_sees_and_ends_sessions_with_the_csrf_header_only() {
    let world = World::start().await;
    let mut alice = Person::new(&world, "alice@acme");
    let page = alice.visit(mine(&world)).await;
    let ask = |method: &str, path: &str| {
        Call::new(method, format!("{}/api/v1/me/sessions{path}", world.issuer))
            .header("cookie", alice.cookie())
    };
    let list = ask("GET", "").send().await.expect(200);
    let one = &list["sessions"][0];
    assert_eq!((one["current"].as_bool(), one["how"][0].as_str()), (Some(true), Some("password")), "{list}");
    let path = format!("/{}", one["id"].as_str().unwrap());
    ask("DELETE", &path).send().await.expect_problem(403, "form_not_yours");
    ask("DELETE", "").header("x-csrf-token", csrf(&page)).send().await.expect(200);
    ask("GET", "").send().await.expect(200);
    ask("DELETE", &path).header("x-csrf-token", csrf(&page)).send().await.expect(204);
    ask("GET", "").send().await.expect_problem(401, "unauthenticated");
}

async fn signed_in(person: &mut Person, world: &World) -> bool {
    let there = is_there(person, world).await;
    person.visit(mine(world)).await;
    there
}

async fn is_there(person: &mut Person, world: &World) -> bool {
    person.open(mine(world)).await.form_with("password").is_none()
}

fn mine(world: &World) -> String {
    format!("{}/me/sessions", world.issuer)
}

fn forms(page: &Page) -> Vec<crate::support::html::Form> {
    crate::support::html::forms(&page.html)
}

fn csrf(page: &Page) -> String {
    let form = page.form_with("csrf").unwrap();
    form.controls.iter().find(|control| control.name == "csrf").unwrap().value.clone()
}

async fn sessions(world: &World, alias: &str, query: &str) -> Answer {
    world.api(alias, "GET", &format!("/sessions{query}")).send().await
}

async fn id_of(world: &World, alias: &str, login: &str) -> String {
    let list: Value = sessions(world, alias, &format!("?login={login}")).await.expect(200);
    list["sessions"][0]["id"].as_str().unwrap().to_owned()
}
