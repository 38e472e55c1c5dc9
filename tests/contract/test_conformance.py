"""Every operation of the model is served, and every input that does not fit it is refused as documented."""

import pytest

from partnerbus.api.contract import load_contract
from partnerbus.api.v1.operations import OPERATIONS
from tests.api.world import Caller, World, refusal
from tests.contract.api_machine import play
from tests.contract.plausible import Broken, faults, missing
from tests.contract.shapes import example

CONTRACT = load_contract()

NOT_BUILT = {
    "CancelReplay",
    "DescribeReplay",
    "ListReplays",
    "StartReplay",
}
"""This set only shrinks: whoever builds one of them strikes it out."""


@pytest.fixture
async def customer(tmp_path):
    world = await World.open(tmp_path)
    yield world.customer
    await world.close()


def test_every_operation_of_the_model_has_a_handler_or_is_said_to_have_none() -> None:
    assert set(CONTRACT) - set(OPERATIONS) == NOT_BUILT
    assert not set(OPERATIONS) - set(CONTRACT)


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_what_does_not_fit_is_refused_before_the_handler_sees_it(
    customer: Caller, operation: str
) -> None:
    shape = CONTRACT[operation].input
    members = example(shape)
    assert isinstance(members, dict)
    wrong = list(missing(shape, members))
    for name, member in shape.members.items():
        wrong += [Broken(members | {name: fault.value}, fault.code) for fault in faults(member.shape)]
    for broken in wrong:
        code, _ = await refusal(customer, operation, **broken.value)
        assert code == broken.code, broken


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_any_calls_in_any_order_are_answered_as_the_model_allows() -> None:
    play(runs=60, again=True)
