"""Publishing commands, so that each is run once or never.

What a turn of the event loop gathered goes out as one message; while `WINDOW` messages are not acknowledged,
the next one grows. A message that is larger than the servers take goes as an atomic batch: all of its parts
are in the stream, next to each other, or none is.

A message without an acknowledgement is published again, the same, until it is acknowledged or heard on the
stream: that an election loses some and repeats others is no matter, since the tables run a number once. After
`PATIENCE` its callers get an error, and its number falls below the floor of what is published next. What is
already on its way may be run before that, as after any answer that was lost.

A caller is answered when its command was run here, which is after a quorum has it on disk: nothing comes
back from the stream before that.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any, TypeVar

import msgspec
from nats.aio.msg import Msg

from partnerbus.kernel.errors import StoreError, StoreOverloaded, StoreUnavailable
from partnerbus.kernel.failpoints import FailpointError, Failpoints
from partnerbus.store.embedded.writer import Verb
from partnerbus.store.jetstream.commands import Message, encode
from partnerbus.store.jetstream.outgoing import Call, Outgoing
from partnerbus.store.jetstream.read_model import Fate, Heard, Run
from partnerbus.store.jetstream.session import Session, decode_answer

A = TypeVar("A")
T = TypeVar("T")

WINDOW = 8
GROUP_COMMANDS = 512
GROUP_BYTES = 512 * 1024
"""The largest message, if no command alone is larger."""

PART_ROOM = 1024
"""What the headers of a part of a batch may take."""

ANSWER_AFTER = timedelta(seconds=2)
"""So long a message may be without an acknowledgement before it is published again."""

RETRY_AFTER = timedelta(milliseconds=100)
"""So long after the cluster said that it cannot just now."""

PATIENCE = timedelta(seconds=15)
"""How long a command may take altogether. An election took up to 7 seconds (measured)."""

TICK = timedelta(milliseconds=50)


class Publisher:
    """Publishes for one opening of one node; `run` must run beside it."""

    def __init__(self, session: Session, subject: str, epoch: int, failpoints: Failpoints) -> None:
        self._session = session
        self._subject = subject
        self.epoch = epoch
        self._failpoints = failpoints
        self._loop = asyncio.get_running_loop()
        self._inbox = session.client.new_inbox()
        self._gathered: deque[Call] = deque()
        self._under_way: dict[int, Outgoing] = {}
        self._unacknowledged = 0
        self._next = 1
        self._is_pumping = False
        self._ended: StoreUnavailable | None = None
        self._rest = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.full = asyncio.Event()
        """Is set when the stream had no room."""
        self.trouble = ""
        self.pending_bytes = 0

    def submit(self, verb: Verb[A, T], argument: A, weight: int = 0) -> asyncio.Future[T]:
        """Publish a command. It may be run even if nobody waits any more."""
        if self._ended is not None:
            raise StoreUnavailable(str(self._ended))
        if weight and self.full.is_set():
            raise StoreOverloaded("The stream is full: room is being made, try again in a moment.")
        done: asyncio.Future[T] = self._loop.create_future()
        try:
            self._pass(verb.before)
        except FailpointError as error:
            done.set_exception(StoreUnavailable(str(error)))
            return done
        self._gathered.append(Call(verb, argument, weight, done, self._session.clock.now()))
        self.pending_bytes += weight
        self._pump_soon()
        return done

    async def start(self) -> None:
        """Listen for acknowledgements."""
        await self._session.subscribe(f"{self._inbox}.*", self._acknowledged)

    async def run(self) -> None:
        """Publish again what got lost, and give up what takes too long, until cancelled."""
        while True:
            await self._session.clock.sleep(TICK)
            now = self._session.clock.now()
            for outgoing in list(self._under_way.values()):
                if now >= outgoing.since + PATIENCE:
                    self._give_up(outgoing)
                elif now >= outgoing.due_at and not outgoing.is_acknowledged:
                    self._send(outgoing, now)

    def publish_again(self) -> None:
        """The connection was lost and is there again: so may be what was under way."""
        now = self._session.clock.now()
        for outgoing in self._under_way.values():
            outgoing.due_at = now

    async def rest(self) -> None:
        """Wait until nothing is under way."""
        while self._gathered or self._under_way:
            self._rest.clear()
            await self._rest.wait()

    async def close(self) -> None:
        """Let what was submitted end, with patience; nothing more is taken."""
        if self._ended is None:
            self._ended = StoreUnavailable("The store is closed.")
        with suppress(TimeoutError):
            async with self._session.clock.timeout(PATIENCE):
                await self.rest()
        self.end(self._ended)

    def end(self, reason: StoreUnavailable) -> None:
        """Nothing is published any more; who waits gets `reason`."""
        if self._ended is None:
            self._ended = reason
        for outgoing in list(self._under_way.values()):
            self._drop(outgoing, StoreUnavailable(str(reason)))
        while self._gathered:
            self._fail(self._gathered.popleft(), StoreUnavailable(str(reason)))

    # -- what comes back -------------------------------------------------------------------------------

    def runs_of(self, message: Message) -> Sequence[Run] | None:
        """The commands of a message that is ours and under way, as they were submitted."""
        outgoing = self._under_way.get(message.number) if message.epoch == self.epoch else None
        return None if outgoing is None else outgoing.calls

    def answer(self, heard: Heard) -> None:
        """A message was run here: its callers are answered if it is ours."""
        outgoing = self._under_way.get(heard.message.number) if heard.message.epoch == self.epoch else None
        if outgoing is None or heard.fate is not Fate.RUN:
            return
        self._let_go(outgoing)
        for call in outgoing.calls:
            self._finish(call)
        self._pump_soon()

    def _finish(self, call: Call) -> None:
        self.pending_bytes -= call.weight
        try:
            self._pass(call.verb.committed)
        except FailpointError as error:
            call.error = StoreUnavailable(str(error))  # it is stored, but nobody is told so
        if call.done.done():
            return
        if call.error is not None:
            call.done.set_exception(call.error)
        else:
            call.done.set_result(call.result)

    async def _acknowledged(self, message: Msg) -> None:
        outgoing = self._under_way.get(int(message.subject.rpartition(".")[2]))
        if outgoing is None or outgoing.is_acknowledged:
            return
        if not message.data:
            if message.headers:  # 503: there is no leader
                self._retry(outgoing, "The cluster is choosing a leader")
            return  # or it is a part of a batch
        error = decode_answer(message.data).error
        if error is None:
            outgoing.is_acknowledged = True
            self._unacknowledged -= 1
            self.full.clear()
            self.trouble = ""
            self._pump_soon()
        else:
            if error.is_full:
                self.full.set()
            self._retry(outgoing, f"JetStream says: {error.description}")

    def _retry(self, outgoing: Outgoing, trouble: str) -> None:
        self.trouble = trouble
        outgoing.due_at = self._session.clock.now() + RETRY_AFTER

    # -- what goes out ---------------------------------------------------------------------------------

    def _pump_soon(self) -> None:
        """What this turn of the event loop gathers is to be one message."""
        if not self._is_pumping and self._gathered:
            self._is_pumping = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._is_pumping = False
        while self._gathered and self._unacknowledged < WINDOW:
            now = self._session.clock.now()
            outgoing = Outgoing(self._next, self._take(), now)
            self._next += 1
            self._under_way[outgoing.number] = outgoing
            self._unacknowledged += 1
            floor = min(self._under_way)
            commands = [(call.name, msgspec.Raw(call.raw)) for call in outgoing.calls]
            outgoing.payload = encode(Message(self.epoch, outgoing.number, floor, commands))
            self._send(outgoing, now)

    def _take(self) -> Sequence[Call]:
        group = [self._gathered.popleft()]
        size = len(group[0].raw)
        while self._gathered and len(group) < GROUP_COMMANDS:
            size += len(self._gathered[0].raw)
            if size > GROUP_BYTES:
                break
            group.append(self._gathered.popleft())
        return group

    def _send(self, outgoing: Outgoing, now: datetime) -> None:
        outgoing.due_at = now + ANSWER_AFTER
        task = self._loop.create_task(self._publish(outgoing))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _publish(self, outgoing: Outgoing) -> None:
        """An error here is as good as no answer: it is published again."""
        reply = f"{self._inbox}.{outgoing.number}"
        try:
            if len(outgoing.payload) + PART_ROOM <= self._session.max_payload:
                await self._session.publish(self._subject, outgoing.payload, reply)
            else:
                await self._publish_batch(outgoing.payload, reply)
        except Exception as error:  # noqa: BLE001 - the client raises its own, OSErrors and others
            self.trouble = f"It could not be published: {error}"

    async def _publish_batch(self, payload: bytes, reply: str) -> None:
        size = self._session.max_payload - PART_ROOM
        parts = [payload[start : start + size] for start in range(0, len(payload), size)]
        batch = token_hex(8)
        for number, part in enumerate(parts, 1):
            headers = {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
            if number == len(parts):
                headers["Nats-Batch-Commit"] = "1"
            await self._session.publish(self._subject, part, reply, headers)

    # -- the end of a message --------------------------------------------------------------------------

    def _give_up(self, outgoing: Outgoing) -> None:
        seconds = int(PATIENCE.total_seconds())
        reason = self.trouble or self._session.denied or "The cluster did not answer"
        error: StoreError = StoreUnavailable(f"{reason}, for {seconds} seconds.")
        if self.full.is_set():
            error = StoreOverloaded(f"The stream is full ({reason}): room is being made, try again.")
        self._drop(outgoing, error)
        self._pump_soon()

    def _drop(self, outgoing: Outgoing, error: StoreError) -> None:
        self._let_go(outgoing)
        for call in outgoing.calls:
            self._fail(call, error)

    def _let_go(self, outgoing: Outgoing) -> None:
        del self._under_way[outgoing.number]
        if not outgoing.is_acknowledged:
            self._unacknowledged -= 1
        if not self._under_way:
            self._rest.set()

    def _fail(self, call: Call, error: StoreError) -> None:
        self.pending_bytes -= call.weight
        if not call.done.done():
            call.done.set_exception(type(error)(str(error)))

    def _pass(self, failpoint: Any) -> None:
        if failpoint is not None:
            self._failpoints.hit(failpoint)
