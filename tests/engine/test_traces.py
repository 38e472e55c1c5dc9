"""What is handed over to be written is counted with all that it holds."""

import msgspec

from partnerbus.engine.traces import Traces
from partnerbus.model.delivery import Claim
from partnerbus.model.exchange import TraceLevel
from partnerbus.model.subscription import Subscription
from partnerbus.targets.wire import Wire
from partnerbus.testing.store_contract.world import DELIVERED, LARGE, tried
from tests.engine.world import World, new_record, new_target


async def test_a_large_event_counts_even_if_little_of_it_was_sent(world: World) -> None:
    bus, target = await world.bus(), new_target()
    rule = await world.rule(bus, target)
    (record,) = await world.store.append([new_record(bus, detail=LARGE)])
    sizes: list[int] = []
    traces = Traces(world.catalog, TraceLevel.FULL, lambda _, size: sizes.append(size))
    claim = Claim(
        subscription=target.subscription,
        lane=target.arn,
        record=record,
        attempt=1,
        token=1,
        owed_at=record.stored_at,
    )
    settlement = msgspec.structs.replace(DELIVERED, attempt=tried(world.clock, 1))
    traces.attempted(claim, Subscription(rule=rule, target=target), settlement, "scripted", b"{}", Wire())
    assert sizes == [len(LARGE) + len(b"{}")]
