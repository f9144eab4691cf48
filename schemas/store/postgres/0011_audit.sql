-- The audit becomes a chain for each node: a record names the one before it by its hash. Records from before this have
-- no number; the first one after it says what they were.

DROP TRIGGER audit_is_not_changed ON audit;
ALTER TABLE audit
    ALTER COLUMN account DROP NOT NULL, -- nobody's when it concerns the whole installation, or nobody has proven who asks
    ADD COLUMN node       TEXT COLLATE "C", -- whose chain
    ADD COLUMN number     BIGINT,           -- the place in it, from 1
    ADD COLUMN kind       TEXT COLLATE "C" NOT NULL DEFAULT 'event' CHECK (kind IN ('event', 'refusal', 'calls')),
    ADD COLUMN principal  TEXT COLLATE "C", -- whom it is about, as the detail says; to be found by
    ADD COLUMN calls_from BIGINT,           -- the decision records that it vouches for, by place, as the detail says
    ADD COLUMN calls_to   BIGINT,
    ADD COLUMN prev       BYTEA,
    ADD COLUMN hash       BYTEA;
UPDATE audit SET kind = 'refusal' WHERE event = 'login.failed';

CREATE INDEX audit_by_subject ON audit (account, subject, place DESC);
CREATE UNIQUE INDEX audit_by_chain ON audit (node, number);
CREATE INDEX audit_of_calls ON audit (account, calls_to) WHERE kind = 'calls';
CREATE INDEX audit_of_refusals ON audit (account, place) WHERE kind = 'refusal';

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit FOR EACH ROW
EXECUTE FUNCTION refuse('the audit is not changed');

CREATE TRIGGER audit_events_stay BEFORE DELETE ON audit FOR EACH ROW WHEN (OLD.kind = 'event')
EXECUTE FUNCTION refuse('an event of the audit is never deleted');

CREATE TABLE audit_nodes (
    node     TEXT COLLATE "C" PRIMARY KEY,
    begun_at BIGINT NOT NULL
);

-- Signed: that a chain had come to this record at that time.
CREATE TABLE audit_checkpoints (
    node   TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    at     BIGINT NOT NULL,
    token  TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (node, number)
);

-- Signed: that these records, none of them an event, were removed for their age.
CREATE TABLE audit_cuts (
    node   TEXT COLLATE "C" NOT NULL,
    first  BIGINT NOT NULL,
    last   BIGINT NOT NULL,
    before BYTEA NOT NULL,
    after  BYTEA NOT NULL,
    token  TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (node, first)
);

-- Which purposes there are is the program's to say.
ALTER TABLE signing_keys DROP CONSTRAINT signing_keys_purpose_check;
