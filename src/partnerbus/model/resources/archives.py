"""Archives: copies of what a bus gets, in logs of their own."""

from datetime import datetime, timedelta

from partnerbus.model import arns
from partnerbus.model.resources.resource import Resource

ARCHIVE_LOGS = "archive@"
"""How the names of archives' logs begin. No bus's log does: a bus's name holds no `@`."""

NEVER_A_REPLAY = '"replay-name":[{"exists":false}]'
"""What the pattern of every archive asks besides: what is replayed is not archived again (documented)."""

MANAGED_RULE = "Events-Archive-"
"""How the name of an archive's rule begins (recalled)."""

MANAGED_BY = "prod.vhs.events.aws.internal"
"""Who manages the rules of archives (recalled)."""


FOR_EVER_DAYS = 365_000
"""A thousand years. The service's model bounds the days of an archive by 32 bits alone."""


class Archive(Resource, frozen=True, kw_only=True, tag="archive"):
    """What a bus got after position `since` and matches `pattern` (None: everything) is copied to `log`.

    `bus_log` is the log of the bus it was made for: a bus made anew under the same name is another one. A
    copy is kept for `retention_days`, for ever if that is 0.
    """

    account: str
    region: str
    name: str
    bus: str
    bus_log: str
    log: str
    since: int
    created_at: datetime
    pattern: str | None = None
    retention_days: int = 0
    description: str | None = None
    kms_key: str | None = None

    @property
    def key(self) -> str:
        return archive_key(self.account, self.region, self.name)

    @property
    def arn(self) -> str:
        return arns.archive_arn(self.region, self.account, self.name)

    @property
    def bus_arn(self) -> str:
        return arns.bus_arn(self.region, self.account, self.bus)

    @property
    def retention(self) -> timedelta | None:
        """How long a copy is kept; None: for ever, which is also what no clock can go back by."""
        return timedelta(days=self.retention_days) if 0 < self.retention_days < FOR_EVER_DAYS else None

    @property
    def rule_name(self) -> str:
        """The rule by which the bus's owner sees that the archive is there."""
        return MANAGED_RULE + self.name

    @property
    def rule_pattern(self) -> str:
        """The pattern of the archive, and that an event is not a replayed one.

        A pattern is a JSON object, of which only what follows the outermost brace need not be JSON.
        """
        if self.pattern is None:
            return f"{{{NEVER_A_REPLAY}}}"
        return f"{{{NEVER_A_REPLAY},{self.pattern.lstrip()[1:]}"


def archive_key(account: str, region: str, name: str) -> str:
    return f"archive:{account}:{region}:{name}"
