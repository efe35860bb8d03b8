-- The ML-KEM key of a person, also when the newest card is a short one (spec/card.md).
ALTER TABLE person ADD COLUMN kem BLOB;
