-- What the vault knows about itself: name, birth, role, language, root public key, relay...
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

-- Keys, by name.
CREATE TABLE secret (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

-- One row per committed write transaction, oldest pruned: what the head file is compared with.
CREATE TABLE head (count INTEGER PRIMARY KEY, chain BLOB NOT NULL);

-- `number` never changes; `place` is the order of the timeline (date, then arrival) and the rowid of `search`.
CREATE TABLE document (
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    place INTEGER NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    title TEXT NOT NULL,
    type_code TEXT NOT NULL,
    class_code TEXT NOT NULL,
    date TEXT NOT NULL,
    author TEXT NOT NULL,
    confidentiality TEXT NOT NULL,
    counts TEXT NOT NULL,
    attachments TEXT NOT NULL,
    added INTEGER NOT NULL,
    shared INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX document_kind ON document (kind, place);
CREATE INDEX document_type ON document (type_code, place);

CREATE TABLE source (id TEXT PRIMARY KEY, document INTEGER NOT NULL REFERENCES document (number)) WITHOUT ROWID;

-- The flattened state, as JSON: what a reader sees, without opening the replica.
CREATE TABLE content (
    document INTEGER PRIMARY KEY REFERENCES document (number),
    state TEXT NOT NULL,
    conflicts TEXT NOT NULL
);

-- Which documents hold live entries of a kind.
CREATE TABLE holding (
    kind TEXT NOT NULL,
    document INTEGER NOT NULL REFERENCES document (number),
    PRIMARY KEY (kind, document)
) WITHOUT ROWID;
CREATE INDEX holding_document ON holding (document);

CREATE TABLE replica (
    document INTEGER PRIMARY KEY REFERENCES document (number),
    epoch INTEGER NOT NULL,
    actor BLOB NOT NULL,
    save BLOB NOT NULL
);

-- Replicas of ended epochs: the holder's own history, never given to anybody.
CREATE TABLE replica_archive (
    document INTEGER NOT NULL REFERENCES document (number),
    epoch INTEGER NOT NULL,
    actor BLOB NOT NULL,
    save BLOB NOT NULL,
    PRIMARY KEY (document, epoch)
);

-- Changes of shared documents (epoch >= 1). `deps` are concatenated 32-byte hashes; `pushed`: needs no envelope any more.
CREATE TABLE change (
    hash BLOB PRIMARY KEY,
    document BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    actor BLOB NOT NULL,
    seq INTEGER NOT NULL,
    deps BLOB NOT NULL,
    bytes BLOB NOT NULL,
    author TEXT NOT NULL,
    time INTEGER NOT NULL,
    pushed INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX change_document ON change (document, epoch);
CREATE INDEX change_unpushed ON change (pushed) WHERE pushed = 0;

-- Who writes under an Automerge actor id.
CREATE TABLE actor (actor BLOB PRIMARY KEY, name TEXT NOT NULL) WITHOUT ROWID;

-- Folded words only, nothing readable twice: excerpts are cut from `content`. The words come folded and parted by spaces,
-- so to `ascii` each is one token, and no query needs positions. A beginning that has its own index is read from the
-- newest on and no further than asked; one that has not (13 letters and more) is gathered whole first.
CREATE VIRTUAL TABLE search USING fts5 (
    words,
    content = '',
    contentless_delete = 1,
    detail = none,
    tokenize = 'ascii',
    prefix = '1 2 3 4 5 6 7 8 9 10 11 12'
);
