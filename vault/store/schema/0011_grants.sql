-- A document's key lies here masked, beside a label that it opens. What an earlier version kept in their place opens nothing
-- any more: such a grant has to be given again, or renewed.
DROP TRIGGER tell_visit_item_changed;
ALTER TABLE visit_item DROP COLUMN wrap;
ALTER TABLE visit_item ADD COLUMN masked BLOB;
ALTER TABLE visit_item ADD COLUMN label BLOB;
CREATE TRIGGER tell_visit_item_changed AFTER UPDATE OF epoch, masked ON visit_item WHEN EXISTS (SELECT 1 FROM meta WHERE key = 'telling')
BEGIN INSERT OR IGNORE INTO dirty VALUES ('visit', lower(hex(NEW.number))); END;

-- Every device tells its grants received in the new form.
INSERT OR IGNORE INTO dirty SELECT 'visit', lower(hex(number)) FROM visit WHERE EXISTS (SELECT 1 FROM meta WHERE key = 'telling');
-- What this vault gave is renewed in the new form with the next exchange: who has it goes on without a new grant.
INSERT OR IGNORE INTO owed SELECT DISTINCT document, 1 FROM given_item JOIN given USING (number) WHERE given.state = 'active';
-- A grant or renewal that is sealed in the earlier form and still waits to be sent would be refused: accesses are given anew.
INSERT OR REPLACE INTO meta SELECT 'anew', x'31' WHERE EXISTS
    (SELECT 1 FROM outbox JOIN given ON outbox.belongs = given.number WHERE outbox.verb = 'append' AND given.state = 'active');

-- A channel that closes takes back what was still to be said of it, without looking through everything else that waits.
CREATE INDEX outbox_address ON outbox (address);
