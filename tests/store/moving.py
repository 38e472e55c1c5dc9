"""A store with all kinds of things in it, and how it is moved in a test."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zlib import crc32

from msgspec.structs import replace

from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.failpoints import Failpoint, Failpoints
from partnerbus.kernel.secrets import SecretBox
from partnerbus.kernel.telemetry import make_log
from partnerbus.model.delivery import DeliveryState, NewDelivery, NewRecord, Settlement
from partnerbus.model.resources import ClusterNode, Role, encode_resource
from partnerbus.store.embedded import EmbeddedStore
from partnerbus.store.embedded.table_store import TableStore
from partnerbus.store.jetstream.address import ClusterSettings
from partnerbus.store.jetstream.move import Move
from partnerbus.store.protocol import LIVE, DeliveryQuery, Kept
from partnerbus.testing.store_contract.world import (
    CANCELLED,
    DEAD,
    DELIVERED,
    LEASE,
    REFUSED,
    claim_one,
    fill,
    make_event,
    owe,
    tried,
)

KEY = "secret.key"
LARGE_BYTES = 100_000

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
NODE = ClusterNode(name="n", url="http://n:1", roles=[Role.ROUTE], started_at=LONG_AGO, leased_until=LONG_AGO)

_OF_A_NODE = re.compile(r'(CREATE TABLE|INSERT INTO) "?(journal|nodes)\b')


async def full_store(folder: Path) -> None:
    """A store in `folder` that has something of everything, several parts of it."""
    SecretBox.from_file(make_folder(folder) / KEY)
    clock = ManualClock()
    store = await EmbeddedStore.open(folder, clock, Failpoints())
    await fill_with_everything(store, clock)
    await store.close()


def make_folder(folder: Path) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


async def fill_with_everything(store: TableStore, clock: ManualClock) -> None:
    """Every state of a delivery, what is trimmed, what is kept, several logs, lanes and registry values."""
    for number in range(5):
        value = replace(NODE, name=f"node{number}")
        revision = await store.put(value.key, encode_resource(value), 0)
    await store.delete(value.key, revision)
    for number in range(1, 5):
        event = make_event(number, b'{"a":"' + b"x" * LARGE_BYTES + b'"}')
        await store.append([NewRecord(log="large", dedup_id=number.to_bytes(16, "little"), event=event)])
    records = await fill(store, 30, first=50)
    await owe(store, records)
    retry = Settlement(
        state=DeliveryState.OWED, due_at=clock.now() + timedelta(hours=1), attempt=tried(clock, 1, REFUSED)
    )
    for settlement in (DELIVERED, DEAD, DEAD, CANCELLED, retry):
        assert await store.settle(await claim_one(store), settlement)
    await claim_one(store)  # which this process never settles
    await store.trim("log", records[3].position)
    other = await fill(store, 3, "other", first=100)
    owed = [
        NewDelivery(subscription="ordered", lane="lane2", position=each.position, key=b"k" * 16)
        for each in other
    ]
    kept = [Kept(log="archive", record=each) for each in other]
    await store.advance("other", LIVE, other[-1].position, owed=owed, kept=kept, unmatched=0, lease=LEASE)
    await fill(store, 2, "idle", first=200)
    states = {delivery.state for delivery in await store.deliveries(DeliveryQuery())}
    assert states >= {DeliveryState.OWED, DeliveryState.DEAD, DeliveryState.CLAIMED, DeliveryState.CANCELLED}


@contextmanager
def unseen(length: int, label: str, *, show_steps: bool = True) -> Iterator[Callable[[int], object]]:
    """Shows nothing of how far something has come."""
    yield lambda _steps: None


def make_move(folder: Path, url: str, fails_at: Failpoint | None = None, nth: int = 1) -> Move:
    """A move between the folder and a cluster, which fails when it passes that for the nth time."""
    key = folder / KEY
    return Move(
        folder=folder,
        cluster=ClusterSettings(url=url, seal=lambda: SecretBox.from_file(key).fingerprint),
        url=url,
        key=key,
        failpoints=Failpoints({} if fails_at is None else {fails_at: f"error@{nth}"}),
        log=make_log("error"),
        show=unseen,
    )


def dump(file: Path) -> list[str]:
    """All that is in a store's file but what a node of a cluster has besides: a line a row, its beginning."""
    with closing(sqlite3.connect(file)) as connection:
        lines = [line for line in connection.iterdump() if not _OF_A_NODE.match(line)]
    return [f"{crc32(line.encode()):08x} {line[:80]}" for line in lines]


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
