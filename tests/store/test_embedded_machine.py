"""Any order of steps leaves the embedded store as a simple model says."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from partnerbus.kernel.failpoints import Failpoints
from partnerbus.store.embedded import EmbeddedStore
from partnerbus.testing.store_machine import StoreMachine
from tests.effort import examples


class EmbeddedMachine(StoreMachine):
    """The machine on a folder of its own."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="partnerbus-machine-"))
        super().__init__()

    async def open_store(self) -> EmbeddedStore:
        return await EmbeddedStore.open(self.folder, self.clock, Failpoints())

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self.folder)


def run(number: int, steps: int) -> None:
    run_state_machine_as_test(
        EmbeddedMachine,
        settings=settings(
            max_examples=number,
            stateful_step_count=steps,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_short_run() -> None:
    run(examples(15), steps=30)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_longer_run() -> None:
    run(examples(150), steps=50)
