-- Applications that registered themselves: by a request (RFC 7591), or by a document at the address that is their name.
-- Those that nobody ever authorizes are forgotten again.

CREATE TABLE own_registrations (
    application TEXT PRIMARY KEY REFERENCES applications (id),
    document    TEXT UNIQUE,      -- where it is described; nothing for one that asked to be registered
    read_at     INTEGER NOT NULL  -- when it was registered, or its document was read last
) STRICT, WITHOUT ROWID;
