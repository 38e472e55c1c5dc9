"""A world for engine tests: a real store in a folder, a clock that stands still, targets that do as told.

Only the targets' far ends are scripted, at the seams `Invoker` and `QueueSender`; the bus target is real.
"""

import asyncio
import io
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from random import random

import msgspec
from cryptography.fernet import Fernet

from partnerbus.engine.backpressure import Bounds
from partnerbus.engine.catalog import Catalog
from partnerbus.engine.engine import Engine
from partnerbus.engine.lanes import Room
from partnerbus.engine.supervisor import Sweep
from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.failpoints import Failpoint, Failpoints
from partnerbus.kernel.secrets import SecretBox
from partnerbus.kernel.telemetry import Metrics, make_log
from partnerbus.model.bus_log import BusLogRecord
from partnerbus.model.delivery import Delivery, DeliveryState, NewRecord, Record
from partnerbus.model.event import Event
from partnerbus.model.reply import ACCEPTED, ErrorCode, Reply
from partnerbus.model.resources import EventBus, RetryPolicy, Rule, RuleState, Target
from partnerbus.store.embedded import EmbeddedStore
from partnerbus.store.protocol import DeliveryQuery, Ledger
from partnerbus.targets.addresses import AddressGuard
from partnerbus.targets.bus import BusInvoker
from partnerbus.targets.dead_letter import DeadLetterQueue
from partnerbus.targets.invoker import Invocation, Invoker
from partnerbus.targets.names import UrlCheck
from partnerbus.targets.outbound_client import HttpOutbound
from partnerbus.targets.registry import Targets
from partnerbus.targets.tokens import Tokens

ACCOUNT = "111122223333"
REGION = "us-east-1"
EVERYTHING = '{"source": [{"prefix": ""}]}'

UNAVAILABLE = Reply(error=ErrorCode.ERROR_FROM_TARGET, message="503", retryable=True, status=503)
REFUSED = Reply(error=ErrorCode.ERROR_FROM_TARGET, message="400", status=400)

Answer = Reply | Exception | asyncio.Event
"""A reply, an error in the invoker, or a condition that the target hangs on before it accepts."""


def sink(name: str) -> str:
    """The ARN of a scripted target."""
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


class ScriptedTargets:
    """The far ends of all targets: `answers` by ARN, consumed in turn, the last one for ever."""

    kind = "scripted"

    def __init__(self) -> None:
        self.received: list[Invocation] = []
        self.answers: dict[str, list[Answer]] = defaultdict(lambda: [ACCEPTED])
        self.in_flight: dict[str, int] = defaultdict(int)
        self.most_in_flight: dict[str, int] = defaultdict(int)
        self.changed = asyncio.Condition()

    def refusal(self, target: Target, rule: Rule) -> str | None:
        return None

    async def invoke(self, invocation: Invocation) -> Reply:
        arn = invocation.target.arn
        answers = self.answers[arn]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        async with self.changed:
            self.received.append(invocation)
            self.in_flight[arn] += 1
            self.most_in_flight[arn] = max(self.most_in_flight[arn], self.in_flight[arn])
            self.changed.notify_all()
        try:
            if isinstance(answer, asyncio.Event):
                await answer.wait()
                return ACCEPTED
            if isinstance(answer, Exception):
                raise answer
            return answer
        finally:
            self.in_flight[arn] -= 1

    def to(self, arn: str) -> list[Invocation]:
        return [invocation for invocation in self.received if invocation.target.arn == arn]

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        async with self.changed:
            await self.changed.wait_for(condition)


