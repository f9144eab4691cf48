-- What an account has said beforehand about applications, and whom its users have asked for one.

-- The account's own rules. Without a row the defaults stand. The revision rises with each change of the policy, the
-- rules about single applications included.
CREATE TABLE tenant_policies (
    account              TEXT COLLATE "C" PRIMARY KEY REFERENCES accounts (id),
    revision             BIGINT           NOT NULL CHECK (revision > 0),
    unknown_applications TEXT COLLATE "C" NOT NULL CHECK (unknown_applications IN ('ask', 'refuse')),
    request_days         BIGINT           NOT NULL CHECK (request_days BETWEEN 1 AND 90),
    message              TEXT COLLATE "C" NOT NULL
);

CREATE TABLE application_rules (
    account     TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    application TEXT COLLATE "C" NOT NULL REFERENCES applications (id),
    rule        TEXT COLLATE "C" NOT NULL CHECK (rule IN ('blocked', 'preapproved')),
    scopes      TEXT COLLATE "C" NOT NULL, -- all that is pre-approved, the required ones as they stood then
    word        TEXT COLLATE "C" NOT NULL, -- why it is blocked
    by_kind     TEXT COLLATE "C" NOT NULL,
    by_id       TEXT COLLATE "C" NOT NULL,
    by_login    TEXT COLLATE "C" NOT NULL,
    set_at      BIGINT           NOT NULL,
    PRIMARY KEY (account, application)
);

-- Requests for one application are one, until it is decided or has expired; the next one after that is another round.
CREATE TABLE approval_requests (
    account       TEXT COLLATE "C" NOT NULL REFERENCES accounts (id),
    application   TEXT COLLATE "C" NOT NULL REFERENCES applications (id),
    round         BIGINT           NOT NULL CHECK (round > 0),
    state         TEXT COLLATE "C" NOT NULL CHECK (state IN ('open', 'expired', 'denied', 'approved', 'blocked')),
    askers        BIGINT           NOT NULL,
    opened_at     BIGINT           NOT NULL,
    last_asked_at BIGINT           NOT NULL,
    lapses_at     BIGINT           NOT NULL,
    decided_at    BIGINT,
    decided_by    TEXT COLLATE "C",
    word          TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (account, application, round)
);
CREATE UNIQUE INDEX one_open_request ON approval_requests (account, application) WHERE state = 'open';
CREATE INDEX approval_requests_by_time ON approval_requests (account, last_asked_at, application);

-- Each person's last request for an application, and the round that it belongs to.
CREATE TABLE approval_askers (
    account        TEXT COLLATE "C" NOT NULL,
    application    TEXT COLLATE "C" NOT NULL,
    principal_kind TEXT COLLATE "C" NOT NULL,
    principal_id   TEXT COLLATE "C" NOT NULL,
    login          TEXT COLLATE "C" NOT NULL,
    round          BIGINT           NOT NULL,
    reason         TEXT COLLATE "C" NOT NULL,
    asked_at       BIGINT           NOT NULL,
    PRIMARY KEY (account, application, principal_kind, principal_id),
    FOREIGN KEY (account, application, round) REFERENCES approval_requests (account, application, round)
);
CREATE INDEX approval_askers_by_round ON approval_askers (account, application, round, asked_at, login);
CREATE INDEX approval_askers_by_person ON approval_askers (account, principal_kind, principal_id, asked_at);
