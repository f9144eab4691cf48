-- Applications that registered themselves: by a request (RFC 7591), or by a document at the address that is their name.
-- Those that nobody ever authorizes are forgotten again.

CREATE TABLE own_registrations (
    application TEXT COLLATE "C" PRIMARY KEY REFERENCES applications (id),
    document    TEXT COLLATE "C" UNIQUE, -- where it is described; nothing for one that asked to be registered
    read_at     BIGINT NOT NULL          -- when it was registered, or its document was read last
);
