"""The one thread that writes.

Commands wait in one queue, where each turn of the event loop puts what it gathered: requests that arrived
together are one group. The thread takes all that wait (up to a bound), runs them in one transaction and
commits it: with `synchronous=FULL` if any of them promised the disk, with NORMAL otherwise. A WAL is written
in the order of its commits, so the first FULL commit also carries every NORMAL one before it to the disk,
and a power cut takes a tail of NORMAL commits and nothing else.

The commands of a group are concurrent (none has been answered), so a group runs verb by verb, which lets a
verb put the rows of many callers into one statement. Their results reach the event loop in one call.

A refusal (`RevisionConflict`) is a command's result and was decided before it wrote. Any other error of a
command undoes the group, and its commands then run one by one, so that it fails alone. When SQLite itself
refuses (disk full, input/output error) the whole group fails with `StoreUnavailable`.

After an input/output error nobody knows which of the WAL's pages are on disk: the kernel may have dropped
them and say nothing at the next fsync. So nothing is acknowledged until a checkpoint has moved the whole WAL
into the database and synced that (`checkpoints`).
"""

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

import msgspec

from partnerbus.kernel.errors import StoreError, StoreUnavailable
from partnerbus.kernel.failpoints import Failpoint, FailpointError, Failpoints
from partnerbus.store.embedded.checkpoints import Checkpoints
from partnerbus.store.embedded.database import is_io_error, unavailable
from partnerbus.store.embedded.seen import Seen
from partnerbus.store.embedded.tables import Tables

A = TypeVar("A")
T = TypeVar("T")

GROUP_COMMANDS = 512
GROUP_BYTES = 4 * 1024 * 1024
"""The largest group: what bounds the time that its first command waits for its last."""


class Verb(Generic[A, T]):
    """A kind of command. `run` does many at once, in order, and gives a result or a refusal for each.

    `effect` is what one that was committed changes in the event loop.
    """

    def __init__(
        self,
        run: Callable[[Tables, Sequence[A]], Sequence[T | StoreError]],
        *,
        on_disk: bool = False,
        before: Failpoint | None = None,
        committed: Failpoint | None = None,
        effect: Callable[[Seen, A, T], None] | None = None,
    ) -> None:
        self.run = run
        self.on_disk = on_disk
        self.before = before
        self.committed = committed
        self.effect = effect


class Command(Generic[A, T]):
    """One call of a verb, and who waits for it."""

    __slots__ = ("argument", "done", "error", "is_done", "result", "verb", "weight")

    def __init__(self, verb: Verb[A, T], argument: A, weight: int, done: asyncio.Future[T]) -> None:
        self.verb = verb
        self.argument = argument
        self.weight = weight
        self.done = done
        self.result: T | None = None
        self.error: Exception | None = None
        self.is_done = False


AnyCommand = Command[Any, Any]


