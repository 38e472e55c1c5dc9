"""The nodes of a store: which opening of each one counts, and what of it was run already.

An opening has a number, its epoch, that no other has. What was published by an opening that another one of
the same node has replaced is not run any more, however late it comes; the claims it held are due again at
once. So are those of a node that does not come back, when another one releases them.
"""

import sqlite3
from collections.abc import Sequence

import msgspec

from partnerbus.store.embedded import registry
from partnerbus.store.embedded.deliveries import CLAIMED, OWED
from partnerbus.store.embedded.tables import Tables
from partnerbus.store.embedded.writer import Verb

TOKENS = 32
"""The bits of a token below its epoch."""


class Opening(msgspec.Struct, frozen=True, gc=False):
    """The argument of open: the node's name, and a number that is drawn for this opening."""

    node: str
    nonce: int
    now: int


class NodeRow(msgspec.Struct):
    """What the tables know of the opening of a node that counts.

    `floor` and `done`: messages of a number below it, and these, are run no more.
    """

    epoch: int
    token: int
    floor: int
    done: set[int]


_decode_done = msgspec.json.Decoder(set[int]).decode
_SAVE = "UPDATE nodes SET token = ?, floor = ?, done = ? WHERE epoch = ?"
_RELEASE = (
    f"UPDATE deliveries INDEXED BY deliveries_due SET state = {OWED}, token = NULL, due_at = ? "  # noqa: S608
    f"WHERE due_at IS NOT NULL AND state = {CLAIMED} AND token >= ? AND token < ? "
    "RETURNING (SELECT name FROM names WHERE id = lane)"
)


class Nodes:
    """The openings that count, as the tables have them. Belongs to the thread that has the connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._rows: dict[int, NodeRow] = {}

    def row(self, epoch: int) -> NodeRow | None:
        """The node whose opening that is; None if another one has replaced it."""
        found = self._rows.get(epoch)
        if found is None:
            row = self._connection.execute(
                "SELECT epoch, token, floor, done FROM nodes WHERE epoch = ?", (epoch,)
            ).fetchone()
            if row is None:
                return None
            _, token, floor, done = row
            found = self._rows[epoch] = NodeRow(epoch, token, floor, _decode_done(done))
        return found

    def save(self, row: NodeRow) -> None:
        done = msgspec.json.encode(sorted(row.done)).decode()
        self._connection.execute(_SAVE, (row.token, row.floor, done, row.epoch))

    def forget(self) -> None:
        """What was read is perhaps no longer so."""
        self._rows.clear()


def _open(tables: Tables, commands: Sequence[Opening]) -> list[int]:
    return [_open_one(tables, command) for command in commands]


def _open_one(tables: Tables, command: Opening) -> int:
    """The epoch of this opening; a repeat of it gets the same."""
    known = tables.connection.execute(
        "SELECT epoch, nonce FROM nodes WHERE node = ?", (command.node,)
    ).fetchone()
    if known is not None and known[1] == command.nonce:
        return int(known[0])
    if known is not None:
        _release_claims(tables, known[0], command.now)
    tables.connection.execute("UPDATE state SET opened = opened + 1")
    epoch = int(tables.connection.execute("SELECT opened FROM state").fetchone()[0])
    tables.connection.execute(
        "INSERT OR REPLACE INTO nodes (node, nonce, epoch, token, floor, done) VALUES (?, ?, ?, ?, 1, '[]')",
        (command.node, command.nonce, epoch, epoch << TOKENS),
    )
    return epoch


OPEN: Verb[Opening, int] = Verb(_open)


class Releasing(msgspec.Struct, frozen=True, gc=False):
    """The argument of release: it is done if the value `key` of the registry has that revision."""

    node: str
    key: str
    revision: int
    now: int


def _release(tables: Tables, commands: Sequence[Releasing]) -> list[Sequence[str]]:
    return [_release_one(tables, command) for command in commands]


def _release_one(tables: Tables, command: Releasing) -> Sequence[str]:
    """The lanes in which something is due again."""
    found = registry.get(tables.connection, command.key)
    known = tables.connection.execute("SELECT epoch FROM nodes WHERE node = ?", (command.node,)).fetchone()
    if known is None or found is None or found.revision != command.revision:
        return ()
    return _release_claims(tables, known[0], command.now)


def _release_claims(tables: Tables, epoch: int, now: int) -> Sequence[str]:
    """Let every claim of an opening be due at once; its attempt stays counted."""
    first = epoch << TOKENS
    released = tables.connection.execute(_RELEASE, (now, first, first + (1 << TOKENS)))
    return sorted({lane for (lane,) in released.fetchall()})


RELEASE: Verb[Releasing, Sequence[str]] = Verb(_release)
