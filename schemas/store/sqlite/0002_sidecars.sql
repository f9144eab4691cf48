-- Sidecars in processes of their own: who is invited and enrolled, who is presumed to hold a lease, and the one row
-- that says how far the change log has come and which life of the store it tells of.

CREATE TABLE invitations (
    sidecar    TEXT PRIMARY KEY,
    token_hash BLOB    NOT NULL UNIQUE,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE TABLE sidecars (
    id          TEXT PRIMARY KEY,
    kid         TEXT    NOT NULL UNIQUE,
    public_jwk  TEXT    NOT NULL,
    enrolled_at INTEGER NOT NULL,
    revoked_at  INTEGER
) STRICT;

-- A row for each process of a sidecar: none acknowledges for another.
CREATE TABLE sidecar_leases (
    instance       TEXT PRIMARY KEY,
    sidecar        TEXT    NOT NULL,
    renewed        INTEGER NOT NULL, -- rises each time: who reads it counts from when it last saw it rise
    lease_ms       INTEGER NOT NULL, -- the longest lease it may hold
    presumed_until INTEGER NOT NULL, -- by the store's own clock, to be shown
    status         TEXT    NOT NULL  -- JSON: what it last said of itself
) STRICT;
CREATE INDEX sidecar_leases_by_sidecar ON sidecar_leases (sidecar);

-- The store's own clock. Nothing that has to be true is judged by it.
CREATE VIEW store_clock AS SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER) AS now;

CREATE INDEX sidecar_keys_by_sidecar ON sidecar_keys (sidecar);

CREATE TABLE log_state (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    epoch    TEXT    NOT NULL, -- made with the store, made anew by a copy
    seq      INTEGER NOT NULL, -- the newest place in the change log
    policies TEXT              -- the version of the policy authors' files that was last noted
) STRICT;
INSERT INTO log_state (only_row, epoch, seq)
SELECT 1, lower(hex(randomblob(16))), coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'change_log'), 0);

-- Every place is taken from log_state, which never goes back, so that none is given twice.
CREATE TABLE change_log_2 (
    seq            INTEGER PRIMARY KEY,
    at             INTEGER NOT NULL,
    subject        TEXT NOT NULL
        CHECK (subject IN ('grant', 'principal', 'member', 'application', 'keys', 'policies')),
    account        TEXT,
    application    TEXT,
    principal_kind TEXT,
    principal_id   TEXT
) STRICT;
INSERT INTO change_log_2 (seq, at, subject, account, application, principal_kind, principal_id)
SELECT seq, at, subject, account, application, principal_kind, principal_id FROM change_log;
DROP TABLE change_log;
ALTER TABLE change_log_2 RENAME TO change_log;

CREATE TABLE signing_keys_2 (
    kid             TEXT PRIMARY KEY,
    purpose         TEXT    NOT NULL CHECK (purpose IN ('access-token', 'id-token', 'id-token-ec', 'record')),
    public_jwk      TEXT    NOT NULL,
    sealed          BLOB    NOT NULL,
    active_from     INTEGER NOT NULL,
    retired_at      INTEGER,
    published_until INTEGER,
    withdrawn_at    INTEGER
) STRICT;
INSERT INTO signing_keys_2
    (kid, purpose, public_jwk, sealed, active_from, retired_at, published_until, withdrawn_at)
SELECT kid, purpose, public_jwk, sealed, active_from, retired_at, published_until, withdrawn_at FROM signing_keys;
DROP TABLE signing_keys;
ALTER TABLE signing_keys_2 RENAME TO signing_keys;
