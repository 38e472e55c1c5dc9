"""The registry in memory is what the store holds, whoever is faster: the caller or the watch."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from partnerbus.engine.catalog import Catalog
from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.errors import RevisionConflict, StoreOverloaded
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.model import arns
from partnerbus.model.resources import (
    Account,
    AnyResource,
    ApiDestination,
    AuthorizationType,
    Connection,
    ConnectionState,
    EventBus,
    account_key,
    bus_key,
    encode_resource,
)
from partnerbus.store.embedded import EmbeddedStore, watchers

REGION = "us-east-1"
ID = "111122223333"
HOUR = timedelta(hours=1)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    store = await EmbeddedStore.open(tmp_path, ManualClock(), Failpoints())
    yield store
    await store.close()


@pytest.fixture
async def catalog(store: EmbeddedStore) -> Catalog:
    return await loaded(store)


async def loaded(store: EmbeddedStore) -> Catalog:
    catalog = Catalog(store, ManualClock())
    await catalog.load()
    return catalog


class Heard:
    """What a listener was told."""

    def __init__(self, catalog: Catalog) -> None:
        self.told: list[tuple[str, AnyResource | None, AnyResource | None]] = []
        self._news = asyncio.Condition()
        self._telling: set[asyncio.Task[None]] = set()
        catalog.listen(self._hear)

    def _hear(self, key: str, before: AnyResource | None, after: AnyResource | None) -> None:
        self.told.append((key, before, after))
        self._telling.add(asyncio.ensure_future(self._tell()))

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def of(self, key: str) -> None:
        """Wait until something was told of `key`."""
        async with asyncio.timeout(60), self._news:
            await self._news.wait_for(lambda: any(told[0] == key for told in self.told))


@asynccontextmanager
async def following(catalog: Catalog) -> AsyncIterator[None]:
    task = asyncio.create_task(catalog.follow())
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def caught_up(store: EmbeddedStore, heard: Heard, name: str = "999999999999") -> None:
    """Let a change of somebody else pass through the watch, so that all before it did."""
    await put(store, account(name))
    await heard.of(account_key(name))


def account(name: str = ID, **members: object) -> Account:
    found = Account(id=name, created_at=ManualClock().now())
    return msgspec.structs.replace(found, **members)


def bus(name: str, log: str = "log", region: str = REGION) -> EventBus:
    now = ManualClock().now()
    return EventBus(account=ID, region=region, name=name, log=log, created_at=now, modified_at=now)


async def put(store: EmbeddedStore, resource: AnyResource, expected: int = 0) -> int:
    """A change that did not go through the catalog."""
    return await store.put(resource.key, encode_resource(resource), expected)


# -- changing ----------------------------------------------------------------------------------------------


async def test_what_is_written_is_there_at_once_and_after_loading(
    store: EmbeddedStore, catalog: Catalog
) -> None:
    one, partner = account(), account(partner="acme.com")
    await catalog.create(one)
    assert catalog.get(Account, one.key) == one
    await catalog.replace(one, partner)
    assert catalog.get(Account, one.key) == partner
    assert (await loaded(store)).get(Account, one.key) == partner
    await catalog.remove(partner)
    assert catalog.get(Account, one.key) is None
    assert (await loaded(store)).get(Account, one.key) is None


async def test_only_what_was_read_last_can_be_changed(catalog: Catalog) -> None:
    one, partner = account(), account(partner="acme.com")
    with pytest.raises(RevisionConflict):
        await catalog.remove(one)
    await catalog.create(one)
    with pytest.raises(RevisionConflict):
        await catalog.create(partner)
    await catalog.replace(one, partner)
    for refused in (catalog.replace(one, one), catalog.remove(one)):
        with pytest.raises(RevisionConflict):
            await refused
    assert catalog.get(Account, one.key) == partner


async def test_of_two_who_change_the_same_one_wins(catalog: Catalog) -> None:
    one = account()
    await catalog.create(one)
    changed = [account(partner=f"p{n}.com") for n in range(5)]
    done = await asyncio.gather(*(catalog.replace(one, each) for each in changed), return_exceptions=True)
    (winner,) = [each for each, error in zip(changed, done, strict=True) if error is None]
    assert catalog.get(Account, one.key) == winner
    assert sum(isinstance(error, RevisionConflict) for error in done) == 4


# -- following ---------------------------------------------------------------------------------------------


async def test_each_change_is_told_once_whoever_is_first(store: EmbeddedStore, catalog: Catalog) -> None:
    one, partner = account(), account(partner="acme.com")
    heard = Heard(catalog)
    async with following(catalog):
        await catalog.create(one)
        await catalog.replace(one, partner)
        await catalog.remove(partner)
        await caught_up(store, heard)
    assert heard.told[:-1] == [(one.key, None, one), (one.key, one, partner), (one.key, partner, None)]
    assert not catalog._gone


async def test_late_news_of_the_watch_bring_nothing_back(store: EmbeddedStore, catalog: Catalog) -> None:
    gone, again, changed = account("1" * 12), account("2" * 12), account("3" * 12)
    second = account("2" * 12, partner="acme.com")
    heard = Heard(catalog)
    for resource in (gone, again, changed):
        await catalog.create(resource)
    await catalog.remove(gone)
    await catalog.remove(again)
    await catalog.create(second)
    told = list(heard.told)
    async with following(catalog):
        await caught_up(store, heard)
    assert heard.told[:-1] == told
    assert catalog.get(Account, gone.key) is None
    assert catalog.get(Account, again.key) == second
    assert not catalog._gone


async def test_what_others_change_is_followed(store: EmbeddedStore, catalog: Catalog) -> None:
    heard = Heard(catalog)
    async with following(catalog):
        revision = await put(store, account())
        await heard.of(account_key(ID))
        assert catalog.get(Account, account_key(ID)) == account()
        await store.delete(account_key(ID), revision)
        await caught_up(store, heard)
    assert catalog.get(Account, account_key(ID)) is None
    assert list(catalog.list(Account, "account:")) == [account("999999999999")]


async def test_who_fell_too_far_behind_catches_up(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchers, "WATCHER_CHANGES", 4)
    catalog = await loaded(store)
    kept, changed, gone, own = (account(digit * 12) for digit in "1234")
    for resource in (kept, changed, gone, own):
        await catalog.create(resource)
    heard = Heard(catalog)
    await store.delete(gone.key, catalog.revision(gone.key))
    partner = account("2" * 12, partner="acme.com")
    await put(store, partner, catalog.revision(changed.key))
    await catalog.remove(own)
    await put(store, account("5" * 12))
    with pytest.raises(StoreOverloaded):
        await catalog.follow()
    heard.told.clear()
    async with following(catalog):
        await caught_up(store, heard)
        found = list(catalog.list(Account, "account:"))
        assert found == [kept, partner, account("5" * 12), account("9" * 12)]
        assert (gone.key, gone, None) in heard.told
        await catalog.replace(partner, changed)
        await catalog.create(gone)
    assert catalog.get(Account, gone.key) == gone
    assert not catalog._gone


async def test_what_is_changed_here_while_it_catches_up_stays(
    store: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchers, "WATCHER_CHANGES", 1)
    catalog = await loaded(store)
    first, second, third = (account(digit * 12) for digit in "123")
    await catalog.create(first)
    await catalog.create(second)
    with pytest.raises(StoreOverloaded):
        await catalog.follow()
    monkeypatch.setattr(watchers, "WATCHER_CHANGES", 100)
    listing = store.list

    async def slow_list(prefix: str) -> object:
        found = await listing(prefix)
        await catalog.remove(first)
        await catalog.create(third)
        return found

    monkeypatch.setattr(store, "list", slow_list)
    heard = Heard(catalog)
    async with following(catalog):
        await caught_up(store, heard)
    assert list(catalog.list(Account, "account:")) == [second, third, account("9" * 12)]
    assert [told[:1] + told[2:] for told in heard.told[:2]] == [(first.key, None), (third.key, third)]
    assert len(heard.told) == 3
    assert not catalog._gone


# -- reading -----------------------------------------------------------------------------------------------


async def test_list_is_by_prefix_in_the_order_of_keys_and_after_a_key(catalog: Catalog) -> None:
    buses = [bus("b"), bus("a"), bus("ab"), bus("a", region="eu-west-1")]
    await catalog.create(account())
    for resource in buses:
        await catalog.create(resource)

    def names(prefix: str, after: str | None = None) -> list[str]:
        return [f"{each.region[:2]}-{each.name}" for each in catalog.list(EventBus, prefix, after)]

    assert names("bus:") == ["eu-a", "us-a", "us-ab", "us-b"]
    assert names(bus_key(ID, REGION, "")) == ["us-a", "us-ab", "us-b"]
    assert names(bus_key(ID, REGION, "a")) == ["us-a", "us-ab"]
    assert names(bus_key(ID, REGION, ""), bus_key(ID, REGION, "a")) == ["us-ab", "us-b"]
    assert names(bus_key(ID, REGION, ""), bus_key(ID, REGION, "aa")) == ["us-ab", "us-b"]
    assert names(bus_key(ID, REGION, ""), "a") == ["us-a", "us-ab", "us-b"]
    assert names(bus_key(ID, REGION, ""), "z") == []
    assert list(catalog.list(Account, "bus:")) == []
    await catalog.remove(buses[1])
    assert names("bus:") == ["eu-a", "us-ab", "us-b"]


async def test_a_list_that_is_changed_under_way_goes_on(catalog: Catalog) -> None:
    for name in "abc":
        await catalog.create(bus(name))
    seen = []
    for each in catalog.list(EventBus, "bus:"):
        seen.append(each.name)
        if each.name == "a":
            await catalog.remove(bus("b"))
    assert seen == ["a", "c"]


async def test_every_account_has_a_default_bus_in_every_region(catalog: Catalog) -> None:
    here, there = (catalog.bus(ID, region, arns.DEFAULT_BUS) for region in (REGION, "eu-west-1"))
    assert here is not None
    assert there is not None
    assert here.log != there.log
    assert catalog.bus(ID, REGION, "other") is None
    assert catalog.get(EventBus, here.key) is None
    assert catalog.bus_by_arn(here.arn) == here
    owner = account(created_at=ManualClock().now() - HOUR)
    await catalog.create(owner)
    found = catalog.bus(ID, REGION, arns.DEFAULT_BUS)
    assert found is not None
    assert (found.created_at, found.log) == (owner.created_at, here.log)
    stored = msgspec.structs.replace(found, description="mine")
    await catalog.create(stored)
    assert catalog.bus(ID, REGION, arns.DEFAULT_BUS) == stored


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "bus",
        f"arn:aws:events:{REGION}:{ID}:event-bus",
        f"arn:aws:events:{REGION}:{ID}:event-bus/other",
        f"arn:aws:sqs:{REGION}:{ID}:event-bus/orders",
        f"arn:aws:events:{REGION}:{ID}:rule/orders",
        f"arn:aws:events:eu-west-1:{ID}:event-bus/orders",
    ],
)
async def test_what_is_not_the_arn_of_a_bus_finds_none(catalog: Catalog, arn: str) -> None:
    await catalog.create(bus("orders"))
    assert catalog.bus_by_arn(f"arn:aws:events:{REGION}:{ID}:event-bus/orders") == bus("orders")
    assert catalog.bus_by_arn(arn) is None


def destination(uuid: str) -> ApiDestination:
    now = ManualClock().now()
    return ApiDestination(
        account=ID,
        region=REGION,
        name="hook",
        uuid=uuid,
        connection_arn="arn",
        url="https://a.example",
        method="POST",
        created_at=now,
        modified_at=now,
    )


def connection(uuid: str) -> Connection:
    now = ManualClock().now()
    return Connection(
        account=ID,
        region=REGION,
        name="key",
        uuid=uuid,
        secret_suffix="abcdef",
        authorization=AuthorizationType.API_KEY,
        user="X-Key",
        sealed_secret="sealed",
        state=ConnectionState.AUTHORIZED,
        created_at=now,
        modified_at=now,
    )


async def test_what_is_made_anew_under_a_name_is_not_found_by_the_old_arn(catalog: Catalog) -> None:
    await catalog.create(destination("one"))
    await catalog.create(connection("one"))
    assert catalog.api_destination_by_arn(destination("one").arn) == destination("one")
    assert catalog.connection_by_arn(connection("one").arn) == connection("one")
    assert catalog.connection_by_arn(destination("one").arn) is None
    assert catalog.api_destination_by_arn(connection("one").arn) is None
    await catalog.remove(destination("one"))
    await catalog.remove(connection("one"))
    assert catalog.api_destination_by_arn(destination("one").arn) is None
    await catalog.create(destination("two"))
    await catalog.create(connection("two"))
    assert catalog.api_destination_by_arn(destination("one").arn) is None
    assert catalog.connection_by_arn(connection("one").arn) is None
    assert catalog.api_destination_by_arn(destination("two").arn) == destination("two")
    assert catalog.connection_by_arn(connection("two").arn) == connection("two")


async def test_a_change_that_others_have_undone_already_is_not_applied_late(
    store: EmbeddedStore, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard, put_there = Heard(catalog), store.put

    async def put_and_undo(key: str, value: bytes, expected: int) -> int:
        """Another node removes it, and the watch tells of both, before the answer is here."""
        revision = await put_there(key, value, expected)
        await store.delete(key, revision)
        monkeypatch.setattr(store, "put", put_there)
        await caught_up(store, heard)
        return revision

    async with following(catalog):
        monkeypatch.setattr(store, "put", put_and_undo)
        await catalog.create(account())
    assert await store.get(account().key) is None
    assert catalog.get(Account, account().key) is None
