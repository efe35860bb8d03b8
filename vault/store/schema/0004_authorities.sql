-- What a vault keeps of each authority that it pinned (spec/certificate.md). Certificates without a place in a log count no more.
DROP TABLE authority;
CREATE TABLE authority (
    sign BLOB PRIMARY KEY, name TEXT NOT NULL, data BLOB NOT NULL, pinned INTEGER NOT NULL, list BLOB NOT NULL, head BLOB NOT NULL,
    start INTEGER NOT NULL, peaks BLOB NOT NULL, leaves BLOB NOT NULL, first BLOB, second BLOB
);
-- heads of its log that came with certificates and that no bulletin covered yet
CREATE TABLE promised (sign BLOB NOT NULL, size INTEGER NOT NULL, head BLOB NOT NULL, PRIMARY KEY (sign, size)) WITHOUT ROWID;
UPDATE person SET certificate = NULL;
