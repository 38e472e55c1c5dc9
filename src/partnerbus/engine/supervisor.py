"""What keeps the moving parts moving."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import msgspec


class Sweep(msgspec.Struct, frozen=True):
    """Work that is done every so often."""

    name: str
    every: timedelta
    run: Callable[[], Awaitable[None]]
