"""This node's tables: what the commands of the stream have made of them so far.

They are the embedded store's, and two of our own (`schema.sql`). They can be thrown away: a copy in the
cluster and the messages behind it make them again. So no commit waits for the disk, and each one says how far
it has come; what a power cut takes is run again.

All nodes must come to the same tables, so nothing may depend on a node: not on which messages it ran in one
transaction, nor on an attempt that its disk refused. Counters are written with every transaction, and after
one that was undone everything is read anew.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from enum import Enum, auto
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from partnerbus.kernel.errors import ConfigurationError, PartnerbusError, StoreError, StoreUnavailable
from partnerbus.store.embedded.database import connect, prepare
from partnerbus.store.embedded.tables import Tables
from partnerbus.store.embedded.writer import Verb
from partnerbus.store.jetstream.commands import BY_NAME, Message
from partnerbus.store.jetstream.duties import END_COPY
from partnerbus.store.jetstream.likeness import Likeness
from partnerbus.store.jetstream.nodes import Nodes
from partnerbus.store.protocol import Claimed

COMPANIONS = ("", "-wal", "-shm", "-journal")
"""What the names of SQLite's files for one database end with."""


OWN_ERRORS = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""What a command can bring about by itself, so on every node alike. Anything else is this node's trouble."""


class UnknownCommand(PartnerbusError):
    """The stream has what this partnerbus cannot read: a newer one writes to it."""


class DamagedTables(StoreUnavailable):
    """An event in this node's tables is not what was stored."""


class Run:
    """A command, and what running it gave. `argument` is decoded only when it is run, unless it is ours."""

    __slots__ = ("argument", "error", "result", "verb")

    def __init__(self, verb: Verb[Any, Any], argument: Any) -> None:
        self.verb = verb
        self.argument = argument
        self.result: Any = None
        self.error: Exception | None = None


class Fate(Enum):
    """What became of a message."""

    RUN = auto()
    REPEATED = auto()
    REPLACED = auto()
    """It is from an opening of a node that another one has replaced."""


class Heard:
    """A message of the stream on its way through this node.

    `ours` are its commands as they were submitted, if it is ours. `runs` are they, or those that it was
    decoded into, in the order in which they were run.
    """

    __slots__ = ("bytes", "fate", "message", "ours", "runs", "sequence", "taken_at")

    def __init__(
        self, sequence: int, taken_at: int, message: Message, size: int, ours: Sequence[Run] | None
    ) -> None:
        self.sequence = sequence
        self.taken_at = taken_at
        self.message = message
        self.bytes = size
        self.ours = ours
        self.runs: Sequence[Run] = ()
        self.fate = Fate.RUN


