-- The whole state of an embedded store, version 5 (PRAGMA user_version).
-- Instants are integer microseconds since 1970, UTC. Names are stored once and used by number.

-- What must never go back, even if the rows that carried it are gone.
CREATE TABLE state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    opened INTEGER NOT NULL,     -- how often the store was opened; the upper half of a claim's token
    position INTEGER NOT NULL,   -- the last position given, if no log's head is beyond it
    stored_at INTEGER NOT NULL,  -- the last instant stamped on a record, if no log's is later
    revision INTEGER NOT NULL    -- the last revision given
) STRICT;

INSERT INTO state VALUES (1, 0, 0, 0, 0);

-- A log: its head, and its side of the conservation ledger.
CREATE TABLE logs (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    head INTEGER NOT NULL,
    stored_at INTEGER NOT NULL,
    is_routed INTEGER NOT NULL,  -- 1 if anything was appended to it; 0 if the router alone filled it
    records INTEGER NOT NULL,    -- how many can be read
    bytes INTEGER NOT NULL,      -- of their bodies
    accepted INTEGER NOT NULL,
    unmatched INTEGER NOT NULL,
    matched INTEGER NOT NULL,
    owed INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    dead INTEGER NOT NULL,
    dropped INTEGER NOT NULL,
    cancelled INTEGER NOT NULL
) STRICT;

-- Lanes and subscriptions.
CREATE TABLE names (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- One position for all logs: it grows with every record, so new records are always at the end of the table.
CREATE TABLE records (
    position INTEGER PRIMARY KEY,
    log INTEGER NOT NULL,
    stored_at INTEGER NOT NULL,
    dedup_id BLOB NOT NULL,
    via TEXT,
    body BLOB NOT NULL,
    trimmed INTEGER NOT NULL,    -- 1 once only dead letters have it: it is in its log no longer
    minute INTEGER,              -- of the event's time, in minutes since 1970; NULL if it was not kept by a router
    checksum INTEGER NOT NULL    -- of the body at its position: SQLite does not see a bit that turned
) STRICT;

CREATE INDEX records_of_log ON records (log, trimmed);  -- an index ends with the row's key, the position
CREATE UNIQUE INDEX records_once ON records (dedup_id);
CREATE INDEX records_by_minute ON records (log, minute) WHERE minute IS NOT NULL;

CREATE TABLE cursors (
    log INTEGER NOT NULL,
    name TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (log, name)
) STRICT, WITHOUT ROWID;

-- By position, so that a router's commit writes neighbouring rows. `due_at` is when it may be claimed: the
-- retry's instant while it is owed, the end of the lease while it is claimed, NULL once it is settled; at the end
-- of time while an elder of the same subscription and key is not settled.
CREATE TABLE deliveries (
    position INTEGER NOT NULL REFERENCES records (position),
    subscription INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    state INTEGER NOT NULL,
    attempts_made INTEGER NOT NULL,
    due_at INTEGER,
    settled_at INTEGER,
    token INTEGER,               -- of the claim that holds it; NULL or negative if none does
    redriven INTEGER NOT NULL,   -- how often
    redriven_at INTEGER,         -- the last time; it is owed since then, or else since its record was stored
    attempts BLOB,               -- JSON, oldest first
    last BLOB,                   -- JSON, the last settlement
    key BLOB,                    -- what must be delivered in order; NULL if nothing must
    PRIMARY KEY (position, subscription)
) STRICT, WITHOUT ROWID;

-- `state` is here so that opening finds the claims of a dead process without a look at every owed row.
CREATE INDEX deliveries_due ON deliveries (lane, due_at, state) WHERE due_at IS NOT NULL;
CREATE INDEX deliveries_of_key ON deliveries (subscription, key, position) WHERE key IS NOT NULL AND due_at IS NOT NULL;
CREATE INDEX deliveries_of_subscription ON deliveries (subscription, position);
CREATE INDEX deliveries_dead ON deliveries (position, subscription) WHERE state = 3;
CREATE INDEX deliveries_dead_since ON deliveries (settled_at) WHERE state = 3;

CREATE TABLE registry (
    key TEXT PRIMARY KEY,
    value BLOB NOT NULL,
    revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
