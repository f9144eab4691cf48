-- What the hostile reading of the directory found missing.

-- The same as principals_by_login.
DROP INDEX principals_by_account;

-- Codes that were wrong since the last one that was right: whoever knows the password has only so many guesses, however
-- long they take and wherever they ask.
ALTER TABLE totps ADD COLUMN wrong BIGINT NOT NULL DEFAULT 0;

-- Who has made a link, and whether they administered the account: it ends with that. Earlier links do not say:
-- they end now, and are made anew.
DELETE FROM password_links;
ALTER TABLE password_links ADD COLUMN by_kind TEXT COLLATE "C";
ALTER TABLE password_links ADD COLUMN by_id TEXT COLLATE "C";
ALTER TABLE password_links ADD COLUMN by_administrator BOOLEAN NOT NULL DEFAULT FALSE;

-- What somebody asked for in vain is counted inside a change: it must not take long.
CREATE INDEX audit_of_requests ON audit (account, actor, at) WHERE kind = 'refusal' AND event = 'refused.request';
