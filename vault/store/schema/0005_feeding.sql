-- What an establishment fed: the journal of `elpis feed` (spec/feeding.md, section 3). It is written in the transaction that
-- queues the deposits in `outbox`; `fed_document.number` is their `belongs`.

-- why: the reason of a rejection. roster: the fingerprint of the roster under which it was made. body: a message, until relays have all of it
CREATE TABLE fed (
    content BLOB PRIMARY KEY, source TEXT NOT NULL, state TEXT NOT NULL, why TEXT NOT NULL DEFAULT '', detail TEXT NOT NULL DEFAULT '', roster BLOB NOT NULL,
    time INTEGER NOT NULL, body BLOB
) WITHOUT ROWID;
CREATE INDEX fed_rejected ON fed (time) WHERE state = 'rejected';
CREATE TABLE fed_document (
    patient BLOB NOT NULL, source_id TEXT NOT NULL, facts BLOB NOT NULL, number BLOB NOT NULL UNIQUE, content BLOB NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued', why TEXT NOT NULL DEFAULT '', PRIMARY KEY (patient, source_id)
) WITHOUT ROWID;
CREATE INDEX fed_document_content ON fed_document (content);
CREATE INDEX fed_document_open ON fed_document (state) WHERE state <> 'sent';
CREATE TABLE fed_file (path TEXT PRIMARY KEY, size INTEGER NOT NULL, changed INTEGER NOT NULL, content BLOB NOT NULL) WITHOUT ROWID;
