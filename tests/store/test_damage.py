"""Pages that the disk has changed: what is read is what was written, or an error that names the file."""

import random
import shutil
from pathlib import Path

import msgspec
import pytest

from partnerbus.kernel.errors import ConfigurationError, EventDamaged, StoreUnavailable
from partnerbus.model.delivery import DeliveryState, NewDelivery, Record, Settlement
from partnerbus.store.embedded import EmbeddedStore
from partnerbus.store.protocol import LIVE, START, DeliveryQuery, Ledger, Store
from partnerbus.testing.store_contract.world import LEASE, REFUSED, claim_one, fill, owe, tried
from tests.store.maker import EmbeddedMaker

PAGE = 4_096
RECORDS = 60
DATABASE = "partnerbus.db"


class Found(msgspec.Struct):
    """What could be read of a store, and what was said of the rest."""

    records: list[Record] = []
    said: list[str] = []


async def look(maker: EmbeddedMaker, folder: Path) -> Found:
    """Open the store in `folder` and read each record, and each delivery with its record."""
    found = Found()
    try:
        store = await EmbeddedStore.open(folder, maker.clock, maker.failpoints)
    except (StoreUnavailable, ConfigurationError) as error:
        return Found(said=[str(error)])
    try:
        for call in (read_records(store, found), read_deliveries(store, found)):
            try:
                await call
            except StoreUnavailable as error:
                found.said.append(str(error))
    finally:
        await store.close()
    return found


async def read_records(store: EmbeddedStore, found: Found) -> None:
    """Every record that can be read, past those that cannot."""
    after: int | None = START
    while after is not None:
        try:
            records = await store.read("log", after, limit=RECORDS)
        except EventDamaged as error:
            found.said.append(f"{DATABASE}: {error}")
            after = error.position
        else:
            found.records += records
            after = records[-1].position if records else None


async def read_deliveries(store: EmbeddedStore, found: Found) -> None:
    every = await store.deliveries(DeliveryQuery(limit=RECORDS))
    found.records += [delivery.record for delivery in every if delivery.record is not None]


def garbage(page: bytes, chance: random.Random) -> bytes:
    return chance.randbytes(len(page))


