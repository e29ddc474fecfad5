-- A message's bytes leave its row: SQLite writes a whole row anew when one column changes, so each
-- acknowledgement had written the payload's 30 kB once more.
CREATE TABLE bodies (
  row_id  INTEGER PRIMARY KEY REFERENCES outbox ON DELETE CASCADE,
  payload BLOB NOT NULL                 -- fixed when stored, never encoded again
) STRICT;
INSERT INTO bodies SELECT row_id, payload FROM outbox;
ALTER TABLE outbox DROP COLUMN payload;
