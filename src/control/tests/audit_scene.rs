//! What the tests of the audit's chain play in: two nodes over either database, and somebody who goes behind the store's
//! back.

use std::path::PathBuf;

use serde_json::json;
use sqlx::Connection;
use tempfile::TempDir;

use super::{ACME, World};
use crate::control::audit::{AuditKeys, Broken, Report, Scope, Unverified, export, verify_store};
use crate::model::audit::AuditRecord;
use crate::model::decision::Decision;
use crate::model::scope::ScopeSet;
use crate::store::contract::fixture;
use crate::store::{self, NewRecord, Shared};
use crate::token::keys::Purpose;
use crate::token::seal::Sealer;

pub(super) const ADMIN: &str = "admin@acme";

/// Where the store is, for who goes behind its back.
pub(super) enum Home {
    File(PathBuf, #[expect(dead_code, reason = "it is removed when it is dropped")] TempDir),
    Database(fixture::Database),
}

impl Home {
    pub(super) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::File(folder.path().join("store.db"), folder)
    }

    pub(super) fn postgres() -> Self {
        Self::Database(fixture::Database::new())
    }

    fn place(&self) -> String {
        match self {
            Self::File(path, _) => format!("sqlite:{}", path.display()),
            Self::Database(database) => database.url(),
        }
    }

    pub(super) async fn tell(&self, statements: &str) {
        match self {
            Self::File(path, _) => {
                let url = format!("sqlite:{}", path.display());
                let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
                let statements = sqlx::AssertSqlSafe(statements.to_owned());
                sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
            }
            Self::Database(database) => {
                database.tell(statements).unwrap();
            }
        }
    }

    /// From now on anybody may change anything, and [`Home::restore`] undoes it.
    pub(super) async fn open_up(&self) {
        let on = match self {
            Self::File(..) => "",
            Self::Database(_) => " ON audit",
        };
        self.tell(&format!("DROP TRIGGER audit_is_not_changed{on}; DROP TRIGGER audit_events_stay{on}"))
            .await;
        for table in TABLES {
            self.tell(&format!("CREATE TABLE {table}_as_it_was AS SELECT * FROM {table}")).await;
        }
    }

    pub(super) async fn restore(&self) {
        for table in TABLES {
            self.tell(&format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM {table}_as_it_was"))
                .await;
        }
    }
}

const TABLES: [&str; 5] = ["audit", "audit_nodes", "audit_checkpoints", "audit_cuts", "decisions"];

pub(super) struct Scene {
    pub(super) world: World,
    pub(super) home: Home,
}

impl Scene {
    /// Two nodes have recorded changes, refusals and calls, and have signed them.
    pub(super) async fn set(home: Home, kept: u64) -> Self {
        let store = store::open_keeping(&home.place(), kept).await;
        store.name_node("one");
        let world = World::over(store).await;
        let other = store::open_keeping(&home.place(), kept).await;
        other.name_node("two");
        let scene = Self { world, home };
        scene.world.install("report-hub", "").await;
        let _ = scene.world.api("alice@acme", "GET", "/applications", None).await.expect(403);
        scene.world.control.record_refusals().await.unwrap();
        scene.call_some(1, 3).await;
        scene.call_some(4, 2).await;
        other.note(&[seen("policies.change"), seen("policies.change")]).await.unwrap();
        let second = super::control("http://127.0.0.1:8081", other).await;
        second.close_audit().await;
        let path = "/applications/report-hub/suspend?wait=0";
        scene.world.api(ADMIN, "POST", path, None).await.expect(202);
        scene.world.control.close_audit().await;
        scene
    }

    pub(super) async fn call_some(&self, first: u32, count: u32) {
        let records: Vec<Decision> = (first..first + count).map(call).collect();
        self.store()
            .keep_decisions(&records, &|_| ScopeSet::new(), self.world.control.clock().now())
            .await
            .unwrap();
    }

    pub(super) fn store(&self) -> &Shared {
        self.world.control.store()
    }

    pub(super) async fn keys(&self) -> AuditKeys {
        AuditKeys::of_store(self.store(), &Sealer::new(&[7; 32]).unwrap()).await.unwrap()
    }

    pub(super) async fn verified(&self) -> Result<Report, Broken> {
        self.verified_knowing(&[]).await
    }

    pub(super) async fn verified_knowing(&self, known: &[String]) -> Result<Report, Broken> {
        match verify_store(self.store(), &self.keys().await, known).await {
            Ok(report) => Ok(report),
            Err(Unverified::Broken(broken)) => Err(broken),
            Err(Unverified::Store(error)) => panic!("{error}"),
        }
    }

    /// What is found after these statements, which are then undone.
    pub(super) async fn tampered(&self, statements: &str) -> Broken {
        self.home.tell(statements).await;
        let found = self.verified().await;
        self.home.restore().await;
        found.expect_err(statements)
    }

    /// Statements that make somebody else the one who installed, with every hash after it as it has to be.
    pub(super) async fn written_anew(&self) -> String {
        let mut records: Vec<AuditRecord> = Vec::new();
        for audited in self.store().chain("one", 0, 1000).await.unwrap() {
            let mut record = audited.record;
            if record.event == "grant.install" {
                record.actor = "mallory@acme".to_owned();
            }
            record.prev = records.last().map_or_else(Default::default, |last: &AuditRecord| last.hash);
            record.hash = record.computed();
            records.push(record);
        }
        let hex = |hash: &crate::model::audit::Hash| match self.home {
            Home::File(..) => format!("x'{hash}'"),
            Home::Database(_) => format!("'\\x{hash}'"),
        };
        let rewrite = |record: &AuditRecord| {
            let AuditRecord { actor, number, prev, hash, .. } = record;
            format!(
                "UPDATE audit SET actor = '{actor}', prev = {}, hash = {} WHERE node = 'one' AND number = {number};",
                hex(prev),
                hex(hash)
            )
        };
        records.iter().map(rewrite).collect()
    }

    pub(super) async fn exported(&self, scope: Scope) -> String {
        let (sender, mut lines) = tokio::sync::mpsc::channel(1000);
        let ring = self.world.control.ring();
        let now = self.world.control.clock().now();
        let signer = ring.keys.signer(Purpose::Audit, now).unwrap();
        export(self.store(), signer, &scope, now, sender).await.unwrap();
        let mut text = String::new();
        while let Some(line) = lines.recv().await {
            text.push_str(&line);
        }
        text
    }
}

pub(super) fn seen(event: &str) -> NewRecord {
    let at = jiff::Timestamp::from_second(1_800_000_000).unwrap();
    NewRecord::of_nobody(event, "", &json!({ "version": "v" }), at)
}

pub(super) fn call(number: u32) -> Decision {
    let outcome = if number.is_multiple_of(2) { "denied" } else { "forwarded" };
    serde_json::from_value(json!({
        "id": format!("01900000-0000-7000-8000-{number:012}"), "at": "2026-11-22T03:24:00Z", "sidecar": "edge",
        "outcome": outcome, "code": "ok", "status": 200, "method": "GET", "path": "/oss/b", "account": ACME,
        "application": "report-hub", "grant.revision": 1, "trace": "t",
        "took": { "read": 0, "identify": 0, "find": 0, "decide": 0, "assume": 0, "forward": 0, "total": 0 },
    }))
    .unwrap()
}
