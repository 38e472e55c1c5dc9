"""Whether the disk takes anything: a counter is written and synced."""

from collections.abc import Sequence

from partnerbus.store.embedded.tables import Tables
from partnerbus.store.embedded.writer import Verb


def _probe(tables: Tables, commands: Sequence[None]) -> list[None]:
    tables.revision += 1  # one that nobody gets; SQLite does not write a row that stays as it is
    return [None for _ in commands]


PROBE: Verb[None, None] = Verb(_probe, on_disk=True)
