-- What an access key may do is sealed in its row (docs/format.md, "Access keys"). No statement can seal, so the access
-- keys from before are DROPPED: make new ones with `tokenvault access create`.
DROP TABLE access_keys;

CREATE TABLE access_keys (
    id          TEXT    NOT NULL PRIMARY KEY,
    box         BLOB    NOT NULL,
    key_version INTEGER NOT NULL
) STRICT;
CREATE INDEX access_keys_by_key_version ON access_keys (key_version);

CREATE TRIGGER access_keys_fence_insert BEFORE INSERT ON access_keys
WHEN EXISTS (SELECT 1 FROM closed_versions WHERE line = 'data' AND version = NEW.key_version)
BEGIN SELECT RAISE(ABORT, 'this key version is closed'); END;

CREATE TRIGGER access_keys_fence_update BEFORE UPDATE OF box ON access_keys
WHEN EXISTS (SELECT 1 FROM closed_versions WHERE line = 'data' AND version = NEW.key_version)
BEGIN SELECT RAISE(ABORT, 'this key version is closed'); END;

CREATE TRIGGER access_keys_quarantine_delete AFTER DELETE ON access_keys
BEGIN DELETE FROM quarantine WHERE store = 'access_keys' AND name = OLD.id; END;

CREATE TRIGGER access_keys_quarantine_update AFTER UPDATE OF box ON access_keys
BEGIN DELETE FROM quarantine WHERE store = 'access_keys' AND name = OLD.id; END;
