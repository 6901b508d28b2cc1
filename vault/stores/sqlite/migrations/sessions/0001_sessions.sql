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

-- A person's epoch: bumping it ends every session opened before. Closed is for good (the person was erased).
-- is_stale: sessions of older epochs may still lie in the table and wait for the sweeper.
CREATE TABLE epochs (
    user_token TEXT    PRIMARY KEY,
    epoch      INTEGER NOT NULL,
    closed_at  INTEGER,
    is_stale   INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX epochs_stale ON epochs (is_stale) WHERE is_stale = 1;

-- Sessions beside their person's epoch as it is now; -1, which no session has, once it is closed.
CREATE VIEW sessions_now AS
SELECT s.digest, s.handle, s.user_token, s.box, s.key_version, s.epoch, s.lifetime, s.idle_timeout,
       s.created_at, s.authenticated_at, s.last_seen_at, s.expires_at, s.idle_expires_at,
       CASE WHEN e.closed_at IS NOT NULL THEN -1 ELSE coalesce(e.epoch, 0) END AS current_epoch
FROM sessions AS s LEFT JOIN epochs AS e ON e.user_token = s.user_token;

-- Sealed answers to requests that carried an Idempotency-Key.
CREATE TABLE answers (
    digest      BLOB    PRIMARY KEY,
    box         BLOB    NOT NULL,
    key_version INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX answers_by_key_version ON answers (key_version);
CREATE INDEX answers_by_expiry ON answers (expires_at);
