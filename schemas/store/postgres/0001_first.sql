-- The first schema, of the same tables as SQLite's. Text is compared byte by byte there, so it is here. Times are
-- microseconds since 1970 (UTC), scopes are space-separated, hashes are SHA-256.
-- Later files only add (expand), or remove what no supported version reads any more (contract).

CREATE TABLE accounts (
    id        TEXT COLLATE "C" PRIMARY KEY,
    alias     TEXT COLLATE "C" NOT NULL,
    alias_key TEXT COLLATE "C" NOT NULL UNIQUE -- the alias in lower case
);

CREATE TABLE principals (
    account       TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    kind          TEXT COLLATE "C" NOT NULL CHECK (kind IN ('account', 'user', 'role')),
    id            TEXT COLLATE "C" NOT NULL,
    login         TEXT COLLATE "C" NOT NULL,
    login_key     TEXT COLLATE "C" NOT NULL UNIQUE, -- the login in lower case
    display_name  TEXT COLLATE "C" NOT NULL,
    enabled       BOOLEAN NOT NULL,
    full_access   BOOLEAN NOT NULL,
    password_hash TEXT COLLATE "C",
    PRIMARY KEY (account, kind, id)
);

CREATE TABLE memberships (
    account    TEXT COLLATE "C" NOT NULL,
    kind       TEXT COLLATE "C" NOT NULL,
    id         TEXT COLLATE "C" NOT NULL,
    group_name TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (account, kind, id, group_name),
    FOREIGN KEY (account, kind, id) REFERENCES principals (account, kind, id)
);

-- A principal with its groups, which are loaded whole or not at all.
CREATE VIEW people AS
SELECT p.account, p.kind, p.id, p.login, p.login_key, p.display_name, p.enabled, p.full_access, p.password_hash,
       (SELECT string_agg(m.group_name, ' ' ORDER BY m.group_name) FROM memberships m
        WHERE m.account = p.account AND m.kind = p.kind AND m.id = p.id) AS group_names
FROM principals p;

CREATE TABLE api_tokens (
    hash           BYTEA PRIMARY KEY,
    account        TEXT COLLATE "C" NOT NULL,
    principal_kind TEXT COLLATE "C" NOT NULL,
    principal_id   TEXT COLLATE "C" NOT NULL,
    label          TEXT COLLATE "C" NOT NULL,
    expires_at     BIGINT,
    FOREIGN KEY (account, principal_kind, principal_id) REFERENCES principals (account, kind, id)
);

-- A publisher need not be an account of this directory.
CREATE TABLE applications (
    id                    TEXT COLLATE "C" PRIMARY KEY,
    name                  TEXT COLLATE "C" NOT NULL,
    display_name          TEXT COLLATE "C" NOT NULL,
    description           TEXT COLLATE "C" NOT NULL,
    publisher             TEXT COLLATE "C" NOT NULL,
    publisher_name        TEXT COLLATE "C" NOT NULL,
    contact               TEXT COLLATE "C" NOT NULL,
    official              BOOLEAN NOT NULL,
    type                  TEXT COLLATE "C" NOT NULL CHECK (type IN ('WebApp', 'NativeApp', 'ServerApp')),
    redirect_uris         TEXT COLLATE "C" NOT NULL, -- a JSON array
    required_scopes       TEXT COLLATE "C" NOT NULL,
    optional_scopes       TEXT COLLATE "C" NOT NULL,
    access_token_seconds  BIGINT NOT NULL,
    refresh_token_seconds BIGINT NOT NULL,
    enabled               BOOLEAN NOT NULL,
    created_at            BIGINT NOT NULL,
    UNIQUE (publisher, name)
);

CREATE TABLE secrets (
    application TEXT COLLATE "C" NOT NULL REFERENCES applications (id),
    id          TEXT COLLATE "C" NOT NULL,
    hash        BYTEA    NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (application, id)
);

CREATE TABLE grants (
    account         TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    application     TEXT COLLATE "C" NOT NULL REFERENCES applications (id),
    revision        BIGINT NOT NULL CHECK (revision > 0),
    since           BIGINT NOT NULL CHECK (since BETWEEN 1 AND revision),
    state           TEXT COLLATE "C" NOT NULL CHECK (state IN ('active', 'suspended', 'revoked')),
    scopes          TEXT COLLATE "C" NOT NULL,
    declined        TEXT COLLATE "C" NOT NULL,
    authorized_at   BIGINT NOT NULL,
    by_kind         TEXT COLLATE "C" NOT NULL,
    by_id           TEXT COLLATE "C" NOT NULL,
    by_login        TEXT COLLATE "C" NOT NULL,
    assignment_mode TEXT COLLATE "C" NOT NULL CHECK (assignment_mode IN ('all', 'assigned')),
    ends_at         BIGINT,
    PRIMARY KEY (account, application)
);

