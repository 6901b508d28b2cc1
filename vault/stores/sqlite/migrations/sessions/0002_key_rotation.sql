-- As in vault.db: key versions that seal no more, the fence that holds every process to it, and the notes about
-- boxes that do not open. Each file has its own, because a fence binds within one transaction.
CREATE TABLE closed_versions (
    line    TEXT    NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (line, version)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER sessions_fence_insert BEFORE INSERT ON sessions
WHEN EXISTS (SELECT 1 FROM closed_versions WHERE line = 'data' AND version = NEW.key_version)
BEGIN SELECT RAISE(ABORT, 'this key version is closed'); END;

CREATE TRIGGER sessions_fence_update BEFORE UPDATE OF box ON sessions
WHEN EXISTS (SELECT 1 FROM closed_versions WHERE line = 'data' AND version = NEW.key_version)
BEGIN SELECT RAISE(ABORT, 'this key version is closed'); END;

CREATE TRIGGER answers_fence_insert BEFORE INSERT ON answers
WHEN EXISTS (SELECT 1 FROM closed_versions WHERE line = 'data' AND version = NEW.key_version)
BEGIN SELECT RAISE(ABORT, 'this key version is closed'); END;

CREATE TRIGGER answers_fence_update BEFORE UPDATE OF box ON answers
WHEN EXISTS (SELECT 1 FROM closed_versions WHERE line = 'data' AND version = NEW.key_version)
BEGIN SELECT RAISE(ABORT, 'this key version is closed'); END;

CREATE TABLE quarantine (
    store       TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    key_version INTEGER NOT NULL,
    cause       TEXT    NOT NULL,
    noted_at    INTEGER NOT NULL,
    PRIMARY KEY (store, name)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER sessions_quarantine_delete AFTER DELETE ON sessions
BEGIN DELETE FROM quarantine WHERE store = 'sessions' AND name = OLD.handle; END;

CREATE TRIGGER sessions_quarantine_update AFTER UPDATE OF box ON sessions
BEGIN DELETE FROM quarantine WHERE store = 'sessions' AND name = OLD.handle; END;

CREATE TRIGGER answers_quarantine_delete AFTER DELETE ON answers
BEGIN DELETE FROM quarantine WHERE store = 'session_answers' AND name = lower(hex(OLD.digest)); END;

CREATE TRIGGER answers_quarantine_update AFTER UPDATE OF box ON answers
BEGIN DELETE FROM quarantine WHERE store = 'session_answers' AND name = lower(hex(OLD.digest)); END;
