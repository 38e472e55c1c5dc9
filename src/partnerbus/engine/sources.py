"""Partner sources on the catalog: offered, associated, paused, withdrawn, expired.

What follows from what stands in `model.partner_source.TRANSITIONS`. Here is how it is written. A source and
its bus are two values of the registry, so a change of both is two writes, and a crash may come between. The
order of the writes makes what a crash leaves one of the documented standings:

* associate: the bus, then the source ACTIVE. Between: PENDING with a bus, and the customer can activate it.
* release of an ACTIVE one: the source PENDING, then the bus away. Between: PENDING with a bus, and the
  customer can delete the bus again.
* release of a DELETED one: the bus away, then the source away. Between: DELETED without a bus, which
  `standing` reads as absent, and which the sweep removes.

Everything else is one write. Every write is compare-and-set, so of two callers one wins and the other gets
a `RevisionConflict`.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from enum import Enum, auto

import msgspec

from partnerbus.engine.buses import remove_bus
from partnerbus.engine.catalog import Catalog
from partnerbus.engine.supervisor import Sweep
from partnerbus.kernel.clock import Clock
from partnerbus.kernel.errors import RevisionConflict
from partnerbus.kernel.failpoints import Failpoint, Failpoints
from partnerbus.model.partner_source import (
    TRANSITIONS,
    Refusal,
    Standing,
    Trigger,
    partner_of,
    standing,
    state_for_customer,
)
from partnerbus.model.resources import EventBus, PartnerSource, SourceState, bus_key, source_key

SWEEP_EVERY = timedelta(minutes=1)


class AcceptInto(msgspec.Struct, frozen=True):
    """Accept the entry and append its event to the log of `bus`, which is the customer's."""

    bus: EventBus


class AcceptAndDrop(msgspec.Struct, frozen=True):
    """Accept the entry, give it an id, and keep nothing: the customer has not taken the source (yet)."""


class Reject(Enum):
    """Refuse the entry."""

    NO_SUCH_SOURCE = auto()
    """It never existed, expired, or was deleted."""

    NOT_THE_PARTNERS = auto()
    """The caller is not the partner that the name belongs to; whether the source exists is not told."""


SourceVerdict = AcceptInto | AcceptAndDrop | Reject


def judge(
    catalog: Catalog, region: str, name: str, partner: str | None, any_partner: bool, now: datetime
) -> SourceVerdict:
    """What `PutPartnerEvents` does with an entry whose Source is `name`. Reads memory.

    `partner` is the caller's domain (None: no partner); `any_partner` may act as every partner.
    """
    if not may_act_for(name, partner, any_partner):
        return Reject.NOT_THE_PARTNERS
    source = catalog.get(PartnerSource, source_key(region, name))
    bus = source_bus(catalog, source)
    found = standing(source, bus is not None, now)
    if found is Standing.ACTIVE and bus is not None:
        return AcceptInto(bus)
    if found in (Standing.PENDING, Standing.PENDING_WITH_BUS):
        return AcceptAndDrop()
    return Reject.NO_SUCH_SOURCE


def may_act_for(name: str, partner: str | None, any_partner: bool) -> bool:
    """Whether a caller may act as the partner that the source name (or prefix) `name` belongs to."""
    return any_partner or (partner is not None and partner_of(name) == partner)


def source_bus(catalog: Catalog, source: PartnerSource | None) -> EventBus | None:
    """The bus that the source's customer associated with it."""
    if source is None:
        return None
    bus = catalog.get(EventBus, bus_key(source.account, source.region, source.name))
    return bus if bus is not None and bus.source == source.name else None


