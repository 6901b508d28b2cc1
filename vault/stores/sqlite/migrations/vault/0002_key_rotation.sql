-- What becomes of a key version. Times are milliseconds.
ALTER TABLE key_versions ADD COLUMN activated_at INTEGER;
ALTER TABLE key_versions ADD COLUMN compromised_at INTEGER;
ALTER TABLE key_versions ADD COLUMN empty_since INTEGER; -- since when no row has been under it, by census
ALTER TABLE key_versions ADD COLUMN destroyed_at INTEGER;
ALTER TABLE key_versions ADD COLUMN certificate TEXT;
ALTER TABLE key_versions ADD COLUMN public_key TEXT; -- of the line 'signing': outlives its key

-- Serving processes, as they report themselves.
CREATE TABLE processes (
    id         TEXT    PRIMARY KEY,
    host       TEXT    NOT NULL,
    pid        INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    seen_at    INTEGER NOT NULL,
    generation INTEGER NOT NULL, -- of the keyring that the process has loaded
    versions   TEXT    NOT NULL  -- what that holds, JSON
) STRICT, WITHOUT ROWID;

-- Who is changing keys: one row at most.
CREATE TABLE rotation_claim (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    holder   TEXT    NOT NULL,
    host     TEXT    NOT NULL,
    pid      INTEGER NOT NULL,
    what     TEXT    NOT NULL,
    taken_at INTEGER NOT NULL,
    seen_at  INTEGER NOT NULL
) STRICT;

-- The journal of rotations.
CREATE TABLE rotations (
    id            INTEGER PRIMARY KEY,
    line          TEXT    NOT NULL,
    "by"          TEXT    NOT NULL,
    began_at      INTEGER NOT NULL,
    from_versions TEXT    NOT NULL,
    to_version    INTEGER,
    finished_at   INTEGER,
    outcome       TEXT,
    counts        TEXT    NOT NULL,
    digest        TEXT
) STRICT;

-- Key versions that seal boxes (line 'data') or make tags (line 'index') no more.
CREATE TABLE closed_versions (
    line    TEXT    NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (line, version)
) STRICT, WITHOUT ROWID;

-- Index versions whose tag every profile must have claimed before it may claim an older version's.
CREATE TABLE required_versions (version INTEGER PRIMARY KEY) STRICT;

-- The fence: triggers, so that no statement can forget it, and a process that slept through a rotation cannot
-- write under a key that is about to be destroyed. Nothing else raises in a trigger (see Writer).
CREATE TRIGGER profiles_fence_insert BEFORE INSERT ON profiles
WHEN EXISTS (SELECT 1 FROM closed_versions WHERE line = 'data' AND version = NEW.key_version)
BEGIN SELECT RAISE(ABORT, 'this key version is closed'); END;

CREATE TRIGGER profiles_fence_update BEFORE UPDATE OF box ON profiles
WHEN EXISTS (SELECT 1 FROM closed_versions WHERE line = 'data' AND version = NEW.key_version)
BEGIN SELECT RAISE(ABORT, 'this key version is closed'); END;

CREATE TRIGGER answers_fence_insert BEFORE INSERT ON answers
WHEN EXISTS (SELECT 1 FROM closed_versions WHERE line = 'data' AND version = NEW.key_version)
BEGIN SELECT RAISE(ABORT, 'this key version is closed'); END;

CREATE TRIGGER answers_fence_update BEFORE UPDATE OF box ON answers
WHEN EXISTS (SELECT 1 FROM closed_versions WHERE line = 'data' AND version = NEW.key_version)
BEGIN SELECT RAISE(ABORT, 'this key version is closed'); END;

CREATE TRIGGER tags_fence BEFORE INSERT ON tags
WHEN EXISTS (SELECT 1 FROM closed_versions WHERE line = 'index' AND version = NEW.version)
  OR EXISTS (
    SELECT 1 FROM required_versions AS required WHERE required.version > NEW.version AND NOT EXISTS (
        SELECT 1 FROM tags AS claimed WHERE claimed.token = NEW.token AND claimed.field = NEW.field
        AND claimed.version = required.version))
BEGIN SELECT RAISE(ABORT, 'a newer index version has to be claimed first'); END;

-- Rows whose box does not open, and why. The rows stay where they are; the note goes with the row or its box.
CREATE TABLE quarantine (
    store       TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    key_version INTEGER NOT NULL,
    cause       TEXT    NOT NULL,
    noted_at    INTEGER NOT NULL,
    PRIMARY KEY (store, name)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER profiles_quarantine_delete AFTER DELETE ON profiles
BEGIN DELETE FROM quarantine WHERE store = 'profiles' AND name = OLD.token; END;

CREATE TRIGGER profiles_quarantine_update AFTER UPDATE OF box ON profiles
BEGIN DELETE FROM quarantine WHERE store = 'profiles' AND name = OLD.token; END;

CREATE TRIGGER answers_quarantine_delete AFTER DELETE ON answers
BEGIN DELETE FROM quarantine WHERE store = 'profile_answers' AND name = lower(hex(OLD.digest)); END;

CREATE TRIGGER answers_quarantine_update AFTER UPDATE OF box ON answers
BEGIN DELETE FROM quarantine WHERE store = 'profile_answers' AND name = lower(hex(OLD.digest)); END;
