-- A holder's devices: the roster, and what they tell each other through the vault's channel (spec/vault-channel.md).

CREATE TABLE roster (count INTEGER PRIMARY KEY, statement BLOB NOT NULL);
INSERT INTO roster SELECT 1, value FROM meta WHERE key = 'roster';

-- what is to be told, in order. `row`: the row that it is a value of; `sealed`: it lies in an envelope already
CREATE TABLE told (
    id INTEGER PRIMARY KEY, mailbox BLOB NOT NULL, row TEXT, kind TEXT NOT NULL, body BLOB NOT NULL, sealed INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX told_row ON told (row) WHERE row IS NOT NULL;
-- envelopes as they are sent, until they come back from the log; `upto`: the last of `told` that this one completes
CREATE TABLE envelope (mailbox BLOB NOT NULL, seq INTEGER NOT NULL, data BLOB NOT NULL, upto INTEGER, sent INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (mailbox, seq)) WITHOUT ROWID;
-- parts of what another device tells, until the last one came
CREATE TABLE heard_part (mailbox BLOB NOT NULL, device BLOB NOT NULL, part INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (mailbox, device, part)) WITHOUT ROWID;
-- rows that changed since they were told
CREATE TABLE dirty (name TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (name, key)) WITHOUT ROWID;
-- editions that this device knows by their hash. `place`: order in the log, NULL while it is not in it, -1 when another one came first; `device` started it
CREATE TABLE edition (document BLOB NOT NULL, hash BLOB NOT NULL, epoch INTEGER NOT NULL, place INTEGER, device BLOB NOT NULL, PRIMARY KEY (document, hash)) WITHOUT ROWID;
-- which device of the holder wrote a change; those of grantees are not in it
CREATE TABLE teller (hash BLOB PRIMARY KEY, device BLOB NOT NULL) WITHOUT ROWID;
-- changes that came into no edition that holds, and whose duty it is to write them again
CREATE TABLE late (document BLOB NOT NULL, hash BLOB NOT NULL, edition BLOB NOT NULL, device BLOB NOT NULL, author TEXT NOT NULL, PRIMARY KEY (document, hash)) WITHOUT ROWID;
-- documents whose epoch came from another device: whether everybody who should have them does is still to be looked at
CREATE TABLE owed (document BLOB PRIMARY KEY, lost INTEGER NOT NULL) WITHOUT ROWID;
-- places of sealed files at a relay, for the holder's devices
CREATE TABLE home_file (sealed_sha256 TEXT PRIMARY KEY, relay TEXT NOT NULL, address BLOB NOT NULL, owner BLOB NOT NULL, token BLOB NOT NULL, size INTEGER NOT NULL) WITHOUT ROWID;

-- One device alone tells nobody: no trigger writes before the vault has a channel.
CREATE TRIGGER tell_meta_new AFTER INSERT ON meta WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling') AND (NEW.key IN ('name', 'birth', 'role', 'language') OR NEW.key LIKE 'device:%')
BEGIN INSERT OR IGNORE INTO dirty VALUES ('meta', NEW.key); END;
CREATE TRIGGER tell_meta_changed AFTER UPDATE OF value ON meta WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling') AND (NEW.key IN ('name', 'birth', 'role', 'language') OR NEW.key LIKE 'device:%')
BEGIN INSERT OR IGNORE INTO dirty VALUES ('meta', NEW.key); END;
CREATE TRIGGER tell_relay_new AFTER INSERT ON relay WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT OR IGNORE INTO dirty VALUES ('relay', NEW.url); END;
CREATE TRIGGER tell_relay_changed AFTER UPDATE OF home ON relay WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT OR IGNORE INTO dirty VALUES ('relay', NEW.url); END;
CREATE TRIGGER tell_authority_new AFTER INSERT ON authority WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT OR IGNORE INTO dirty VALUES ('authority', lower(hex(NEW.sign))); END;
CREATE TRIGGER tell_authority_changed AFTER UPDATE OF data, list, head, first ON authority WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT OR IGNORE INTO dirty VALUES ('authority', lower(hex(NEW.sign))); END;
CREATE TRIGGER tell_person_new AFTER INSERT ON person WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT OR IGNORE INTO dirty VALUES ('person', lower(hex(NEW.id))); END;
CREATE TRIGGER tell_person_changed AFTER UPDATE OF name, role, card, certificate, met, kem ON person WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT OR IGNORE INTO dirty VALUES ('person', lower(hex(NEW.id))); END;
CREATE TRIGGER tell_inbox_new AFTER INSERT ON mailbox WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling') AND NEW.kind = 'inbox'
BEGIN INSERT OR IGNORE INTO dirty VALUES ('inbox', lower(hex(NEW.address))); END;
CREATE TRIGGER tell_inbox_changed AFTER UPDATE OF state ON mailbox WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling') AND NEW.kind = 'inbox'
BEGIN INSERT OR IGNORE INTO dirty VALUES ('inbox', lower(hex(NEW.address))); END;
CREATE TRIGGER tell_channel_changed AFTER UPDATE OF state ON mailbox WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling') AND NEW.kind = 'channel'
BEGIN INSERT OR IGNORE INTO dirty VALUES ('channel', lower(hex(NEW.address))); END;
CREATE TRIGGER tell_given_new AFTER INSERT ON given WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT OR IGNORE INTO dirty VALUES ('given', lower(hex(NEW.number))); END;
CREATE TRIGGER tell_given_changed AFTER UPDATE OF relay_half, state, ended, receipt ON given WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT OR IGNORE INTO dirty VALUES ('given', lower(hex(NEW.number))); END;
CREATE TRIGGER tell_tag_new AFTER INSERT ON given_tag WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT OR IGNORE INTO dirty VALUES ('tag', lower(hex(NEW.number)) || ':' || lower(hex(NEW.tag))); END;
CREATE TRIGGER tell_opening_new AFTER INSERT ON opening WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT OR IGNORE INTO dirty VALUES ('opening', lower(hex(NEW.number)) || ':' || NEW.position); END;
CREATE TRIGGER tell_visit_new AFTER INSERT ON visit WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT OR IGNORE INTO dirty VALUES ('visit', lower(hex(NEW.number))); END;
CREATE TRIGGER tell_visit_changed AFTER UPDATE OF half, reader, state ON visit WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT OR IGNORE INTO dirty VALUES ('visit', lower(hex(NEW.number))); END;
CREATE TRIGGER tell_visit_item_new AFTER INSERT ON visit_item WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT OR IGNORE INTO dirty VALUES ('visit', lower(hex(NEW.number))); END;
CREATE TRIGGER tell_visit_item_changed AFTER UPDATE OF epoch, wrap ON visit_item WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT OR IGNORE INTO dirty VALUES ('visit', lower(hex(NEW.number))); END;
CREATE TRIGGER tell_deposit_new AFTER INSERT ON deposit WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT OR IGNORE INTO dirty VALUES ('deposit', lower(hex(NEW.id))); END;
CREATE TRIGGER tell_deposit_changed AFTER UPDATE OF state, document, why, sealed ON deposit WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT OR IGNORE INTO dirty VALUES ('deposit', lower(hex(NEW.id))); END;
CREATE TRIGGER tell_blob_new AFTER INSERT ON blob WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT OR IGNORE INTO dirty VALUES ('blob', lower(hex(NEW.document)) || ':' || NEW.sha256); END;
CREATE TRIGGER tell_file_new AFTER INSERT ON home_file WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT OR IGNORE INTO dirty VALUES ('file', NEW.sealed_sha256); END;
CREATE TRIGGER tell_file_changed AFTER UPDATE OF token ON home_file WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT OR IGNORE INTO dirty VALUES ('file', NEW.sealed_sha256); END;
