"""Quotas of how many: callers at once cannot pass one together.

A quota counts what there is and what is being made. Between the count and the moment a resource is in the
registry its maker waits for the disk, and others count meanwhile; so each maker takes its place first.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from partnerbus.api.errors import limit_exceeded
from partnerbus.engine.catalog import Catalog


class Room:
    """The places that are taken by resources which are just being made, by key."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    @contextmanager
    def take(self, catalog: Catalog, key: str, among: str, most: int) -> Iterator[None]:
        """A place for what is made at `key` while the block runs, refused if there are `most` already.

        What counts are the keys that begin with `among`. A key that exists takes no place: whether it may
        be made again is not asked here.
        """
        coming = sum(
            other != key and other.startswith(among) and not catalog.revision(other) for other in self._taken
        )
        if not catalog.revision(key) and catalog.count(among) + coming >= most:
            raise limit_exceeded()
        self._taken[key] += 1
        try:
            yield
        finally:
            self._taken[key] -= 1
            if not self._taken[key]:
                del self._taken[key]