class ScriptedQueues:
    """Dead-letter queues that take everything, or answer `answer`."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, dict[str, str]]] = []
        self.answer = ACCEPTED

    def refusal(self, queue_arn: str, account: str) -> str | None:
        return None

    async def send(
        self,
        queue_arn: str,
        body: str,
        *,
        group_id: str | None = None,
        attributes: dict[str, str] | None = None,
    ) -> Reply:
        self.sent.append((queue_arn, body, attributes or {}))
        return self.answer


class World:
    """An engine with everything around it."""

    def __init__(
        self, store: EmbeddedStore, catalog: Catalog, engine: Engine, targets: Targets, parts: "Parts"
    ) -> None:
        self.store = store
        self.real_targets = targets
        self.catalog = catalog
        self.engine = engine
        self.clock = parts.clock
        self.targets = parts.targets
        self.queues = parts.queues
        self._parts = parts

    @property
    def log_lines(self) -> list[dict[str, object]]:
        return [msgspec.json.decode(line) for line in self._parts.written.getvalue().splitlines()]

    def bus_log(self) -> list[BusLogRecord]:
        """What buses have written since this was last asked."""
        lines = self._parts.bus_log
        records = [msgspec.json.decode(line, type=BusLogRecord) for line in lines]
        lines.clear()
        return records

    def lines(self, event: str) -> list[dict[str, object]]:
        return [line for line in self.log_lines if line["event"] == event]

    @property
    def rules(self) -> list[Rule]:
        return list(self.catalog.list(Rule, "rule:"))

    def counted(self, name: str, **labels: str) -> float:
        """What a counter says; 0 if it was never touched."""
        return self._parts.metrics.registry.get_sample_value(f"partnerbus_{name}_total", labels) or 0

    async def bus(self, name: str = "orders", region: str = REGION) -> EventBus:
        now = self.clock.now()
        bus = EventBus(
            account=ACCOUNT,
            region=region,
            name=name,
            log=f"log-{region}-{name}",
            created_at=now,
            modified_at=now,
        )
        await self.catalog.create(bus)
        return bus

    async def rule(
        self,
        bus: EventBus,
        *targets: Target,
        name: str = "all",
        pattern: str | None = EVERYTHING,
        state: RuleState = RuleState.ENABLED,
    ) -> Rule:
        rule = Rule(
            account=bus.account,
            region=bus.region,
            bus=bus.name,
            name=name,
            state=state,
            created_by=bus.account,
            created_at=self.clock.now(),
            pattern=pattern,
            targets=targets,
        )
        await self.catalog.create(rule)
        return rule

    async def change(self, rule: Rule, **changes: object) -> Rule:
        changed = msgspec.structs.replace(rule, **changes)
        await self.catalog.replace(rule, changed)
        return changed

    async def put(self, bus: EventBus, count: int = 1, **members: object) -> Sequence[Record]:
        return await self.engine.publisher.publish([new_record(bus, **members) for _ in range(count)])

    async def deliveries(self, *states: DeliveryState) -> Sequence[Delivery]:
        return await self.store.deliveries(DeliveryQuery(states=states, limit=10_000))

    async def advance(self, duration: timedelta) -> None:
        """Move the clock, letting the engine become idle at each stop."""
        await self.clock.advance(duration, self.engine.idle)

    async def ledger(self, bus: EventBus) -> Ledger:
        """The ledger of a bus, which balances."""
        ledger = await self.store.ledger(bus.log)
        assert ledger.accepted == ledger.unmatched + ledger.matched + ledger.unrouted
        settled = ledger.delivered + ledger.dead + ledger.dropped + ledger.cancelled
        assert ledger.owed == settled + ledger.pending
        return ledger


class Parts:
    """What outlives an engine: the folder, the clock, the far ends, the log."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.targets = ScriptedTargets()
        self.queues = ScriptedQueues()
        self.written = io.BytesIO()
        self.stream = io.TextIOWrapper(self.written)
        self.failpoints = Failpoints()
        self.metrics = Metrics()
        self.room: Room | None = None
        self.bounds = Bounds()
        self.keep = timedelta(hours=1)
        self.jitter: Callable[[], float] = random
        self.disable_after: timedelta | None = None
        self.sweeps: Sequence[Sweep] = ()
        self.bus_log: list[bytes] = []

    def fail_at(self, point: Failpoint, count: int = 1) -> None:
        """Let the engines opened from now on fail there."""
        self.failpoints = Failpoints({point: f"error@{count}"})

    @asynccontextmanager
    async def open(self) -> AsyncIterator[World]:
        store = await EmbeddedStore.open(self.folder, self.clock, self.failpoints)
        try:
            catalog = Catalog(store, self.clock)
            await catalog.load()
            engine, targets = self._engine(store, catalog)
            async with engine:
                yield World(store, catalog, engine, targets, self)
            await targets.close()
            for info in await store.logs():
                ledger = await store.ledger(info.log)
                assert ledger.accepted == ledger.unmatched + ledger.matched + ledger.unrouted
                settled = ledger.delivered + ledger.dead + ledger.dropped + ledger.cancelled
                assert ledger.owed == settled + ledger.pending
        finally:
            await store.close()

    def _engine(self, store: EmbeddedStore, catalog: Catalog) -> tuple[Engine, Targets]:
        async def forward(invocation: Invocation, bus: EventBus) -> None:
            await engine.publisher.forward(invocation, bus)

        invokers: dict[str, Invoker] = {
            "sqs": self.targets,
            "events:api-destination": self.targets,
            "events:event-bus": BusInvoker(catalog, forward),
        }
        guard = AddressGuard(allow_private=True)
        outbound = HttpOutbound(self.clock, guard)
        tokens = Tokens(SecretBox(Fernet.generate_key()), outbound, self.clock)
        urls = UrlCheck(guard, self.clock)
        targets = Targets(invokers, DeadLetterQueue(self.queues), urls, tokens, [urls.close, outbound.close])
        engine = Engine(
            store=store,
            catalog=catalog,
            targets=targets,
            clock=self.clock,
            failpoints=self.failpoints,
            metrics=self.metrics,
            log=make_log("debug", self.stream),
            sweeps=self.sweeps,
            keep=self.keep,
            room=self.room,
            bounds=self.bounds,
            jitter=self.jitter,
            disable_after=self.disable_after,
            write_bus_log=self.bus_log.append,
        )
        return engine, targets


_drawn = itertools.count(1)


def new_target(arn: str | None = None, *, since: int = 0, **members: object) -> Target:
    """A target with a subscription of its own."""
    number = next(_drawn)
    return msgspec.convert(
        {
            "id": f"target-{number}",
            "arn": arn or sink(f"sink-{number}"),
            "subscription": f"subscription{number}",
            "since": since,
            **members,
        },
        Target,
    )


def new_record(bus: EventBus, **members: object) -> NewRecord:
    """A record for a bus; members of the event may be given."""
    number = next(_drawn)
    event = Event(
        id=f"00000000-0000-4000-8000-{number:012}",
        detail_type="Order Placed",
        source="shop",
        account=bus.account,
        time="2026-01-01T00:00:00Z",
        region=bus.region,
    )
    event = msgspec.structs.replace(event, **members)
    return NewRecord(log=bus.log, dedup_id=number.to_bytes(16, "big"), event=event)


def retries(count: int, seconds: int = 86_400) -> RetryPolicy:
    return RetryPolicy(max_retries=count, max_age_seconds=seconds)