def torn(page: bytes, chance: random.Random) -> bytes:
    """A write of which the second half was lost."""
    return page[: len(page) // 2] + bytes(len(page) // 2)


def turned(page: bytes, chance: random.Random) -> bytes:
    """A single bit is another."""
    at, bit = chance.randrange(len(page)), 1 << chance.randrange(8)
    return page[:at] + bytes([page[at] ^ bit]) + page[at + 1 :]


@pytest.mark.slow
@pytest.mark.parametrize("damage", [garbage, torn, turned])
async def test_no_page_is_served_as_the_disk_made_it(maker: EmbeddedMaker, tmp_path: Path, damage) -> None:
    store = await maker.open()
    stored = await fill(store, RECORDS)
    await owe(store, stored)
    await maker.close()
    true = {record.position: record for record in stored}
    chance, detected = random.Random(5), 0
    pages = (maker.folder / DATABASE).stat().st_size // PAGE
    for page in range(pages):
        shutil.copytree(maker.folder, tmp_path / "damaged")
        with (tmp_path / "damaged" / DATABASE).open("r+b") as file:
            file.seek(page * PAGE)
            content = damage(file.read(PAGE), chance)
            file.seek(page * PAGE)
            file.write(content)
        found = await look(maker, tmp_path / "damaged")
        for record in found.records:
            assert record == true[record.position], f"page {page}"
        assert all(DATABASE in sentence for sentence in found.said)
        detected += bool(found.said)
        shutil.rmtree(tmp_path / "damaged")
    assert detected


WAL, WAL_HEADER, FRAME, COMMIT = "partnerbus.db-wal", 32, 24 + PAGE, slice(4, 8)


def last_commits(wal: bytes) -> tuple[int, int]:
    """How many frames there are, and the first one of the last commit."""
    frames = [wal[at : at + FRAME] for at in range(WAL_HEADER, len(wal) - FRAME + 1, FRAME)]
    ends = [number for number, frame in enumerate(frames) if any(frame[COMMIT])]
    return len(frames), ends[-2] + 1


@pytest.mark.slow
@pytest.mark.parametrize("damage", [garbage, torn, turned])
async def test_damage_in_the_middle_of_the_wal_is_named_and_its_end_is_just_the_end(
    maker: EmbeddedMaker, tmp_path: Path, damage
) -> None:
    store = await maker.open()
    stored = [record for number in range(1, 9) for record in await fill(store, 1, first=number)]
    wal = (maker.folder / WAL).read_bytes()
    frames, last = last_commits(wal)
    chance = random.Random(6)
    for frame in range(frames):
        folder = tmp_path / "damaged"
        shutil.copytree(maker.folder, folder)
        at = WAL_HEADER + frame * FRAME
        changed = wal[:at] + damage(wal[at : at + FRAME], chance) + wal[at + FRAME :]
        (folder / WAL).write_bytes(changed)
        store = await EmbeddedStore.open(folder, maker.clock, maker.failpoints)
        found = list(await store.read("log", START))
        assert found == stored[: len(found)]
        if changed == wal:
            assert (len(found), store.damage) == (len(stored), None)
        elif frame >= last:
            assert (len(found), store.damage) == (len(stored) - 1, None)
        elif frame < last - 1:  # of the end of the last but one nothing may be left
            assert store.damage is not None
            assert str(folder / WAL) in store.damage
            assert (folder / f"{WAL}.damaged").read_bytes() == changed
        await store.close()
        shutil.rmtree(folder)


async def test_a_wal_without_its_header_is_named(maker: EmbeddedMaker, tmp_path: Path) -> None:
    store = await maker.open()
    await fill(store, 1)
    wal = (maker.folder / WAL).read_bytes()
    for at in range(0, WAL_HEADER, 4):
        folder = tmp_path / str(at)
        shutil.copytree(maker.folder, folder)
        (folder / WAL).write_bytes(wal[:at] + bytes([wal[at] ^ 1]) + wal[at + 1 :])
        store = await EmbeddedStore.open(folder, maker.clock, maker.failpoints)
        assert (await store.read("log", START), store.damage is None) == ((), False)
        await store.close()


async def test_a_digit_that_changed_is_seen_in_the_closed_and_in_the_live_file(maker: EmbeddedMaker) -> None:
    """What remains is an event, only not the one that was stored."""
    store = await maker.open()
    stored = await fill(store, RECORDS)
    await owe(store, stored)
    store = await maker.reopen()
    change_digits(maker.folder / DATABASE, stored[5].event.id.encode())
    for _ in range(2):
        assert list(await store.read("log", START)) == stored[:5]
        with pytest.raises(EventDamaged, match=rf"position {stored[5].position} of log is damaged") as caught:
            await store.read("log", stored[4].position)
        assert (caught.value.log, caught.value.position) == ("log", stored[5].position)
        assert list(await store.read("log", stored[5].position)) == stored[6:]
        found = Found()
        await read_deliveries(store, found)
        assert found.records == [*stored[6:][::-1], *stored[:5][::-1]]
        store = await maker.reopen()


async def test_what_is_passed_over_stays_unrouted_in_the_ledger(maker: EmbeddedMaker) -> None:
    store = await maker.open()
    stored = await fill(store, 3)
    first, second, third = (record.position for record in stored)
    await store.advance("log", LIVE, first, owed=[], unmatched=1)
    await store.advance("log", LIVE, second, owed=[], unmatched=0, after=first, damaged=1)
    await store.advance("log", LIVE, third, owed=[], unmatched=0, after=second)
    assert await store.ledger("log") == Ledger(log="log", accepted=3, unmatched=1, matched=1, unrouted=1)


async def damaged_store(
    maker: EmbeddedMaker, position: int, key: bytes | None = None
) -> tuple[Store, list[Record]]:
    """A store with three owed events, of which one was changed on the disk."""
    store = await maker.open()
    stored = await fill(store, 3)
    new = [NewDelivery(subscription="sub", lane="lane", position=each.position, key=key) for each in stored]
    await store.advance("log", LIVE, stored[-1].position, owed=new, unmatched=0)
    store = await maker.reopen()
    change_digits(maker.folder / DATABASE, stored[position].event.id.encode())
    return await maker.reopen(), stored


@pytest.mark.parametrize("position", [0, 1, 2])
async def test_a_damaged_event_is_a_dead_letter_and_the_others_go_on(maker: EmbeddedMaker, position: int):
    store, stored = await damaged_store(maker, position)
    damaged = stored.pop(position)
    claimed = await store.claim("lane", 10, LEASE)
    assert [claim.record for claim in claimed.claims] == stored
    assert claimed.damaged == [("sub", damaged.position)]
    (dead,) = await store.deliveries(DeliveryQuery(states=[DeliveryState.DEAD]))
    assert (dead.position, dead.record, dead.attempts, dead.attempts_made) == (damaged.position, None, (), 0)
    assert dead.last is not None
    assert "damaged" in dead.last.message
    ledger = await store.ledger("log")
    assert (ledger.owed, ledger.dead, ledger.pending) == (3, 1, 2)


async def test_a_damaged_event_that_was_tried_before_keeps_its_attempts(maker: EmbeddedMaker):
    store = await maker.open()
    await owe(store, await fill(store, 1))
    claim = await claim_one(store)
    attempt = tried(maker.clock, 1, REFUSED)
    again = Settlement(state=DeliveryState.OWED, due_at=maker.clock.now(), attempt=attempt)
    assert await store.settle(claim, again)
    store = await maker.reopen()
    change_digits(maker.folder / DATABASE, claim.record.event.id.encode())
    store = await maker.reopen()
    assert (await store.claim("lane", 10, LEASE)).damaged
    (dead,) = await store.deliveries(DeliveryQuery(states=[DeliveryState.DEAD]))
    assert (len(dead.attempts), dead.attempts_made) == (1, 1)


async def test_what_waits_behind_a_damaged_event_of_its_key_is_due(maker: EmbeddedMaker):
    store, stored = await damaged_store(maker, 0, key=bytes(16))
    claimed = await store.claim("lane", 10, LEASE)
    assert (claimed.claims, claimed.next_due_at) == ([], maker.clock.now())
    claimed = await store.claim("lane", 10, LEASE)
    assert [claim.record for claim in claimed.claims] == stored[1:2]


async def test_a_damaged_dead_letter_that_is_redriven_dies_again(maker: EmbeddedMaker):
    store, stored = await damaged_store(maker, 0)
    await store.claim("lane", 1, LEASE)
    assert await store.redrive([("sub", stored[0].position)]) == 1
    assert (await store.claim("lane", 10, LEASE)).damaged == [("sub", stored[0].position)]
    ledger = await store.ledger("log")
    assert (ledger.dead, ledger.pending) == (1, 2)


def change_digits(path: Path, text: bytes) -> None:
    """Make the first digit of each `text` in the file another."""
    at = next(index for index, byte in enumerate(text) if chr(byte).isdigit())
    other = text[:at] + (b"7" if text[at : at + 1] != b"7" else b"8") + text[at + 1 :]
    content = path.read_bytes()
    assert text in content
    path.write_bytes(content.replace(text, other))
