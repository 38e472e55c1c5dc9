"""What every store must do: the promises of `partnerbus.store.protocol`, one test each, restart included.

Subclass `StoreContract` in a test module and give it a `maker` fixture:

    class TestMyStore(StoreContract):
        @pytest.fixture
        async def maker(self, tmp_path): ...  # yields a StoreMaker

Needs pytest and pytest-asyncio in auto mode.
"""

import pytest

from partnerbus.store.protocol import Store
from partnerbus.testing.store_contract.deliveries import ClaimContract, DeadLetterContract
from partnerbus.testing.store_contract.keeping import KeepingContract
from partnerbus.testing.store_contract.logs import CursorContract, LogContract
from partnerbus.testing.store_contract.ordering import OrderingContract
from partnerbus.testing.store_contract.people import PeopleContract
from partnerbus.testing.store_contract.redrive import RedriveContract
from partnerbus.testing.store_contract.registry import CloseContract, ProbeContract, RegistryContract
from partnerbus.testing.store_contract.reset import ResetContract
from partnerbus.testing.store_contract.trim import TrimContract
from partnerbus.testing.store_contract.world import StoreMaker

__all__ = ["StoreContract", "StoreMaker"]


class StoreContract(
    LogContract,
    TrimContract,
    CursorContract,
    KeepingContract,
    ClaimContract,
    DeadLetterContract,
    RedriveContract,
    PeopleContract,
    OrderingContract,
    RegistryContract,
    ResetContract,
    ProbeContract,
    CloseContract,
):
    """The whole contract. A subclass gives the `maker` fixture."""

    @pytest.fixture
    async def store(self, maker: StoreMaker) -> Store:
        """The store under test, open and empty."""
        return await maker.open()
