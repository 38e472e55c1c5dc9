"""Whether the disk takes anything: a counter is written and synced."""

from collections.abc import Sequence

import msgspec

from partnerbus.store.embedded.tables import Tables
from partnerbus.store.embedded.writer import Verb


class Probing(msgspec.Struct, frozen=True, gc=False):
    """The argument of probe."""


def _probe(tables: Tables, commands: Sequence[Probing]) -> list[None]:
    tables.revision += 1  # one that nobody gets; SQLite does not write a row that stays as it is
    return [None for _ in commands]


PROBE: Verb[Probing, None] = Verb(_probe, on_disk=True)
