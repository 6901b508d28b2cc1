-- Sealed documents: all that is kept beside profiles, sessions and access keys. AUTOINCREMENT, so that the number of a
-- role that was deleted is never another's.
CREATE TABLE documents (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT    NOT NULL UNIQUE, -- kind/...
    owner       TEXT,                    -- the person whose end is its end
    box         BLOB    NOT NULL,
    key_version INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    expires_at  INTEGER
) STRICT;
CREATE INDEX documents_by_owner ON documents (owner) WHERE owner IS NOT NULL;
CREATE INDEX documents_by_key_version ON documents (key_version);
CREATE INDEX documents_by_end ON documents (expires_at) WHERE expires_at IS NOT NULL;

CREATE TRIGGER documents_fence_insert BEFORE INSERT ON documents
WHEN EXISTS (SELECT 1 FROM closed_versions WHERE line = 'data' AND version = NEW.key_version)
BEGIN SELECT RAISE(ABORT, 'this key version is closed'); END;

CREATE TRIGGER documents_fence_update BEFORE UPDATE OF box ON documents
WHEN EXISTS (SELECT 1 FROM closed_versions WHERE line = 'data' AND version = NEW.key_version)
BEGIN SELECT RAISE(ABORT, 'this key version is closed'); END;

CREATE TRIGGER documents_quarantine_delete AFTER DELETE ON documents
BEGIN DELETE FROM quarantine WHERE store = 'documents' AND name = OLD.name; END;

CREATE TRIGGER documents_quarantine_update AFTER UPDATE OF box ON documents
BEGIN DELETE FROM quarantine WHERE store = 'documents' AND name = OLD.name; END;
