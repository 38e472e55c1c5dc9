"""The claims in flight and their leases: those of attempts that run long are extended."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from partnerbus.kernel.clock import Clock
from partnerbus.kernel.errors import StoreError
from partnerbus.kernel.telemetry import Log
from partnerbus.model.delivery import Claim
from partnerbus.store.protocol import DeliveryStore

LEASE = timedelta(seconds=60)
EXTEND_EVERY = LEASE / 3


_Key = tuple[str, int, int]


class _Leased(msgspec.Struct):
    """A claim in flight, and since when its lease runs."""

    claim: Claim
    since: datetime


class Leases:
    """What is in flight. A lease that could not be extended may end: then the delivery is attempted twice.

    `saw_live` is called with each claim of an event that is not replayed.
    """

    def __init__(
        self,
        store: DeliveryStore,
        clock: Clock,
        log: Log,
        saw_live: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._log = log
        self._saw_live = saw_live
        self._leased: dict[_Key, _Leased] = {}  # by delivery and claim: both may be in flight
        self._anything_leased = asyncio.Event()
        self.replayed = 0
        """How many of the claims in flight are of replayed events."""

    def hold(self, claim: Claim) -> None:
        """The claim is in flight, its lease is new; `let_go` must follow."""
        self._leased[_key(claim)] = _Leased(claim, self._clock.now())
        if claim.record.event.replay_name is None:
            self._saw_live()
        else:
            self.replayed += 1
        self._anything_leased.set()

    def let_go(self, claim: Claim) -> None:
        """The claim is in flight no more."""
        del self._leased[_key(claim)]
        self.replayed -= claim.record.event.replay_name is not None
        if not self._leased:
            self._anything_leased.clear()

    async def extend(self) -> None:
        """Extend the leases of attempts that run long, until cancelled."""
        while True:
            await self._anything_leased.wait()
            await self._clock.sleep(EXTEND_EVERY)
            now = self._clock.now()
            old = [leased for leased in self._leased.values() if leased.since <= now - EXTEND_EVERY]
            try:
                await self._extend(old, now)
            except StoreError as error:
                self._log.warning("leases not extended", error=str(error), attempts=len(old))

    async def _extend(self, old: Sequence[_Leased], now: datetime) -> None:
        if not old:
            return
        held = await self._store.extend([leased.claim for leased in old], LEASE)
        for leased, is_held in zip(old, held, strict=True):
            leased.since = now
            if not is_held:
                self._log.warning(
                    "lease lost", delivery=leased.claim.delivery_id, attempt=leased.claim.attempt
                )


def _key(claim: Claim) -> _Key:
    return claim.subscription, claim.record.position, claim.token
