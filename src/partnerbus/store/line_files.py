"""Lines that are kept for a while: in files of a folder, bounded in bytes and in age, best effort.

Whoever puts a line neither waits nor fails. Lines wait in memory, at most `WAITING_BYTES` of them (more are
dropped, and counted), and a thread appends them to the newest file. A file is named by the instant on the
clock at which it was begun; a full or old one is followed by the next, and the oldest are deleted. A crash
loses what waits, and may cut the last line, which readers leave out: a start begins a new file.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from partnerbus.kernel.clock import Clock
from partnerbus.kernel.telemetry import Log

WAITING_BYTES = 8 * 1024 * 1024
ENOUGH_BYTES = WAITING_BYTES // 8
GATHERING = timedelta(milliseconds=100)
"""How long lines wait for others, unless there are enough of them: each write is a turn of a thread."""

FILES = 16
"""The bounds are kept by deleting whole files, so there are about as many; each has its part of both."""

FOUND_BYTES = 16 * 1024 * 1024
"""How long what is read at once may be, about: an answer is held in memory."""

SUFFIX = ".jsonl"

T = TypeVar("T")


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """How much is kept: what is younger than `keep`, and no more than `size_bytes`."""

    keep: timedelta = timedelta(days=7)
    size_bytes: int = 128 * 1024 * 1024


class Lines(Protocol):
    """Lines that can be read."""

    async def find(self, pick: Callable[[bytes], T | None], limit: int, having: bytes = b"") -> Sequence[T]:
        """What `pick` makes of the newest lines, the newest first; a line of which it makes None is left out.

        Only lines that have the bytes `having` are asked about, and others cost next to nothing. `pick` is
        called in a thread. It ends at `limit`, or once what was picked is `FOUND_BYTES` long.
        """


class LineReader:
    """Reads the lines of a folder, which may be written to meanwhile."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def find(self, pick: Callable[[bytes], T | None], limit: int, having: bytes = b"") -> Sequence[T]:
        return await asyncio.to_thread(self._find, pick, limit, having)

    def _find(self, pick: Callable[[bytes], T | None], limit: int, having: bytes) -> Sequence[T]:
        found: list[T] = []
        size = 0
        for line in self._newest_first(having):
            picked = pick(line)
            if picked is not None:
                found.append(picked)
                size += len(line)
            if len(found) == limit or size >= FOUND_BYTES:
                break
        return found

    def _newest_first(self, having: bytes) -> Iterator[bytes]:
        for path in reversed(_files(self._folder)):
            try:
                content = path.read_bytes()
            except OSError:
                continue  # deleted meanwhile
            yield from reversed(content.splitlines() if not having else list(_having(having, content)))


def _having(text: bytes, content: bytes) -> Iterator[bytes]:
    """The lines of `content` that have `text`, which has no end of a line in it."""
    at = content.find(text)
    while at >= 0:
        start = content.rfind(b"\n", 0, at) + 1
        end = content.find(b"\n", at)
        end = len(content) if end < 0 else end
        yield content[start:end]
        at = content.find(text, end + 1)


class LineFiles:
    """Writes lines, and reads them. `run` writes until it is cancelled, `close` writes what is left."""

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        log: Log,
        bounds: Bounds,
        dropped: Callable[[int], None] = lambda _count: None,
    ) -> None:
        self._name = folder.name
        self._reader = LineReader(folder)
        self._writer = _Writer(folder, bounds)
        self._clock = clock
        self._log = log
        self._dropped = dropped
        self._drafts: list[Callable[[], None]] = []
        self._waiting: list[_Lines] = []
        self._waiting_bytes = 0
        self._too_many = 0
        self._anything = asyncio.Event()
        self._enough = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lines")

    def put(self, line: bytes) -> None:
        """Let `line`, which has no end yet, be written."""
        self.put_all(line + b"\n", 1)

    def put_all(self, text: bytes, count: int) -> None:
        """Let `count` lines, each with its end, be written: all of them or none."""
        if self._waiting_bytes + len(text) > WAITING_BYTES:
            self._too_many += count
            return
        self._waiting.append(_Lines(text, count))
        self._waiting_bytes += len(text)
        self._anything.set()
        if self._waiting_bytes >= ENOUGH_BYTES:
            self._enough.set()

    def expect(self) -> None:
        """There will be lines once `before_writing` asks for them."""
        self._anything.set()

    def before_writing(self, put: Callable[[], None]) -> None:
        """Call `put` before anything is written: it may have lines to put."""
        self._drafts.append(put)

    def spoiled(self, count: int, error: Exception) -> None:
        """Lines could not be made: they are dropped, and counted, as any others."""
        self._log.error("lines not made", folder=self._name, exc_info=error)
        self._too_many += count

    async def run(self) -> None:
        """Write what is put, until cancelled."""
        while True:
            await self._anything.wait()
            with suppress(TimeoutError):
                async with self._clock.timeout(GATHERING):
                    await self._enough.wait()
            await self.flush()

    async def find(self, pick: Callable[[bytes], T | None], limit: int, having: bytes = b"") -> Sequence[T]:
        """As `Lines.find`, with everything that was put by now."""
        await self.flush()
        return await self._reader.find(pick, limit, having)

    async def flush(self) -> None:
        """Write everything that was put by now. What the disk does not take is dropped."""
        for put in self._drafts:
            put()
        waiting, self._waiting = self._waiting, []
        too_many, self._too_many = self._too_many, 0
        self._waiting_bytes = 0
        self._anything.clear()
        self._enough.clear()
        texts = [each.text for each in waiting]
        try:
            await self._in_thread(partial(self._writer.write, texts, self._clock.now()))
        except OSError as error:
            self._log.warning("lines not written", folder=self._name, error=str(error))
            too_many += sum(each.lines for each in waiting)
        if too_many:
            self._dropped(too_many)
            self._log.warning("lines dropped", folder=self._name, lines=too_many)

    async def sweep(self) -> None:
        """Delete what is too old, also if nothing is written any more."""
        await self._in_thread(partial(self._writer.tidy, self._clock.now()))

    async def close(self) -> None:
        """Write what is left."""
        await self.flush()
        await self._in_thread(self._writer.close)
        self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Callable[[], None]) -> None:
        """Do it after everything that is under way, and to its end, also if who waits is cancelled."""
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))


