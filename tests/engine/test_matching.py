"""Matching follows the catalog, makes indexes when they are needed, and forgets what is gone."""

import msgspec
import pytest

from partnerbus.engine import matching as under_test
from partnerbus.engine.matching import Matching
from partnerbus.kernel.telemetry import make_log
from partnerbus.model.delivery import Record
from partnerbus.model.resources import EventBus, RuleState
from partnerbus.patterns import Pattern, parse_pattern
from tests.engine.world import World, new_target


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The patterns that were parsed."""
    texts = []

    def parse(text: str) -> Pattern:
        texts.append(text)
        return parse_pattern(text)

    monkeypatch.setattr(under_test, "parse_pattern", parse)
    return texts


def pattern(number: int) -> str:
    return f'{{"source": ["shop{number}"]}}'


async def record(world: World, bus: EventBus, number: int) -> Record:
    (found,) = await world.put(bus, source=f"shop{number}")
    return found


def matched(matching: Matching, record: Record) -> list[str]:
    return [subscription.rule.name for subscription in matching.match(record).owed]


async def test_a_bus_without_rules_costs_nothing(world: World) -> None:
    matching = Matching(world.catalog, make_log("error"))
    bus = await world.bus()
    (record,) = await world.put(bus)
    for number in range(3):
        rule = await world.rule(bus, new_target(), name=f"rule{number}")
        assert len(matching.match(record).owed) == 1
        disabled = msgspec.structs.replace(rule, state=RuleState.DISABLED)
        await world.catalog.replace(rule, disabled)
        assert matching.match(record).owed == ()
        assert not matching._buses
        await world.catalog.replace(disabled, rule)
        assert len(matching.match(record).owed) == 1
        await world.catalog.remove(rule)
    await world.catalog.remove(bus)
    assert (matching._buses, matching._bus_of_log, matching._by_id) == ({}, {}, {})


async def test_a_bus_without_events_costs_no_start(world: World, parsed: list[str]) -> None:
    bus, other = await world.bus("one"), await world.bus("other")
    for number in range(4):
        await world.rule(bus, new_target(), name=f"rule{number}", pattern=pattern(number))
    await world.rule(other, new_target(), name="another")
    found = await record(world, bus, 2)
    await world.engine.idle()
    parsed.clear()
    matching = Matching(world.catalog, make_log("error"))
    assert parsed == []
    assert matched(matching, found) == ["rule2"]
    assert parsed == [pattern(number) for number in range(4)]
    assert matched(matching, found) == ["rule2"]
    assert len(parsed) == 4


async def test_what_changes_before_the_first_event_is_matched_as_it_is_then(world: World) -> None:
    bus = await world.bus()
    events = [await record(world, bus, number) for number in range(5)]
    rules = [
        await world.rule(bus, new_target(), name=f"rule{number}", pattern=pattern(number))
        for number in range(3)
    ]
    matching = Matching(world.catalog, make_log("error"))
    await world.change(rules[0], pattern=pattern(3))
    await world.catalog.remove(rules[1])
    await world.rule(bus, new_target(), name="rule4", pattern=pattern(4))
    assert [matched(matching, found) for found in events] == [[], [], ["rule2"], ["rule0"], ["rule4"]]


async def test_a_bus_with_many_rules_lets_no_event_wait_for_its_index(
    world: World, parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "INDEXED_LATER", 3)
    bus = await world.bus()
    found = await record(world, bus, 2)
    for number in range(4):
        await world.rule(bus, new_target(), name=f"rule{number}", pattern=pattern(number))
    parsed.clear()
    matching = Matching(world.catalog, make_log("error"))
    assert len(parsed) == 4
    assert matched(matching, found) == ["rule2"]
    assert len(parsed) == 4
