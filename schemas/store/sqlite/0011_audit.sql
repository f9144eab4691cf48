-- The audit becomes a chain for each node: a record names the one before it by its hash. Records from before this have
-- no number; the first one after it says what they were.

CREATE TABLE audit_2 (
    place      INTEGER PRIMARY KEY AUTOINCREMENT,
    node       TEXT,    -- whose chain
    number     INTEGER, -- the place in it, from 1
    kind       TEXT NOT NULL DEFAULT 'event' CHECK (kind IN ('event', 'refusal', 'calls')),
    at         INTEGER NOT NULL,
    account    TEXT,    -- nobody's when it concerns the whole installation, or nobody has proven who asks
    actor      TEXT NOT NULL,
    event      TEXT NOT NULL,
    subject    TEXT NOT NULL,
    principal  TEXT,    -- whom it is about, as the detail says; to be found by
    detail     TEXT NOT NULL,
    calls_from INTEGER, -- the decision records that it vouches for, by place, as the detail says
    calls_to   INTEGER,
    prev       BLOB,
    hash       BLOB
) STRICT;
INSERT INTO audit_2 (place, kind, at, account, actor, event, subject, detail)
SELECT place, CASE event WHEN 'login.failed' THEN 'refusal' ELSE 'event' END, at, account, actor, event, subject, detail
FROM audit;
DROP TABLE audit;
ALTER TABLE audit_2 RENAME TO audit;

CREATE INDEX audit_by_account ON audit (account, place DESC);
CREATE INDEX audit_by_subject ON audit (account, subject, place DESC);
CREATE UNIQUE INDEX audit_by_chain ON audit (node, number);
CREATE INDEX audit_of_calls ON audit (account, calls_to) WHERE kind = 'calls';
CREATE INDEX audit_of_refusals ON audit (account, place) WHERE kind = 'refusal';

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit is not changed');
END;

CREATE TRIGGER audit_events_stay BEFORE DELETE ON audit WHEN OLD.kind = 'event'
BEGIN
    SELECT RAISE(ABORT, 'an event of the audit is never deleted');
END;

CREATE TABLE audit_nodes (
    node     TEXT PRIMARY KEY,
    begun_at INTEGER NOT NULL
) STRICT;

-- Signed: that a chain had come to this record at that time.
CREATE TABLE audit_checkpoints (
    node   TEXT    NOT NULL,
    number INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    token  TEXT    NOT NULL,
    PRIMARY KEY (node, number)
) STRICT, WITHOUT ROWID;

-- Signed: that these records, none of them an event, were removed for their age.
CREATE TABLE audit_cuts (
    node   TEXT    NOT NULL,
    first  INTEGER NOT NULL,
    last   INTEGER NOT NULL,
    before BLOB    NOT NULL,
    after  BLOB    NOT NULL,
    token  TEXT    NOT NULL,
    PRIMARY KEY (node, first)
) STRICT, WITHOUT ROWID;

-- Which purposes there are is the program's to say.
CREATE TABLE signing_keys_2 (
    kid             TEXT PRIMARY KEY,
    purpose         TEXT    NOT NULL CHECK (purpose <> ''),
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