-- What the code promises, the schema enforces: a revision rises by one with every change, `since` never falls,
-- and a grant is never deleted, for its tombstone keeps the revision.
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0];
END $$;

CREATE TRIGGER grants_rise BEFORE UPDATE ON grants FOR EACH ROW
WHEN (NEW.revision <> OLD.revision + 1 OR NEW.since < OLD.since)
EXECUTE FUNCTION refuse('a grant''s revision rises by one with every change');

CREATE TRIGGER grants_stay BEFORE DELETE ON grants FOR EACH ROW
EXECUTE FUNCTION refuse('a grant is never deleted');

CREATE TABLE assignments (
    account     TEXT COLLATE "C" NOT NULL,
    application TEXT COLLATE "C" NOT NULL,
    kind        TEXT COLLATE "C" NOT NULL CHECK (kind IN ('user', 'role', 'group')),
    name        TEXT COLLATE "C" NOT NULL, -- a user's or role's id, a group's name
    PRIMARY KEY (account, application, kind, name),
    FOREIGN KEY (account, application) REFERENCES grants (account, application)
);

CREATE TABLE consents (
    account        TEXT COLLATE "C" NOT NULL,
    application    TEXT COLLATE "C" NOT NULL,
    principal_kind TEXT COLLATE "C" NOT NULL,
    principal_id   TEXT COLLATE "C" NOT NULL,
    scopes         TEXT COLLATE "C" NOT NULL,
    consented_at   BIGINT NOT NULL,
    PRIMARY KEY (account, application, principal_kind, principal_id),
    FOREIGN KEY (account, application) REFERENCES grants (account, application),
    FOREIGN KEY (account, principal_kind, principal_id) REFERENCES principals (account, kind, id)
);

-- When an application last was allowed a call, kept apart from the records, which are forgotten in time.
CREATE TABLE uses (
    account     TEXT COLLATE "C" NOT NULL,
    application TEXT COLLATE "C" NOT NULL,
    used_at     BIGINT NOT NULL,
    PRIMARY KEY (account, application)
);

-- One authorization and all that comes from it.
CREATE TABLE families (
    id               TEXT COLLATE "C" PRIMARY KEY,
    account          TEXT COLLATE "C" NOT NULL,
    application      TEXT COLLATE "C" NOT NULL,
    principal_kind   TEXT COLLATE "C" NOT NULL,
    principal_id     TEXT COLLATE "C" NOT NULL,
    scopes           TEXT COLLATE "C" NOT NULL,
    revision         BIGINT NOT NULL,
    audience         TEXT COLLATE "C",
    nonce            TEXT COLLATE "C",
    authenticated_at BIGINT NOT NULL,
    offline          BOOLEAN NOT NULL,
    ended_at         BIGINT,
    remember_until   BIGINT,          -- until then sidecars are told that it was ended
    forget_at        BIGINT NOT NULL, -- from then on nothing of it can be alive
    FOREIGN KEY (account, application) REFERENCES grants (account, application),
    FOREIGN KEY (account, principal_kind, principal_id) REFERENCES principals (account, kind, id)
);
CREATE INDEX families_by_member ON families (account, application, principal_kind, principal_id);
CREATE INDEX families_remembered
    ON families (account, application, principal_kind, principal_id, remember_until)
    WHERE remember_until IS NOT NULL;
CREATE INDEX families_by_end ON families (forget_at);

CREATE TABLE codes (
    hash         BYTEA PRIMARY KEY,
    family       TEXT COLLATE "C" NOT NULL REFERENCES families (id) ON DELETE CASCADE,
    redirect_uri TEXT COLLATE "C" NOT NULL,
    challenge    TEXT COLLATE "C" NOT NULL,
    expires_at   BIGINT NOT NULL,
    spent_at     BIGINT
);
CREATE INDEX codes_by_family ON codes (family);

CREATE TABLE refresh_tokens (
    hash       BYTEA PRIMARY KEY,
    family     TEXT COLLATE "C" NOT NULL REFERENCES families (id) ON DELETE CASCADE,
    expires_at BIGINT NOT NULL,
    spent_at   BIGINT
);
CREATE INDEX refresh_tokens_by_family ON refresh_tokens (family);
CREATE INDEX refresh_tokens_by_end ON refresh_tokens (expires_at);

CREATE TABLE sessions (
    hash             BYTEA PRIMARY KEY,
    account          TEXT COLLATE "C" NOT NULL,
    principal_kind   TEXT COLLATE "C" NOT NULL,
    principal_id     TEXT COLLATE "C" NOT NULL,
    authenticated_at BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL,
    FOREIGN KEY (account, principal_kind, principal_id) REFERENCES principals (account, kind, id)
);
CREATE INDEX sessions_by_principal ON sessions (account, principal_kind, principal_id);
CREATE INDEX sessions_by_end ON sessions (expires_at);

