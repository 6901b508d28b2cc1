-- What an access key is held to beside its scopes (JSON: the members of Rails that are set), and since when it rests.
ALTER TABLE access_keys ADD COLUMN rails TEXT NOT NULL DEFAULT '{}';
ALTER TABLE access_keys ADD COLUMN suspended_at INTEGER;
