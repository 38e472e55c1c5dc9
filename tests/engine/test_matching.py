"""Matching follows the catalog, and forgets what is gone."""

import msgspec

from partnerbus.engine.matching import Matching
from partnerbus.kernel.telemetry import make_log
from partnerbus.model.resources import RuleState
from tests.engine.world import World, new_target


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
