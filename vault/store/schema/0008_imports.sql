-- An import that added something, and the documents that came in with it: what `undo` takes back.
CREATE TABLE import (number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, time INTEGER NOT NULL);
CREATE TABLE imported (
    document INTEGER PRIMARY KEY REFERENCES document (number),
    import INTEGER NOT NULL REFERENCES import (number)
);
CREATE INDEX imported_import ON imported (import);

-- The holder's INS is a setting that every device of theirs knows.
CREATE TRIGGER tell_ins_new AFTER INSERT ON meta WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling') AND NEW.key = 'ins'
BEGIN INSERT OR IGNORE INTO dirty VALUES ('meta', NEW.key); END;
CREATE TRIGGER tell_ins_changed AFTER UPDATE OF value ON meta WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling') AND NEW.key = 'ins'
BEGIN INSERT OR IGNORE INTO dirty VALUES ('meta', NEW.key); END;
