"""Targets that are ordered by a path, through the engine: retries, other keys, restarts."""

import asyncio
import random
from collections import defaultdict
from datetime import timedelta

import msgspec
import pytest

from partnerbus.model.delivery import DeliveryState
from partnerbus.model.paths import EventDocument
from partnerbus.model.reply import ACCEPTED
from partnerbus.model.resources import EventBus
from partnerbus.model.subscription import Subscription, ordering_path
from tests.engine.world import REFUSED, UNAVAILABLE, Parts, World, new_record, new_target, retries

DAY = timedelta(days=1)
BY = "$.detail.customer"


async def put(world: World, bus: EventBus, *customers: str) -> list[int]:
    """One event of each customer; their positions."""
    details = [msgspec.json.encode({"customer": customer}) for customer in customers]
    records = await world.engine.publisher.publish([new_record(bus, detail=detail) for detail in details])
    return [record.position for record in records]


async def test_a_retry_holds_back_its_key_and_no_other(world: World) -> None:
    bus = await world.bus()
    target = new_target(ordered_by=BY)
    await world.rule(bus, target)
    world.targets.answers[target.arn] = [UNAVAILABLE, ACCEPTED]
    first, second, other = await put(world, bus, "a", "a", "b")
    await world.engine.idle()
    assert [each.record.position for each in world.targets.received] == [first, other]
    await world.advance(DAY)
    received = [each.record.position for each in world.targets.received]
    assert received == [first, other, first, second]
    assert (await world.ledger(bus)).delivered == 3


async def test_an_attempt_under_way_holds_back_what_comes_later(world: World) -> None:
    bus = await world.bus()
    target = new_target(ordered_by=BY)
    await world.rule(bus, target)
    done = asyncio.Event()
    world.targets.answers[target.arn] = [done, ACCEPTED]
    (first,) = await put(world, bus, "a")
    await world.targets.wait_for(lambda: len(world.targets.received) == 1)
    (other,) = await put(world, bus, "b")
    later = await put(world, bus, "a", "a")
    (another,) = await put(world, bus, "c")
    await world.targets.wait_for(lambda: len(world.targets.received) == 3)
    assert [each.record.position for each in world.targets.received] == [first, other, another]
    done.set()
    await world.engine.idle()
    assert [each.record.position for each in world.targets.received] == [first, other, another, *later]


async def test_a_dead_letter_lets_the_next_one_go(world: World) -> None:
    bus = await world.bus()
    target = new_target(ordered_by=BY)
    await world.rule(bus, target)
    world.targets.answers[target.arn] = [REFUSED, ACCEPTED]
    await put(world, bus, "a", "a", "a")
    await world.engine.idle()
    ledger = await world.ledger(bus)
    assert (ledger.dead, ledger.delivered, len(world.targets.received)) == (1, 2, 3)


async def test_a_target_that_is_put_anew_with_another_arn_keeps_the_order(parts: Parts) -> None:
    """What it was owed before waits in the old lane, what comes now in the new one."""
    parts.jitter = lambda: 0.5
    async with parts.open() as world:
        bus = await world.bus()
        before = new_target(ordered_by=BY)
        after = msgspec.structs.replace(before, arn=before.arn + "-2")
        rule = await world.rule(bus, before)
        world.targets.answers[before.arn] = [UNAVAILABLE]
        (first,) = await put(world, bus, "a")
        await world.engine.idle()
        await world.change(rule, targets=(after,))
        world.targets.answers[after.arn] = [UNAVAILABLE, ACCEPTED]
        (second,) = await put(world, bus, "a")
        await world.engine.idle()
        assert len(world.targets.received) == 1
    parts.targets.received.clear()
    async with parts.open() as world:  # a node that starts while all of a lane is held back
        await world.advance(timedelta(seconds=2))
        positions = [each.record.position for each in world.targets.received]
        assert positions == [first, first, second]
        assert (await world.ledger(bus)).delivered == 2


async def test_what_is_held_back_ends_when_its_rule_is_removed(world: World) -> None:
    bus = await world.bus()
    target = new_target(ordered_by=BY)
    rule = await world.rule(bus, target)
    world.targets.answers[target.arn] = [UNAVAILABLE]
    await put(world, bus, "a", "a", "a")
    await world.engine.idle()
    await world.catalog.remove(rule)
    await world.advance(DAY)
    assert (await world.ledger(bus)).cancelled == 3


async def test_without_a_path_nothing_waits(world: World) -> None:
    bus = await world.bus()
    target = new_target()
    await world.rule(bus, target)
    world.targets.answers[target.arn] = [UNAVAILABLE, ACCEPTED]
    await put(world, bus, "a", "a")
    await world.engine.idle()
    assert len(world.targets.received) == 2


@pytest.mark.parametrize("seed", range(5))
async def test_through_failures_and_restarts_every_key_is_attempted_in_order(parts: Parts, seed: int) -> None:
    drawn, parts.keep = random.Random(seed), 2 * DAY
    target = new_target(ordered_by=BY, retry=msgspec.to_builtins(retries(185)))
    answers = [drawn.choice((UNAVAILABLE, ACCEPTED, REFUSED)) for _ in range(2_000)]
    parts.targets.answers[target.arn] = [*answers, ACCEPTED]
    async with parts.open() as world:
        bus = await world.bus()
        await world.rule(bus, target)
    for _ in range(4):
        async with parts.open() as world:
            for _ in range(3):
                await put(world, bus, *(drawn.choice("abcd") for _ in range(drawn.randint(1, 20))))
                await world.advance(timedelta(seconds=drawn.randint(0, 3)))
    async with parts.open() as world:
        await world.advance(DAY)
        ended = await world.deliveries(DeliveryState.DELIVERED, DeliveryState.DEAD)
        keys = {each.position: each.record.event.detail for each in ended if each.record is not None}
        assert len(keys) == (await world.ledger(bus)).accepted
    waiting = defaultdict(list)
    for position in sorted(keys):
        waiting[keys[position]].append(position)
    for invocation, answer in zip(parts.targets.received, answers, strict=False):
        elders = waiting[keys[invocation.record.position]]
        assert elders[0] == invocation.record.position
        if answer is not UNAVAILABLE:
            elders.pop(0)
    assert list(waiting.values()) == [[]] * len(waiting)


# -- keys --------------------------------------------------------------------------------------------------


async def key_of(world: World, detail: bytes, path: str | None = "$.detail.k") -> bytes | None:
    bus = world.catalog.bus("111122223333", "us-east-1", "default")
    assert bus is not None
    target = new_target(ordered_by=path)
    rule = await world.rule(bus, target, name=target.id)
    return Subscription(rule=rule, target=target).key(EventDocument(new_record(bus, detail=detail).event))


async def test_which_values_are_the_same(world: World) -> None:
    text = await key_of(world, b'{"k":"a"}')
    assert text is not None
    assert len(text) == 16
    assert text == await key_of(world, b'{"x":1,"k":"\\u0061"}')
    others = [
        await key_of(world, detail) for detail in (b'{"k":1}', b'{"k":"1"}', b'{"k":null}', b'{"k":[1]}')
    ]
    assert len({text, *others}) == 5
    assert None not in others


async def test_an_event_with_nothing_there_has_no_key(world: World) -> None:
    assert await key_of(world, b"{}") is None
    assert await key_of(world, b'{"k":1}', None) is None


@pytest.mark.parametrize("text", ["", "$", "customer", "$.detail.*", "$.detail[*].k", "$..k"])
def test_what_is_no_path_to_one_value(text: str) -> None:
    assert ordering_path(text) is None
