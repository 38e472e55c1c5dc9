"""What the node itself writes down: targets that fail, and how far the schedules are."""

from datetime import datetime

from partnerbus.model.resources.resource import Resource

DAMAGED_EVENTS = "damaged-event:"
"""The prefix of the keys of damaged events."""

SCHEDULE_PROGRESS_KEY = "schedule-progress"
PENDING_RESET_KEY = "pending-reset"


class FailingTarget(Resource, frozen=True, kw_only=True, tag="failing-target"):
    """A target of an account's rules that fails without a success since `since`; gone once it works.

    `error` and `message` are of the failure at which it was written, `told_at` is when the account was told,
    and nothing is sent to it since `disabled_at`.
    """

    account: str
    region: str
    arn: str
    rule_arn: str
    since: datetime
    failures: int
    error: str
    message: str
    told_at: datetime | None = None
    disabled_at: datetime | None = None

    @property
    def key(self) -> str:
        return failing_target_key(self.account, self.region, self.arn)


class DamagedEvent(Resource, frozen=True, kw_only=True, tag="damaged-event"):
    """An event that the disk has changed before any rule was asked: the router has passed it over.

    `event_id` is None for a copy that was forwarded or replayed.
    """

    log: str
    position: int
    event_id: str | None
    found_at: datetime

    @property
    def key(self) -> str:
        return f"{DAMAGED_EVENTS}{self.log}:{self.position}"


class ScheduleProgress(Resource, frozen=True, kw_only=True, tag="schedule-progress"):
    """Whatever any schedule of this node had due up to `fired_until` was stored."""

    fired_until: datetime

    @property
    def key(self) -> str:
        return SCHEDULE_PROGRESS_KEY


class PendingReset(Resource, frozen=True, kw_only=True, tag="pending-reset"):
    """Everything is to be forgotten, this too. Whoever opens the folder finishes it, unless it failed."""

    begun_at: datetime
    failed: bool = False
    """Whoever asked was told so, and what was stored since must stay."""

    @property
    def key(self) -> str:
        return PENDING_RESET_KEY


def failing_target_key(account: str, region: str, arn: str) -> str:
    return f"failing-target:{account}:{region}:{arn}"
