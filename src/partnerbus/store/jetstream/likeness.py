"""Whether a node's tables are those of the others: a checksum of what messages did, compared at every copy.

The checksum runs over the counters and over the rows of the logs that a message changed, so it costs some
microseconds a message. Two nodes that gave an event different positions, or counted it differently, have
different ones from then on. Every node notes it at the same messages. Whoever puts a copy of its tables on
the shelf says what was noted last in it, and a node that has noted something else ends.
"""

import sqlite3
from collections import OrderedDict
from struct import Struct
from zlib import crc32

import msgspec

from partnerbus.kernel.errors import PartnerbusError
from partnerbus.store.embedded.tables import Tables

NOTED_EVERY = 256
"""At so many sequences of the stream the checksum is noted: at the first message from each multiple on."""

NOTES_KEPT = 2_000
"""Enough for the messages that pass while a copy is made."""

_COUNTERS = Struct("<4q")
_LOG = Struct("<14q")


class Note(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What the checksum was after the message `sequence`; 0 is before the first note."""

    sequence: int = 0
    checksum: int = 0


class OtherTables(PartnerbusError):
    """This node's tables are not those of the copy that everybody begins with."""


class Likeness:
    """The checksum of the tables of a connection. Belongs to the thread that has it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._checksum = 0
        self._notes: OrderedDict[int, int] = OrderedDict()
        self.last = Note()
        self.forget()

    def forget(self) -> None:
        """Go back to what was committed."""
        self._checksum, *last = self._connection.execute(
            "SELECT checksum, noted, noted_checksum FROM journal"
        ).fetchone()
        self.last = Note(*last)
        while self._notes and next(reversed(self._notes)) > self.last.sequence:
            self._notes.popitem()

    def write(self) -> None:
        """To be called before a commit."""
        self._connection.execute(
            "UPDATE journal SET checksum = ?, noted = ?, noted_checksum = ?",
            (self._checksum, self.last.sequence, self.last.checksum),
        )

    def add(self, tables: Tables) -> None:
        """Commands have changed the tables, which have not written their logs yet."""
        counters = (tables.position, tables.stored_at, tables.revision, tables.token)
        self._checksum = crc32(_COUNTERS.pack(*counters), self._checksum)
        for log in tables.changed_logs:
            number, _name, *others = msgspec.structs.astuple(log)
            self._checksum = crc32(_LOG.pack(number, *others), self._checksum)

    def passed(self, sequence: int) -> None:
        """That message is through, whatever became of it."""
        if sequence // NOTED_EVERY > self.last.sequence // NOTED_EVERY:
            self.last = Note(sequence, self._checksum)
            self._notes[sequence] = self._checksum
            if len(self._notes) > NOTES_KEPT:
                self._notes.popitem(last=False)

    def compare(self, note: Note) -> None:
        """Raise `OtherTables` if another node has noted something else after the same message."""
        if self._notes.get(note.sequence, note.checksum) != note.checksum:
            raise OtherTables(
                f"since message {note.sequence} of the stream or before, they differ from the copy"
            )
