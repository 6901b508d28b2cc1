-- Profiles that nobody should ever open.
CREATE TABLE honey_tokens (
    token      TEXT    PRIMARY KEY,
    suspends   INTEGER NOT NULL, -- 1: whoever opens it loses the access key
    planted_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Alarm events, until the webhook has heard of them.
CREATE TABLE alarms (
    sequence     INTEGER PRIMARY KEY, -- of the event
    delivered_at INTEGER
) STRICT;
CREATE INDEX alarms_undelivered ON alarms (sequence) WHERE delivered_at IS NULL;

-- Leave to read in bulk.
CREATE TABLE unlocks (
    digest     BLOB    PRIMARY KEY,
    key_id     TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX unlocks_by_end ON unlocks (expires_at);

-- Chores that one process does at a time.
CREATE TABLE leases (
    chore  TEXT    PRIMARY KEY,
    holder TEXT    NOT NULL,
    until  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
