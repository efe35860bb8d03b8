-- Openings by a tag that is not known yet: another device's renewal tells of it later (spec/opening.md).
CREATE INDEX opening_unnamed ON opening (number, position) WHERE detail = 'not-found';

-- A row that changed twice before it is told stands in `dirty` once. Not by OR IGNORE: inside of a trigger the conflict
-- clause of the statement that fired it counts instead, and an upsert of a row that waits already would fail.
DROP TRIGGER tell_meta_new;
DROP TRIGGER tell_meta_changed;
DROP TRIGGER tell_relay_new;
DROP TRIGGER tell_relay_changed;
DROP TRIGGER tell_authority_new;
DROP TRIGGER tell_authority_changed;
DROP TRIGGER tell_person_new;
DROP TRIGGER tell_person_changed;
DROP TRIGGER tell_inbox_new;
DROP TRIGGER tell_inbox_changed;
DROP TRIGGER tell_channel_changed;
DROP TRIGGER tell_given_new;
DROP TRIGGER tell_given_changed;
DROP TRIGGER tell_tag_new;
DROP TRIGGER tell_opening_new;
DROP TRIGGER tell_visit_new;
DROP TRIGGER tell_visit_changed;
DROP TRIGGER tell_visit_item_new;
DROP TRIGGER tell_visit_item_changed;
DROP TRIGGER tell_deposit_new;
DROP TRIGGER tell_deposit_changed;
DROP TRIGGER tell_blob_new;
DROP TRIGGER tell_file_new;
DROP TRIGGER tell_file_changed;
DROP TRIGGER tell_ins_new;
DROP TRIGGER tell_ins_changed;
CREATE TRIGGER tell_meta_new AFTER INSERT ON meta WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling') AND (NEW.key IN ('name', 'birth', 'role', 'language') OR NEW.key LIKE 'device:%')
BEGIN INSERT INTO dirty SELECT 'meta', NEW.key WHERE NOT EXISTS (SELECT 1 FROM dirty WHERE name = 'meta' AND key = NEW.key); END;
CREATE TRIGGER tell_meta_changed AFTER UPDATE OF value ON meta WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling') AND (NEW.key IN ('name', 'birth', 'role', 'language') OR NEW.key LIKE 'device:%')
BEGIN INSERT INTO dirty SELECT 'meta', NEW.key WHERE NOT EXISTS (SELECT 1 FROM dirty WHERE name = 'meta' AND key = NEW.key); END;
CREATE TRIGGER tell_relay_new AFTER INSERT ON relay WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT INTO dirty SELECT 'relay', NEW.url WHERE NOT EXISTS (SELECT 1 FROM dirty WHERE name = 'relay' AND key = NEW.url); END;
CREATE TRIGGER tell_relay_changed AFTER UPDATE OF home ON relay WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT INTO dirty SELECT 'relay', NEW.url WHERE NOT EXISTS (SELECT 1 FROM dirty WHERE name = 'relay' AND key = NEW.url); END;
CREATE TRIGGER tell_authority_new AFTER INSERT ON authority WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT INTO dirty SELECT 'authority', lower(hex(NEW.sign)) WHERE NOT EXISTS (SELECT 1 FROM dirty WHERE name = 'authority' AND key = lower(hex(NEW.sign))); END;
CREATE TRIGGER tell_authority_changed AFTER UPDATE OF data, list, head, first ON authority WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT INTO dirty SELECT 'authority', lower(hex(NEW.sign)) WHERE NOT EXISTS (SELECT 1 FROM dirty WHERE name = 'authority' AND key = lower(hex(NEW.sign))); END;
CREATE TRIGGER tell_person_new AFTER INSERT ON person WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT INTO dirty SELECT 'person', lower(hex(NEW.id)) WHERE NOT EXISTS (SELECT 1 FROM dirty WHERE name = 'person' AND key = lower(hex(NEW.id))); END;
CREATE TRIGGER tell_person_changed AFTER UPDATE OF name, role, card, certificate, met, kem ON person WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT INTO dirty SELECT 'person', lower(hex(NEW.id)) WHERE NOT EXISTS (SELECT 1 FROM dirty WHERE name = 'person' AND key = lower(hex(NEW.id))); END;
CREATE TRIGGER tell_inbox_new AFTER INSERT ON mailbox WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling') AND NEW.kind = 'inbox'
BEGIN INSERT INTO dirty SELECT 'inbox', lower(hex(NEW.address)) WHERE NOT EXISTS (SELECT 1 FROM dirty WHERE name = 'inbox' AND key = lower(hex(NEW.address))); END;
CREATE TRIGGER tell_inbox_changed AFTER UPDATE OF state ON mailbox WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling') AND NEW.kind = 'inbox'
BEGIN INSERT INTO dirty SELECT 'inbox', lower(hex(NEW.address)) WHERE NOT EXISTS (SELECT 1 FROM dirty WHERE name = 'inbox' AND key = lower(hex(NEW.address))); END;
CREATE TRIGGER tell_channel_changed AFTER UPDATE OF state ON mailbox WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling') AND NEW.kind = 'channel'
BEGIN INSERT INTO dirty SELECT 'channel', lower(hex(NEW.address)) WHERE NOT EXISTS (SELECT 1 FROM dirty WHERE name = 'channel' AND key = lower(hex(NEW.address))); END;
CREATE TRIGGER tell_given_new AFTER INSERT ON given WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT INTO dirty SELECT 'given', lower(hex(NEW.number)) WHERE NOT EXISTS (SELECT 1 FROM dirty WHERE name = 'given' AND key = lower(hex(NEW.number))); END;
CREATE TRIGGER tell_given_changed AFTER UPDATE OF relay_half, state, ended, receipt ON given WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT INTO dirty SELECT 'given', lower(hex(NEW.number)) WHERE NOT EXISTS (SELECT 1 FROM dirty WHERE name = 'given' AND key = lower(hex(NEW.number))); END;
CREATE TRIGGER tell_tag_new AFTER INSERT ON given_tag WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT INTO dirty SELECT 'tag', lower(hex(NEW.number)) || ':' || lower(hex(NEW.tag)) WHERE NOT EXISTS (SELECT 1 FROM dirty WHERE name = 'tag' AND key = lower(hex(NEW.number)) || ':' || lower(hex(NEW.tag))); END;
CREATE TRIGGER tell_opening_new AFTER INSERT ON opening WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT INTO dirty SELECT 'opening', lower(hex(NEW.number)) || ':' || NEW.position WHERE NOT EXISTS (SELECT 1 FROM dirty WHERE name = 'opening' AND key = lower(hex(NEW.number)) || ':' || NEW.position); END;
CREATE TRIGGER tell_visit_new AFTER INSERT ON visit WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT INTO dirty SELECT 'visit', lower(hex(NEW.number)) WHERE NOT EXISTS (SELECT 1 FROM dirty WHERE name = 'visit' AND key = lower(hex(NEW.number))); END;
CREATE TRIGGER tell_visit_changed AFTER UPDATE OF half, reader, state ON visit WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT INTO dirty SELECT 'visit', lower(hex(NEW.number)) WHERE NOT EXISTS (SELECT 1 FROM dirty WHERE name = 'visit' AND key = lower(hex(NEW.number))); END;
CREATE TRIGGER tell_visit_item_new AFTER INSERT ON visit_item WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT INTO dirty SELECT 'visit', lower(hex(NEW.number)) WHERE NOT EXISTS (SELECT 1 FROM dirty WHERE name = 'visit' AND key = lower(hex(NEW.number))); END;
CREATE TRIGGER tell_visit_item_changed AFTER UPDATE OF epoch, masked ON visit_item WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT INTO dirty SELECT 'visit', lower(hex(NEW.number)) WHERE NOT EXISTS (SELECT 1 FROM dirty WHERE name = 'visit' AND key = lower(hex(NEW.number))); END;
CREATE TRIGGER tell_deposit_new AFTER INSERT ON deposit WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT INTO dirty SELECT 'deposit', lower(hex(NEW.id)) WHERE NOT EXISTS (SELECT 1 FROM dirty WHERE name = 'deposit' AND key = lower(hex(NEW.id))); END;
CREATE TRIGGER tell_deposit_changed AFTER UPDATE OF state, document, why, sealed ON deposit WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT INTO dirty SELECT 'deposit', lower(hex(NEW.id)) WHERE NOT EXISTS (SELECT 1 FROM dirty WHERE name = 'deposit' AND key = lower(hex(NEW.id))); END;
CREATE TRIGGER tell_blob_new AFTER INSERT ON blob WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT INTO dirty SELECT 'blob', lower(hex(NEW.document)) || ':' || NEW.sha256 WHERE NOT EXISTS (SELECT 1 FROM dirty WHERE name = 'blob' AND key = lower(hex(NEW.document)) || ':' || NEW.sha256); END;
CREATE TRIGGER tell_file_new AFTER INSERT ON home_file WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT INTO dirty SELECT 'file', NEW.sealed_sha256 WHERE NOT EXISTS (SELECT 1 FROM dirty WHERE name = 'file' AND key = NEW.sealed_sha256); END;
CREATE TRIGGER tell_file_changed AFTER UPDATE OF token ON home_file WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT INTO dirty SELECT 'file', NEW.sealed_sha256 WHERE NOT EXISTS (SELECT 1 FROM dirty WHERE name = 'file' AND key = NEW.sealed_sha256); END;
CREATE TRIGGER tell_ins_new AFTER INSERT ON meta WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling') AND NEW.key = 'ins'
BEGIN INSERT INTO dirty SELECT 'meta', NEW.key WHERE NOT EXISTS (SELECT 1 FROM dirty WHERE name = 'meta' AND key = NEW.key); END;
CREATE TRIGGER tell_ins_changed AFTER UPDATE OF value ON meta WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling') AND NEW.key = 'ins'
BEGIN INSERT INTO dirty SELECT 'meta', NEW.key WHERE NOT EXISTS (SELECT 1 FROM dirty WHERE name = 'meta' AND key = NEW.key); END;
