-- Who has logged in where and how, and whom other providers' subjects stand for.

-- Sessions of an older version have none of it; they end by themselves.
ALTER TABLE sessions ADD COLUMN opened_at BIGINT;                                          -- when it began here
ALTER TABLE sessions ADD COLUMN factors TEXT COLLATE "C" NOT NULL DEFAULT 'password'; -- space-separated: how they authenticated
ALTER TABLE sessions ADD COLUMN address TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN user_agent TEXT COLLATE "C" NOT NULL DEFAULT '';
-- Of a session that an organization's own provider vouched for: its name here, and its words for whom and which.
ALTER TABLE sessions ADD COLUMN provider TEXT COLLATE "C";
ALTER TABLE sessions ADD COLUMN issuer TEXT COLLATE "C";
ALTER TABLE sessions ADD COLUMN subject TEXT COLLATE "C";
ALTER TABLE sessions ADD COLUMN provider_session TEXT COLLATE "C";
CREATE INDEX sessions_by_account ON sessions (account, opened_at);
CREATE INDEX sessions_by_subject ON sessions (issuer, subject) WHERE issuer IS NOT NULL;
CREATE INDEX sessions_by_provider_session ON sessions (issuer, provider_session) WHERE provider_session IS NOT NULL;

-- A subject of a provider stands for one user of an account, whatever it calls itself later. Never by e-mail.
CREATE TABLE identities (
    id             TEXT COLLATE "C" PRIMARY KEY,
    issuer         TEXT COLLATE "C" NOT NULL,
    subject        TEXT COLLATE "C" NOT NULL,
    account        TEXT COLLATE "C" NOT NULL,
    principal_kind TEXT COLLATE "C" NOT NULL CHECK (principal_kind = 'user'),
    principal_id   TEXT COLLATE "C" NOT NULL,
    provider       TEXT COLLATE "C" NOT NULL, -- its name here, when the two were linked
    linked_at      BIGINT  NOT NULL,
    linked_by      TEXT COLLATE "C" NOT NULL, -- an administrator's login, or the provider's name for a user made at first log-in
    last_login_at  BIGINT,
    barred         BOOLEAN NOT NULL, -- disabled because the provider's claims said so
    UNIQUE (issuer, subject, account),
    UNIQUE (account, principal_id, issuer),
    FOREIGN KEY (account, principal_kind, principal_id) REFERENCES principals (account, kind, id) ON DELETE CASCADE
);
