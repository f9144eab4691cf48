//! What only a file can suffer: each fault is one sentence that names the file and the mend.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use sqlx::{Connection, SqliteConnection};

use super::records::decision;
use super::*;
use crate::model::decision::Outcome;
use crate::store::backend::Backend;
use crate::store::sql::{Limits, Tables};
use crate::store::sqlite::Sqlite;
use crate::store::{Audit, Cut, DecisionFilter, Directory, PATIENCE, Records};

async fn refusal(path: &Path) -> (StoreError, String) {
    let error = Sqlite::open(path, Duration::ZERO).await.err().unwrap();
    let text = error.to_string();
    (error, text)
}

async fn made(path: &Path) {
    Sqlite::open(path, PATIENCE).await.unwrap().close().await;
}

/// The store, and the file that it is over.
async fn both(path: &Path, limits: Limits) -> (Arc<Sqlite>, Tables) {
    let file = Arc::new(Sqlite::open(path, PATIENCE).await.unwrap());
    let over: Arc<dyn Backend> = Arc::<Sqlite>::clone(&file);
    (file, Tables::over(over, limits))
}

async fn raw(path: &Path, statement: &'static str) -> SqliteConnection {
    let url = format!("sqlite:{}?mode=rwc", path.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    connection
}

#[tokio::test]
async fn a_new_store_is_for_its_owners_eyes_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/store.db");
    open(path.to_str().unwrap()).await.unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    for entry in path.parent().unwrap().read_dir().unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    open(&format!("sqlite://{}", path.display())).await.unwrap();
}

#[tokio::test]
async fn the_writer_waits_for_the_disk_and_checks_what_refers_to_what() {
    let folder = tempfile::tempdir().unwrap();
    let store = Sqlite::open(&folder.path().join("store.db"), PATIENCE).await.unwrap();
    let full = "SELECT synchronous AS answer FROM pragma_synchronous";
    assert_eq!(store.ask_writer(full).await, 2);
    assert_eq!(store.ask_writer("SELECT foreign_keys AS answer FROM pragma_foreign_keys").await, 1);
    let log = "SELECT journal_mode = 'wal' AS answer FROM pragma_journal_mode";
    assert_eq!(store.ask_writer(log).await, 1);
}

#[tokio::test]
async fn a_file_of_a_newer_schema_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    made(&path).await;
    raw(&path, "PRAGMA user_version = 7000").await.close().await.unwrap();
    let (error, text) = refusal(&path).await;
    assert!(matches!(error, StoreError::Unavailable(_)));
    assert!(text.contains("newer consentry (its schema is 7000, this one knows"), "{text}");
    assert!(text.contains(path.to_str().unwrap()), "{text}");
}

#[tokio::test]
async fn a_file_of_the_first_schema_keeps_its_rows_and_its_place_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let first = include_str!("../../../schemas/store/sqlite/0001_first.sql");
    let mut old = raw(&path, "PRAGMA journal_mode = WAL").await;
    sqlx::raw_sql(first).execute(&mut old).await.unwrap();
    let rows = "INSERT INTO change_log (at, subject) VALUES (1, 'keys'), (2, 'keys'), (3, 'keys');
        DELETE FROM change_log WHERE seq = 3;
        INSERT INTO signing_keys (kid, purpose, public_jwk, sealed, active_from)
        VALUES ('k1', 'id-token', '{}', x'01', 0);
        PRAGMA application_id = 1129206617; PRAGMA user_version = 1";
    sqlx::raw_sql(rows).execute(&mut old).await.unwrap();
    old.close().await.unwrap();
    let store = open(path.to_str().unwrap()).await.unwrap();
    assert_eq!(store.newest().await.unwrap(), Seq(3));
    assert_eq!(store.changes_after(Seq(0), 9).await.unwrap().len(), 2);
    assert_eq!(store.signing_keys(at(0)).await.unwrap()[0].kid, "k1");
    assert_eq!(store.note_policies("p1", at(0)).await.unwrap(), Some(Seq(4)));
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "not a database ".repeat(1000)).unwrap();
    let (error, text) = refusal(&path).await;
    assert!(matches!(error, StoreError::Corrupt { .. }), "{text}");
    assert!(text.contains("notes.txt") && text.contains("not a SQLite database"), "{text}");
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("not a database"));
    let foreign = folder.path().join("foreign.db");
    raw(&foreign, "CREATE TABLE theirs (x)").await.close().await.unwrap();
    let (error, text) = refusal(&foreign).await;
    assert!(matches!(error, StoreError::Corrupt { .. }), "{text}");
    assert!(text.contains("another program"), "{text}");
}

#[tokio::test]
async fn a_torn_file_is_said_to_be_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    made(&path).await;
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096..].fill(0x5a);
    std::fs::write(&path, bytes).unwrap();
    let (error, text) = refusal(&path).await;
    assert!(matches!(error, StoreError::Corrupt { .. }), "{text}");
    assert!(text.contains("backup") && text.contains("store.db"), "{text}");
}

#[tokio::test]
async fn a_place_that_cannot_be_a_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (error, text) = refusal(&file.join("store.db")).await;
    assert!(matches!(error, StoreError::Unavailable(_)), "{text}");
    assert!(text.contains("a part of that path is a file"), "{text}");
    let (_, text) = refusal(folder.path()).await;
    assert!(text.contains("is a folder; name a file in it"), "{text}");
    let text = open("mysql://me:secret@db/consentry").await.err().unwrap().to_string();
    assert!(text.contains("no store of the kind mysql") && !text.contains("secret"), "{text}");
    assert!(open("sqlite:").await.is_err());
}

