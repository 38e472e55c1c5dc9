"""Watches what the writer tells SQLite."""

import threading

from partnerbus.store.embedded import EmbeddedStore


class Commits:
    """`levels` has the `synchronous` in force at each commit; `began` is set once a transaction begins.

    `checkpoints_at` has, for each checkpoint that was asked for, how many commits there were before it;
    `waits_for_readers` is set once one was that waits for them.
    """

    def __init__(self, level: str) -> None:
        self.levels: list[str] = []
        self.checkpoints_at: list[int] = []
        self.began = threading.Event()
        self.waits_for_readers = threading.Event()
        self._level = level

    def __call__(self, statement: str) -> None:
        if statement.startswith("PRAGMA synchronous"):
            self._level = statement.rpartition(" ")[2]
        elif statement.startswith("BEGIN"):
            self.began.set()
        elif statement.startswith("PRAGMA wal_checkpoint"):
            self.checkpoints_at.append(len(self.levels))
            if "RESTART" in statement:
                self.waits_for_readers.set()
        elif statement == "COMMIT":
            self.levels.append(self._level)


_LEVELS = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}


def commits(store: EmbeddedStore) -> Commits:
    """Watch the commits of `store` from now on. Call it while the writer has nothing to do."""
    connection = store._tables.connection
    seen = Commits(_LEVELS[connection.execute("PRAGMA synchronous").fetchone()[0]])
    connection.set_trace_callback(seen)
    return seen
