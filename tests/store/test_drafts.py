"""Lines that are made later: many at once, all of them in the end, and of no more than may wait."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from partnerbus.store.drafts import TOGETHER, TOGETHER_BYTES, Drafts
from partnerbus.store.line_files import GATHERING, LineReader
from tests.store.test_line_files import World, found


class Making:
    """Makes lines of numbers, and remembers how many at once; 13 is one of which none can be made."""

    def __init__(self) -> None:
        self.turns: list[int] = []

    def spell(self, numbers: Sequence[int]) -> bytes:
        self.turns.append(len(numbers))
        if 13 in numbers:
            raise ValueError("no line of 13")
        return b"".join(b"%d\n" % number for number in numbers)


async def test_all_are_written_in_their_order_and_made_many_at_once(tmp_path: Path) -> None:
    lines, making = World(tmp_path / "lines").open(), Making()
    drafts = Drafts(lines, making.spell)
    numbers = [1_000 + number for number in range(2 * TOGETHER + 3)]
    for number in numbers:
        drafts.put(number, 1)
    assert making.turns == [TOGETHER, TOGETHER]
    assert await found(lines) == [b"%d" % number for number in reversed(numbers)]
    assert making.turns == [TOGETHER, TOGETHER, 3]
    await lines.close()


async def test_what_is_large_does_not_wait_for_others(tmp_path: Path) -> None:
    lines, making = World(tmp_path / "lines").open(), Making()
    drafts = Drafts(lines, making.spell)
    drafts.put(1, TOGETHER_BYTES - 1)
    assert making.turns == []
    drafts.put(2, 1)
    assert making.turns == [2]
    await lines.close()


async def test_what_waits_is_written_without_another(tmp_path: Path) -> None:
    world = World(tmp_path / "lines")
    lines, making = world.open(), Making()
    drafts = Drafts(lines, making.spell)
    running = asyncio.create_task(lines.run())
    drafts.put(1, 1)
    while not making.turns:
        await world.clock.advance(GATHERING)
    running.cancel()
    await lines.close()
    assert await found(LineReader(world.folder)) == [b"1"]


async def test_what_cannot_be_made_is_dropped_and_counted_and_nobody_else_fails(tmp_path: Path) -> None:
    world = World(tmp_path / "lines")
    lines = world.open()
    drafts = Drafts(lines, Making().spell)
    for number in (12, 13):
        drafts.put(number, 1)
    assert await found(lines) == []
    assert world.dropped == 2
    assert b"no line of 13" in world.written.getvalue()
    drafts.put(14, TOGETHER_BYTES)
    assert await found(lines) == [b"14"]
    await lines.close()
