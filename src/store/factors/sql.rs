//! Second factors in SQL.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::json;

use super::grounds::{end_unproven_of, may_set_up};
use super::{Factors, KeptPasskey, KeptTotp, SecondFactors, Within};
use crate::model::account::PrincipalKey;
use crate::store::backend::{Row, sql};
use crate::store::people::{allow_credentials, audit, change, end_sessions, live};
use crate::store::sql::Tables;
use crate::store::sql::directory::{missing, of, principal};
use crate::store::sql::link::{Asks, Writing};
use crate::store::{Actor, By, StoreError};

#[async_trait]
impl Factors for Tables {
    async fn second_factors(&self, key: &PrincipalKey) -> Result<SecondFactors, StoreError> {
        let query = sql("SELECT
            EXISTS (SELECT 1 FROM totps WHERE account = $1 AND kind = $2 AND id = $3) AS totp,
            (SELECT count(*) FROM passkeys WHERE account = $1 AND kind = $2 AND id = $3) AS passkeys,
            (SELECT count(*) FROM recovery_codes WHERE account = $1 AND kind = $2 AND id = $3) AS codes");
        let Some(row) = self.row(of(key, query)).await? else { return Ok(SecondFactors::default()) };
        Ok(SecondFactors {
            totp: row.get("totp")?,
            passkeys: row.get("passkeys")?,
            recovery_codes: row.get("codes")?,
        })
    }

    async fn passkeys(&self, key: &PrincipalKey) -> Result<Vec<KeptPasskey>, StoreError> {
        let query = sql("SELECT * FROM passkeys WHERE account = $1 AND kind = $2 AND id = $3
                         ORDER BY added_at, credential");
        self.rows(of(key, query)).await?.iter().map(passkey).collect()
    }

    async fn passkey(&self, credential: &[u8]) -> Result<Option<KeptPasskey>, StoreError> {
        let query = sql("SELECT * FROM passkeys WHERE credential = $1").bind(credential);
        self.row(query).await?.as_ref().map(passkey).transpose()
    }

    async fn add_passkey(
        &self,
        new: &KeptPasskey,
        session: &[u8; 32],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        change!(self, |writing| add_passkey(&mut writing, new, session, now))
    }

    async fn used_passkey(
        &self,
        credential: &[u8],
        before: &str,
        after: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        change!(self, |writing| async {
            let query =
                sql("UPDATE passkeys SET public = $3, used_at = $4 WHERE credential = $1 AND public = $2");
            let query = query.bind(credential).bind(before).bind(after).bind(now.as_microsecond());
            Ok(writing.run(query).await? == 1)
        })
    }

    async fn remove_passkey(
        &self,
        key: &PrincipalKey,
        credential: &[u8],
        by: By<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        change!(self, |writing| remove_passkey(&mut writing, key, credential, by, now))
    }

    async fn totp(&self, key: &PrincipalKey) -> Result<Option<KeptTotp>, StoreError> {
        let query = sql("SELECT sealed, step FROM totps WHERE account = $1 AND kind = $2 AND id = $3");
        let row = self.row(of(key, query)).await?;
        row.map(|row| Ok(KeptTotp { sealed: row.get("sealed")?, step: row.get("step")? })).transpose()
    }

    async fn add_totp(
        &self,
        key: &PrincipalKey,
        totp: &KeptTotp,
        recovery: &[[u8; 32]],
        within: Within<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        change!(self, |writing| add_totp(&mut writing, key, totp, recovery, within, now))
    }

    async fn try_code(&self, key: &PrincipalKey, now: Timestamp) -> Result<bool, StoreError> {
        change!(self, |writing| async {
            let query = sql("UPDATE totps SET wrong = wrong + 1
                             WHERE account = $1 AND kind = $2 AND id = $3 AND wrong < $4 RETURNING wrong");
            let Some(row) = writing.row(of(key, query).bind(MOST_WRONG)).await? else { return Ok(false) };
            if row.get::<i64>("wrong")? == MOST_WRONG {
                let whom = live(&mut writing, key).await?;
                let (own, what) = (Actor::from(&whom), ("directory.totp.last_try", whom.login.as_str()));
                audit(&mut writing, &key.account, By::Person(&own), what, json!({}), now).await?;
            }
            Ok(true)
        })
    }

    async fn take_step(&self, key: &PrincipalKey, step: i64) -> Result<bool, StoreError> {
        change!(self, |writing| async {
            let query = sql("UPDATE totps SET step = $4, wrong = 0
                             WHERE account = $1 AND kind = $2 AND id = $3 AND step < $4");
            Ok(writing.run(of(key, query).bind(step)).await? == 1)
        })
    }

    async fn remove_totp(&self, key: &PrincipalKey, by: By<'_>, now: Timestamp) -> Result<(), StoreError> {
        change!(self, |writing| async {
            let whom = live(&mut writing, key).await?;
            allow_credentials(&mut writing, by, &whom).await?;
            let query = sql("DELETE FROM totps WHERE account = $1 AND kind = $2 AND id = $3");
            if writing.run(of(key, query)).await? == 0 {
                return Err(StoreError::Missing(format!("authenticator of {}", whom.login)));
            }
            put_codes(&mut writing, key, &[]).await?;
            let what = ("directory.totp.remove", whom.login.as_str());
            audit(&mut writing, &key.account, by, what, json!({}), now).await
        })
    }

    async fn take_recovery_code(
        &self,
        key: &PrincipalKey,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        change!(self, |writing| async {
            let whom = live(&mut writing, key).await?;
            let query = sql("DELETE FROM recovery_codes
                             WHERE account = $1 AND kind = $2 AND id = $3 AND hash = $4");
            if writing.run(of(key, query).bind(&hash[..])).await? == 0 {
                return Ok(false);
            }
            let forget = sql("UPDATE totps SET wrong = 0 WHERE account = $1 AND kind = $2 AND id = $3");
            writing.run(of(key, forget)).await?;
            let what = ("directory.recovery.used", whom.login.as_str());
            let own = Actor::from(&whom);
            audit(&mut writing, &key.account, By::Person(&own), what, json!({}), now).await?;
            Ok(true)
        })
    }

    async fn replace_recovery_codes(
        &self,
        key: &PrincipalKey,
        hashes: &[[u8; 32]],
        session: &[u8; 32],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        change!(self, |writing| async {
            let whom = live(&mut writing, key).await?;
            may_set_up(&mut writing, &whom, Within::Session(session)).await?;
            let on = sql("SELECT 1 AS there FROM totps WHERE account = $1 AND kind = $2 AND id = $3");
            if writing.row(of(key, on)).await?.is_none() {
                return Err(StoreError::Missing(format!("authenticator of {}", whom.login)));
            }
            put_codes(&mut writing, key, hashes).await?;
            let (own, what) = (Actor::from(&whom), ("directory.recovery.replace", whom.login.as_str()));
            audit(&mut writing, &key.account, By::Person(&own), what, json!({ "codes": hashes.len() }), now)
                .await
        })
    }

    async fn reset_factors(&self, key: &PrincipalKey, by: By<'_>, now: Timestamp) -> Result<(), StoreError> {
        change!(self, |writing| async {
            let whom = principal(&mut writing, key).await?.ok_or_else(|| missing(key))?;
            allow_credentials(&mut writing, by, &whom).await?;
            let mut gone = Vec::new();
            for (name, text) in ALL {
                gone.push((name, writing.run(of(key, sql(text))).await?));
            }
            end_sessions(&mut writing, key, None).await?;
            let what = ("directory.factors.reset", whom.login.as_str());
            let detail = gone.into_iter().map(|(name, rows)| (name.to_owned(), json!(rows))).collect();
            audit(&mut writing, &key.account, by, what, serde_json::Value::Object(detail), now).await
        })
    }
}

async fn add_passkey(
    writing: &mut Writing,
    new: &KeptPasskey,
    session: &[u8; 32],
    now: Timestamp,
) -> Result<(), StoreError> {
    let whom = live(writing, &new.principal).await?;
    may_set_up(writing, &whom, Within::Session(session)).await?;
    let count = sql("SELECT count(*) AS many FROM passkeys WHERE account = $1 AND kind = $2 AND id = $3");
    let many = writing.row(of(&new.principal, count)).await?.map_or(Ok(0), |row| row.number("many"))?;
    if many >= MOST_PASSKEYS {
        return Err(StoreError::Conflict(format!(
            "{} has {MOST_PASSKEYS} passkeys already; remove one that is not used",
            whom.login
        )));
    }
    let query = sql("INSERT INTO passkeys (account, kind, id, credential, name, public, added_at)
                     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING");
    let query = of(&new.principal, query).bind(&new.credential).bind(&new.name).bind(&new.public);
    if writing.run(query.bind(now.as_microsecond())).await? == 0 {
        return Err(StoreError::Exists("this passkey".to_owned()));
    }
    let (own, what) = (Actor::from(&whom), ("directory.passkey.add", whom.login.as_str()));
    audit(writing, &whom.key.account, By::Person(&own), what, json!({ "name": new.name }), now).await
}

async fn remove_passkey(
    writing: &mut Writing,
    key: &PrincipalKey,
    credential: &[u8],
    by: By<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let whom = live(writing, key).await?;
    allow_credentials(writing, by, &whom).await?;
    let query = sql("DELETE FROM passkeys WHERE account = $1 AND kind = $2 AND id = $3 AND credential = $4
                     RETURNING name");
    let Some(row) = writing.row(of(key, query).bind(credential)).await? else {
        return Err(StoreError::Missing(format!("such passkey of {}", whom.login)));
    };
    let detail = json!({ "name": row.get::<&str>("name")? });
    audit(writing, &key.account, by, ("directory.passkey.remove", &whom.login), detail, now).await
}

async fn add_totp(
    writing: &mut Writing,
    key: &PrincipalKey,
    totp: &KeptTotp,
    recovery: &[[u8; 32]],
    within: Within<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let whom = live(writing, key).await?;
    may_set_up(writing, &whom, within).await?;
    let query =
        sql("INSERT INTO totps (account, kind, id, sealed, step, added_at) VALUES ($1, $2, $3, $4, $5, $6)
                     ON CONFLICT DO NOTHING");
    let query = of(key, query).bind(&totp.sealed).bind(totp.step).bind(now.as_microsecond());
    if writing.run(query).await? == 0 {
        return Err(StoreError::Exists(format!("an authenticator of {}", whom.login)));
    }
    put_codes(writing, key, recovery).await?;
    if let Within::Session(hash) = within {
        end_unproven_of(writing, key, hash).await?;
    }
    let own = Actor::from(&whom);
    let what = ("directory.totp.add", whom.login.as_str());
    audit(writing, &key.account, By::Person(&own), what, json!({}), now).await
}

async fn put_codes(writing: &mut Writing, key: &PrincipalKey, hashes: &[[u8; 32]]) -> Result<(), StoreError> {
    let old = sql("DELETE FROM recovery_codes WHERE account = $1 AND kind = $2 AND id = $3");
    writing.run(of(key, old)).await?;
    for hash in hashes {
        let one = sql("INSERT INTO recovery_codes (account, kind, id, hash) VALUES ($1, $2, $3, $4)
                       ON CONFLICT DO NOTHING");
        writing.run(of(key, one).bind(&hash[..])).await?;
    }
    Ok(())
}

fn passkey(row: &Row) -> Result<KeptPasskey, StoreError> {
    Ok(KeptPasskey {
        credential: row.get("credential")?,
        principal: PrincipalKey {
            account: row.parse("account")?,
            kind: row.parse("kind")?,
            id: row.parse("id")?,
        },
        name: row.get("name")?,
        public: row.get("public")?,
        added_at: row.time("added_at")?,
        used_at: row.time_any("used_at")?,
    })
}

const MOST_PASSKEYS: u64 = 10;
/// Of a million codes three are right at a time.
const MOST_WRONG: i64 = 20;

const ALL: [(&str, &str); 3] = [
    ("passkeys", "DELETE FROM passkeys WHERE account = $1 AND kind = $2 AND id = $3"),
    ("authenticators", "DELETE FROM totps WHERE account = $1 AND kind = $2 AND id = $3"),
    ("recovery_codes", "DELETE FROM recovery_codes WHERE account = $1 AND kind = $2 AND id = $3"),
];
