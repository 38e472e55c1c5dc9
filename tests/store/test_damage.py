"""Pages that the disk has changed: what is read is what was written, or an error that names the file."""

import random
import shutil
from pathlib import Path

import msgspec
import pytest

from partnerbus.kernel.errors import ConfigurationError, StoreUnavailable
from partnerbus.model.delivery import Record
from partnerbus.store.embedded import EmbeddedStore
from partnerbus.store.protocol import START, DeliveryQuery
from partnerbus.testing.store_contract.world import fill, owe
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
        for call in (read_records(store), read_deliveries(store)):
            try:
                found.records += await call
            except StoreUnavailable as error:
                found.said.append(str(error))
    finally:
        await store.close()
    return found


async def read_records(store: EmbeddedStore) -> list[Record]:
    return list(await store.read("log", START, limit=RECORDS))


async def read_deliveries(store: EmbeddedStore) -> list[Record]:
    found = await store.deliveries(DeliveryQuery(limit=RECORDS))
    return [delivery.record for delivery in found if delivery.record is not None]


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


async def test_a_digit_that_changed_is_seen_in_the_closed_and_in_the_live_file(maker: EmbeddedMaker) -> None:
    """What remains is an event, only not the one that was stored."""
    store = await maker.open()
    stored = await fill(store, RECORDS)
    await owe(store, stored)
    store = await maker.reopen()
    change_digits(maker.folder / DATABASE, stored[5].event.id.encode())
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=f"damaged .*position {stored[5].position} "):
            await read_records(store)
        with pytest.raises(StoreUnavailable, match=f"damaged .*position {stored[5].position} "):
            await read_deliveries(store)
        store = await maker.reopen()
    assert list(await store.read("log", START, limit=5)) == stored[:5]


def change_digits(path: Path, text: bytes) -> None:
    """Make the first digit of each `text` in the file another."""
    at = next(index for index, byte in enumerate(text) if chr(byte).isdigit())
    other = text[:at] + (b"7" if text[at : at + 1] != b"7" else b"8") + text[at + 1 :]
    content = path.read_bytes()
    assert text in content
    path.write_bytes(content.replace(text, other))
