-- Who has logged in where and how, and whom other providers' subjects stand for.

-- Sessions of an older version have none of it; they end by themselves.
ALTER TABLE sessions ADD COLUMN opened_at INTEGER;                       -- when it began here
ALTER TABLE sessions ADD COLUMN factors TEXT NOT NULL DEFAULT 'password'; -- space-separated: how they authenticated
ALTER TABLE sessions ADD COLUMN address TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN user_agent TEXT NOT NULL DEFAULT '';
-- Of a session that an organization's own provider vouched for: its name here, and its words for whom and which.
ALTER TABLE sessions ADD COLUMN provider TEXT;
ALTER TABLE sessions ADD COLUMN issuer TEXT;
ALTER TABLE sessions ADD COLUMN subject TEXT;
ALTER TABLE sessions ADD COLUMN provider_session TEXT;
CREATE INDEX sessions_by_account ON sessions (account, opened_at);
CREATE INDEX sessions_by_subject ON sessions (issuer, subject) WHERE issuer IS NOT NULL;
CREATE INDEX sessions_by_provider_session ON sessions (issuer, provider_session) WHERE provider_session IS NOT NULL;

-- A subject of a provider stands for one user of an account, whatever it calls itself later. Never by e-mail.
CREATE TABLE identities (
    id             TEXT PRIMARY KEY,
    issuer         TEXT    NOT NULL,
    subject        TEXT    NOT NULL,
    account        TEXT    NOT NULL,
    principal_kind TEXT    NOT NULL CHECK (principal_kind = 'user'),
    principal_id   TEXT    NOT NULL,
    provider       TEXT    NOT NULL, -- its name here, when the two were linked
    linked_at      INTEGER NOT NULL,
    linked_by      TEXT    NOT NULL, -- an administrator's login, or the provider's name for a user made at first log-in
    last_login_at  INTEGER,
    barred         INTEGER NOT NULL CHECK (barred IN (0, 1)), -- disabled because the provider's claims said so
    UNIQUE (issuer, subject, account),
    UNIQUE (account, principal_id, issuer),
    FOREIGN KEY (account, principal_kind, principal_id) REFERENCES principals (account, kind, id) ON DELETE CASCADE
) STRICT;
