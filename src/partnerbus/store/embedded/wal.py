"""Damage in the middle of the write-ahead log, which SQLite takes for its end.

The checksums of a WAL's frames are a chain. Who opens it after a crash reads it up to the first frame that
breaks the chain, as a torn write of the last commit does, and forgets the rest. If two commits end behind the
break, it was hardly the last: the disk has changed what was written, and what was committed behind it, and
perhaps acknowledged, cannot be read any more. The operator has to know that. (A power cut during a sync may
look the same, and lose only what nobody was told of; so the store goes on.)

The bytes are laid out as SQLite's description of its file format says: a header of 32 bytes, then frames of a
header of 24 bytes and a page each.
"""

import shutil
import struct
from pathlib import Path
from typing import BinaryIO

HEADER = struct.Struct(">8I")  # magic, version, bytes of a page, checkpoint, two salts, two checksums
FRAME = struct.Struct(">6I")  # page, pages after a commit or 0, two salts, two checksums
HEADER_CHAINED, FRAME_CHAINED = 24, 8
"""So many bytes of a header are in the chain."""

LITTLE_ENDIAN = 0x377F0682
"""The magic of a WAL whose checksums are of words in that order; the other one's are of the other."""

_WORD = 0xFFFFFFFF


def keep_damaged(path: Path, valid_frames: int) -> Path | None:
    """Keep a copy of the WAL at `path` if more than one commit ends behind the frames that can be read.

    To be called before anything is written to it. Gives the copy's path; None if there is no damage.
    """
    try:
        with path.open("rb") as file:
            damaged = _has_commits_behind(file, valid_frames)
    except FileNotFoundError:
        return None
    if not damaged:
        return None
    copy = damaged_copy(path)
    shutil.copyfile(path, copy)
    return copy


def wal_of(database: Path) -> Path:
    """Where SQLite keeps the write-ahead log of a file."""
    return database.with_name(f"{database.name}-wal")


def damaged_copy(path: Path) -> Path:
    """Where a damaged WAL is kept."""
    return path.with_name(f"{path.name}.damaged")


def _has_commits_behind(file: BinaryIO, frames: int) -> bool:
    """Whether two that end commits lie behind the first `frames`, and one is linked to the one before it."""
    header = file.read(HEADER.size)
    if len(header) < HEADER.size or not any(header):
        return False
    magic, _, page_bytes, _, *salts, first, second = HEADER.unpack(header)
    order = "<" if magic == LITTLE_ENDIAN else ">"
    if (first, second) != _chained(header[:HEADER_CHAINED], (0, 0), order):
        return True  # it is written at once and fits into a sector: no torn write
    size = FRAME.size + page_bytes
    file.seek(HEADER.size + frames * size)
    ends, before = 0, None
    while len(found := file.read(size)) == size:
        _, commit, *of_frame, first, second = FRAME.unpack_from(found)
        if of_frame != salts:  # left from before the WAL was begun anew
            before = None
            continue
        chained = found[:FRAME_CHAINED] + found[FRAME.size :]
        ends += bool(commit)
        if commit and ends > 1 and before is not None and _chained(chained, before, order) == (first, second):
            return True
        before = (first, second)
    return False


def _chained(content: bytes, before: tuple[int, int], order: str) -> tuple[int, int]:
    """The checksums of `content` behind something with the checksums `before`."""
    words = struct.unpack(f"{order}{len(content) // 4}I", content)
    first, second = before
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & _WORD
        second = (second + odd + first) & _WORD
    return first, second
