-- People, mailboxes, grants given and received, openings, deposits and the outbox (spec/storage.md).

CREATE TABLE relay (url TEXT PRIMARY KEY, verify_key BLOB NOT NULL, home INTEGER NOT NULL DEFAULT 0);

CREATE TABLE authority (sign BLOB PRIMARY KEY, name TEXT NOT NULL, data BLOB NOT NULL, pinned INTEGER NOT NULL);

CREATE TABLE person (
    id BLOB PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, card BLOB NOT NULL,
    certificate BLOB, met INTEGER NOT NULL DEFAULT 0, added INTEGER NOT NULL, used INTEGER NOT NULL
);

-- kind: inbox (mine), channel (a document of mine in one epoch).
CREATE TABLE mailbox (
    address BLOB PRIMARY KEY, relay TEXT NOT NULL, kind TEXT NOT NULL, owner BLOB, append BLOB, key BLOB,
    document BLOB, epoch INTEGER, state TEXT NOT NULL DEFAULT 'open', count INTEGER NOT NULL DEFAULT 0, chain BLOB NOT NULL
);
CREATE INDEX mailbox_document ON mailbox (document, epoch);
-- the chain as it was seen at each count, with the relay's signed word where there is one: what a forked relay is compared with
CREATE TABLE link (mailbox BLOB NOT NULL, position INTEGER NOT NULL, chain BLOB NOT NULL, signed BLOB, PRIMARY KEY (mailbox, position)) WITHOUT ROWID;
CREATE TABLE writer (mailbox BLOB NOT NULL, sign BLOB NOT NULL, name TEXT NOT NULL, role TEXT NOT NULL, "right" TEXT NOT NULL, PRIMARY KEY (mailbox, sign)) WITHOUT ROWID;
CREATE TABLE sender (mailbox BLOB NOT NULL, device BLOB NOT NULL, seq INTEGER NOT NULL, head BLOB NOT NULL, PRIMARY KEY (mailbox, device)) WITHOUT ROWID;
CREATE TABLE channel_actor (mailbox BLOB NOT NULL, actor BLOB NOT NULL, signer BLOB NOT NULL, PRIMARY KEY (mailbox, actor)) WITHOUT ROWID;
-- changes whose dependencies have not arrived yet
CREATE TABLE pending (mailbox BLOB NOT NULL, hash BLOB NOT NULL, claim BLOB NOT NULL, author TEXT NOT NULL, time INTEGER NOT NULL, PRIMARY KEY (mailbox, hash)) WITHOUT ROWID;
CREATE TABLE evidence (id INTEGER PRIMARY KEY, mailbox BLOB NOT NULL, envelope BLOB NOT NULL, why TEXT NOT NULL, detail TEXT NOT NULL, time INTEGER NOT NULL);
CREATE INDEX evidence_mailbox ON evidence (mailbox);

CREATE TABLE given (
    number BLOB PRIMARY KEY, person BLOB NOT NULL, sign BLOB NOT NULL, box BLOB NOT NULL, hash BLOB NOT NULL,
    name TEXT NOT NULL, role TEXT NOT NULL, body BLOB NOT NULL, half BLOB NOT NULL, relay_half BLOB,
    reader BLOB NOT NULL, owner BLOB NOT NULL, relay TEXT NOT NULL, "right" TEXT NOT NULL, purpose TEXT NOT NULL, made INTEGER NOT NULL,
    until INTEGER NOT NULL, state TEXT NOT NULL DEFAULT 'active', ended INTEGER, receipt BLOB, count INTEGER NOT NULL DEFAULT 0, chain BLOB NOT NULL,
    counter INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX given_state ON given (state, until);
CREATE TABLE given_item (number BLOB NOT NULL, position INTEGER NOT NULL, document BLOB NOT NULL, tag BLOB NOT NULL, title TEXT NOT NULL, PRIMARY KEY (number, position)) WITHOUT ROWID;
CREATE INDEX given_item_document ON given_item (document);
CREATE TABLE opening (
    number BLOB NOT NULL, position INTEGER NOT NULL, time INTEGER NOT NULL, entry BLOB NOT NULL, documents BLOB NOT NULL, why TEXT NOT NULL,
    state TEXT NOT NULL, detail TEXT NOT NULL DEFAULT '', PRIMARY KEY (number, position)
) WITHOUT ROWID;

CREATE TABLE visit (
    number BLOB PRIMARY KEY, issuer_sign BLOB NOT NULL, issuer_box BLOB NOT NULL, patient TEXT NOT NULL, "right" TEXT NOT NULL, purpose TEXT NOT NULL,
    not_before INTEGER NOT NULL, until INTEGER NOT NULL, offline INTEGER NOT NULL, relay TEXT NOT NULL, relay_key BLOB NOT NULL, grant_hash BLOB NOT NULL,
    half BLOB, reader BLOB, counter INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL DEFAULT 'open', received INTEGER NOT NULL
);
CREATE TABLE visit_item (
    number BLOB NOT NULL, document BLOB NOT NULL, epoch INTEGER NOT NULL, edition BLOB NOT NULL, tag BLOB NOT NULL, mailbox BLOB NOT NULL, wrap BLOB,
    opened INTEGER, PRIMARY KEY (number, document)
) WITHOUT ROWID;
-- only when the patient allowed it: an opened document kept for a visit without network, never past the end
CREATE TABLE kept (number BLOB NOT NULL, document BLOB NOT NULL, content BLOB NOT NULL, replica BLOB NOT NULL, until INTEGER NOT NULL, used INTEGER NOT NULL, PRIMARY KEY (number, document)) WITHOUT ROWID;
-- what a grantee wrote and the relay has not taken: written again when the document moved to another epoch
CREATE TABLE draft (
    id INTEGER PRIMARY KEY, number BLOB NOT NULL, document BLOB NOT NULL, epoch INTEGER NOT NULL, edits TEXT NOT NULL, refused INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX draft_document ON draft (number, document);

CREATE TABLE deposit (
    id BLOB PRIMARY KEY, sender BLOB NOT NULL, name TEXT NOT NULL, role TEXT NOT NULL, title TEXT NOT NULL, sealed BLOB, received INTEGER NOT NULL,
    state TEXT NOT NULL, document BLOB, why TEXT NOT NULL DEFAULT ''
);

CREATE TABLE blob (
    sha256 TEXT NOT NULL, document BLOB NOT NULL, address BLOB NOT NULL, owner BLOB NOT NULL, token BLOB NOT NULL, relay TEXT NOT NULL, PRIMARY KEY (document, sha256)
) WITHOUT ROWID;

-- files that grantees attached to documents of this vault and that lie at a relay alone
CREATE TABLE wanted (document BLOB NOT NULL, sha256 TEXT NOT NULL, relay TEXT NOT NULL, PRIMARY KEY (document, sha256)) WITHOUT ROWID;

-- what is still to be said to relays, in order; a grant's end goes before everything else. `belongs`: the grant it is for
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY, urgent INTEGER NOT NULL DEFAULT 0, relay TEXT NOT NULL, verb TEXT NOT NULL, address BLOB NOT NULL, arguments BLOB NOT NULL,
    payload BLOB, belongs BLOB
);
CREATE INDEX outbox_order ON outbox (urgent DESC, id);
CREATE INDEX outbox_belongs ON outbox (belongs) WHERE belongs IS NOT NULL;
