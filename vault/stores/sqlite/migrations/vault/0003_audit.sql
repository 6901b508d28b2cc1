-- The audit trail. Nothing here is ever changed but the MACs, by a rotation of the line 'audit'.
CREATE TABLE audit_events (
    sequence         INTEGER PRIMARY KEY,
    at               INTEGER NOT NULL,
    tenant           TEXT    NOT NULL,
    actor            TEXT    NOT NULL, -- an access key's id, 'operator' or 'vault'
    action           TEXT    NOT NULL,
    outcome          TEXT    NOT NULL, -- 'ok' or the code of the refusal
    user_token       TEXT,
    request_id       TEXT,
    purpose          TEXT,
    revealed_version INTEGER,          -- the data key version that an opened profile was under
    details_digest   BLOB,
    link             BLOB    NOT NULL,
    mac              BLOB    NOT NULL,
    mac_version      INTEGER NOT NULL
) STRICT;
CREATE INDEX audit_events_by_person ON audit_events (user_token) WHERE user_token IS NOT NULL;
CREATE INDEX audit_events_by_actor ON audit_events (actor);
CREATE INDEX audit_events_by_mac_version ON audit_events (mac_version);

CREATE TRIGGER audit_events_fence BEFORE INSERT ON audit_events
WHEN EXISTS (SELECT 1 FROM closed_versions WHERE line = 'audit' AND version = NEW.mac_version)
BEGIN SELECT RAISE(ABORT, 'this key version is closed'); END;

-- What is sealed of an event: apart from it, so that it goes when the person is erased and the chain stays whole.
CREATE TABLE audit_details (
    sequence    INTEGER PRIMARY KEY,
    box         BLOB    NOT NULL,
    key_version INTEGER NOT NULL
) STRICT;
CREATE INDEX audit_details_by_key_version ON audit_details (key_version);

CREATE TRIGGER audit_details_fence_insert BEFORE INSERT ON audit_details
WHEN EXISTS (SELECT 1 FROM closed_versions WHERE line = 'data' AND version = NEW.key_version)
BEGIN SELECT RAISE(ABORT, 'this key version is closed'); END;

CREATE TRIGGER audit_details_fence_update BEFORE UPDATE OF box ON audit_details
WHEN EXISTS (SELECT 1 FROM closed_versions WHERE line = 'data' AND version = NEW.key_version)
BEGIN SELECT RAISE(ABORT, 'this key version is closed'); END;

CREATE TRIGGER audit_details_quarantine_delete AFTER DELETE ON audit_details
BEGIN DELETE FROM quarantine WHERE store = 'audit_details' AND name = CAST(OLD.sequence AS TEXT); END;

CREATE TRIGGER audit_details_quarantine_update AFTER UPDATE OF box ON audit_details
BEGIN DELETE FROM quarantine WHERE store = 'audit_details' AND name = CAST(OLD.sequence AS TEXT); END;

-- Where the trail ends, apart from its events: a trail that was cut off does not fit it.
CREATE TABLE audit_end (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    sequence    INTEGER NOT NULL,
    link        BLOB    NOT NULL,
    mac         BLOB    NOT NULL,
    mac_version INTEGER NOT NULL
) STRICT;

-- Signed statements about the trail up to an event.
CREATE TABLE audit_checkpoints (
    sequence  INTEGER PRIMARY KEY,
    statement TEXT NOT NULL
) STRICT;

-- Profiles that each access key with a budget has opened, in sixtieths of an hour and of a day.
CREATE TABLE reveals (
    key_id TEXT    NOT NULL,
    span   INTEGER NOT NULL, -- milliseconds: an hour or a day
    bucket INTEGER NOT NULL, -- the time divided by a sixtieth of the span
    opened INTEGER NOT NULL,
    PRIMARY KEY (key_id, span, bucket)
) STRICT, WITHOUT ROWID;
