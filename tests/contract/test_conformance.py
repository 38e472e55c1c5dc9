"""Every operation of the model is served, and answers as the model allows, whatever came before."""

import pytest

from partnerbus.api.contract import load_contract
from partnerbus.api.v1.operations import OPERATIONS
from tests.contract.api_machine import play

CONTRACT = load_contract()

NOT_BUILT = {
    "CancelReplay",
    "DescribeReplay",
    "ListReplays",
    "StartReplay",
}
"""This set only shrinks: whoever builds one of them strikes it out."""


def test_every_operation_of_the_model_has_a_handler_or_is_said_to_have_none() -> None:
    assert set(CONTRACT) - set(OPERATIONS) == NOT_BUILT
    assert not set(OPERATIONS) - set(CONTRACT)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_any_calls_in_any_order_are_answered_as_the_model_allows() -> None:
    play(runs=40, again=True)
