-- What an account has said beforehand about applications, and whom its users have asked for one.

-- The account's own rules. Without a row the defaults stand. The revision rises with each change of the policy, the
-- rules about single applications included.
CREATE TABLE tenant_policies (
    account              TEXT    PRIMARY KEY REFERENCES accounts (id),
    revision             INTEGER NOT NULL CHECK (revision > 0),
    unknown_applications TEXT    NOT NULL CHECK (unknown_applications IN ('ask', 'refuse')),
    request_days         INTEGER NOT NULL CHECK (request_days BETWEEN 1 AND 90),
    message              TEXT    NOT NULL
) STRICT;

CREATE TABLE application_rules (
    account     TEXT    NOT NULL REFERENCES accounts (id),
    application TEXT    NOT NULL REFERENCES applications (id),
    rule        TEXT    NOT NULL CHECK (rule IN ('blocked', 'preapproved')),
    scopes      TEXT    NOT NULL, -- all that is pre-approved, the required ones as they stood then
    word        TEXT    NOT NULL, -- why it is blocked
    by_kind     TEXT    NOT NULL,
    by_id       TEXT    NOT NULL,
    by_login    TEXT    NOT NULL,
    set_at      INTEGER NOT NULL,
    PRIMARY KEY (account, application)
) STRICT, WITHOUT ROWID;

-- Requests for one application are one, until it is decided or has expired; the next one after that is another round.
CREATE TABLE approval_requests (
    account       TEXT    NOT NULL REFERENCES accounts (id),
    application   TEXT    NOT NULL REFERENCES applications (id),
    round         INTEGER NOT NULL CHECK (round > 0),
    state         TEXT    NOT NULL CHECK (state IN ('open', 'expired', 'denied', 'approved', 'blocked')),
    askers        INTEGER NOT NULL,
    opened_at     INTEGER NOT NULL,
    last_asked_at INTEGER NOT NULL,
    lapses_at     INTEGER NOT NULL,
    decided_at    INTEGER,
    decided_by    TEXT,
    word          TEXT    NOT NULL,
    PRIMARY KEY (account, application, round)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX one_open_request ON approval_requests (account, application) WHERE state = 'open';
CREATE INDEX approval_requests_by_time ON approval_requests (account, last_asked_at, application);

-- Each person's last request for an application, and the round that it belongs to.
CREATE TABLE approval_askers (
    account        TEXT    NOT NULL,
    application    TEXT    NOT NULL,
    principal_kind TEXT    NOT NULL,
    principal_id   TEXT    NOT NULL,
    login          TEXT    NOT NULL,
    round          INTEGER NOT NULL,
    reason         TEXT    NOT NULL,
    asked_at       INTEGER NOT NULL,
    PRIMARY KEY (account, application, principal_kind, principal_id),
    FOREIGN KEY (account, application, round) REFERENCES approval_requests (account, application, round)
) STRICT, WITHOUT ROWID;
CREATE INDEX approval_askers_by_round ON approval_askers (account, application, round, asked_at, login);
CREATE INDEX approval_askers_by_person ON approval_askers (account, principal_kind, principal_id, asked_at);
