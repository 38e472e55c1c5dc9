"""Every operation of the model is served, and answers as the model allows, whatever came before."""

import pytest

from partnerbus.api.contract import load_contract
from partnerbus.api.v1.operations import OPERATIONS
from tests.contract.api_machine import play

CONTRACT = load_contract()


def test_every_operation_of_the_model_has_a_handler() -> None:
    assert set(CONTRACT) == set(OPERATIONS)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_any_calls_in_any_order_are_answered_as_the_model_allows() -> None:
    play(runs=40, again=True)
