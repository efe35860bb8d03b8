-- Tags of renewals: each epoch of a grant's document has one of its own (spec/grant.md); those of the grant itself are in given_item.
CREATE TABLE given_tag (number BLOB NOT NULL, tag BLOB NOT NULL, document BLOB NOT NULL, PRIMARY KEY (number, tag)) WITHOUT ROWID;
