"""This node's share of the order: it reads the stream, and its tables follow.

What ends it (a gap in the stream, tables that are damaged, another process that is this node) ends the store:
nothing is written or answered any more, and a new start begins anew.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from datetime import timedelta
from secrets import randbits
from typing import Any

import msgspec

from partnerbus.kernel.clock import Clock
from partnerbus.kernel.errors import StoreUnavailable
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.store.embedded.database import to_micros
from partnerbus.store.embedded.seen import Seen
from partnerbus.store.embedded.table_store import TAIL_BYTES
from partnerbus.store.embedded.tail import Tail
from partnerbus.store.jetstream.applier import Applier
from partnerbus.store.jetstream.commands import BY_VERB, Message, encode
from partnerbus.store.jetstream.copies import COPY_FAILURES, Room
from partnerbus.store.jetstream.follower import Follower, Place
from partnerbus.store.jetstream.nodes import OPEN, Opening
from partnerbus.store.jetstream.publisher import ANSWER_AFTER, PATIENCE, Publisher
from partnerbus.store.jetstream.read_model import DamagedTables, Fate, Heard, ReadModel, condemn
from partnerbus.store.jetstream.session import ApiError, Session
from partnerbus.store.jetstream.stream import Stream
from partnerbus.store.protocol import News

CANCEL_EVERY = timedelta(milliseconds=100)

STANDSTILL = timedelta(seconds=30)
"""How long catching up may stand still at the start."""

CATCH_UP_PATIENCE = timedelta(seconds=1)
"""How long a caller waits for what other nodes have just done, while the cluster has no leader, say."""


class Replica:
    """Follows the stream from where `model` is. `start` begins, `close` ends."""

    def __init__(self, session: Session, stream: Stream, model: ReadModel, clock: Clock) -> None:
        self._session = session
        self._stream = stream
        self._clock = clock
        self.model = model
        self.seen = Seen(Tail({name: log.head for name, log in model.tables.logs.items()}, TAIL_BYTES))
        self._applier = Applier(model, self.seen, self._answered, self._fail)
        self._follower = Follower(
            session, stream, model.applied, model.taken_at, self._hear, lambda: self._applier.has_room
        )
        self._publisher: Publisher | None = None
        self._epochs: dict[int, asyncio.Future[int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.failure: StoreUnavailable | None = None
        self._failed = asyncio.Event()

    async def start(self, node: str, failpoints: Failpoints) -> Publisher:
        """Catch up, become the opening of `node` that counts, and give what publishes for it."""
        await self.follow()
        self.model.is_current = True
        epoch = await self._announce(node)
        publisher = Publisher(self._session, self._stream.subject, epoch, failpoints)
        await publisher.start()
        self.run_beside(publisher.run())
        self._publisher = publisher
        return publisher

    async def follow(self) -> None:
        """Begin to read, and come as far as the stream is now."""
        self.run_beside(self._follower.run())
        self._session.reconnected = self._reconnected
        self._session.closed = self._fail
        await self._catch_up((await self._stream.state()).last_seq)

    def listen(self, news: News) -> None:
        """Tell `news` of what other nodes have committed."""
        self._applier.news = news

    async def catch_up(self) -> None:
        """Let everything that the stream has by now be seen in the event loop, if that takes no longer than
        `CATCH_UP_PATIENCE`."""
        with suppress(ApiError, StoreUnavailable, TimeoutError):
            async with self._session.clock.timeout(CATCH_UP_PATIENCE):
                await self._applier.reach((await self._stream.state()).last_seq)
                await asyncio.sleep(0)  # who watches was woken before us, perhaps in this very turn

    async def condemn(self, found: Exception) -> StoreUnavailable:
        """End the store because of `found` in its tables, which others have whole; gives why it ended."""
        reason = await asyncio.to_thread(condemn, self.model.path, found)
        self._fail(reason)
        return self.failure or reason

    async def close(self) -> None:
        """Read no more."""
        while alive := [task for task in self._tasks if not task.done()]:
            for task in alive:
                task.cancel()  # again: Python 3.11's `wait_for` forgets one that comes with the result
            with suppress(TimeoutError):
                async with self._session.clock.timeout(CANCEL_EVERY):
                    await asyncio.wait(alive)
        await self._applier.close()

    async def lost(self) -> str:
        """Wait until it has failed; why."""
        await self._failed.wait()
        return str(self.failure)

    def run_beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Let `work` run until the end; if it fails, so does the store."""
        task = asyncio.get_running_loop().create_task(self._watched(work))
        self._tasks.add(task)

    async def _watched(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except DamagedTables as error:
            await self.condemn(error)
        except Exception as error:  # noqa: BLE001 - without this work the store is none
            self._fail(StoreUnavailable(str(error) or repr(error)))

    def _fail(self, reason: StoreUnavailable) -> None:
        if self.failure is None:
            self.failure = reason
        self._failed.set()
        if self._publisher is not None:
            self._publisher.end(reason)
        self.seen.watchers.close()
        self.seen.tail.wake_all()

    # -- opening ---------------------------------------------------------------------------------------

    async def _catch_up(self, sequence: int) -> None:
        while self._applier.applied < sequence:
            before = self._applier.applied
            await self._any(self._applier.moved(), STANDSTILL)
            if self._applier.applied == before:
                trouble = self._applier.trouble or f"The stream {self._stream.name} cannot be read right now."
                raise self.failure or StoreUnavailable(trouble)

    async def _announce(self, node: str) -> int:
        """Say in the stream that we are `node` now; the number of this opening."""
        nonce = randbits(62) | 1
        opening = encode(Opening(node, nonce, to_micros(self._clock.now())))
        commands = [(BY_VERB[OPEN].name, msgspec.Raw(opening))]
        payload = encode(Message(0, nonce, 0, commands))
        epoch: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._epochs[nonce] = epoch
        until = self._session.clock.now() + PATIENCE
        while not epoch.done():
            refusal = await self._session.offer(self._stream.subject, payload)
            if self.failure is not None:
                raise self.failure
            if refusal is not None and refusal.is_full and await self._make_room():
                until = self._session.clock.now() + PATIENCE
                continue
            if self._session.clock.now() >= until:
                trouble = refusal.description if refusal is not None else "no answer"
                raise StoreUnavailable(f"The stream {self._stream.name} takes nothing: {trouble}.")
            await self._any(asyncio.wait([epoch]), ANSWER_AFTER)
        del self._epochs[nonce]
        return await epoch

    async def _make_room(self) -> bool:
        """Whether there is more room: nobody else may be running who would make some."""
        room = Room(self._session, self._stream, self.model.path)
        try:
            return await room.make() is not None
        except DamagedTables as error:
            raise await self.condemn(error) from None
        except COPY_FAILURES as error:
            raise StoreUnavailable(
                f"The stream {self._stream.name} is full, and no copy of the tables can be made: {error}"
            ) from None

    async def _any(self, work: Coroutine[Any, Any, object], most: timedelta) -> None:
        """Wait for `work`, or a failure, but not longer than `most`."""
        tasks = [asyncio.ensure_future(work), asyncio.ensure_future(self._failed.wait())]
        try:
            async with self._session.clock.timeout(most):
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            pass
        finally:
            for task in tasks:
                task.cancel()

    async def _reconnected(self) -> None:
        self._follower.begin_anew()
        if self._publisher is not None:
            self._publisher.publish_again()

    # -- following -------------------------------------------------------------------------------------

    def _hear(self, place: Place, message: Message, size: int) -> None:
        runs = self._publisher.runs_of(message) if self._publisher is not None else None
        self._applier.hear(Heard(place.sequence, place.taken_at, message, size, runs))

    def _answered(self, heard: Heard) -> None:
        message = heard.message
        if not message.epoch and (epoch := self._epochs.get(message.number)) is not None and heard.runs:
            if not epoch.done():
                epoch.set_result(heard.runs[0].result)
        elif self._publisher is not None:
            if heard.fate is Fate.REPLACED and message.epoch == self._publisher.epoch:
                self._fail(StoreUnavailable("Another process has opened the store as this node."))
            self._publisher.answer(heard)
