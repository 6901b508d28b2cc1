-- Blind-index tags of single values, which are documents: as the tags of profiles, beside them.
CREATE TABLE value_tags (
    version INTEGER NOT NULL,
    digest  BLOB    NOT NULL,
    field   TEXT    NOT NULL,
    name    TEXT    NOT NULL, -- of the document
    PRIMARY KEY (version, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX value_tags_by_name ON value_tags (name);

CREATE TRIGGER value_tags_fence BEFORE INSERT ON value_tags
WHEN EXISTS (SELECT 1 FROM closed_versions WHERE line = 'index' AND version = NEW.version)
  OR EXISTS (
    SELECT 1 FROM required_versions AS required WHERE required.version > NEW.version AND NOT EXISTS (
        SELECT 1 FROM value_tags AS claimed WHERE claimed.name = NEW.name AND claimed.field = NEW.field
        AND claimed.version = required.version))
BEGIN SELECT RAISE(ABORT, 'a newer index version has to be claimed first'); END;

-- However a document ends, its tags end with it.
CREATE TRIGGER documents_value_tags_delete AFTER DELETE ON documents
BEGIN DELETE FROM value_tags WHERE name = OLD.name; END;
