-- The first schema. Times are microseconds since 1970 (UTC), scopes are space-separated, hashes are SHA-256.
-- Later files only add (expand), or remove what no supported version reads any more (contract).

CREATE TABLE accounts (
    id        TEXT PRIMARY KEY,
    alias     TEXT NOT NULL,
    alias_key TEXT NOT NULL UNIQUE -- the alias in lower case
) STRICT;

CREATE TABLE principals (
    account       TEXT    NOT NULL REFERENCES accounts (id),
    kind          TEXT    NOT NULL CHECK (kind IN ('account', 'user', 'role')),
    id            TEXT    NOT NULL,
    login         TEXT    NOT NULL,
    login_key     TEXT    NOT NULL UNIQUE, -- the login in lower case
    display_name  TEXT    NOT NULL,
    enabled       INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    full_access   INTEGER NOT NULL CHECK (full_access IN (0, 1)),
    password_hash TEXT,
    PRIMARY KEY (account, kind, id)
) STRICT;

CREATE TABLE memberships (
    account    TEXT NOT NULL,
    kind       TEXT NOT NULL,
    id         TEXT NOT NULL,
    group_name TEXT NOT NULL,
    PRIMARY KEY (account, kind, id, group_name),
    FOREIGN KEY (account, kind, id) REFERENCES principals (account, kind, id)
) STRICT, WITHOUT ROWID;

-- A principal with its groups, which are loaded whole or not at all.
CREATE VIEW people AS
SELECT p.account, p.kind, p.id, p.login, p.login_key, p.display_name, p.enabled, p.full_access, p.password_hash,
       (SELECT string_agg(m.group_name, ' ' ORDER BY m.group_name) FROM memberships m
        WHERE m.account = p.account AND m.kind = p.kind AND m.id = p.id) AS group_names
FROM principals p;

CREATE TABLE api_tokens (
    hash           BLOB PRIMARY KEY,
    account        TEXT NOT NULL,
    principal_kind TEXT NOT NULL,
    principal_id   TEXT NOT NULL,
    label          TEXT NOT NULL,
    expires_at     INTEGER,
    FOREIGN KEY (account, principal_kind, principal_id) REFERENCES principals (account, kind, id)
) STRICT, WITHOUT ROWID;

-- A publisher need not be an account of this directory.
CREATE TABLE applications (
    id                    TEXT PRIMARY KEY,
    name                  TEXT    NOT NULL,
    display_name          TEXT    NOT NULL,
    description           TEXT    NOT NULL,
    publisher             TEXT    NOT NULL,
    publisher_name        TEXT    NOT NULL,
    contact               TEXT    NOT NULL,
    official              INTEGER NOT NULL CHECK (official IN (0, 1)),
    type                  TEXT    NOT NULL CHECK (type IN ('WebApp', 'NativeApp', 'ServerApp')),
    redirect_uris         TEXT    NOT NULL, -- a JSON array
    required_scopes       TEXT    NOT NULL,
    optional_scopes       TEXT    NOT NULL,
    access_token_seconds  INTEGER NOT NULL,
    refresh_token_seconds INTEGER NOT NULL,
    enabled               INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    created_at            INTEGER NOT NULL,
    UNIQUE (publisher, name)
) STRICT;

