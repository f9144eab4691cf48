//! What only PostgreSQL can do or suffer: other nodes, lost connections, databases that are not ours.

use std::time::Duration;

use tokio::time::timeout;

use super::fixture::Database;
use super::*;
use crate::store::Acknowledged;

impl World {
    fn database(&self) -> &Database {
        match &self.home {
            Home::Database(database) => database,
            Home::Folder(_) => panic!("this world is no database"),
        }
    }
}

async fn refusal(database: &Database) -> String {
    open(&database.url()).await.err().unwrap().to_string()
}

async fn soon<T>(happens: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), happens).await.unwrap()
}

fn word(reached: u64) -> Acknowledged {
    Acknowledged { sidecar: "web-1".parse().unwrap(), reached: Seq(reached), streams_cut: 2 }
}

#[tokio::test]
async fn a_follower_on_another_node_is_woken_by_a_commit_here() {
    let world = World::postgres().await;
    let other = world.again().await;
    let mut woken = other.woken();
    woken.borrow_and_update();
    world.store.enable_principal(&user("u-bob"), false, at(1)).await.unwrap();
    soon(woken.changed()).await.unwrap();
    assert_eq!(*woken.borrow(), world.newest().await);
}

#[tokio::test]
async fn what_a_sidecar_said_is_told_to_the_other_nodes_only() {
    let world = World::postgres().await;
    let other = world.again().await;
    let (mut here, mut there) = (world.store.announcements(), other.announcements());
    // Until both listen.
    while there.is_empty() {
        world.store.announce(&word(1)).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(soon(there.recv()).await.unwrap(), word(1));
    other.announce(&word(7)).await.unwrap();
    assert_eq!(soon(here.recv()).await.unwrap(), word(7), "a node heard itself");
}

#[tokio::test]
async fn a_lost_connection_wakes_who_follows_because_something_may_have_been_missed() {
    let world = World::postgres().await;
    let mut woken = world.store.woken();
    world.store.enable_principal(&user("u-bob"), false, at(1)).await.unwrap();
    woken.borrow_and_update();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    world.database().tell(end).unwrap();
    soon(woken.changed()).await.unwrap();
    // The connections of changes and questions are replaced as well.
    world.store.enable_principal(&user("u-bob"), true, at(2)).await.unwrap();
    assert!(world.store.principal(&user("u-bob")).await.unwrap().unwrap().enabled);
}

#[tokio::test]
async fn a_change_that_the_database_ended_is_told_and_the_next_one_is_made() {
    let world = World::postgres().await;
    let fails = "CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$;
        CREATE TRIGGER fails BEFORE INSERT ON accounts FOR EACH ROW EXECUTE FUNCTION fails()";
    world.database().tell(fails).unwrap();
    let new = Account { id: account("17"), alias: "new".to_owned() };
    let error = world.store.add_account(&new).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    world.database().tell("DROP TRIGGER fails ON accounts").unwrap();
    world.store.add_account(&new).await.unwrap();
}

#[tokio::test]
async fn a_database_of_a_newer_schema_or_another_program_is_refused_and_left_alone() {
    let (newer, foreign) = (Database::new(), Database::new());
    open(&newer.url()).await.unwrap().close().await;
    newer.tell("UPDATE consentry_schema SET version = 7000").unwrap();
    let text = refusal(&newer).await;
    assert!(text.contains("newer consentry (its schema is 7000, this one knows "), "{text}");
    foreign.tell("CREATE TABLE theirs (x int)").unwrap();
    let text = refusal(&foreign).await;
    assert!(text.contains("another program"), "{text}");
    assert!(foreign.tell("SELECT * FROM accounts").is_err());
}

#[tokio::test]
async fn a_place_that_is_not_there_is_refused_and_no_password_is_repeated() {
    let database = Database::new();
    let (server, _) = database.url().rsplit_once('/').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let text = open(&format!("{server}/unheard-of")).await.err().unwrap().to_string();
    assert!(text.contains("no such database") && text.contains("unheard-of"), "{text}");
    for place in ["postgres://me:secret@127.0.0.1:1/db", "postgres://me@127.0.0.1:1/db?password=secret"] {
        let text = open(place).await.err().unwrap().to_string();
        assert!(text.contains("CONSENTRY_STORE_PASSWORD") && !text.contains("secret"), "{text}");
    }
    let text = open("postgres://me@127.0.0.1:1/db").await.err().unwrap().to_string();
    assert!(text.contains("cannot be reached"), "{text}");
}

#[tokio::test]
async fn nodes_that_open_an_empty_database_at_once_make_one_schema() {
    let database = Database::new();
    let url = database.url();
    let (one, other) = tokio::join!(open(&url), open(&url));
    assert_eq!(one.unwrap().epoch().await.unwrap(), other.unwrap().epoch().await.unwrap());
}

#[tokio::test]
async fn the_database_itself_refuses_to_turn_a_grant_back() {
    let world = World::postgres().await;
    world.install("report-hub", None).await;
    world.install("report-hub", Some(Revision(1))).await;
    for statement in [
        "UPDATE grants SET revision = 1",
        "UPDATE grants SET state = 'suspended'",
        "DELETE FROM grants",
        "UPDATE audit SET actor = 'nobody'",
    ] {
        assert!(world.database().tell(statement).is_err(), "{statement}");
    }
}
