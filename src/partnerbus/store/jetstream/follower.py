"""Reading the stream of commands: every message once, in its order, from wherever this node is.

A consumer of our own is asked for some messages at a time (a pull), so what waits here is bounded. It lives
in one server's memory; when it, its server or the connection is gone, or anything was left out, another one
begins behind the last message that was whole. The stream's sequences have no gaps, so a gap means that what
is missing was purged: then this node's tables are too old, and only a copy helps.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
import nats.errors
from nats.aio.msg import Msg

from partnerbus.kernel.errors import PartnerbusError, StoreUnavailable
from partnerbus.store.jetstream.commands import Message, decode_message
from partnerbus.store.jetstream.read_model import UnknownCommand
from partnerbus.store.jetstream.session import ApiError, Session
from partnerbus.store.jetstream.stream import Stream

PULL = 64
"""How many messages are asked for at a time; the next ones when half of them are there."""

HEARTBEAT = timedelta(seconds=1)
SILENCE = 2.5 * HEARTBEAT
"""After so long without a sign of life the consumer is gone."""

PULL_LASTS = timedelta(seconds=30)
LOST_AFTER = timedelta(seconds=10)
"""After so long a leader has read what it has: what is not there is lost."""

UNUSED = timedelta(minutes=1)
"""After so long without us the server forgets the consumer."""

PAUSE = timedelta(milliseconds=100)

PENDING_HEADER = "Nats-Pending-Messages"
BATCH_HEADER = "Nats-Batch-Id"
LAST_PART_HEADER = "Nats-Batch-Commit"


class Gap(PartnerbusError):
    """The stream no longer has what comes next for this node, or what came last."""


class _Consumer(msgspec.Struct):
    name: str


class Place(NamedTuple):
    """Where a message stands: in the stream, and among what its consumer sent; when the stream took it."""

    sequence: int
    number: int
    taken_at: int


def place_of(reply: str) -> Place:
    """What JetStream writes into the reply subject; newer servers may write a domain and an account first."""
    tokens = reply.split(".")
    first = 5 if len(tokens) < 11 else 7
    return Place(*map(int, tokens[first : first + 3]))


class Follower:
    """Reads the stream behind the sequence `after`; `run` must run.

    `taken_at` is when the stream took the message `after`. `heard` is called with each message: the place of
    its last part, the message, and its bytes. While `has_room` is false no more is asked for.
    """

    def __init__(
        self,
        session: Session,
        stream: Stream,
        after: int,
        taken_at: int,
        heard: Callable[[Place, Message, int], None],
        has_room: Callable[[], bool],
    ) -> None:
        self._session = session
        self._stream = stream
        self._after = after
        self._taken_at = taken_at
        self._lost_since: datetime | None = None
        self._heard = heard
        self._has_room = has_room
        self._inbox = ""
        self._consumer = ""
        self._number = 0
        self._asked = 0
        self._parts: list[bytes] = []
        self._seen_at = session.clock.now()
        self._is_broken = asyncio.Event()
        self._error: PartnerbusError | None = None

    async def run(self) -> None:
        """Read until cancelled. Raises `Gap`, or `UnknownCommand` if a message cannot be read."""
        while True:
            try:
                await self._follow()
            except (ApiError, StoreUnavailable, nats.errors.Error, OSError) as error:
                if isinstance(error, ApiError) and error.is_not_found:
                    raise StoreUnavailable(f"The stream {self._stream.name} is gone.") from None
                await self._session.clock.sleep(PAUSE)

    def begin_anew(self) -> None:
        """Whatever was asked may be lost: take another consumer."""
        self._is_broken.set()

    async def _follow(self) -> None:
        """Read with one consumer, as long as it lives."""
        self._inbox = self._session.client.new_inbox()
        self._number = self._asked = 0
        self._parts = []
        self._is_broken.clear()
        await self._look_back()
        self._consumer = await self._make_consumer()
        subscription = await self._session.subscribe(self._inbox, self._receive)
        try:
            self._seen_at = self._session.clock.now()
            await self._ask()
            while not self._is_broken.is_set() and self._session.clock.now() < self._seen_at + SILENCE:
                await self._wait()
                await self._ask()
        finally:
            with suppress(nats.errors.Error, OSError):
                await subscription.unsubscribe()
        if self._error is not None:
            raise self._error

    async def _look_back(self) -> None:
        """Raise `Gap` if the stream has another message where the last one was, or for long none at all."""
        if not self._taken_at:
            return
        taken_at = await self._stream.taken_at(self._after)
        if taken_at == self._taken_at or (taken_at is None and await self._reaches()):
            self._lost_since = None
            return
        now = self._session.clock.now()
        self._lost_since = self._lost_since or now
        if taken_at is None and now < self._lost_since + LOST_AFTER:
            raise StoreUnavailable(f"The stream {self._stream.name} is shorter than it was.")
        raise Gap(
            f"The stream {self._stream.name} has been put back to what it was before message {self._after}: "
            "start the node again, and it begins anew with what there is."
        )

    async def _reaches(self) -> bool:
        return (await self._stream.state()).last_seq >= self._after

    async def _make_consumer(self) -> str:
        configuration = {
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": self._after + 1,
            "ack_policy": "none",
            "replay_policy": "instant",
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": _nanoseconds(UNUSED),
        }
        body = {"stream_name": self._stream.name, "config": configuration}
        return (await self._session.call(f"CONSUMER.CREATE.{self._stream.name}", body, _Consumer)).name

    async def _wait(self) -> None:
        with suppress(TimeoutError):
            async with self._session.clock.timeout(PAUSE if not self._has_room() else HEARTBEAT):
                await self._is_broken.wait()

    async def _ask(self) -> None:
        """Ask for more if little is left of what was asked for."""
        if self._asked > PULL // 2 or not self._has_room():
            return
        self._asked += PULL
        request = {
            "batch": PULL,
            "expires": _nanoseconds(PULL_LASTS),
            "idle_heartbeat": _nanoseconds(HEARTBEAT),
        }
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self._stream.name}.{self._consumer}"
        await self._session.publish(subject, msgspec.json.encode(request), self._inbox)

    async def _receive(self, message: Msg) -> None:
        if self._is_broken.is_set():
            return
        self._seen_at = self._session.clock.now()
        try:
            if message.reply.startswith("$JS.ACK."):
                self._take(message)
            else:
                self._read_status(message.headers or {})
            await self._ask()
        except PartnerbusError as error:
            self._error = error
            self._is_broken.set()
        except (nats.errors.Error, OSError):
            self._is_broken.set()

    def _read_status(self, headers: dict[str, str]) -> None:
        """Not a message, but what became of what we asked for."""
        status = headers.get("Status", "")
        if status == "100":
            return
        if status in ("404", "408"):
            self._asked = max(0, self._asked - int(headers.get(PENDING_HEADER, PULL)))
        else:  # the consumer is gone, or its leader is
            self._is_broken.set()

    def _take(self, message: Msg) -> None:
        place = place_of(message.reply)
        self._asked -= 1
        if place.number != self._number + 1:
            self._is_broken.set()
            return
        self._number = place.number
        if place.sequence != self._after + len(self._parts) + 1:
            raise Gap(
                f"The stream {self._stream.name} no longer has message {self._after + 1}, which this node "
                "needs next: start it again, and it takes a copy of the tables."
            )
        headers = message.headers or {}
        if BATCH_HEADER in headers:
            self._parts.append(message.data)
            if LAST_PART_HEADER in headers:
                parts, self._parts = self._parts, []
                self._hear(place, b"".join(parts))
        else:
            self._hear(place, message.data)

    def _hear(self, place: Place, payload: bytes) -> None:
        try:
            message = decode_message(payload)
        except msgspec.DecodeError:
            raise UnknownCommand(
                f"Message {place.sequence} of the stream {self._stream.name} is of no known version."
            ) from None
        self._after, self._taken_at = place.sequence, place.taken_at
        self._heard(place, message, len(payload))


def _nanoseconds(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1) * 1000
