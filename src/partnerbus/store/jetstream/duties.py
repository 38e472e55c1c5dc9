"""What the order decides of the copies of the tables in the cluster: whose turn it is, which one counts."""

from collections.abc import Sequence

import msgspec

from partnerbus.store.embedded.tables import Tables
from partnerbus.store.embedded.writer import Verb
from partnerbus.store.jetstream.likeness import Note


class Copying(msgspec.Struct, frozen=True, gc=False):
    """The argument of begin copy: a node wants to make one until `until`, as there is none after `after`."""

    after: int
    now: int
    until: int


class Copied(msgspec.Struct, frozen=True, gc=False):
    """The argument of end copy: there is one of the tables as they were after the message `sequence`.

    `note` is what was noted last in it (`likeness`).
    """

    sequence: int
    note: Note


class Copies(msgspec.Struct, frozen=True, gc=False):
    """What end copy leaves: the copy that counts, and the one before it (0: none)."""

    last: int
    previous: int


def _begin(tables: Tables, commands: Sequence[Copying]) -> list[bool]:
    return [_begin_one(tables, command) for command in commands]


def _begin_one(tables: Tables, command: Copying) -> bool:
    """Whether it is this node's turn: nobody has made a copy since, or is making one."""
    return (
        tables.connection.execute(
            "UPDATE journal SET copying_until = ? WHERE copied <= ? AND copying_until <= ?",
            (command.until, command.after, command.now),
        ).rowcount
        == 1
    )


def _end(tables: Tables, commands: Sequence[Copied]) -> list[Copies]:
    return [_end_one(tables, command) for command in commands]


def _end_one(tables: Tables, command: Copied) -> Copies:
    tables.connection.execute(
        "UPDATE journal SET copied_before = copied, copied = ?, copying_until = 0 WHERE copied < ?",
        (command.sequence, command.sequence),
    )
    return Copies(*tables.connection.execute("SELECT copied, copied_before FROM journal").fetchone())


BEGIN_COPY: Verb[Copying, bool] = Verb(_begin)
END_COPY: Verb[Copied, Copies] = Verb(_end)
