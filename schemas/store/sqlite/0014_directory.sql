-- The embedded directory as it is managed: groups of their own, one-time links to set a password, second factors and
-- passkeys, and an account's rules about them.

CREATE TABLE people_groups (
    account     TEXT NOT NULL REFERENCES accounts (id),
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    PRIMARY KEY (account, name)
) STRICT, WITHOUT ROWID;
INSERT INTO people_groups (account, name, description)
SELECT DISTINCT account, group_name, '' FROM memberships;
CREATE INDEX principals_by_account ON principals (account, login_key);

-- At most one a person: a new one takes the place of the one before.
CREATE TABLE password_links (
    account    TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    hash       BLOB    NOT NULL UNIQUE,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (account, kind, id),
    FOREIGN KEY (account, kind, id) REFERENCES principals (account, kind, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE passkeys (
    credential BLOB    PRIMARY KEY, -- the credential's id, as the authenticator made it
    account    TEXT    NOT NULL,
    kind       TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    public     TEXT    NOT NULL, -- JSON: the public key, the counter, what the authenticator said of itself
    added_at   INTEGER NOT NULL,
    used_at    INTEGER,
    FOREIGN KEY (account, kind, id) REFERENCES principals (account, kind, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX passkeys_by_principal ON passkeys (account, kind, id);

CREATE TABLE totps (
    account  TEXT    NOT NULL,
    kind     TEXT    NOT NULL,
    id       TEXT    NOT NULL,
    sealed   BLOB    NOT NULL,
    step     INTEGER NOT NULL, -- the newest step whose code was taken; none before it is taken again
    added_at INTEGER NOT NULL,
    PRIMARY KEY (account, kind, id),
    FOREIGN KEY (account, kind, id) REFERENCES principals (account, kind, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE recovery_codes (
    account TEXT NOT NULL,
    kind    TEXT NOT NULL,
    id      TEXT NOT NULL,
    hash    BLOB NOT NULL,
    PRIMARY KEY (account, kind, id, hash),
    FOREIGN KEY (account, kind, id) REFERENCES principals (account, kind, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE directory_rules (
    account                 TEXT    PRIMARY KEY REFERENCES accounts (id),
    administrators_second   INTEGER NOT NULL CHECK (administrators_second IN (0, 1))
) STRICT;
