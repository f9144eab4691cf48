-- What was used, when last and how much: counted as batches of decision records come, and kept when these are forgotten.

-- When a granted scope last allowed a call. The scope is the narrow one that gives the action: /acs/ecs:read, also
-- where /acs/ecs was granted.
CREATE TABLE scope_uses (
    account     TEXT COLLATE "C" NOT NULL,
    application TEXT COLLATE "C" NOT NULL,
    scope       TEXT COLLATE "C" NOT NULL,
    used_at     BIGINT NOT NULL,
    PRIMARY KEY (account, application, scope),
    FOREIGN KEY (account, application) REFERENCES grants (account, application)
);

-- When an application last acted as somebody.
CREATE TABLE person_uses (
    account        TEXT COLLATE "C" NOT NULL,
    principal_kind TEXT COLLATE "C" NOT NULL,
    principal_id   TEXT COLLATE "C" NOT NULL,
    application    TEXT COLLATE "C" NOT NULL,
    used_at        BIGINT NOT NULL,
    PRIMARY KEY (account, principal_kind, principal_id, application),
    FOREIGN KEY (account, application) REFERENCES grants (account, application),
    FOREIGN KEY (account, principal_kind, principal_id) REFERENCES principals (account, kind, id)
);

-- Calls a day (days since 1970, UTC), of an application, or of the whole account where it is ''.
CREATE TABLE use_figures (
    account     TEXT COLLATE "C" NOT NULL,
    application TEXT COLLATE "C" NOT NULL,
    day         BIGINT NOT NULL,
    what        TEXT COLLATE "C" NOT NULL CHECK (what IN ('outcome', 'code', 'own', 'total', 'scope', 'application')),
    name        TEXT COLLATE "C" NOT NULL,
    calls       BIGINT NOT NULL,
    PRIMARY KEY (account, application, day, what, name),
    FOREIGN KEY (account) REFERENCES accounts (id)
);
CREATE INDEX use_figures_by_day ON use_figures (day);

-- For a publisher: who has installed an application.
CREATE INDEX grants_by_application ON grants (application, account);

-- For a person: what acts as them.
CREATE INDEX families_by_principal ON families (account, principal_kind, principal_id, application);
CREATE INDEX consents_by_principal ON consents (account, principal_kind, principal_id, application);
