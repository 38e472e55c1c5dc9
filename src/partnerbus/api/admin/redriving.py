"""Redriving dead letters: one, those that a filter picks, all; to their own target or to another one.

A redrive is safe to repeat. What it redrives is no dead letter any more, and it leaves alone what died after
`before`, the instant that it names when it is done: so after an interruption the same request, with that
instant, redrives the rest. At a rate, all are owed anew at once and fall due one after the other, so that
nobody has to stay for it, and a restart changes nothing.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from partnerbus.api.admin.deliveries import DeliveryFilter, looked_through, parse_id
from partnerbus.api.admin.request import AdminRefused, Request
from partnerbus.api.admin.sight import Sight, ViewRoute
from partnerbus.model.delivery import Delivery, DeliveryState, Redrive

PAGE = 500
"""How many dead letters one step of a large redrive takes from the store."""

MOST_IDS = 1_000

LATEST = timedelta(days=3_650)
"""How far off the first of a redrive may be due."""

Subscriber = tuple[str, str]
"""A subscription and its lane."""


class RedriveRequest(DeliveryFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dead letters to send again: those named, or every one that the filter picks.

    `to` is the id or ARN of another target of the same account and region, `to_rule` its rule if several
    have it. `rate` is how many a second become due, the first of them at `due_from` (now without it); all at
    once without a rate. `before`: only what died by then.

    With `every`, a request looks through `limit` dead letters at most, those after the place `after`: so a
    large redrive may be made in steps, and whoever makes it sees how far it is.
    """

    ids: Annotated[list[str], msgspec.Meta(max_length=MOST_IDS)] | None = None
    every: bool = False
    to: str | None = None
    to_rule: str | None = None
    rate: Annotated[float, msgspec.Meta(ge=0.001, le=100_000)] | None = None
    before: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    due_from: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    after: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Redriven(msgspec.Struct, frozen=True, kw_only=True):
    """How many were redriven of those that died before `before`, and when the last of them is due.

    `looked_at` dead letters were looked through; `next` is the `after` of the next step, None after the last.
    """

    redriven: int
    before: datetime
    last_due_at: datetime | None
    looked_at: int = 0
    next: str | None = None


async def redrive(sight: Sight, request: Request) -> Redriven:
    wanted = request.body_as(RedriveRequest)
    if (wanted.ids is None) == (not wanted.every):
        raise AdminRefused("say which dead letters: either ids, or every")
    if wanted.due_from is not None and wanted.due_from > sight.now() + LATEST:
        raise AdminRefused("due_from is further off than ten years")
    if wanted.ids is not None and (wanted.after is not None or wanted.limit is not None):
        raise AdminRefused("after and limit go with every")
    if wanted.to_rule is not None and wanted.to is None:
        raise AdminRefused("to_rule goes with to")
    run = _Run(sight, wanted)
    if wanted.ids is not None:
        await run.redrive(await sight.named(list(dict.fromkeys(map(parse_id, wanted.ids)))))
        return run.done()
    after = parse_id(wanted.after) if wanted.after is not None else None
    async for page in looked_through(sight, wanted, (DeliveryState.DEAD,), PAGE, after):
        await run.redrive([each for each in page.found if wanted.picks_one(each)])
        run.looked_at += page.looked_at
        if wanted.limit is not None and run.looked_at >= wanted.limit:
            return run.done(page.last)
    return run.done()


class _Run:
    """One redrive, page by page."""

    def __init__(self, sight: Sight, wanted: RedriveRequest) -> None:
        now = sight.now()
        self._sight = sight
        self._died_by = now if wanted.before is None else wanted.before
        self._gap = timedelta(0) if wanted.rate is None else timedelta(seconds=1 / wanted.rate)
        self._begun_at = wanted.due_from or now
        self._redriven = 0
        self.looked_at = 0
        self._others = None if wanted.to is None else _Others(sight, wanted.to, wanted.to_rule)

    async def redrive(self, found: Sequence[Delivery]) -> None:
        """Redrive those of `found` that are dead, and died in time."""
        for to, dead in self._by_subscriber(found):
            how = Redrive(due_at=self._due_at(self._redriven), gap=self._gap, died_by=self._died_by, to=to)
            self._redriven += await self._sight.redrive(dead, how)

    def done(self, last: str | None = None) -> Redriven:
        return Redriven(
            redriven=self._redriven,
            before=self._died_by,
            last_due_at=self._due_at(self._redriven - 1) if self._redriven else None,
            looked_at=self.looked_at,
            next=last,
        )

    def _due_at(self, index: int) -> datetime:
        return self._begun_at + index * self._gap

    def _by_subscriber(
        self, found: Sequence[Delivery]
    ) -> Sequence[tuple[Subscriber | None, Sequence[Delivery]]]:
        by_subscriber: dict[Subscriber | None, list[Delivery]] = defaultdict(list)
        buses = self._sight.buses_by_log([each.log for each in found]) if self._others else {}
        for each in found:
            if each.state is DeliveryState.DEAD:
                bus = buses.get(each.log)
                owner = (bus.account, bus.region) if bus is not None else None
                to = self._others.instead_of(each, owner) if self._others is not None else None
                by_subscriber[to].append(each)
        return list(by_subscriber.items())


class _Others:
    """Where dead letters go instead: the target named, of the letter's rule or of another of its account."""

    def __init__(self, sight: Sight, to: str, to_rule: str | None) -> None:
        self._to = to
        self._rules = list(sight.rules())
        self._rule_of = {target.subscription: rule for rule in self._rules for target in rule.targets}
        self._named = [
            (rule, (target.subscription, target.arn))
            for rule in self._rules
            for target in rule.targets
            if to in (target.id, target.arn) and to_rule in (None, rule.name)
        ]

    def instead_of(self, found: Delivery, owner: tuple[str, str] | None) -> Subscriber:
        """The subscription that is owed `found`'s event instead; refused unless it is clear which.

        `owner` is the account and region of the bus that the event is of, for a letter whose rule is gone.
        """
        own = self._rule_of.get(found.subscription)
        if own is not None:
            owner = own.created_by, own.region
        others = [(rule, to) for rule, to in self._named if (rule.created_by, rule.region) == owner]
        of_own_rule = [to for rule, to in others if own is not None and rule.key == own.key]
        candidates = of_own_rule or [to for _, to in others]
        if len(candidates) != 1:
            raise AdminRefused(self._refusal(found, len(candidates)), 400 if candidates else 404)
        return candidates[0]

    def _refusal(self, found: Delivery, count: int) -> str:
        if not count:
            return f"the account of dead letter {found.id} has no target {self._to}"
        return f"{count} targets are {self._to}; say its id, or the rule's name, too"


ROUTES = (ViewRoute("POST", "/dead-letters/redrive", redrive, body=RedriveRequest),)