class PartnerSources:
    """The lifecycle of partner sources. A refusal is a value; a lost race is a `RevisionConflict`.

    `lifetime` is how long a source may be PENDING before it expires.
    """

    def __init__(self, catalog: Catalog, clock: Clock, failpoints: Failpoints, lifetime: timedelta) -> None:
        self._catalog = catalog
        self._clock = clock
        self._failpoints = failpoints
        self._lifetime = lifetime

    def find(self, region: str, name: str) -> PartnerSource | None:
        """What is stored under that name, expired or not."""
        return self._catalog.get(PartnerSource, source_key(region, name))

    def standing(self, source: PartnerSource | None) -> Standing:
        """How the source stands now."""
        return standing(source, source_bus(self._catalog, source) is not None, self._clock.now())

    async def offer(self, region: str, name: str, account: str) -> PartnerSource | Refusal:
        """The partner offers a source to a customer account.

        One that is DELETED can only be offered again to the account whose bus still bears it (assumed).
        """
        before = self.find(region, name)
        found = self.standing(before)
        after = TRANSITIONS[Trigger.OFFER][found]
        if isinstance(after, Refusal):
            return after
        if before is not None and found is Standing.DELETED and before.account != account:
            return Refusal.ALREADY_EXISTS
        now = self._clock.now()
        offered = PartnerSource(
            region=region,
            name=name,
            partner=partner_of(name),
            account=account,
            state=SourceState.PENDING,
            created_at=now,
            expires_at=now + self._lifetime,
        )
        await (self._catalog.create(offered) if before is None else self._catalog.replace(before, offered))
        return offered

    async def withdraw(self, region: str, name: str, account: str) -> None:
        """The partner withdraws what it offered to `account`; nothing happens if there is no such offer."""
        source = self.find(region, name)
        if source is None or source.account != account:
            return
        found = self.standing(source)
        if TRANSITIONS[Trigger.WITHDRAW][found] is Standing.DELETED:
            await self._set(source, SourceState.DELETED)
        else:
            await self._catalog.remove(source)

    async def associate(self, bus: EventBus) -> Refusal | None:
        """The customer makes the bus of a source, which becomes ACTIVE."""
        source = self._of_customer(bus.account, bus.region, bus.name)
        after = TRANSITIONS[Trigger.ASSOCIATE][self.standing(source)]
        if source is None or isinstance(after, Refusal):
            return after if isinstance(after, Refusal) else Refusal.NOT_FOUND
        try:
            await self._catalog.create(bus)
        except RevisionConflict:
            return Refusal.ALREADY_EXISTS
        self._failpoints.hit(Failpoint.SOURCE_BUS_CREATED)
        try:
            await self._set(source, SourceState.ACTIVE)
        except RevisionConflict:
            return await self._associated_too_late(bus)
        return None

    async def _associated_too_late(self, bus: EventBus) -> Refusal | None:
        """Somebody changed the source while its bus was made: without a source there must be no bus."""
        if self._of_customer(bus.account, bus.region, bus.name) is not None:
            return None  # it was withdrawn or activated just after: the bus stays, as in that order
        await remove_bus(self._catalog, bus)
        return Refusal.NOT_FOUND

    async def release(self, bus: EventBus) -> None:
        """The customer deletes the bus of a source. Whether it may (no rules are left) is checked before."""
        source = self._of_customer(bus.account, bus.region, bus.name)
        found = self.standing(source)
        if source is not None and found is Standing.ACTIVE:
            await self._set(source, SourceState.PENDING)
            self._failpoints.hit(Failpoint.SOURCE_BUS_RELEASED)
        await remove_bus(self._catalog, bus)
        if source is not None and found is Standing.DELETED:
            self._failpoints.hit(Failpoint.SOURCE_BUS_RELEASED)
            with suppress(RevisionConflict):  # offered anew just then; the bus is gone all the same
                await self._catalog.remove(source)

    async def activate(self, account: str, region: str, name: str) -> Refusal | None:
        """The customer lets events through to the bus."""
        return await self._switch(account, region, name, Trigger.ACTIVATE, SourceState.ACTIVE)

    async def deactivate(self, account: str, region: str, name: str) -> Refusal | None:
        """The customer pauses the source: bus and rules stay, entries are accepted and dropped."""
        return await self._switch(account, region, name, Trigger.DEACTIVATE, SourceState.PENDING)

    async def expire(self) -> None:
        """Write down what time has done since the last sweep."""
        for source in list(self._catalog.list(PartnerSource, "source:")):
            try:
                await self._tidy(source)
            except RevisionConflict:
                continue  # whoever changed it has seen that it expired

    async def _tidy(self, source: PartnerSource) -> None:
        found = self.standing(source)
        if found is Standing.ABSENT:
            await self._catalog.remove(source)
        elif (state := state_for_customer(found)) is not None and source.state is not state:
            await self._set(source, state)

    async def _switch(
        self, account: str, region: str, name: str, trigger: Trigger, state: SourceState
    ) -> Refusal | None:
        source = self._of_customer(account, region, name)
        after = TRANSITIONS[trigger][self.standing(source)]
        if isinstance(after, Refusal) or source is None:
            return after if isinstance(after, Refusal) else Refusal.NOT_FOUND
        await self._set(source, state)
        return None

    async def _set(self, source: PartnerSource, state: SourceState) -> None:
        """Written even if nothing changes: that the source is still there is what the caller relies on."""
        pending = state is SourceState.PENDING
        expires_at = self._clock.now() + self._lifetime if pending else None
        after = msgspec.structs.replace(source, state=state, expires_at=expires_at)
        await self._catalog.replace(source, after)

    def _of_customer(self, account: str, region: str, name: str) -> PartnerSource | None:
        source = self.find(region, name)
        return source if source is not None and source.account == account else None


def expiry_sweep(sources: PartnerSources, every: timedelta = SWEEP_EVERY) -> Sweep:
    """Removes sources that were PENDING for too long, and what crashes left of deleted ones."""
    return Sweep(name="sources.expiry", every=every, run=sources.expire)
