-- Profiles that live on while they are used. expires_at stays the effective end, and alone decides who is alive; it is in
-- no box, so whoever can write to this file can put it off, as before.
ALTER TABLE profiles ADD COLUMN sliding INTEGER; -- how long after a use it ends; NULL: it does not slide
ALTER TABLE profiles ADD COLUMN ends_at INTEGER; -- when one that slides ends at last; NULL: never while it is used
