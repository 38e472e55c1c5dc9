"""Named places where a test may make the process die or fail.

`PARTNERBUS_FAILPOINTS=store.append.committed=kill@3` kills the process, as `kill -9` would, the third
time it passes that place; `=error@1` raises instead. Without the variable a failpoint costs one lookup in
an empty dict.
"""

import os
import signal
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum

from partnerbus.kernel.errors import ConfigurationError, PartnerbusError

VARIABLE = "PARTNERBUS_FAILPOINTS"


class Failpoint(StrEnum):
    """Every place a fault test can name, as `place.moment`."""

    EDGE_REQUEST_READ = "edge.request_read"
    EDGE_BEFORE_ANSWER = "edge.before_answer"
    APPEND_BEFORE_COMMIT = "store.append.before_commit"
    APPEND_COMMITTED = "store.append.committed"
    ADVANCE_BEFORE_COMMIT = "store.advance.before_commit"
    ADVANCE_COMMITTED = "store.advance.committed"
    CLAIM_COMMITTED = "store.claim.committed"
    SETTLE_BEFORE_COMMIT = "store.settle.before_commit"
    SETTLE_COMMITTED = "store.settle.committed"
    REGISTRY_BEFORE_COMMIT = "store.registry.before_commit"
    REGISTRY_COMMITTED = "store.registry.committed"
    TRIM_BEFORE_COMMIT = "store.trim.before_commit"
    RESET_BEFORE_COMMIT = "store.reset.before_commit"
    RESET_COMMITTED = "store.reset.committed"
    ROUTER_MATCHED = "router.matched"
    DISPATCHER_BEFORE_INVOKE = "dispatcher.before_invoke"
    DISPATCHER_INVOKED = "dispatcher.invoked"
    DISPATCHER_BEFORE_DEAD_LETTER = "dispatcher.before_dead_letter"
    DISPATCHER_DEAD_LETTERED = "dispatcher.dead_lettered"
    SOURCE_BUS_CREATED = "sources.bus_created"
    SOURCE_BUS_RELEASED = "sources.bus_released"
    MIGRATE_MARKED = "migrate.marked"
    MIGRATE_MADE = "migrate.made"
    MIGRATE_PART_DONE = "migrate.part_done"
    MIGRATE_CAUGHT_UP = "migrate.caught_up"
    MIGRATE_COPIED = "migrate.copied"
    MIGRATE_VERIFIED = "migrate.verified"
    MIGRATE_OPENED = "migrate.opened"
    MIGRATE_SOURCE_MARKED = "migrate.source_marked"


class FailpointError(PartnerbusError):
    """A failpoint was told to fail here."""


class Failpoints:
    """What to do at which failpoint, and how often each was passed."""

    def __init__(self, plan: Mapping[Failpoint, str] | None = None) -> None:
        self._plan = {point: _parse(point, action) for point, action in (plan or {}).items()}
        self._passed: Counter[Failpoint] = Counter()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Failpoints":
        """Read `PARTNERBUS_FAILPOINTS`: comma-separated `name=action@count`."""
        plan: dict[Failpoint, str] = {}
        for item in filter(None, environment.get(VARIABLE, "").split(",")):
            name, _, action = item.partition("=")
            try:
                plan[Failpoint(name.strip())] = action.strip()
            except ValueError:
                raise ConfigurationError(f"{VARIABLE}: there is no failpoint {name.strip()!r}") from None
        return cls(plan)

    def hit(self, point: Failpoint) -> None:
        """Pass `point`; die or raise `FailpointError` if the plan says so."""
        if point not in self._plan:
            return
        action, count = self._plan[point]
        self._passed[point] += 1
        if self._passed[point] != count:
            return
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise FailpointError(f"failpoint {point}")


def _parse(point: Failpoint, action: str) -> tuple[str, int]:
    verb, _, count = action.partition("@")
    if verb not in ("kill", "error") or not (count or "1").isdigit():
        raise ConfigurationError(f"{VARIABLE}: {point}={action!r} is neither kill@N nor error@N")
    return verb, int(count or "1")
