-- Every statement of the roster that this device read, in whatever history; and the logs of the vault: a turn of a
-- history leads from one log to the next (spec/vault-channel.md, section 8).
CREATE TABLE statement (number INTEGER PRIMARY KEY, data BLOB NOT NULL UNIQUE, before BLOB NOT NULL);
-- the log that belongs to the epoch which the statement `head` began
CREATE TABLE vault_log (head BLOB PRIMARY KEY, mailbox BLOB NOT NULL) WITHOUT ROWID;
-- where in a log the turn that leads to the log `next` stands
CREATE TABLE turn_place (log BLOB NOT NULL, next BLOB NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (log, next)) WITHOUT ROWID;
-- the logs of the history that holds, in their order, and the place up to which each counts
CREATE TABLE path (log BLOB PRIMARY KEY, number INTEGER NOT NULL, upto INTEGER NOT NULL) WITHOUT ROWID;
-- up to where a log that counts no more was taken; again: from there on it is read once more
CREATE TABLE bookmark (log BLOB PRIMARY KEY, count INTEGER NOT NULL, chain BLOB NOT NULL, again INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE bookmark_sender (log BLOB NOT NULL, device BLOB NOT NULL, seq INTEGER NOT NULL, head BLOB NOT NULL, PRIMARY KEY (log, device)) WITHOUT ROWID;
-- the place of an edition in a log; lost: another one came before it there
CREATE TABLE placed (document BLOB NOT NULL, hash BLOB NOT NULL, log BLOB NOT NULL, position INTEGER NOT NULL, lost INTEGER NOT NULL, PRIMARY KEY (document, hash, log)) WITHOUT ROWID;
DELETE FROM meta WHERE key IN ('heard', 'turned', 'passed');
-- A copy that a visitor keeps belongs to the epoch in which it was opened.
ALTER TABLE kept ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE kept ADD COLUMN mailbox BLOB;
