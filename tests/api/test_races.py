"""Partner, customers and their rules at once: whatever the order, nothing is left that nobody can reach."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from partnerbus.model.resources import EventBus, PartnerSource, Rule, bus_key, source_key
from tests.api.world import CUSTOMER, OTHER, PATTERN, QUEUE, REGION, SOURCE, Caller, Refused, World

pytestmark = pytest.mark.slow

ROUNDS = 300
AT_ONCE = 8

Step = Callable[[], Awaitable[dict]]


def steps(world: World, chance: random.Random) -> list[Step]:
    """Everything that anybody may do with the source, its bus, and one rule on it."""

    def account() -> str:
        return chance.choice([CUSTOMER, OTHER])

    return [
        lambda: world.partner("CreatePartnerEventSource", Name=SOURCE, Account=account()),
        lambda: world.partner("DeletePartnerEventSource", Name=SOURCE, Account=account()),
        *customer_steps(world.customer),
        *customer_steps(world.other),
    ]


def customer_steps(caller: Caller) -> list[Step]:
    rule = {"Name": "r", "EventBusName": SOURCE}
    targets = {"Rule": "r", "EventBusName": SOURCE}
    return [
        lambda: caller("CreateEventBus", Name=SOURCE, EventSourceName=SOURCE),
        lambda: caller("DeleteEventBus", Name=SOURCE),
        lambda: caller("ActivateEventSource", Name=SOURCE),
        lambda: caller("DeactivateEventSource", Name=SOURCE),
        lambda: caller("PutRule", EventPattern=PATTERN, **rule),
        lambda: caller("DisableRule", **rule),
        lambda: caller("DeleteRule", **rule),
        lambda: caller("PutTargets", Targets=[{"Id": "1", "Arn": QUEUE}], **targets),
        lambda: caller("RemoveTargets", Ids=["1"], **targets),
    ]


async def attempt(step: Step, pause: int) -> None:
    for _ in range(pause):
        await asyncio.sleep(0)
    with suppress(Refused):
        await step()


def check_nothing_is_left_behind(world: World) -> None:
    catalog = world.services.catalog
    source = catalog.get(PartnerSource, source_key(REGION, SOURCE))
    for account in (CUSTOMER, OTHER):
        if catalog.get(EventBus, bus_key(account, REGION, SOURCE)) is None:
            assert list(catalog.list(Rule, f"rule:{account}:")) == []
        else:
            assert source is not None
            assert source.account == account


@pytest.mark.parametrize("seed", range(20))
async def test_no_bus_outlives_its_source_and_no_rule_its_bus(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    world = await World.open(tmp_path)
    every = steps(world, chance)
    for _ in range(ROUNDS):
        chosen = chance.choices(every, k=chance.randint(1, AT_ONCE))
        await asyncio.gather(*(attempt(step, chance.randint(0, 6)) for step in chosen))
        check_nothing_is_left_behind(world)
    await world.close()
