"""What takes hours: targets that fail, hang, or ask for patience, on a server whose clock is moved."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from partnerbus.api.admin.deliveries import DeliveryDetails
from partnerbus.model.delivery import DeliveryState
from partnerbus.model.reply import ErrorCode
from partnerbus.testing.operator import Operator
from partnerbus.testing.receiver import Hang, Respond
from tests.main_job.story import ACME, Story, begin

SOURCE = "aws.partner/acme.com/orders"
ENTRY = {"Source": SOURCE, "DetailType": "order", "Detail": '{"n":1}'}
PATTERN = {"source": [SOURCE]}
LONGEST_BACKOFF = timedelta(minutes=10)

pytestmark = pytest.mark.slow


@pytest.fixture
async def story(tmp_path: Path) -> AsyncIterator[Story]:
    async with begin(tmp_path / "data", "--test-clock") as story:
        await story.offer(ACME, SOURCE)
        yield story


@pytest.fixture
async def operator(story: Story) -> AsyncIterator[Operator]:
    async with Operator(story.server.data) as operator:
        yield operator


async def delivery_once(
    operator: Operator, condition: Callable[[DeliveryDetails], object]
) -> DeliveryDetails:
    """The one delivery, once `condition` holds.

    It is asked for again and again, so the condition must be one that stays true: attempts that have ended
    stay on record (until retention takes the event, after an hour), while a state between two of them may be
    over before anybody looks.
    """
    async with asyncio.timeout(60):
        while True:
            for found in await operator.deliveries():
                delivery = await operator.delivery(found.id)
                if condition(delivery):
                    return delivery


def went_on_after(attempt: int) -> Callable[[DeliveryDetails], object]:
    return lambda delivery: delivery.settled_at or delivery.attempts[-1].number > attempt


async def test_a_target_that_hangs_is_tried_again(story: Story, operator: Operator) -> None:
    story.receiver.script("/hook", Hang(), Respond())
    await story.rule(SOURCE, "r", PATTERN, await story.webhook("hook"))
    await story.put(ACME, ENTRY)
    delivery = await delivery_once(operator, lambda delivery: delivery.settled_at)
    assert delivery.state is DeliveryState.DELIVERED
    first, *_, last = delivery.attempts
    assert (first.reply.error, last.reply.error) == (ErrorCode.TIMEOUT, None)
    assert len({request.body for request in story.receiver.requests}) == 1


async def test_a_target_is_given_the_time_it_asks_for(story: Story, operator: Operator) -> None:
    story.receiver.script("/hook", Respond(status=429, headers={"Retry-After": "1800"}), Respond())
    await story.rule(SOURCE, "r", PATTERN, await story.webhook("hook"))
    await story.put(ACME, ENTRY)
    waiting = await delivery_once(operator, lambda delivery: delivery.attempts)
    assert (waiting.state, waiting.error) == (DeliveryState.OWED, ErrorCode.THROTTLING)
    await operator.shift_clock(timedelta(minutes=15))
    assert await operator.delivery(waiting.id) == waiting
    await operator.shift_clock(timedelta(minutes=15))
    delivery = await delivery_once(operator, lambda delivery: delivery.settled_at)
    assert delivery.state is DeliveryState.DELIVERED
    first, *_, last = delivery.attempts
    assert last.started_at - first.started_at >= timedelta(minutes=30)


async def test_a_day_of_retries_ends_among_the_dead_letters(story: Story, operator: Operator) -> None:
    story.receiver.script("/hook", Respond(status=503, body=b"closed"))
    await story.rule(SOURCE, "r", PATTERN, await story.webhook("hook"))
    [event_id] = await story.put(ACME, ENTRY)
    delivery = await delivery_once(operator, lambda delivery: delivery.attempts)
    while delivery.settled_at is None:
        await operator.shift_clock(LONGEST_BACKOFF)
        delivery = await delivery_once(operator, went_on_after(delivery.attempts[-1].number))
    assert timedelta(hours=23) < delivery.settled_at - delivery.owed_at < timedelta(hours=25)

    [letter] = await story.dead_letters(1)
    attempts = delivery.attempts_made
    assert 20 < attempts <= 186
    assert len(story.receiver.requests) == attempts
    assert (letter["event_id"], letter["attempts_made"], letter["sent_to"]) == (event_id, attempts, None)
    assert letter["exhausted"] == "MaximumEventAgeInSeconds"
    shown = await story.command("dead-letters", "show", letter["id"], "--json")
    assert shown["attempts"][-1]["reply"]["body_head"] == "closed"

    story.receiver.script("/hook", Respond())
    assert (await story.command("dead-letters", "redrive", letter["id"], "--json"))["redriven"] == 1
    requests = await story.receiver.received(attempts + 1)
    assert requests[-1].body == requests[0].body
