"""Holds a piece of work to a bound that is generous for what is linear and hopeless for the rest.

Counted is processor time, not the clock's, and in units of what this very machine needs for a short loop just
before: neither a busy machine nor a slow one decides a verdict.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

LOOPS = 1_000_000


@contextmanager
def bounded(units: int = 100) -> Iterator[None]:
    """Fail if the block takes more processor time than `units` short loops (0.04 s each, or so)."""
    unit = _short_loop()
    started = time.process_time()
    yield
    assert time.process_time() - started < units * unit


def _short_loop() -> float:
    started = time.process_time()
    total = 0
    for number in range(LOOPS):
        total += number
    return time.process_time() - started
