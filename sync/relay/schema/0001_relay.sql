CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

-- kind 1: mailbox, 2: trace of a grant
CREATE TABLE log (
    id INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    address BLOB NOT NULL,
    owner BLOB NOT NULL,
    length INTEGER NOT NULL,
    chain BLOB NOT NULL,
    time INTEGER NOT NULL,
    closed INTEGER,
    freed INTEGER NOT NULL
);
CREATE UNIQUE INDEX log_address ON log (address, kind);

-- id = log * 131072 + number: one tree, in reading order, without a second index
CREATE TABLE entry (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, hash BLOB NOT NULL, body BLOB);

-- finds a repeated message; traces have a counter instead
CREATE TABLE repeat (
    log INTEGER NOT NULL,
    hash BLOB NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (log, hash)
) WITHOUT ROWID;

-- kind 1: mailbox, 3: blob
CREATE TABLE token (
    kind INTEGER NOT NULL,
    parent INTEGER NOT NULL,
    hash BLOB NOT NULL,
    right TEXT NOT NULL,
    until INTEGER,
    PRIMARY KEY (kind, parent, hash)
) WITHOUT ROWID;

-- id: that of the trace in log
CREATE TABLE half (
    id INTEGER PRIMARY KEY,
    address BLOB NOT NULL UNIQUE,
    owner BLOB NOT NULL,
    reader BLOB NOT NULL,
    not_before INTEGER NOT NULL,
    until INTEGER NOT NULL,
    openings INTEGER,
    used INTEGER NOT NULL,
    counter INTEGER NOT NULL,
    made INTEGER NOT NULL,
    ended INTEGER,
    reason TEXT NOT NULL
);
CREATE INDEX half_due ON half (until) WHERE ended IS NULL;

CREATE TABLE blob (
    id INTEGER PRIMARY KEY,
    address BLOB NOT NULL UNIQUE,
    owner BLOB NOT NULL,
    size INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    file TEXT NOT NULL,
    made INTEGER NOT NULL
);
