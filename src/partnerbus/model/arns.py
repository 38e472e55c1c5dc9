"""Amazon Resource Names: taken apart and put together."""

from functools import lru_cache

import msgspec

PARTITION = "aws"
"""The partition of every ARN we make. Others (`aws-cn`, `aws-us-gov`) are accepted in what callers send."""

OWN_PARTITION = "partnerbus"
"""The partition of targets that AWS has no word for; the service says which kind."""

DEFAULT_BUS = "default"

ARNS_REMEMBERED = 4_096
"""The same few are taken apart for every event."""


class Arn(msgspec.Struct, frozen=True):
    """`arn:partition:service:region:account:resource`; region and account may be empty."""

    partition: str
    service: str
    region: str
    account: str
    resource: str

    @staticmethod
    def parse(text: str) -> "Arn | None":
        """The ARN in `text`, or None if it has not the shape of one."""
        return _parse(text)

    @property
    def is_of_aws(self) -> bool:
        """Whether the partition is one of AWS's, such as `aws-cn`."""
        return self.partition == PARTITION or self.partition.startswith(f"{PARTITION}-")

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"


@lru_cache(ARNS_REMEMBERED)
def _parse(text: str) -> Arn | None:
    parts = text.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or not parts[1] or not parts[2] or not parts[5]:
        return None
    return Arn(*parts[1:])


def bus_arn(region: str, account: str, name: str) -> str:
    return f"arn:{PARTITION}:events:{region}:{account}:event-bus/{name}"


def rule_arn(region: str, account: str, bus: str, name: str) -> str:
    """On the default bus the bus name is left out (recorded)."""
    path = name if bus == DEFAULT_BUS else f"{bus}/{name}"
    return f"arn:{PARTITION}:events:{region}:{account}:rule/{path}"


def archive_arn(region: str, account: str, name: str) -> str:
    return f"arn:{PARTITION}:events:{region}:{account}:archive/{name}"


def replay_arn(region: str, account: str, name: str) -> str:
    return f"arn:{PARTITION}:events:{region}:{account}:replay/{name}"


def event_source_arn(region: str, name: str) -> str:
    """A partner source's ARN; its account field is empty."""
    return f"arn:{PARTITION}:events:{region}::event-source/{name}"


def connection_arn(region: str, account: str, name: str, uuid: str) -> str:
    return f"arn:{PARTITION}:events:{region}:{account}:connection/{name}/{uuid}"


def connection_secret_arn(region: str, account: str, name: str, suffix: str) -> str:
    """`suffix` is a UUID, a hyphen and six characters (recorded)."""
    return f"arn:{PARTITION}:secretsmanager:{region}:{account}:secret:events!connection/{name}/{suffix}"


def api_destination_arn(region: str, account: str, name: str, uuid: str) -> str:
    return f"arn:{PARTITION}:events:{region}:{account}:api-destination/{name}/{uuid}"


def endpoint_arn(region: str, account: str, name: str) -> str:
    return f"arn:{PARTITION}:events:{region}:{account}:endpoint/{name}"


def webhook_arn(region: str, account: str, name: str) -> str:
    return f"arn:{OWN_PARTITION}:webhook:{region}:{account}:{name}"


def region_of(arn: str) -> str:
    """The region in an ARN; empty if it has none."""
    parsed = Arn.parse(arn)
    return parsed.region if parsed is not None else ""
