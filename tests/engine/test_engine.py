"""From a stored event to a settled delivery, on a real store."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partnerbus.model.delivery import DeliveryState
from partnerbus.model.resources import Rule, RuleState
from tests.effort import examples
from tests.engine.world import (
    EVERYTHING,
    REFUSED,
    UNAVAILABLE,
    Parts,
    World,
    new_record,
    new_target,
    retries,
    sink,
)

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


async def test_one_delivery_for_each_matching_subscription(world: World) -> None:
    bus = await world.bus()
    shared = sink("shared")
    await world.rule(bus, new_target(shared), new_target(), name="a")
    await world.rule(bus, new_target(shared), name="b", pattern='{"source": ["shop"]}')
    await world.rule(bus, new_target(), name="c", pattern='{"source": ["other"]}')
    (record,) = await world.put(bus)
    await world.engine.idle()
    assert len(world.targets.received) == 3
    assert len(world.targets.to(shared)) == 2  # two rules with one target deliver twice (recorded)
    assert {invocation.payload for invocation in world.targets.received} == {record.event.encode()}
    ledger = await world.ledger(bus)
    assert (ledger.accepted, ledger.matched, ledger.owed, ledger.delivered) == (1, 1, 3, 3)


async def test_an_event_of_one_bus_is_not_owed_to_another(world: World) -> None:
    one, other = await world.bus("one"), await world.bus("other")
    await world.rule(one, new_target())
    await world.put(other)
    await world.engine.idle()
    assert world.targets.received == []
    assert (await world.ledger(other)).unmatched == 1


async def test_the_default_bus_needs_no_registry_value(world: World) -> None:
    bus = world.catalog.bus("111122223333", "us-east-1", "default")
    assert bus is not None
    await world.rule(bus, new_target())
    await world.put(bus)
    await world.engine.idle()
    assert len(world.targets.received) == 1


async def test_only_events_after_since_are_owed(world: World) -> None:
    bus = await world.bus()
    await world.store.append([new_record(bus), new_record(bus)])  # not routed before the target is there
    since = await world.store.seek(bus.log)
    await world.rule(bus, new_target(since=since))
    (after,) = await world.put(bus)
    await world.engine.idle()
    assert [invocation.record.position for invocation in world.targets.received] == [after.position]


async def test_a_rule_that_changes_matches_by_its_new_pattern(world: World) -> None:
    bus = await world.bus()
    rule = await world.rule(bus, new_target(), pattern='{"source": ["old"]}')
    await world.put(bus, source="old")
    await world.engine.idle()
    rule = await world.change(rule, pattern='{"source": ["new"]}')
    await world.put(bus, source="old")
    await world.put(bus, source="new")
    await world.engine.idle()
    assert [found.record.event.source for found in world.targets.received] == ["old", "new"]
    await world.change(rule, pattern="{}{")  # what is stored is no pattern any more: the node goes on
    await world.put(bus, source="new")
    await world.engine.idle()
    assert len(world.targets.received) == 2
    assert len(world.lines("stored pattern does not parse")) == 1
    assert (await world.ledger(bus)).unmatched == 2


async def test_a_target_that_is_added_gets_what_comes_later(world: World) -> None:
    bus = await world.bus()
    rule = await world.rule(bus, new_target(sink("first")))
    await world.put(bus)
    await world.engine.idle()
    await world.change(rule, targets=(*rule.targets, new_target(sink("second"))))
    await world.put(bus)
    await world.engine.idle()
    assert len(world.targets.to(sink("first"))) == 2
    assert len(world.targets.to(sink("second"))) == 1


async def test_a_disabled_rule_is_owed_nothing_and_its_retries_go_on(world: World) -> None:
    bus = await world.bus()
    target = new_target()
    world.targets.answers[target.arn] = [UNAVAILABLE, *world.targets.answers[target.arn]]
    rule = await world.rule(bus, target)
    (owed,) = await world.put(bus)
    await world.engine.idle()
    await world.change(rule, state=RuleState.DISABLED)
    await world.put(bus)
    await world.advance(HOUR)
    assert [found.record.position for found in world.targets.received] == [owed.position] * 2
    assert (await world.ledger(bus)).delivered == 1


async def test_what_is_owed_to_a_removed_rule_is_cancelled(world: World) -> None:
    bus = await world.bus()
    target = new_target()
    world.targets.answers[target.arn] = [UNAVAILABLE]
    rule = await world.rule(bus, target)
    await world.put(bus, 3)
    await world.engine.idle()
    await world.catalog.remove(rule)
    await world.advance(HOUR)
    assert len(world.targets.received) == 3
    assert (await world.ledger(bus)).cancelled == 3
    assert {delivery.last.message for delivery in await world.deliveries() if delivery.last} == {
        "The rule or the target was removed."
    }


async def test_a_target_that_never_works_is_tried_by_the_policy(world: World) -> None:
    bus = await world.bus()
    target = new_target(dead_letter_arn=sink("dead"))
    world.targets.answers[target.arn] = [UNAVAILABLE]
    rule = await world.rule(bus, target)
    (record,) = await world.put(bus)
    await world.advance(DAY)
    assert len(world.targets.received) == 186
    (dead,) = await world.deliveries(DeliveryState.DEAD)
    assert dead.attempts_made == 186
    assert dead.last is not None
    assert (dead.last.exhausted, dead.last.sent_to) == ("MaximumRetryAttempts", sink("dead"))
    ((queue, body, attributes),) = world.queues.sent
    assert (queue, body.encode()) == (sink("dead"), record.event.encode())
    assert attributes == {
        "RULE_ARN": rule.arn,
        "TARGET_ARN": target.arn,
        "ERROR_CODE": "ERROR_FROM_TARGET",
        "ERROR_MESSAGE": "503",
        "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
        "RETRY_ATTEMPTS": "185",
    }
    assert (await world.ledger(bus)).dead == 1


async def test_an_event_that_is_too_old_is_given_up(world: World) -> None:
    bus = await world.bus()
    target = new_target(retry={"max_retries": 185, "max_age_seconds": 60})
    world.targets.answers[target.arn] = [UNAVAILABLE]
    await world.rule(bus, target)
    await world.put(bus)
    await world.advance(HOUR)
    (dead,) = await world.deliveries(DeliveryState.DEAD)
    assert dead.last is not None
    assert dead.last.exhausted == "MaximumEventAgeInSeconds"
    assert dead.settled_at is not None
    assert dead.settled_at - dead.owed_at <= timedelta(seconds=60)


async def test_a_refusal_that_retries_cannot_help_is_not_retried(world: World) -> None:
    bus = await world.bus()
    target = new_target()
    world.targets.answers[target.arn] = [REFUSED]
    await world.rule(bus, target)
    await world.put(bus)
    await world.advance(DAY)
    assert len(world.targets.received) == 1
    (dead,) = await world.deliveries(DeliveryState.DEAD)
    assert dead.last is not None
    assert (dead.last.exhausted, dead.last.sent_to, dead.last.message) == (None, None, "400")


async def test_a_dead_letter_queue_that_cannot_be_written_loses_nothing(world: World) -> None:
    bus = await world.bus()
    target = new_target(dead_letter_arn=sink("dead"))
    world.targets.answers[target.arn] = [REFUSED]
    world.queues.answer = msgspec.structs.replace(UNAVAILABLE, message="no such queue")
    await world.rule(bus, target)
    await world.put(bus)
    await world.engine.idle()
    (dead,) = await world.deliveries(DeliveryState.DEAD)
    assert dead.last is not None
    assert dead.last.sent_to is None
    assert "400" in dead.last.message
    assert "no such queue" in dead.last.message


async def test_a_payload_that_cannot_be_made_is_a_dead_letter_without_an_attempt(world: World) -> None:
    bus = await world.bus()
    await world.rule(bus, new_target(input_path="$.detail.missing"))
    await world.put(bus)
    await world.engine.idle()
    assert world.targets.received == []
    (dead,) = await world.deliveries(DeliveryState.DEAD)
    assert dead.last is not None
    assert (dead.last.error, dead.attempts) == ("INVALID_JSON", ())


async def test_a_target_of_no_known_kind_is_a_dead_letter(world: World) -> None:
    bus = await world.bus()
    await world.rule(bus, new_target("arn:aws:lambda:us-east-1:111122223333:function:f"))
    await world.put(bus)
    await world.engine.idle()
    (dead,) = await world.deliveries(DeliveryState.DEAD)
    assert dead.last is not None
    assert dead.last.error == "NO_RESOURCE"


async def test_an_error_in_an_invoker_is_retried_and_stops_nobody(world: World) -> None:
    bus = await world.bus()
    broken, sound = new_target(retry={"max_retries": 2}), new_target()
    world.targets.answers[broken.arn] = [ZeroDivisionError("a bug")]
    await world.rule(bus, broken, sound)
    await world.put(bus)
    await world.advance(HOUR)
    assert len(world.targets.to(broken.arn)) == 3
    assert len(world.targets.to(sound.arn)) == 1
    (dead,) = await world.deliveries(DeliveryState.DEAD)
    assert dead.last is not None
    assert dead.last.error == "INTERNAL_ERROR"
    assert "ZeroDivisionError: a bug" in str(world.lines("invoker failed")[0]["exception"])


async def test_a_redriven_dead_letter_is_attempted_at_once(world: World) -> None:
    bus = await world.bus()
    target = new_target()
    world.targets.answers[target.arn] = [REFUSED, *world.targets.answers[target.arn]]
    await world.rule(bus, target)
    await world.put(bus)
    await world.engine.idle()
    (dead,) = await world.deliveries(DeliveryState.DEAD)
    assert await world.engine.redrive([(dead.subscription, dead.position)]) == 1
    await world.engine.idle()
    ledger = await world.ledger(bus)
    assert (ledger.dead, ledger.delivered) == (0, 1)


async def test_one_wide_line_for_each_event_and_each_attempt(world: World) -> None:
    bus = await world.bus()
    target = new_target()
    world.targets.answers[target.arn] = [UNAVAILABLE, *world.targets.answers[target.arn]]
    rule = await world.rule(bus, target)
    (record,) = await world.put(bus)
    await world.advance(HOUR)
    delivery = f"{target.subscription}-{record.position}"
    (line,) = world.lines("event")
    assert line["event_id"] == record.event.id
    assert (line["rules_matched"], line["deliveries"]) == (1, [delivery])
    first, second = world.lines("attempt")
    assert (first["attempt"], first["outcome"], first["status"]) == (1, "owed", 503)
    assert first["next_due_at"] is not None
    assert (second["attempt"], second["outcome"], second["rule_arn"]) == (2, "delivered", rule.arn)


async def test_events_and_attempts_are_counted_by_what_became_of_them(world: World) -> None:
    bus = await world.bus()
    target, refusing = new_target(), new_target()
    world.targets.answers[target.arn] = [UNAVAILABLE, *world.targets.answers[target.arn]]
    world.targets.answers[refusing.arn] = [REFUSED]
    await world.rule(bus, target, refusing, pattern='{"source": ["shop"]}')
    await world.put(bus)
    await world.put(bus, source="else")
    await world.advance(HOUR)
    outcomes = ("owed", "delivered", "dead")
    assert [world.counted("attempts", kind="scripted", outcome=each) for each in outcomes] == [1, 1, 1]
    assert [world.counted("events_routed", matched=each) for each in ("true", "false")] == [1, 1]


class TestForwarding:
    async def test_an_event_keeps_its_id_in_its_region_and_goes_one_hop(self, world: World) -> None:
        first, second, third = [await world.bus(name) for name in ("first", "second", "third")]
        await world.rule(first, new_target(second.arn))
        await world.rule(second, new_target(third.arn), new_target(sink("end")))
        (record,) = await world.put(first)
        await world.engine.idle()
        (arrived,) = world.targets.to(sink("end"))
        assert arrived.record.event == record.event
        assert arrived.record.via == first.arn
        (dead,) = await world.deliveries(DeliveryState.DEAD)
        assert dead.last is not None
        assert dead.last.error == "THIRD_ACCOUNT_HOP_DETECTED"
        assert (await world.ledger(third)).accepted == 0

    async def test_across_regions_the_id_is_another_one(self, world: World) -> None:
        near, far = await world.bus("near"), await world.bus("far", region="eu-west-1")
        await world.rule(near, new_target(far.arn))
        await world.rule(far, new_target(sink("end")))
        (record,) = await world.put(near)
        await world.engine.idle()
        (arrived,) = world.targets.to(sink("end"))
        assert arrived.record.event == msgspec.structs.replace(record.event, id=arrived.record.event.id)
        assert arrived.record.event.id != record.event.id

    async def test_a_repeated_delivery_forwards_once(self, world: World) -> None:
        first, second = await world.bus("first"), await world.bus("second")
        await world.rule(first, new_target(sink("spy")))
        await world.put(first)
        await world.engine.idle()
        (invocation,) = world.targets.received
        for _ in range(3):
            await world.engine.publisher.forward(invocation, second)
        await world.engine.idle()
        assert (await world.ledger(second)).accepted == 1


@pytest.mark.slow
async def test_ten_thousand_subscriptions_of_which_one_matches(world: World) -> None:
    bus = await world.bus()
    for number in range(2_000):  # five targets a rule
        targets = [new_target(sink(f"{number}-{each}")) for each in range(5)]
        await world.rule(bus, *targets, name=f"rule{number}", pattern=f'{{"source": ["shop{number}"]}}')
    await world.put(bus, source="shop1234")
    await world.engine.idle()
    assert {found.target.arn for found in world.targets.received} == {
        sink(f"1234-{each}") for each in range(5)
    }


async def test_a_backlog_larger_than_a_batch_is_routed_in_turns(parts: Parts) -> None:
    async with parts.open() as world:
        bus = await world.bus()
        await world.rule(bus, new_target())
        records = [new_record(bus) for _ in range(1_500)]
        await world.store.append(records)  # behind the back of the engine
        await world.put(bus)
        await world.engine.idle()
        assert len({found.record.position for found in world.targets.received}) == 1_501
        assert (await world.ledger(bus)).delivered == 1_501
        assert max(world.targets.most_in_flight.values()) <= 64


@settings(max_examples=examples(20))
@given(data=st.data())
def test_each_event_is_owed_once_to_what_matches_it(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Rules come, change and go between events; a plain list of what should arrive is the oracle."""

    async def run() -> None:
        expected: list[tuple[int, str]] = []
        async with Parts(tmp_path_factory.mktemp("world")).open() as world:
            bus = await world.bus()
            rules: dict[str, Rule] = {}
            for _ in range(data.draw(st.integers(1, 12))):
                step = data.draw(st.sampled_from(["put", "put", "rule", "toggle", "remove"]))
                if step == "put":
                    source = data.draw(st.sampled_from("abc"))
                    (record,) = await world.put(bus, source=source)
                    for rule in rules.values():
                        if rule.state is RuleState.ENABLED and rule.pattern in (EVERYTHING, _source(source)):
                            expected += [(record.position, target.subscription) for target in rule.targets]
                elif step == "rule":
                    pattern = data.draw(st.sampled_from([EVERYTHING, *map(_source, "abc"), "broken"]))
                    name = f"rule{len(rules)}"
                    rules[name] = await world.rule(bus, new_target(), name=name, pattern=pattern)
                elif rules:
                    name = data.draw(st.sampled_from(sorted(rules)))
                    rule = rules[name]
                    if step == "remove":
                        rules[name] = await world.change(rule, targets=())
                    else:
                        other = {RuleState.ENABLED: RuleState.DISABLED, RuleState.DISABLED: RuleState.ENABLED}
                        rules[name] = await world.change(rule, state=other[rule.state])
                await world.engine.idle()
            owed = [(each.position, each.subscription) for each in await world.deliveries()]
            assert sorted(owed) == sorted(expected)
            await world.ledger(bus)

    asyncio.run(run())


def _source(source: str) -> str:
    return f'{{"source": ["{source}"]}}'


def test_the_defaults_of_a_policy_are_the_services() -> None:
    assert new_target().retry == retries(185)
