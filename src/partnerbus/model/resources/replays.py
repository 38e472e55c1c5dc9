"""Replays: what an archive has of a window of time, sent to the rules of its bus once more."""

from datetime import datetime
from enum import StrEnum

from partnerbus.model import arns
from partnerbus.model.resources.resource import Resource

REPLAY_LOGS = "replay@"
"""How the names of replays' logs begin. No bus's log does: a bus's name holds no `@`."""


class ReplayState(StrEnum):
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


CANCELLABLE = frozenset({ReplayState.STARTING, ReplayState.RUNNING})
ACTIVE = CANCELLABLE | {ReplayState.CANCELLING}
"""The states of a replay that has not ended; of these an account may have few at once (documented)."""


class Replay(Resource, frozen=True, kw_only=True, tag="replay"):
    """Events of an archive whose `time` is from `window_start_at` on and before `window_end_at`.

    They are read from the archive's log up to position `until`, its head when the replay was started, by the
    minute of their time; copied with the replay's name to `log`; and owed to the rules of the bus, only to
    those of `rule_arns` if there are any. Everything up to `position` in `minute` was copied, the last of it
    with the time `replayed_until`.
    """

    account: str
    region: str
    name: str
    archive: str
    archive_log: str
    bus: str
    log: str
    until: int
    window_start_at: datetime
    window_end_at: datetime
    started_at: datetime
    state: ReplayState = ReplayState.STARTING
    reason: str | None = None
    rule_arns: tuple[str, ...] = ()
    description: str | None = None
    minute: int | None = None
    position: int = 0
    replayed_until: datetime | None = None
    ended_at: datetime | None = None

    @property
    def key(self) -> str:
        return replay_key(self.account, self.region, self.name)

    @property
    def arn(self) -> str:
        return arns.replay_arn(self.region, self.account, self.name)

    @property
    def archive_arn(self) -> str:
        return arns.archive_arn(self.region, self.account, self.archive)

    @property
    def bus_arn(self) -> str:
        return arns.bus_arn(self.region, self.account, self.bus)

    @property
    def is_active(self) -> bool:
        """Whether it has not ended."""
        return self.state in ACTIVE


def replay_key(account: str, region: str, name: str) -> str:
    return f"replay:{account}:{region}:{name}"
