//! Applications that registered themselves, in tables.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{OwnDocument, OwnRegistration, Registrations};
use crate::model::account::{PrincipalKey, PrincipalKind};
use crate::model::application::Application;
use crate::model::id::ApplicationId;
use crate::store::backend::sql;
use crate::store::sql::link::Asks;
use crate::store::sql::{Tables, applications};
use crate::store::{Actor, StoreError};

#[async_trait]
impl Registrations for Tables {
    async fn register_itself(
        &self,
        registration: OwnRegistration<'_>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let OwnRegistration { application, document, most } = registration;
        let mut writing = self.writing().await?;
        let done = async {
            let count = if document.is_some() { WAITING_DESCRIBED } else { WAITING_ASKED };
            let row = writing.row(sql(count)).await?;
            if row.map_or(Ok(0), |row| row.number("waiting"))? >= most {
                return Ok(false);
            }
            applications::add(&mut writing, application, &[], &itself(application)?).await?;
            let insert =
                sql("INSERT INTO own_registrations (application, document, read_at) VALUES ($1, $2, $3)");
            let insert = insert.bind(application.id.as_str()).bind(document).bind(now.as_microsecond());
            writing.run(insert).await?;
            Ok(true)
        }
        .await;
        writing.end(done).await
    }

    async fn document_of(&self, id: &ApplicationId) -> Result<Option<OwnDocument>, StoreError> {
        let row = self.row(sql(DOCUMENT).bind(id.as_str())).await?;
        row.map(|row| {
            let (address, read_at) = (row.get::<String>("document")?, row.time("read_at")?);
            Ok(OwnDocument { address, read_at, authorized: row.number("grants")? > 0 })
        })
        .transpose()
    }

    async fn reread(&self, application: &Application, now: Timestamp) -> Result<(), StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let read = sql("UPDATE own_registrations SET read_at = $2 WHERE application = $1");
            writing.run(read.bind(application.id.as_str()).bind(now.as_microsecond())).await?;
            let Some(before) = applications::find(&mut writing, &application.id).await? else {
                return Ok(());
            };
            let after = Application {
                display_name: application.display_name.clone(),
                contact: application.contact.clone(),
                redirect_uris: application.redirect_uris.clone(),
                ..before.clone()
            };
            if before != after {
                applications::change(&mut writing, Some(&before), &after, &itself(&after)?, now).await?;
            }
            Ok(())
        }
        .await;
        writing.end(done).await
    }

    async fn forget_unauthorized(&self, limit: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
        let mut writing = self.writing().await?;
        let done = async {
            let (mut forgotten, settled) =
                (0, now.checked_sub(REQUESTS_STAY).unwrap_or(Timestamp::UNIX_EPOCH));
            let idle = sql(IDLE).bind(limit.as_microsecond()).bind(settled.as_microsecond());
            for row in writing.rows(idle).await? {
                let id: ApplicationId = row.parse("application")?;
                let Some(application) = applications::find(&mut writing, &id).await? else { continue };
                for statement in FORGET {
                    writing.run(sql(statement).bind(id.as_str())).await?;
                }
                let by = itself(&application)?;
                applications::audit(&mut writing, &application, &by, ("application.forget", json!({})), now)
                    .await?;
                forgotten += 1;
            }
            Ok(forgotten)
        }
        .await;
        writing.end(done).await
    }
}

/// Nobody but the application itself has asked for it.
fn itself(application: &Application) -> Result<Actor, StoreError> {
    let unfit = |why: String| StoreError::Unavailable(format!("no actor for {}: {why}", application.id));
    let id = application.publisher.as_str().parse().map_err(|why| unfit(format!("{why}")))?;
    let account = application.publisher.clone();
    let principal = PrincipalKey { account, kind: PrincipalKind::Account, id };
    Ok(Actor { principal, login: application.id.to_string() })
}

/// Those of one kind that take up room: nobody has authorized, ruled about or asked for them, nor disabled them.
macro_rules! waiting {
    ($kind:literal) => {
        concat!(
            "SELECT count(*) AS waiting FROM own_registrations o WHERE o.document IS ",
            $kind,
            " AND NOT EXISTS (SELECT 1 FROM grants g WHERE g.application = o.application)
              AND NOT EXISTS (SELECT 1 FROM application_rules r WHERE r.application = o.application)
              AND NOT EXISTS (SELECT 1 FROM approval_requests a WHERE a.application = o.application)
              AND EXISTS (SELECT 1 FROM applications p WHERE p.id = o.application AND p.enabled)"
        )
    };
}

const WAITING_ASKED: &str = waiting!("NULL");
const WAITING_DESCRIBED: &str = waiting!("NOT NULL");

const DOCUMENT: &str = "SELECT o.document, o.read_at,
        (SELECT count(*) FROM grants g WHERE g.application = o.application) AS grants
    FROM own_registrations o WHERE o.application = $1 AND o.document IS NOT NULL";

/// By when it was registered: who has its document read again and again does not keep it. One that the operator has
/// disabled stays, so that it does not come back enabled.
const IDLE: &str = "SELECT o.application FROM own_registrations o JOIN applications p ON p.id = o.application
    WHERE p.created_at < $1 AND p.enabled
    AND NOT EXISTS (SELECT 1 FROM grants g WHERE g.application = o.application)
    AND NOT EXISTS (SELECT 1 FROM application_rules r WHERE r.application = o.application)
    AND NOT EXISTS (SELECT 1 FROM approval_requests a WHERE a.application = o.application
        AND coalesce(a.decided_at, a.lapses_at) >= $2)
    ORDER BY p.created_at LIMIT 500";

const FORGET: [&str; 4] = [
    "DELETE FROM approval_askers WHERE application = $1",
    "DELETE FROM approval_requests WHERE application = $1",
    "DELETE FROM own_registrations WHERE application = $1",
    "DELETE FROM applications WHERE id = $1",
];

/// So long after its end a request for such an application is kept with it.
const REQUESTS_STAY: SignedDuration = SignedDuration::from_hours(90 * 24);
