-- What is remembered of the channel of a granted document lies under issuer, key of the relay and address: the address alone
-- is the issuer's word, and might be that of a mailbox of this vault.
INSERT OR IGNORE INTO link
    SELECT CAST(visit.issuer_sign || visit.relay_key || link.mailbox AS BLOB), link.position, link.chain, link.signed
    FROM link JOIN visit_item ON visit_item.mailbox = link.mailbox JOIN visit USING (number) WHERE visit.state = 'open';
INSERT OR IGNORE INTO sender
    SELECT CAST(visit.issuer_sign || visit.relay_key || sender.mailbox AS BLOB), sender.device, sender.seq, sender.head
    FROM sender JOIN visit_item ON visit_item.mailbox = sender.mailbox JOIN visit USING (number) WHERE visit.state = 'open';
DELETE FROM link WHERE mailbox IN (SELECT mailbox FROM visit_item) AND mailbox NOT IN (SELECT address FROM mailbox);
DELETE FROM sender WHERE mailbox IN (SELECT mailbox FROM visit_item) AND mailbox NOT IN (SELECT address FROM mailbox);
-- When what came for a wanted file was something else: it may be as large as it likes, so it is fetched once a day.
ALTER TABLE wanted ADD COLUMN failed INTEGER NOT NULL DEFAULT 0;
-- What relays signed has room of its own among the evidence of a mailbox.
ALTER TABLE evidence ADD COLUMN signed INTEGER NOT NULL DEFAULT 0;
