-- What an edition was started from (its parent and the heads of that, 32 bytes each), and the channel of the vault in
-- whose log it has its place.
ALTER TABLE edition ADD COLUMN parent BLOB;
ALTER TABLE edition ADD COLUMN heads BLOB NOT NULL DEFAULT x'';
ALTER TABLE edition ADD COLUMN log BLOB;