class _Lines(NamedTuple):
    """So many lines, with their ends."""

    text: bytes
    lines: int


class _Writer:
    """Appends to the newest file, for a part of the time that lines are kept. Blocks. Raises `OSError`."""

    def __init__(self, folder: Path, bounds: Bounds) -> None:
        self._folder = folder
        self._bounds = bounds
        self._file_bytes = bounds.size_bytes // FILES
        self._file_age = bounds.keep / FILES
        self._file: int | None = None
        self._begun_at = 0
        self._size = 0

    def write(self, texts: Sequence[bytes], now: datetime) -> None:
        """Append lines, with their ends."""
        text = b"".join(texts)
        if text and (self._file is None or self._is_old(now)):
            self._begin(now)
        start = 0
        while start < len(text):
            end = self._fitting(text, start)
            self._append(memoryview(text)[start:end])
            if end < len(text):
                self._begin(now)
            start = end

    def _fitting(self, text: bytes, start: int) -> int:
        """Where what of `text` still fits into the file ends. One line alone may be longer than a file."""
        room = self._file_bytes - self._size
        if len(text) - start <= room:
            return len(text)
        end = text.rfind(b"\n", start, start + max(0, room)) + 1
        return end or (start if self._size else text.index(b"\n", start) + 1)

    def tidy(self, now: datetime) -> None:
        """End a file that is too old to be written on, and delete what is too much or too old."""
        if self._file is not None and self._is_old(now):
            self._begin(now)
        files = _files(self._folder)
        total = sum(path.stat().st_size for path in files) + self._file_bytes - self._size
        for path in files:
            is_old = _begun_at(path) <= _milliseconds(now - self._bounds.keep - self._file_age)
            if not is_old and total <= self._bounds.size_bytes:
                break
            if self._file is not None and _begun_at(path) == self._begun_at:
                break
            total -= path.stat().st_size
            path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _is_old(self, now: datetime) -> bool:
        return _milliseconds(now - self._file_age) >= self._begun_at

    def _begin(self, now: datetime) -> None:
        self.close()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        newest = max(map(_begun_at, _files(self._folder)), default=0)
        self._begun_at = max(_milliseconds(now), newest + 1)  # also if the clock was put back
        path = self._folder / f"{self._begun_at:015d}{SUFFIX}"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._size = 0
        self.tidy(now)

    def _append(self, rest: memoryview) -> None:
        assert self._file is not None
        try:
            while rest:
                written = os.write(self._file, rest)
                self._size += written
                rest = rest[written:]
        except OSError:
            self.close()  # perhaps in the middle of a line: the next one begins another file
            raise


async def delete_lines(folder: Path) -> None:
    """Delete every line of a folder to which nobody writes."""
    await asyncio.to_thread(_delete, folder)


def _delete(folder: Path) -> None:
    for path in _files(folder):
        path.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    """The files, the oldest first."""
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if path.stem.isdecimal())


def _begun_at(path: Path) -> int:
    return int(path.stem)


def _milliseconds(instant: datetime) -> int:
    return int(instant.timestamp() * 1_000)
