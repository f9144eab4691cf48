-- What was used, when last and how much: counted as batches of decision records come, and kept when these are forgotten.

-- When a granted scope last allowed a call. The scope is the narrow one that gives the action: /acs/ecs:read, also
-- where /acs/ecs was granted.
CREATE TABLE scope_uses (
    account     TEXT    NOT NULL,
    application TEXT    NOT NULL,
    scope       TEXT    NOT NULL,
    used_at     INTEGER NOT NULL,
    PRIMARY KEY (account, application, scope),
    FOREIGN KEY (account, application) REFERENCES grants (account, application)
) STRICT, WITHOUT ROWID;

-- When an application last acted as somebody.
CREATE TABLE person_uses (
    account        TEXT    NOT NULL,
    principal_kind TEXT    NOT NULL,
    principal_id   TEXT    NOT NULL,
    application    TEXT    NOT NULL,
    used_at        INTEGER NOT NULL,
    PRIMARY KEY (account, principal_kind, principal_id, application),
    FOREIGN KEY (account, application) REFERENCES grants (account, application),
    FOREIGN KEY (account, principal_kind, principal_id) REFERENCES principals (account, kind, id)
) STRICT, WITHOUT ROWID;

-- Calls a day (days since 1970, UTC), of an application, or of the whole account where it is ''.
CREATE TABLE use_figures (
    account     TEXT    NOT NULL,
    application TEXT    NOT NULL,
    day         INTEGER NOT NULL,
    what        TEXT    NOT NULL CHECK (what IN ('outcome', 'code', 'own', 'total', 'scope', 'application')),
    name        TEXT    NOT NULL,
    calls       INTEGER NOT NULL,
    PRIMARY KEY (account, application, day, what, name),
    FOREIGN KEY (account) REFERENCES accounts (id)
) STRICT, WITHOUT ROWID;
CREATE INDEX use_figures_by_day ON use_figures (day);

-- For a publisher: who has installed an application.
CREATE INDEX grants_by_application ON grants (application, account);

-- For a person: what acts as them.
CREATE INDEX families_by_principal ON families (account, principal_kind, principal_id, application);
CREATE INDEX consents_by_principal ON consents (account, principal_kind, principal_id, application);