CREATE TABLE pending_consents (
    hash       BYTEA PRIMARY KEY,
    session    BYTEA    NOT NULL,
    request    TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX pending_consents_by_end ON pending_consents (expires_at);

CREATE TABLE signing_keys (
    kid             TEXT COLLATE "C" PRIMARY KEY,
    purpose         TEXT COLLATE "C" NOT NULL CHECK (purpose IN ('access-token', 'id-token', 'id-token-ec', 'record')),
    public_jwk      TEXT COLLATE "C" NOT NULL,
    sealed          BYTEA    NOT NULL,
    active_from     BIGINT NOT NULL,
    retired_at      BIGINT,
    published_until BIGINT,
    withdrawn_at    BIGINT
);

CREATE TABLE sidecar_keys (
    kid             TEXT COLLATE "C" PRIMARY KEY,
    sidecar         TEXT COLLATE "C" NOT NULL,
    public_jwk      TEXT COLLATE "C" NOT NULL,
    published_until BIGINT NOT NULL,
    withdrawn_at    BIGINT
);

-- `place` counts them as they arrive; `id` is a UUID of version 7, so that its text is in order of time.
CREATE TABLE decisions (
    place       BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    id          TEXT COLLATE "C" NOT NULL UNIQUE,
    account     TEXT COLLATE "C",
    application TEXT COLLATE "C",
    outcome     TEXT COLLATE "C" NOT NULL,
    record      TEXT COLLATE "C" NOT NULL -- the whole record as JSON
);
CREATE INDEX decisions_by_account ON decisions (account, id DESC);
CREATE INDEX decisions_by_application ON decisions (account, application, id DESC);
CREATE INDEX decisions_by_arrival ON decisions (account, place DESC);

CREATE TABLE audit (
    place       BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    at      BIGINT NOT NULL,
    account TEXT COLLATE "C" NOT NULL,
    actor   TEXT COLLATE "C" NOT NULL,
    event   TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    detail  TEXT COLLATE "C" NOT NULL
);
CREATE INDEX audit_by_account ON audit (account, place DESC);

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit FOR EACH ROW
EXECUTE FUNCTION refuse('the audit is not changed');

-- The one row that says how far the change log has come and which life of the store it tells of.
CREATE TABLE log_state (
    only_row BIGINT PRIMARY KEY CHECK (only_row = 1),
    epoch    TEXT COLLATE "C" NOT NULL, -- made with the store, made anew by a copy
    seq      BIGINT NOT NULL, -- the newest place in the change log
    policies TEXT COLLATE "C" -- the version of the policy authors' files that was last noted
);
INSERT INTO log_state (only_row, epoch, seq) VALUES (1, replace(CAST(gen_random_uuid() AS TEXT), '-', ''), 0);

-- Every place is taken from log_state, which never goes back, so that none is given twice.
CREATE TABLE change_log (
    seq            BIGINT PRIMARY KEY,
    at             BIGINT NOT NULL,
    subject        TEXT COLLATE "C" NOT NULL
        CHECK (subject IN ('grant', 'principal', 'member', 'application', 'keys', 'policies')),
    account        TEXT COLLATE "C",
    application    TEXT COLLATE "C",
    principal_kind TEXT COLLATE "C",
    principal_id   TEXT COLLATE "C"
);

CREATE TABLE invitations (
    sidecar    TEXT COLLATE "C" PRIMARY KEY,
    token_hash BYTEA    NOT NULL UNIQUE,
    expires_at BIGINT NOT NULL
);

CREATE TABLE sidecars (
    id             TEXT COLLATE "C" PRIMARY KEY,
    kid            TEXT COLLATE "C" NOT NULL UNIQUE,
    public_jwk     TEXT COLLATE "C" NOT NULL,
    enrolled_at    BIGINT NOT NULL,
    revoked_at     BIGINT
);

-- A row for each process of a sidecar: none acknowledges for another.
CREATE TABLE sidecar_leases (
    instance       TEXT COLLATE "C" PRIMARY KEY,
    sidecar        TEXT COLLATE "C" NOT NULL,
    renewed        BIGINT NOT NULL, -- rises each time: who reads it counts from when it last saw it rise
    lease_ms       BIGINT NOT NULL, -- the longest lease it may hold
    presumed_until BIGINT NOT NULL, -- by the store's own clock, to be shown
    status         TEXT COLLATE "C" NOT NULL -- JSON: what it last said of itself
);
CREATE INDEX sidecar_leases_by_sidecar ON sidecar_leases (sidecar);
CREATE INDEX sidecar_keys_by_sidecar ON sidecar_keys (sidecar);

-- The store's own clock. Nothing that has to be true is judged by it.
CREATE VIEW store_clock AS
SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT) AS now;
