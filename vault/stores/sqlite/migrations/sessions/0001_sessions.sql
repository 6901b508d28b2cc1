-- One B-tree, by digest: a look-up is one descent. idle_expires_at never passes expires_at.
CREATE TABLE sessions (
    digest           BLOB    PRIMARY KEY,
    handle           TEXT    NOT NULL UNIQUE,
    user_token       TEXT,
    box              BLOB    NOT NULL,
    key_version      INTEGER NOT NULL,
    epoch            INTEGER NOT NULL,
    lifetime         INTEGER NOT NULL,
    idle_timeout     INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    authenticated_at INTEGER NOT NULL,
    last_seen_at     INTEGER NOT NULL,
    expires_at       INTEGER NOT NULL,
    idle_expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_person ON sessions (user_token) WHERE user_token IS NOT NULL;
CREATE INDEX sessions_by_end ON sessions (idle_expires_at);
CREATE INDEX sessions_by_key_version ON sessions (key_version);

-- A person's epoch. Bumping it deletes the sessions opened before, in the same transaction, and refuses those
-- that are being opened with the older one. Closed is for good: the person was erased.
CREATE TABLE epochs (
    user_token TEXT    PRIMARY KEY,
    epoch      INTEGER NOT NULL,
    closed_at  INTEGER
) STRICT, WITHOUT ROWID;

-- Sealed answers to requests that carried an Idempotency-Key.
CREATE TABLE answers (
    digest      BLOB    PRIMARY KEY,
    box         BLOB    NOT NULL,
    key_version INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX answers_by_key_version ON answers (key_version);
CREATE INDEX answers_by_expiry ON answers (expires_at);