#[tokio::test]
async fn a_folder_that_may_not_be_written_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o500)).unwrap();
    if std::fs::write(folder.path().join("probe"), "").is_ok() {
        return; // The superuser writes everywhere.
    }
    let (error, text) = refusal(&folder.path().join("store.db")).await;
    assert!(matches!(error, StoreError::Unwritable(_)), "{text}");
}

#[tokio::test]
async fn a_locked_file_is_refused_while_it_is_locked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    made(&path).await;
    let holder = raw(&path, "BEGIN IMMEDIATE").await;
    let (error, text) = refusal(&path).await;
    assert!(matches!(error, StoreError::Unavailable(_)), "{text}");
    assert!(text.contains("locked by another program") && text.contains("store.db"), "{text}");
    holder.close().await.unwrap();
    open(path.to_str().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_refuses_writes_whole_and_goes_on_reading_until_there_is_space() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let (file, store) = both(&path, Limits::default()).await;
    file.prepare_writer("PRAGMA max_page_count = 100").await;
    let many: Vec<_> = (0..2000).map(|number| decision(number, "report-hub", Outcome::Forwarded)).collect();
    for _ in 0..3 {
        let error = keep(&store, &many).await.unwrap_err();
        assert!(matches!(error, StoreError::Unwritable(_)), "{error}");
        assert!(error.to_string().contains("is full; free some space"), "{error}");
    }
    let all = DecisionFilter { limit: 10, ..DecisionFilter::default() };
    assert!(store.decisions(&account(ACME), &all).await.unwrap().is_empty());
    assert_eq!(store.last_used(&key("report-hub")).await.unwrap(), None);
    file.prepare_writer("PRAGMA max_page_count = 100000").await;
    store.add_account(&Account { id: account("17"), alias: "new".to_owned() }).await.unwrap();
    keep(&store, &many).await.unwrap();
    assert_eq!(store.decisions(&account(ACME), &all).await.unwrap().len(), 10);
}

#[tokio::test]
async fn a_transaction_that_sqlite_ended_by_itself_does_not_spoil_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let (file, store) = both(&folder.path().join("store.db"), Limits::default()).await;
    file.prepare_writer(
        "CREATE TEMP TRIGGER fails BEFORE INSERT ON main.accounts
             BEGIN SELECT RAISE(ROLLBACK, 'as a disk does that goes away'); END",
    )
    .await;
    let new = Account { id: account("17"), alias: "new".to_owned() };
    store.add_account(&new).await.unwrap_err();
    assert!(store.accounts().await.unwrap().is_empty());
    // The trigger went with its connection.
    store.add_account(&new).await.unwrap();
}

#[tokio::test]
async fn only_the_newest_decisions_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { decisions_kept: 3, ..Limits::default() };
    let (_, store) = both(&folder.path().join("store.db"), limits).await;
    for number in 1..=5 {
        keep(&store, &[decision(number, "report-hub", Outcome::Denied)]).await.unwrap();
    }
    let cuts = store.surplus().await.unwrap().into_iter().map(|run| Cut { run, token: "signed".to_owned() });
    store.cut(&cuts.collect::<Vec<_>>()).await.unwrap();
    assert!(store.surplus().await.unwrap().is_empty());
    let all = DecisionFilter { limit: 10, ..DecisionFilter::default() };
    let found = store.decisions(&account(ACME), &all).await.unwrap();
    assert_eq!(found.iter().map(|decision| decision.at).collect::<Vec<_>>(), [at(5), at(4), at(3)]);
}

#[tokio::test]
async fn a_grant_that_ends_while_a_change_of_its_end_stands_in_line_begins_anew() {
    let world = World::sqlite().await;
    let grant = world.install("report-hub", None).await;
    let set = |end: i64, now: Timestamp| {
        let (store, key) = (Arc::clone(&world.store), grant.key.clone());
        tokio::spawn(async move { store.set_end(&key, Some(at(end)), None, &admin(), now).await })
    };
    set(100, at(20)).await.unwrap().unwrap();
    let just_before = at(100) - jiff::SignedDuration::from_millis(10);
    let (prolonged, _) = set(200, at(99)).await.unwrap().unwrap();
    assert_eq!(prolonged.since, Revision(1), "in time, it goes on");
    set(100, at(99)).await.unwrap().unwrap();
    let path = world.place.strip_prefix("sqlite:").unwrap();
    let mut other = raw(Path::new(path), "BEGIN IMMEDIATE").await;
    let mut waiting = [set(200, just_before), set(100, just_before)];
    for one in &mut waiting {
        tokio::time::timeout(Duration::from_millis(50), one).await.unwrap_err();
    }
    sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
    let [anew, past] = waiting;
    let (anew, _) = anew.await.unwrap().unwrap();
    assert_eq!(anew.since, anew.revision, "what was issued before stays dead");
    assert!(past.await.unwrap().is_err(), "the end has come by now");
}

#[tokio::test]
async fn the_schema_itself_refuses_to_turn_a_grant_back() {
    let world = World::sqlite().await;
    world.install("report-hub", None).await;
    world.install("report-hub", Some(Revision(1))).await;
    let path = world.place.strip_prefix("sqlite:").unwrap();
    let mut connection = raw(Path::new(path), "SELECT 1").await;
    for statement in [
        "UPDATE grants SET revision = 1",
        "UPDATE grants SET state = 'suspended'",
        "DELETE FROM grants",
        "UPDATE audit SET actor = 'nobody'",
    ] {
        assert!(sqlx::raw_sql(statement).execute(&mut connection).await.is_err(), "{statement}");
    }
}
