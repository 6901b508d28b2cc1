-- Sealed profiles. A rowid table: 1 KB boxes fit several to a page, which a WITHOUT ROWID table would waste.
CREATE TABLE profiles (
    id          INTEGER PRIMARY KEY,
    token       TEXT    NOT NULL UNIQUE,
    box         BLOB    NOT NULL,
    key_version INTEGER NOT NULL,
    revision    INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    expires_at  INTEGER,
    erasing_at  INTEGER
) STRICT;
CREATE INDEX profiles_by_key_version ON profiles (key_version);
CREATE INDEX profiles_by_expiry ON profiles (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX profiles_being_erased ON profiles (erasing_at) WHERE erasing_at IS NOT NULL;

-- Blind-index tags. The primary key is what makes a value unique: no check-then-insert.
-- By version first, so that the versions in use are found without an index of their own.
CREATE TABLE tags (
    version INTEGER NOT NULL,
    digest  BLOB    NOT NULL,
    field   TEXT    NOT NULL,
    token   TEXT    NOT NULL,
    PRIMARY KEY (version, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_by_token ON tags (token);

CREATE TABLE access_keys (
    id            TEXT    PRIMARY KEY,
    name          TEXT    NOT NULL,
    secret_digest BLOB    NOT NULL,
    scopes        TEXT    NOT NULL, -- separated by spaces
    claims        TEXT,             -- separated by spaces; NULL shows all
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER,
    revoked_at    INTEGER
) STRICT, WITHOUT ROWID;

-- What is known of each key version, apart from the keyring: so that a lost keyring is noticed.
CREATE TABLE key_versions (
    line        TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    fingerprint TEXT    NOT NULL,
    canary      BLOB    NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (line, version)
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
