"""Random ids, as UUIDs (version 4) in text."""

import os
from collections.abc import Iterator


def random_ids(count: int) -> Iterator[tuple[str, bytes]]:
    """So many ids, each with its sixteen bytes; one draw for all of them."""
    drawn = os.urandom(16 * count)
    for start in range(0, len(drawn), 16):
        value = bytearray(drawn[start : start + 16])
        value[6] = value[6] & 0x0F | 0x40
        value[8] = value[8] & 0x3F | 0x80
        text = value.hex()
        yield f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}", bytes(value)


def random_id() -> str:
    """One id."""
    return next(random_ids(1))[0]
