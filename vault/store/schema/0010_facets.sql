-- The index also holds who wrote a document and its type, as words of their own. It is filled again at the next unlocking.
INSERT INTO meta (key, value) SELECT 'index-again', x'01' WHERE EXISTS (SELECT 1 FROM document);