class Writer:
    """Runs commands in groups. `submit` and `close` belong to the event loop it was made in."""

    def __init__(
        self, tables: Tables, checkpoints: Checkpoints, path: Path, failpoints: Failpoints, seen: Seen
    ) -> None:
        self._tables = tables
        self._checkpoints = checkpoints
        self._seen = seen
        self._connection = tables.connection
        self._path = path
        self._failpoints = failpoints
        self._loop = asyncio.get_running_loop()
        self._gathered: list[AnyCommand] = []
        self._waiting: SimpleQueue[list[AnyCommand] | None] = SimpleQueue()
        self._left: deque[AnyCommand] = deque()
        self._is_last = False
        self._closed = False
        self._synchronous = ""
        self.pending_bytes = 0
        self._thread = threading.Thread(target=self._run, name="partnerbus-store-writer", daemon=True)
        self._thread.start()

    def submit(self, verb: Verb[A, T], argument: A, weight: int = 0) -> asyncio.Future[T]:
        """Queue a command. It runs even if the future is cancelled."""
        if self._closed:
            raise StoreUnavailable("The store is closed.")
        done: asyncio.Future[T] = self._loop.create_future()
        self.pending_bytes += weight
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered.append(Command(verb, argument, weight, done))
        return done

    def _hand_over(self) -> None:
        """Give the thread what this turn of the event loop gathered, so that it is one group."""
        if self._gathered:
            self._waiting.put(self._gathered)
            self._gathered = []

    async def close(self) -> None:
        """Run what was submitted, then end the thread."""
        if not self._closed:
            self._closed = True
            self._hand_over()
            self._waiting.put(None)
        await asyncio.shield(asyncio.to_thread(self._thread.join))
        await asyncio.sleep(0)  # the last group's answers are in the loop, before us

    # -- in the thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        while group := self._take():
            self._write(group)
            try:
                self._loop.call_soon_threadsafe(self._answer, group)
            except RuntimeError:  # the loop was closed without us: nobody is left to be answered
                return
            self._checkpoints.look()

    def _take(self) -> list[AnyCommand]:
        """The next group; none once the last command was taken."""
        while not self._is_last and (not self._left or not self._waiting.empty()):
            commands = self._waiting.get()
            if commands is None:
                self._is_last = True
            else:
                self._left.extend(commands)
        group: list[AnyCommand] = []
        weight = 0
        while self._left and len(group) < GROUP_COMMANDS and weight < GROUP_BYTES:
            group.append(self._left.popleft())
            weight += group[-1].weight
        return group

    def _write(self, group: list[AnyCommand]) -> None:
        """Commit the group, or give each of its commands an error."""
        try:
            self._restore_trust()
            self._transact(group)
        except sqlite3.OperationalError as error:
            self._checkpoints.is_suspect |= is_io_error(error)
            self._fail(group, unavailable(self._path, error))
        except FailpointError as error:
            self._fail(group, unavailable(self._path, error))
        except Exception as error:  # noqa: BLE001 - a thread's last stand: it becomes the callers' error
            self._undo()
            if len(group) > 1:
                for command in group:
                    self._write([command])
            elif isinstance(error, sqlite3.IntegrityError):
                self._fail(group, ValueError(f"The store's own rules forbid this: {error}"))
            elif isinstance(error, sqlite3.Error | msgspec.DecodeError):
                self._fail(group, unavailable(self._path, error))
            else:
                self._fail(group, error)

    def _transact(self, group: list[AnyCommand]) -> None:
        self._set_durability(on_disk=any(command.verb.on_disk for command in group))
        self._connection.execute("BEGIN IMMEDIATE")
        by_verb: dict[Verb[Any, Any], list[AnyCommand]] = {}
        for command in group:
            by_verb.setdefault(command.verb, []).append(command)
        group[:] = [command for commands in by_verb.values() for command in commands]
        for verb, commands in by_verb.items():
            self._run_verb(verb, commands)
        self._tables.flush()
        self._pass(group, "before")
        self._connection.execute("COMMIT")
        try:
            self._checkpoints.raise_if_suspect()
            self._pass(group, "committed")
        except (FailpointError, sqlite3.OperationalError) as error:
            for command in group:
                command.error = unavailable(self._path, error)  # it is stored, but nobody is told so

    def _run_verb(self, verb: Verb[Any, Any], commands: list[AnyCommand]) -> None:
        results = verb.run(self._tables, [command.argument for command in commands])
        for command, result in zip(commands, results, strict=True):
            if isinstance(result, StoreError):
                command.error, command.is_done = result, False
            else:
                command.result, command.error, command.is_done = result, None, True

    def _set_durability(self, *, on_disk: bool) -> None:
        wanted = "FULL" if on_disk else "NORMAL"
        if wanted != self._synchronous:
            self._connection.execute(f"PRAGMA synchronous = {wanted}")
            self._synchronous = wanted

    def _restore_trust(self) -> None:
        if self._checkpoints.is_suspect:
            self._checkpoints.restore_trust()
            self._tables.forget()

    def _pass(self, group: list[AnyCommand], moment: str) -> None:
        for command in group:
            failpoint = getattr(command.verb, moment)
            if failpoint is not None:
                self._failpoints.hit(failpoint)

    def _fail(self, group: list[AnyCommand], error: Exception) -> None:
        self._undo()
        for command in group:
            own = type(error)(str(error)) if isinstance(error, StoreError) else error
            command.result, command.error, command.is_done = None, own, False

    def _undo(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._tables.forget()
        except sqlite3.Error:
            self._checkpoints.is_suspect = True

    # -- in the event loop -----------------------------------------------------------------------------

    def _answer(self, group: list[AnyCommand]) -> None:
        for command in group:
            self.pending_bytes -= command.weight
            if command.is_done and command.verb.effect is not None:
                command.verb.effect(self._seen, command.argument, command.result)
            if command.done.done():
                continue
            if command.error is not None:
                command.done.set_exception(command.error)
            else:
                command.done.set_result(command.result)
