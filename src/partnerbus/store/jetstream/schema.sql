-- What a node's tables hold beside those of store/embedded/schema.sql.

-- Of which stream they are, and how far they have come.
CREATE TABLE journal (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    stream TEXT NOT NULL,           -- its id, not its name
    applied INTEGER NOT NULL,       -- the sequence of the last message that was run
    copied INTEGER NOT NULL,        -- that of the newest copy in the cluster, 0 if there is none
    copied_before INTEGER NOT NULL, -- that of the one before
    copying_until INTEGER NOT NULL, -- somebody makes one until then, 0 if nobody does
    taken_at INTEGER NOT NULL,      -- when the stream took that last message, in nanoseconds; 0 if there is none
    checksum INTEGER NOT NULL,      -- of what all messages did (`likeness.py`)
    noted INTEGER NOT NULL,         -- the message after which it was noted last, 0 if it never was
    noted_checksum INTEGER NOT NULL -- what it was then
) STRICT;

-- The opening of each node that counts.
CREATE TABLE nodes (
    node TEXT PRIMARY KEY,
    nonce INTEGER NOT NULL,
    epoch INTEGER NOT NULL UNIQUE,
    token INTEGER NOT NULL,         -- the last one drawn
    floor INTEGER NOT NULL,         -- its messages of lower numbers are run no more
    done TEXT NOT NULL              -- JSON, the higher numbers that were run
) STRICT, WITHOUT ROWID;
