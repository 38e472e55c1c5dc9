"""How many calls an account may make in a region: token buckets, one for each group of operations.

A bucket that holds `burst` tokens and gets `rate` a second is kept as one number: the instant at which it
will be full again. A call takes a token by moving that instant on by `1 / rate`, and is refused if it would
then lie more than `burst / rate` ahead. So a bucket that is full is like one that does not exist, and is
forgotten: whoever comes new makes room by looking at two old ones. What is kept is bounded by the calls of
the last few seconds, however many accounts and regions they name.

The rates are quotas of the account (`model.quotas`), documented per account and region.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType

import msgspec

from partnerbus.kernel.clock import Clock
from partnerbus.model.quotas import Quotas

LOOKS = 2
"""How many old buckets are looked at for each new one: more than one, so that there are never many."""

ROUNDING = 1e-6
"""Seconds that sums of many small steps may be off: instants are numbers of 53 bits."""


class Group(StrEnum):
    """Operations that share a bucket."""

    PUT_EVENTS = "PutEvents"
    PUT_PARTNER_EVENTS = "PutPartnerEvents"
    CREATE_ENDPOINT = "CreateEndpoint"
    UPDATE_ENDPOINT = "UpdateEndpoint"
    DELETE_ENDPOINT = "DeleteEndpoint"
    CONTROL = "control"


GROUPS: Mapping[str, Group] = MappingProxyType(
    {group.value: group for group in Group if group is not Group.CONTROL}
)
"""By operation; every other one belongs to the control plane (documented)."""


class Rate(msgspec.Struct, frozen=True, gc=False):
    """Tokens a second, and how many a bucket holds."""

    rate: int
    burst: int


def rate_of(group: Group, quotas: Quotas) -> Rate:
    """The rate of a group. Where no burst is documented it is what a second gives (assumed)."""
    match group:
        case Group.PUT_EVENTS:
            return Rate(quotas.put_events_rate, quotas.put_events_rate)
        case Group.PUT_PARTNER_EVENTS:
            return Rate(quotas.put_partner_events_rate, quotas.put_partner_events_burst)
        case Group.CONTROL:
            return Rate(quotas.control_plane_rate, quotas.control_plane_rate)
    return Rate(quotas.endpoint_changes_rate, quotas.endpoint_changes_rate)


class Throttle:
    """The buckets of a node. `quotas_of` gives the quotas of an account."""

    def __init__(self, clock: Clock, quotas_of: Callable[[str], Quotas]) -> None:
        self._clock = clock
        self._quotas_of = quotas_of
        self._full_at: OrderedDict[tuple[str, str, Group], float] = OrderedDict()

    def admits(self, account: str, region: str, operation: str) -> bool:
        """Take a token for a call; False if there is none."""
        group = GROUPS.get(operation, Group.CONTROL)
        tokens = rate_of(group, self._quotas_of(account))
        now, key = self._clock.now().timestamp(), (account, region, group)
        known = self._full_at.get(key)
        # A machine's clock may be put back, and a quota raised: no bucket takes longer to fill than its size.
        latest = now + tokens.burst / tokens.rate
        full_at = now if known is None or known < now else min(known, latest)
        admitted = full_at + 1 / tokens.rate <= latest + ROUNDING
        if known is None:
            self._forget(now)
        self._full_at[key] = full_at + admitted / tokens.rate
        return admitted

    def _forget(self, now: float) -> None:
        """Look at the buckets that were longest not looked at; those that are full are gone."""
        for _ in range(min(LOOKS, len(self._full_at))):
            key, full_at = self._full_at.popitem(last=False)
            if full_at > now:
                self._full_at[key] = full_at

    def __len__(self) -> int:
        """How many buckets are remembered."""
        return len(self._full_at)