class ReadModel:
    """The tables at `path`. Belongs to one thread at a time. Make it with `open_tables`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.connection = connection
        self._nodes = Nodes(connection)
        self._likeness = Likeness(connection)
        self.is_current = False
        """Whether it has come as far as the stream: what it reads from then on was not there at its start."""
        self._is_stale = False
        self._read_anew()
        self.applied: int
        self.taken_at: int
        self.applied, self.taken_at = connection.execute("SELECT applied, taken_at FROM journal").fetchone()

    def run(self, messages: Sequence[Heard]) -> None:
        """Run messages that follow each other, and commit.

        Raises what is this node's trouble: then none or some were run, and those are left alone when all are
        given again. A command's own error is its result.
        """
        if self._is_stale:
            self._undo()
        messages = [heard for heard in messages if heard.sequence > self.applied]
        if not messages:
            return
        try:
            with self._transaction(messages[-1]):
                for heard in messages:
                    self._run_message(heard)
                    self._likeness.passed(heard.sequence)
        except OWN_ERRORS:  # which must not be the others'
            for heard in messages:
                if heard.sequence > self.applied:
                    self._run_alone(heard)

    @contextmanager
    def _transaction(self, last: Heard) -> Iterator[None]:
        """The tables are those after the message `last`, or unchanged."""
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            yield
            self._commit(last)
        except BaseException:
            self._undo()
            raise

    def _commit(self, last: Heard) -> None:
        self.tables.write_counters()
        self._likeness.write()
        place = (last.sequence, last.taken_at)
        self.connection.execute("UPDATE journal SET applied = ?, taken_at = ?", place)
        self.connection.execute("COMMIT")
        self.applied, self.taken_at = place

    def _undo(self) -> None:
        self._is_stale = True  # until everything was read anew, which a disk may refuse, too
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")
        self._likeness.forget()
        self._read_anew()

    def _read_anew(self) -> None:
        tables = Tables(self.connection)  # the old one remembers counters that were never committed
        tables.forget()
        self._nodes.forget()
        self.tables, self._is_stale = tables, False

    # -- a message -------------------------------------------------------------------------------------

    def _run_message(self, heard: Heard) -> None:
        """Run all its commands, those of a verb together."""
        message = heard.message
        if not self._is_new(heard):
            return
        by_verb: dict[Verb[Any, Any], list[Run]] = {}
        for run in _decoded(heard):
            by_verb.setdefault(run.verb, []).append(run)
        self._begin_message(message)
        for verb, runs in by_verb.items():
            self._run_verb(verb, runs)
        self._likeness.add(self.tables)
        self.tables.flush()  # what comes next in the transaction must find it, as if it were another one
        heard.runs = [run for runs in by_verb.values() for run in runs]
        self._note_done(message)

    def _run_alone(self, heard: Heard) -> None:
        """Run a message in a transaction of its own; if one of its commands fails, each one apart."""
        try:
            with self._transaction(heard):
                self._run_message(heard)
                self._likeness.passed(heard.sequence)
        except OWN_ERRORS:
            with self._transaction(heard):
                self._run_apart(heard)
                self._likeness.passed(heard.sequence)

    def _run_apart(self, heard: Heard) -> None:
        self._begin_message(heard.message)
        for run in (runs := _decoded(heard)):
            self._run_one(run)
        heard.runs = runs
        self._note_done(heard.message)

    def _run_one(self, run: Run) -> None:
        token = self.tables.token
        self.connection.execute("SAVEPOINT command")
        try:
            self._run_verb(run.verb, [run])
            self._likeness.add(self.tables)
            self.tables.flush()
            self.tables.write_counters()
        except OWN_ERRORS as error:
            self.connection.execute("ROLLBACK TO command")
            self._read_anew()
            self.tables.token = token
            run.error = _as_callers(error)
        self.connection.execute("RELEASE command")

    def _run_verb(self, verb: Verb[Any, Any], runs: Sequence[Run]) -> None:
        try:
            results = verb.run(self.tables, [run.argument for run in runs])
        except msgspec.DecodeError as error:  # of what is stored: of commands, `_decoded` reads everything
            raise DamagedTables(str(error)) from None
        if verb is END_COPY and self.is_current:
            for run in runs:
                self._likeness.compare(run.argument.note)
        for run, result in zip(runs, results, strict=True):
            if isinstance(result, Claimed) and result.damaged:
                raise DamagedTables  # here only: another node has the event as it was stored
            run.result, run.error = (None, result) if isinstance(result, StoreError) else (result, None)

    def _is_new(self, heard: Heard) -> bool:
        message = heard.message
        if not message.epoch:  # somebody is just opening: that may be run again and again
            return True
        row = self._nodes.row(message.epoch)
        if row is None:
            heard.fate = Fate.REPLACED
        elif message.number < row.floor or message.number in row.done:
            heard.fate = Fate.REPEATED
        else:
            return True
        return False

    def _begin_message(self, message: Message) -> None:
        row = self._nodes.row(message.epoch)
        self.tables.token = row.token if row is not None else 0

    def _note_done(self, message: Message) -> None:
        row = self._nodes.row(message.epoch)
        if row is None:
            self._nodes.forget()  # it opened a node, so a row we know may count no more
        else:
            row.token = self.tables.token
            row.floor = max(row.floor, message.floor)
            row.done = {number for number in {*row.done, message.number} if number >= row.floor}
            self._nodes.save(row)


def _decoded(heard: Heard) -> Sequence[Run]:
    """The commands in the order of the message, ours as they were submitted here."""
    if heard.ours is not None:
        return heard.ours
    runs = []
    for name, raw in heard.message.commands:
        kind = BY_NAME.get(name)
        if kind is None:
            raise UnknownCommand(f"The stream has a command, {name}, that only a newer partnerbus knows.")
        try:
            runs.append(Run(kind.verb, kind.decode(raw)))
        except msgspec.DecodeError as error:
            raise UnknownCommand(f"The stream has a command, {name}, that cannot be read: {error}.") from None
    return runs


def _as_callers(error: Exception) -> Exception:
    if isinstance(error, sqlite3.IntegrityError):
        return ValueError(f"The store's own rules forbid this: {error}")
    return error


# -- opening -----------------------------------------------------------------------------------------------


def open_tables(path: Path, stream: str) -> ReadModel:
    """The tables at `path` if they are of the stream with the id `stream`; else new and empty ones."""
    try:
        found = _open(path, stream)
    except (ConfigurationError, sqlite3.DatabaseError):
        found = None  # older, newer or damaged: it is only a copy
    if found is None:
        remove_tables(path)
        found = _open(path, stream)
    assert found is not None
    return found


def adopt_tables(path: Path, stream: str, applied: int) -> None:
    """Let a whole file of an embedded store be the tables after the message `applied`; others stay."""
    connection = prepare(path)
    try:
        if not _has_journal(connection):
            _create(connection, stream, applied)
    finally:
        connection.close()


def condemn(path: Path, found: Exception) -> StoreUnavailable:
    """Let the next start make the tables anew, from any thread; what ends the store because of `found`.

    A disk that takes nothing any more leaves them as they are: whoever meets `found` next tries again.
    """
    with suppress(sqlite3.Error), closing(connect(path)) as connection:
        connection.execute("UPDATE journal SET stream = ''")
    return StoreUnavailable(
        f"This node's tables at {path} cannot be used any more ({found}): "
        "start the node again, and it makes them anew."
    )


def was_left_open(path: Path) -> bool:
    """Whether a process that had a file of that name open was killed."""
    return any(path.with_name(path.name + end).exists() for end in COMPANIONS if end)


def remove_tables(path: Path) -> None:
    """Throw the tables away."""
    for end in COMPANIONS:
        path.with_name(path.name + end).unlink(missing_ok=True)


def _open(path: Path, stream: str) -> ReadModel | None:
    connection = prepare(path)
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        if not _has_journal(connection):
            _create(connection, stream, 0)
        if connection.execute("SELECT stream FROM journal").fetchone()[0] != stream:
            connection.close()
            return None
        return ReadModel(path, connection)
    except BaseException:
        connection.close()
        raise


def _has_journal(connection: sqlite3.Connection) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'journal'").fetchone()
    return found is not None


def _create(connection: sqlite3.Connection, stream: str, applied: int) -> None:
    schema = resources.files(__package__).joinpath("schema.sql").read_text("utf-8")
    connection.executescript(f"BEGIN IMMEDIATE; {schema}")
    connection.execute("INSERT INTO journal VALUES (1, ?, ?, 0, 0, 0, 0, 0, 0, 0)", (stream, applied))
    connection.execute("COMMIT")
