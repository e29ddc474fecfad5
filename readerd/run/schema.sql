CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT;

CREATE TABLE assays (
  sha256 TEXT PRIMARY KEY,
  text   TEXT NOT NULL                  -- the file as it was when a plate was read with it
) STRICT;

CREATE TABLE runs (
  id          TEXT PRIMARY KEY,
  key         TEXT NOT NULL UNIQUE,     -- the idempotency key: one press, one run
  state       TEXT NOT NULL,
  plate       TEXT,                     -- barcode; NULL = read unidentified
  request     TEXT NOT NULL,            -- JSON of the Plan
  assay       TEXT NOT NULL REFERENCES assays (sha256),
  attempt     INTEGER NOT NULL,         -- 1, 2 ... for the same barcode
  accepted_at TEXT NOT NULL,
  started_at  TEXT,
  finished_at TEXT,
  failure     TEXT                      -- JSON of payload.Failure
) STRICT;
CREATE INDEX runs_by_plate ON runs (plate);

CREATE TABLE readings (
  run_id     TEXT NOT NULL REFERENCES runs (id),
  number     INTEGER NOT NULL,          -- 1; 2 = recovered later from the instrument's memory
  reading    TEXT,                      -- JSON of Delivered; NULL = the run delivered no plate
  raw        BLOB NOT NULL,             -- every byte that the instrument sent
  settling   BLOB NOT NULL,             -- how the reader was found and parked before
  transcript BLOB NOT NULL,             -- both directions with their times
  PRIMARY KEY (run_id, number)
) STRICT;

CREATE TABLE results (
  run_id   TEXT NOT NULL REFERENCES runs (id),
  revision INTEGER NOT NULL,
  event_id TEXT NOT NULL,
  basis    TEXT NOT NULL,               -- JSON of Basis: plate map, masks, why
  payload  BLOB NOT NULL,
  PRIMARY KEY (run_id, revision)
) STRICT;

CREATE TABLE outbox (
  row_id    INTEGER PRIMARY KEY AUTOINCREMENT, -- never reused, whatever retention takes
  stream    TEXT NOT NULL,              -- result | event
  sequence  INTEGER NOT NULL,
  topic     TEXT NOT NULL,              -- below the root topic
  event_id  TEXT NOT NULL,
  run_id    TEXT,
  payload   BLOB NOT NULL,              -- fixed when stored, never encoded again
  state     TEXT NOT NULL,
  stored_at TEXT NOT NULL,
  acked_at  TEXT,
  settled_at TEXT,                      -- retention counts from here
  pointer   TEXT,                       -- event that points at a result too large for the broker
  UNIQUE (stream, sequence)
) STRICT;
CREATE INDEX outbox_by_state ON outbox (state, row_id);
CREATE INDEX outbox_by_event ON outbox (event_id);
CREATE INDEX outbox_by_run ON outbox (run_id);
CREATE INDEX results_by_event ON results (event_id);

CREATE TABLE receipts (
  event_id TEXT NOT NULL,
  consumer TEXT NOT NULL,
  outcome  TEXT NOT NULL,               -- stored | duplicate | refused
  ref      TEXT NOT NULL,
  at       TEXT NOT NULL,
  PRIMARY KEY (event_id, consumer)
) STRICT;

CREATE TABLE audit (
  line     INTEGER PRIMARY KEY,
  at       TEXT NOT NULL,
  kind     TEXT NOT NULL,               -- result | event
  event_id TEXT NOT NULL,
  digest   BLOB NOT NULL,               -- SHA-256 of the message
  body     BLOB,                        -- the message, for events
  hash     BLOB NOT NULL                -- SHA-256 over the line before and this one
) STRICT;

CREATE TABLE commands (
  request_id TEXT PRIMARY KEY,
  at         TEXT NOT NULL,
  run_id     TEXT,                      -- the run whose end is still to be answered
  told       TEXT NOT NULL              -- JSON: to whom, and the answers, to be given again
) STRICT;
CREATE INDEX commands_by_run ON commands (run_id);

CREATE TABLE plate_maps (
  barcode TEXT PRIMARY KEY,
  at      TEXT NOT NULL,
  told    TEXT NOT NULL                 -- JSON of StoredMap: the newest that the LIMS sent
) STRICT;
