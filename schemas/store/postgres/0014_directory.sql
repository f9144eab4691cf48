-- The embedded directory as it is managed: groups of their own, one-time links to set a password, second factors and
-- passkeys, and an account's rules about them.

CREATE TABLE people_groups (
    account     TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    name        TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (account, name)
);
INSERT INTO people_groups (account, name, description)
SELECT DISTINCT account, group_name, '' FROM memberships;
CREATE INDEX principals_by_account ON principals (account, login_key);

-- At most one a person: a new one takes the place of the one before.
CREATE TABLE password_links (
    account    TEXT COLLATE "C"    NOT NULL,
    kind       TEXT COLLATE "C"    NOT NULL,
    id         TEXT COLLATE "C"    NOT NULL,
    hash       BYTEA    NOT NULL UNIQUE,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (account, kind, id),
    FOREIGN KEY (account, kind, id) REFERENCES principals (account, kind, id)
);

CREATE TABLE passkeys (
    credential BYTEA    PRIMARY KEY, -- the credential's id, as the authenticator made it
    account    TEXT COLLATE "C"    NOT NULL,
    kind       TEXT COLLATE "C"    NOT NULL,
    id         TEXT COLLATE "C"    NOT NULL,
    name       TEXT COLLATE "C"    NOT NULL,
    public     TEXT COLLATE "C"    NOT NULL, -- JSON: the public key, the counter, what the authenticator said of itself
    added_at   BIGINT NOT NULL,
    used_at    BIGINT,
    FOREIGN KEY (account, kind, id) REFERENCES principals (account, kind, id)
);
CREATE INDEX passkeys_by_principal ON passkeys (account, kind, id);

CREATE TABLE totps (
    account  TEXT COLLATE "C"    NOT NULL,
    kind     TEXT COLLATE "C"    NOT NULL,
    id       TEXT COLLATE "C"    NOT NULL,
    sealed   BYTEA    NOT NULL,
    step     BIGINT NOT NULL, -- the newest step whose code was taken; none before it is taken again
    added_at BIGINT NOT NULL,
    PRIMARY KEY (account, kind, id),
    FOREIGN KEY (account, kind, id) REFERENCES principals (account, kind, id)
);

CREATE TABLE recovery_codes (
    account TEXT COLLATE "C" NOT NULL,
    kind    TEXT COLLATE "C" NOT NULL,
    id      TEXT COLLATE "C" NOT NULL,
    hash    BYTEA NOT NULL,
    PRIMARY KEY (account, kind, id, hash),
    FOREIGN KEY (account, kind, id) REFERENCES principals (account, kind, id)
);

CREATE TABLE directory_rules (
    account                 TEXT COLLATE "C"    PRIMARY KEY REFERENCES accounts (id),
    administrators_second   BOOLEAN NOT NULL
);
