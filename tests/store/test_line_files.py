"""Lines in files: bounded in bytes and in age, and never in anybody's way."""

import asyncio
import io
from datetime import timedelta
from pathlib import Path

import pytest

from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.telemetry import make_log
from partnerbus.store.line_files import FILES, WAITING_BYTES, Bounds, LineFiles, LineReader

BOUNDS = Bounds(keep=timedelta(hours=16), size_bytes=FILES * 1_000)
HOUR = timedelta(hours=1)


class World:
    def __init__(self, folder: Path, bounds: Bounds = BOUNDS) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.dropped = 0
        self.written = io.BytesIO()
        self._stream = io.TextIOWrapper(self.written)
        self._log = make_log("info", self._stream)
        self._bounds = bounds

    def open(self) -> LineFiles:
        return LineFiles(self.folder, self.clock, self._log, self._bounds, self._drop)

    def _drop(self, count: int) -> None:
        self.dropped += count

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.iterdir()) if self.folder.exists() else []

    @property
    def size(self) -> int:
        return sum(file.stat().st_size for file in self.files)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "lines")


async def found(lines: LineFiles | LineReader, limit: int = 1_000_000) -> list[bytes]:
    return list(await lines.find(lambda line: line, limit))


async def test_the_newest_come_first(world: World) -> None:
    lines = world.open()
    for number in range(5):
        lines.put(b"%d" % number)
    assert await found(lines) == [b"4", b"3", b"2", b"1", b"0"]
    assert await found(lines, 2) == [b"4", b"3"]
    assert await lines.find(lambda line: line if line in b"13" else None, 1) == [b"3"]
    await lines.close()
    [file] = world.files
    assert file.stat().st_mode & 0o777 == 0o600
    assert world.folder.stat().st_mode & 0o777 == 0o700


async def test_nothing_is_made_before_there_is_a_line(world: World) -> None:
    lines = world.open()
    assert await found(lines) == []
    await lines.sweep()
    await lines.close()
    assert not world.folder.exists()
    assert await found(LineReader(world.folder)) == []


async def test_the_oldest_go_when_there_are_too_many_bytes(world: World) -> None:
    lines = world.open()
    for number in range(1_000):
        lines.put(b"%04d" % number + b"x" * 95)  # with its end 100 bytes: ten in a file
        if number % 7 == 0:
            await lines.flush()
            assert world.size <= BOUNDS.size_bytes
    kept = await found(lines)
    assert kept == [b"%04d" % number + b"x" * 95 for number in range(999, 999 - len(kept), -1)]
    assert BOUNDS.size_bytes - 1_000 <= world.size <= BOUNDS.size_bytes
    await lines.close()


async def test_a_line_longer_than_a_file_has_one_of_its_own(world: World) -> None:
    lines = world.open()
    for line in (b"a", b"b" * 1_500, b"c"):
        lines.put(line)
    assert await found(lines) == [b"c", b"b" * 1_500, b"a"]
    assert len(world.files) == 3
    await lines.close()


async def test_what_is_too_old_goes_even_if_nothing_is_written_any_more(world: World) -> None:
    lines = world.open()
    for number in range(20):
        lines.put(b"%d" % number)
        await lines.flush()
        await world.clock.advance(HOUR)
    await lines.sweep()
    kept = await found(lines)
    assert kept[:15] == [b"%d" % number for number in range(19, 4, -1)]
    assert b"2" not in kept
    await world.clock.advance(18 * HOUR)
    await lines.sweep()
    assert await found(lines) == []
    await lines.close()


async def test_what_an_older_run_left_is_read_and_goes_too(world: World) -> None:
    for number in range(2):
        lines = world.open()
        lines.put(b"%d" % number)
        await lines.close()
    assert await found(LineReader(world.folder)) == [b"1", b"0"]
    await world.clock.advance(18 * HOUR)
    lines = world.open()
    await lines.sweep()
    assert await found(lines) == []
    await lines.close()


async def test_a_start_after_a_crash_begins_a_new_file(world: World) -> None:
    lines = world.open()
    lines.put(b"whole")
    await lines.close()
    with world.files[0].open("ab") as file:
        file.write(b"torn")
    lines = world.open()
    lines.put(b"next")
    assert await found(lines) == [b"next", b"torn", b"whole"]
    await lines.close()


async def test_what_comes_faster_than_the_disk_takes_it_is_dropped_and_counted(tmp_path: Path) -> None:
    world = World(tmp_path, Bounds(size_bytes=10 * WAITING_BYTES))
    lines = world.open()
    line = b"x" * (WAITING_BYTES // 4 - 1)  # with its end a quarter
    for _ in range(7):
        lines.put(line)
    assert len(await found(lines)) == 4
    assert world.dropped == 3
    lines.put(line)
    assert len(await found(lines)) == 5
    await lines.close()


async def test_a_disk_that_takes_nothing_is_in_nobodys_way(world: World) -> None:
    world.folder.write_bytes(b"a file where the folder should be")
    lines = world.open()
    running = asyncio.create_task(lines.run())
    lines.put(b"lost")
    lines.put(b"lost too")
    await lines.flush()
    assert world.dropped == 2
    assert b"lines not written" in world.written.getvalue()
    assert not running.done()
    world.folder.unlink()
    lines.put(b"kept")
    assert await found(lines) == [b"kept"]
    running.cancel()
    await lines.close()


async def test_a_clock_that_was_put_back_keeps_the_order(world: World) -> None:
    await world.clock.advance(10 * HOUR)
    lines = world.open()
    lines.put(b"before")
    await lines.close()
    world.clock = ManualClock()
    lines = world.open()
    lines.put(b"after")
    assert await found(lines) == [b"after", b"before"]
    await lines.close()


async def test_who_is_cancelled_while_it_writes_loses_nothing(world: World) -> None:
    lines = world.open()
    for number in range(50):
        running = asyncio.create_task(lines.run())
        lines.put(b"%d" % number)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        running.cancel()
    await lines.flush()
    assert await found(lines) == [b"%d" % number for number in range(49, -1, -1)]
    await lines.close()
