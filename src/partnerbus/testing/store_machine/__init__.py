"""A Hypothesis machine that drives a store and a simple model side by side.

The model is a few dicts and knows nothing of tables, groups or leases in memory. After every step the six
invariants and the ledger hold, what the store says is what the model says, and nothing was claimed before its
elder of one key had ended. Subclass `StoreMachine` with `open_store`, and run `run_state_machine_as_test` or
the class's `TestCase`.
"""

from partnerbus.testing.store_machine.engine_steps import EngineSteps
from partnerbus.testing.store_machine.invariants import Invariants
from partnerbus.testing.store_machine.other_steps import OtherSteps

__all__ = ["StoreMachine"]


class StoreMachine(EngineSteps, OtherSteps, Invariants):
    """Steps of engine, people, restarts and time, in any order."""
