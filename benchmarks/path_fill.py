"""Filling a data folder before a server runs on it, through the store and the catalog."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TypeVar

import msgspec

from benchmarks.path_world import detail
from partnerbus.kernel.clock import SystemClock
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.kernel.ids import Ids
from partnerbus.model.delivery import NewDelivery, NewRecord, Record
from partnerbus.model.event import Event, event_time
from partnerbus.model.resources import AnyResource, ApiDestination, EventBus, Rule, RuleState, Target, bus_key
from partnerbus.node.folder import DataFolder, Opened, opened
from partnerbus.store.protocol import LIVE
from partnerbus.testing.bench import CUSTOMER, SOURCE

REGION = "us-east-1"
CREATED_TOGETHER = 256
STORED_TOGETHER = 1_000
DEAD_URL = "http://127.0.0.1:9/"
"""Nobody listens on the discard port."""

T = TypeVar("T")


async def many_rules(data: Path, buses: int, rules: int) -> None:
    """So many more buses, with so many rules in all, each with a target; a tenth on the source's own bus."""
    async with _owned(data) as found:
        destination = _destination(found)
        now = datetime.now(UTC)
        names = [f"bus{number}" for number in range(buses)]
        homes = [SOURCE if n % 10 == 0 else names[n % buses] for n in range(rules)]
        made: list[AnyResource] = [_bus(name, now) for name in names]
        made += [_rule(home, f"rule{n}", destination.arn, now) for n, home in enumerate(homes)]
        for some in _in_parts(made, CREATED_TOGETHER):
            await asyncio.gather(*map(found.catalog.create, some))


async def stored_events(data: Path, events: int) -> None:
    """So many events in the log of the source's bus, which were routed and matched nothing."""
    async with _owned(data) as found:
        async for records in _append(found, events):
            await found.store.advance(
                records[-1].log, LIVE, records[-1].position, owed=(), unmatched=len(records)
            )


async def owed_deliveries(data: Path, deliveries: int, url: str = DEAD_URL, rate: int = 300) -> None:
    """So many deliveries owed to a target at `url`, which wants no more than `rate` a second."""
    async with _owned(data) as found:
        now = datetime.now(UTC)
        down = msgspec.structs.replace(
            _destination(found), name="down", uuid=str(uuid.uuid4()), url=url, rate_per_second=rate
        )
        rule = _rule(SOURCE, "down", down.arn, now)
        await found.catalog.create(down)
        await found.catalog.create(rule)
        subscription = rule.targets[0].subscription
        async for records in _append(found, deliveries):
            owed = [
                NewDelivery(subscription=subscription, lane=down.arn, position=record.position)
                for record in records
            ]
            await found.store.advance(records[-1].log, LIVE, records[-1].position, owed=owed, unmatched=0)


@asynccontextmanager
async def _owned(data: Path) -> AsyncIterator[Opened]:
    async with opened(DataFolder(data), SystemClock(), Failpoints()) as found:
        yield found


async def _append(found: Opened, events: int) -> AsyncIterator[Sequence[Record]]:
    bus = found.catalog.get(EventBus, bus_key(CUSTOMER, REGION, SOURCE))
    assert bus is not None
    body, drawing = detail().encode(), Ids()
    for start in range(0, events, STORED_TOGETHER):
        now = datetime.now(UTC)
        ids = drawing.drawn(now, min(STORED_TOGETHER, events - start))
        yield await found.store.append([_record(bus.log, *both, event_time(now), body) for both in ids])


def _record(log: str, id_: str, dedup_id: bytes, time: str, body: bytes) -> NewRecord:
    event = Event(
        id=id_,
        detail_type="stored",
        source=SOURCE,
        account=CUSTOMER,
        time=time,
        region=REGION,
        detail=body,
    )
    return NewRecord(log=log, dedup_id=dedup_id, event=event)


def _destination(found: Opened) -> ApiDestination:
    return next(found.catalog.list(ApiDestination, f"api-destination:{CUSTOMER}:{REGION}:"))


def _bus(name: str, now: datetime) -> EventBus:
    return EventBus(
        account=CUSTOMER, region=REGION, name=name, log=f"log-{name}", created_at=now, modified_at=now
    )


def _rule(bus: str, name: str, target: str, now: datetime) -> Rule:
    return Rule(
        account=CUSTOMER,
        region=REGION,
        bus=bus,
        name=name,
        state=RuleState.ENABLED,
        created_by=CUSTOMER,
        created_at=now,
        pattern=msgspec.json.encode({"detail": {"tenant": [name]}}).decode(),
        targets=(Target(id="1", arn=target, subscription=f"bench-{bus}-{name}", since=0),),
    )


def _in_parts(items: Iterable[T], size: int) -> Iterator[list[T]]:
    left = iter(items)
    while part := list(islice(left, size)):
        yield part
