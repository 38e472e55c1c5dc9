"""The one thread that runs the stream's commands on this node's tables.

It takes all messages that wait (up to a bound), runs them in one transaction, and gives their results to the
event loop in one call: there the tail and the watchers learn of every command, whoever published it, and
callers of this node get their answers.
"""

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue

from partnerbus.kernel.errors import StoreUnavailable
from partnerbus.store.embedded.seen import Seen
from partnerbus.store.jetstream.news import tell
from partnerbus.store.jetstream.read_model import Fate, Heard, ReadModel, UnknownCommand, condemn
from partnerbus.store.protocol import News

GROUP_MESSAGES = 256
GROUP_BYTES = 8 * 1024 * 1024
"""The most that is run in one transaction: what bounds the time until its first message is answered."""

WAITING_BYTES = 64 * 1024 * 1024
"""What may wait for the thread before no more is asked of the stream."""

RETRY_SECONDS = 0.5


class Applier:
    """Runs messages in their order. `hear` and `close` belong to the event loop it was made in.

    `answered` is called in the event loop with each message that was run, in order; `failed` once, with what
    ended it.
    """

    def __init__(
        self,
        model: ReadModel,
        seen: Seen,
        answered: Callable[[Heard], None],
        failed: Callable[[StoreUnavailable], None],
    ) -> None:
        self._model = model
        self._seen = seen
        self._answered = answered
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._waiting: SimpleQueue[Heard | None] = SimpleQueue()
        self._left: deque[Heard] = deque()
        self._ends = threading.Event()
        self._progress = asyncio.Event()
        self.waiting_bytes = 0
        self.applied = model.applied
        """The sequence of the last message whose effects the event loop has seen."""
        self.news: News | None = None
        """Who is told of what other nodes have committed."""
        self.trouble = ""
        """Why nothing is run right now; empty if it is."""
        self._thread = threading.Thread(target=self._run, name="partnerbus-store-applier", daemon=True)
        self._thread.start()

    def hear(self, heard: Heard) -> None:
        """The next message of the stream."""
        self.waiting_bytes += heard.bytes
        self._waiting.put(heard)

    @property
    def has_room(self) -> bool:
        """Whether more may be asked of the stream."""
        return self.waiting_bytes < WAITING_BYTES

    async def reach(self, sequence: int) -> None:
        """Wait until the message `sequence` has been run."""
        while self.applied < sequence:
            await self._progress.wait()

    async def moved(self) -> None:
        """Wait until something more has been run."""
        await self._progress.wait()

    async def close(self) -> None:
        """Let the thread end; what waits may be left undone."""
        self._ends.set()
        self._waiting.put(None)
        await asyncio.shield(asyncio.to_thread(self._thread.join))
        await asyncio.sleep(0)  # its last answers are in the loop, before us

    # -- in the thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        while group := self._take():
            if not self._run_group(group):
                return
            try:
                self._loop.call_soon_threadsafe(self._answer, group)
            except RuntimeError:  # the loop was closed without us
                return

    def _take(self) -> list[Heard]:
        """The next group; none at the end."""
        while not self._left or not self._waiting.empty():
            heard = self._waiting.get()
            if heard is None:
                return []
            self._left.append(heard)
        group: list[Heard] = []
        size = 0
        while self._left and len(group) < GROUP_MESSAGES and size < GROUP_BYTES:
            group.append(self._left.popleft())
            size += group[-1].bytes
        return group

    def _run_group(self, group: Sequence[Heard]) -> bool:
        """Whether it was run in the end: a disk that refuses is asked again and again."""
        while not self._ends.is_set():
            try:
                self._model.run(group)
            except sqlite3.OperationalError as error:
                self.trouble = (
                    f"This node's tables at {self._model.path} cannot be written right now: {error}."
                )
                self._ends.wait(RETRY_SECONDS)
            except Exception as error:  # noqa: BLE001 - a thread's last stand
                self._give_up(error)
                return False
            else:
                self.trouble = ""
                return True
        return False

    def _give_up(self, error: Exception) -> None:
        if isinstance(error, UnknownCommand):
            reason = StoreUnavailable(str(error))
        else:
            reason = condemn(self._model.path, error)
        self._loop.call_soon_threadsafe(self._failed, reason)

    # -- in the event loop -----------------------------------------------------------------------------

    def _answer(self, group: Sequence[Heard]) -> None:
        for heard in group:
            self.waiting_bytes -= heard.bytes
            if heard.fate is Fate.RUN:
                self._see(heard)
            self._answered(heard)
        self.applied = group[-1].sequence
        self._progress.set()
        self._progress = asyncio.Event()

    def _see(self, heard: Heard) -> None:
        for run in heard.runs:
            if run.error is None and run.verb.effect is not None:
                run.verb.effect(self._seen, run.argument, run.result)
            if self.news is not None and run.error is None and heard.ours is None:
                tell(self.news, run)