CREATE TABLE secrets (
    application TEXT    NOT NULL REFERENCES applications (id),
    id          TEXT    NOT NULL,
    hash        BLOB    NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (application, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE grants (
    account         TEXT    NOT NULL REFERENCES accounts (id),
    application     TEXT    NOT NULL REFERENCES applications (id),
    revision        INTEGER NOT NULL CHECK (revision > 0),
    since           INTEGER NOT NULL CHECK (since BETWEEN 1 AND revision),
    state           TEXT    NOT NULL CHECK (state IN ('active', 'suspended', 'revoked')),
    scopes          TEXT    NOT NULL,
    declined        TEXT    NOT NULL,
    authorized_at   INTEGER NOT NULL,
    by_kind         TEXT    NOT NULL,
    by_id           TEXT    NOT NULL,
    by_login        TEXT    NOT NULL,
    assignment_mode TEXT    NOT NULL CHECK (assignment_mode IN ('all', 'assigned')),
    ends_at         INTEGER,
    PRIMARY KEY (account, application)
) STRICT;

-- What the code promises, the schema enforces: a revision rises by one with every change, `since` never falls,
-- and a grant is never deleted, for its tombstone keeps the revision.
CREATE TRIGGER grants_rise BEFORE UPDATE ON grants
WHEN NEW.revision <> OLD.revision + 1 OR NEW.since < OLD.since
BEGIN
    SELECT RAISE(ABORT, 'a grant''s revision rises by one with every change');
END;

CREATE TRIGGER grants_stay BEFORE DELETE ON grants
BEGIN
    SELECT RAISE(ABORT, 'a grant is never deleted');
END;

CREATE TABLE assignments (
    account     TEXT NOT NULL,
    application TEXT NOT NULL,
    kind        TEXT NOT NULL CHECK (kind IN ('user', 'role', 'group')),
    name        TEXT NOT NULL, -- a user's or role's id, a group's name
    PRIMARY KEY (account, application, kind, name),
    FOREIGN KEY (account, application) REFERENCES grants (account, application)
) STRICT, WITHOUT ROWID;

CREATE TABLE consents (
    account        TEXT    NOT NULL,
    application    TEXT    NOT NULL,
    principal_kind TEXT    NOT NULL,
    principal_id   TEXT    NOT NULL,
    scopes         TEXT    NOT NULL,
    consented_at   INTEGER NOT NULL,
    PRIMARY KEY (account, application, principal_kind, principal_id),
    FOREIGN KEY (account, application) REFERENCES grants (account, application),
    FOREIGN KEY (account, principal_kind, principal_id) REFERENCES principals (account, kind, id)
) STRICT, WITHOUT ROWID;

-- When an application last was allowed a call, kept apart from the records, which are forgotten in time.
CREATE TABLE uses (
    account     TEXT    NOT NULL,
    application TEXT    NOT NULL,
    used_at     INTEGER NOT NULL,
    PRIMARY KEY (account, application)
) STRICT, WITHOUT ROWID;

-- One authorization and all that comes from it.
CREATE TABLE families (
    id               TEXT PRIMARY KEY,
    account          TEXT    NOT NULL,
    application      TEXT    NOT NULL,
    principal_kind   TEXT    NOT NULL,
    principal_id     TEXT    NOT NULL,
    scopes           TEXT    NOT NULL,
    revision         INTEGER NOT NULL,
    audience         TEXT,
    nonce            TEXT,
    authenticated_at INTEGER NOT NULL,
    offline          INTEGER NOT NULL CHECK (offline IN (0, 1)),
    ended_at         INTEGER,
    remember_until   INTEGER,          -- until then sidecars are told that it was ended
    forget_at        INTEGER NOT NULL, -- from then on nothing of it can be alive
    FOREIGN KEY (account, application) REFERENCES grants (account, application),
    FOREIGN KEY (account, principal_kind, principal_id) REFERENCES principals (account, kind, id)
) STRICT;
CREATE INDEX families_by_member ON families (account, application, principal_kind, principal_id);
CREATE INDEX families_remembered
    ON families (account, application, principal_kind, principal_id, remember_until)
    WHERE remember_until IS NOT NULL;
CREATE INDEX families_by_end ON families (forget_at);

CREATE TABLE codes (
    hash         BLOB PRIMARY KEY,
    family       TEXT    NOT NULL REFERENCES families (id) ON DELETE CASCADE,
    redirect_uri TEXT    NOT NULL,
    challenge    TEXT    NOT NULL,
    expires_at   INTEGER NOT NULL,
    spent_at     INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX codes_by_family ON codes (family);

CREATE TABLE refresh_tokens (
    hash       BLOB PRIMARY KEY,
    family     TEXT    NOT NULL REFERENCES families (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL,
    spent_at   INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX refresh_tokens_by_family ON refresh_tokens (family);
CREATE INDEX refresh_tokens_by_end ON refresh_tokens (expires_at);

CREATE TABLE sessions (
    hash             BLOB PRIMARY KEY,
    account          TEXT    NOT NULL,
    principal_kind   TEXT    NOT NULL,
    principal_id     TEXT    NOT NULL,
    authenticated_at INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    FOREIGN KEY (account, principal_kind, principal_id) REFERENCES principals (account, kind, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_principal ON sessions (account, principal_kind, principal_id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE pending_consents (
    hash       BLOB PRIMARY KEY,
    session    BLOB    NOT NULL,
    request    TEXT    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX pending_consents_by_end ON pending_consents (expires_at);

CREATE TABLE signing_keys (
    kid             TEXT PRIMARY KEY,
    purpose         TEXT    NOT NULL CHECK (purpose IN ('access-token', 'id-token', 'id-token-ec')),
    public_jwk      TEXT    NOT NULL,
    sealed          BLOB    NOT NULL,
    active_from     INTEGER NOT NULL,
    retired_at      INTEGER,
    published_until INTEGER,
    withdrawn_at    INTEGER
) STRICT;

CREATE TABLE sidecar_keys (
    kid             TEXT PRIMARY KEY,
    sidecar         TEXT    NOT NULL,
    public_jwk      TEXT    NOT NULL,
    published_until INTEGER NOT NULL,
    withdrawn_at    INTEGER
) STRICT;

-- `place` counts them as they arrive; `id` is a UUID of version 7, so that its text is in order of time.
CREATE TABLE decisions (
    place       INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    account     TEXT,
    application TEXT,
    outcome     TEXT NOT NULL,
    record      TEXT NOT NULL -- the whole record as JSON
) STRICT;
CREATE INDEX decisions_by_account ON decisions (account, id DESC);
CREATE INDEX decisions_by_application ON decisions (account, application, id DESC);
CREATE INDEX decisions_by_arrival ON decisions (account, place DESC);

CREATE TABLE audit (
    place   INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    account TEXT NOT NULL,
    actor   TEXT NOT NULL,
    event   TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail  TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_account ON audit (account, place DESC);

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit is not changed');
END;

-- AUTOINCREMENT: a place is never given twice, whatever is deleted.
CREATE TABLE change_log (
    seq            INTEGER PRIMARY KEY AUTOINCREMENT,
    at             INTEGER NOT NULL,
    subject        TEXT NOT NULL CHECK (subject IN ('grant', 'principal', 'member', 'application', 'keys')),
    account        TEXT,
    application    TEXT,
    principal_kind TEXT,
    principal_id   TEXT
) STRICT;
