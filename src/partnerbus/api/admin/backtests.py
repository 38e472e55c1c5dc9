"""Backtests: a new or changed rule over events of the past, and what would be delivered before and after.

Nothing is delivered. It goes through what is stored of a bus, or through an archive, the newest first, a
bounded number of events at a time.
"""

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Annotated

import msgspec

from partnerbus.api.admin.events import (
    DamagedView,
    EventReader,
    EventView,
    mark_in,
    picked_logs,
    text_of_mark,
)
from partnerbus.api.admin.logs import BusFilter
from partnerbus.api.admin.patterns import read_pattern
from partnerbus.api.admin.request import AdminRefused, Request
from partnerbus.api.admin.sight import BusRef, Sight, ViewRoute
from partnerbus.engine.matching import fields_of
from partnerbus.engine.newest_first import Damaged, Found, Mark
from partnerbus.model.delivery import Record
from partnerbus.model.event import Event
from partnerbus.model.resources import InputTransformer, Rule, RuleState, Target
from partnerbus.model.transform import TransformError, compile_input, input_refusal
from partnerbus.patterns import PatternIndex

LOOKED_AT_MOST = 10_000
SAMPLES_AT_MOST = 100
INPUT_SHOWN_BYTES = 16 * 1024

Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class NewInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What targets are to get instead: one of a constant, a path, or a template with its paths."""

    constant: str | None = None
    path: str | None = None
    template: str | None = None
    paths: dict[str, str] = {}

    def on(self, target: Target) -> Target:
        """A target with this input."""
        template = self.template
        transformer = InputTransformer(template=template, paths=self.paths) if template is not None else None
        return msgspec.structs.replace(
            target, input=self.constant, input_path=self.path, input_transformer=transformer
        )


class Backtest(BusFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to try, and on what.

    Before is the `rule` as it is, or nothing without one. After is the rule with `pattern`, with `input`
    (for the target with the id `target`, or for all), or both. The events are those of the bus that are
    stored, or of `archive` (a name or an ARN), stored from `since` on and before `before`. A page goes
    through `limit` events, after the place `after`, and shows up to `samples` that make a difference.
    """

    rule: str | None = None
    pattern: str | None = None
    input: NewInput | None = None
    target: str | None = None
    archive: str | None = None
    since: Instant | None = None
    before: Instant | None = None
    after: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=LOOKED_AT_MOST)] = 1_000
    samples: Annotated[int, msgspec.Meta(ge=0, le=SAMPLES_AT_MOST)] = 20


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """How many events match, and how many deliveries that makes; a pattern alone counts as one target."""

    matched: int
    deliveries: int


class WouldSend(msgspec.Struct, frozen=True, kw_only=True):
    """What a target would get, cut: the body before and after; None for nothing, `error` for why.

    `differs` is said of the bodies as they are whole.
    """

    target: str
    target_arn: str
    differs: bool
    before: str | None
    after: str | None
    error_before: str | None
    error_after: str | None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """An event of which not the same becomes."""

    event: EventView
    matched_before: bool
    matches_after: bool
    sends: list[WouldSend]


class BacktestResult(msgspec.Struct, frozen=True, kw_only=True):
    """`gained` match only after, `lost` only before, `changed` at both times with another input.

    What was looked at was stored from `oldest_at` to `newest_at`. `damaged` are those that cannot be read,
    which are not among what was `looked_at`.
    """

    looked_at: int
    oldest_at: datetime | None
    newest_at: datetime | None
    before: Side
    after: Side
    gained: int
    lost: int
    changed: int
    differences: list[Difference]
    next: str | None
    damaged: list[DamagedView]


async def run_backtest(sight: Sight, request: Request) -> BacktestResult:
    wanted = request.body_as(Backtest)
    rule = _rule(sight, wanted)
    test = _Test(sight, wanted, rule)
    async for found in _events(sight, wanted, rule):
        test.meet(found)
        if test.looked_at + len(test.damaged) == wanted.limit:
            return test.result(text_of_mark(Mark.of(found)))
    return test.result(None)


class _Test:
    """One page of a backtest."""

    def __init__(self, sight: Sight, wanted: Backtest, rule: Rule | None) -> None:
        if wanted.pattern is None and (rule is None or wanted.input is None):
            raise AdminRefused("say what to try: a pattern, or a rule with another pattern or input")
        self._reader = EventReader(sight)
        self.damaged: list[DamagedView] = []
        self._samples = wanted.samples
        self._rule = rule
        old = rule.pattern if rule is not None and rule.state is not RuleState.DISABLED else None
        self._matched = _matcher(old)
        self._matches = _matcher(wanted.pattern or (rule.pattern if rule is not None else None))
        self._old = list(rule.targets) if rule is not None else []
        self._new = [_with_input(each, wanted) for each in self._old]
        if wanted.target is not None and wanted.target not in [each.id for each in self._old]:
            raise AdminRefused(f"the rule has no target {wanted.target}", 404)
        for target in self._new:
            if (refusal := input_refusal(target)) is not None:
                raise AdminRefused(refusal)
        self._has_new_input = wanted.input is not None
        self._differences: list[Difference] = []
        self._oldest_at: datetime | None = None
        self._newest_at: datetime | None = None
        self.looked_at = self._before = self._after = self._gained = self._lost = self._changed = 0

    def meet(self, found: Found) -> None:
        """Count what would become of an event, if it can be read."""
        if isinstance(found, Damaged):
            self.damaged.append(self._reader.damaged(found))
        else:
            self._look_at(found)

    def _look_at(self, record: Record) -> None:
        self.looked_at += 1
        self._oldest_at = record.stored_at
        self._newest_at = self._newest_at or record.stored_at
        was, is_now = self._matched(record.event), self._matches(record.event)
        self._before += was
        self._after += is_now
        sends = self._sends(record, was, is_now) if was != is_now or (was and self._has_new_input) else []
        changed = was and is_now and any(each.differs for each in sends)
        self._gained += is_now and not was
        self._lost += was and not is_now
        self._changed += changed
        if (was != is_now or changed) and len(self._differences) < self._samples:
            view = self._reader.view(record)
            self._differences.append(
                Difference(event=view, matched_before=was, matches_after=is_now, sends=sends)
            )

    def _sends(self, record: Record, was: bool, is_now: bool) -> list[WouldSend]:
        rule = self._rule
        if rule is None:
            return []
        sends = []
        for old, new in zip(self._old, self._new, strict=True):
            before, error_before = _made(old, record, rule) if was else (None, None)
            after, error_after = _made(new, record, rule) if is_now else (None, None)
            sends.append(
                WouldSend(
                    target=old.id,
                    target_arn=old.arn,
                    differs=before != after,
                    before=_cut(before),
                    after=_cut(after),
                    error_before=error_before,
                    error_after=error_after,
                )
            )
        return sends

    def result(self, following: str | None) -> BacktestResult:
        targets = len(self._old) if self._rule is not None else 1
        return BacktestResult(
            looked_at=self.looked_at,
            oldest_at=self._oldest_at,
            newest_at=self._newest_at,
            before=Side(matched=self._before, deliveries=self._before * targets),
            after=Side(matched=self._after, deliveries=self._after * targets),
            gained=self._gained,
            lost=self._lost,
            changed=self._changed,
            differences=self._differences,
            next=following,
            damaged=self.damaged,
        )


def _with_input(target: Target, wanted: Backtest) -> Target:
    is_meant = wanted.target in (None, target.id)
    return wanted.input.on(target) if wanted.input is not None and is_meant else target


def _made(target: Target, record: Record, rule: Rule) -> tuple[bytes | None, str | None]:
    """What a target would get, and why it would get nothing."""
    made = compile_input(target).select(record, rule)
    if isinstance(made, TransformError):
        return None, made.message
    return made, None


def _cut(body: bytes | None) -> str | None:
    return None if body is None else body[:INPUT_SHOWN_BYTES].decode("utf-8", "ignore")


def _matcher(pattern: str | None) -> Callable[[Event], bool]:
    if pattern is None:
        return lambda _: False
    index: PatternIndex[str] = PatternIndex()
    index.add("", read_pattern(pattern))
    return lambda event: bool(index.match(fields_of(event)))


async def _events(sight: Sight, wanted: Backtest, rule: Rule | None) -> AsyncIterator[Found]:
    """The events to try it on: of an archive, or of the bus, which is the rule's."""
    on: BusFilter = wanted
    if rule is not None:
        on = BusFilter(account=rule.account, region=rule.region, bus=rule.bus)
    before = mark_in(wanted.after) if wanted.after is not None else None
    if wanted.archive is not None:
        archive = sight.archive(wanted.archive, wanted.account, wanted.region)
        if archive is None:
            raise AdminRefused(f"there is no archive {wanted.archive}, or several; say whose, and where", 404)
        async for found in sight.newest_of_archive(
            archive, before=before, since=wanted.since, until=wanted.before
        ):
            yield found
        return
    logs = await picked_logs(sight, on)
    async for found in sight.newest(logs, before=before, since=wanted.since, until=wanted.before):
        yield found


def _rule(sight: Sight, wanted: Backtest) -> Rule | None:
    """The rule that is tried; refused unless it is one, and so is its bus without one."""
    if wanted.rule is None:
        if wanted.bus is None and wanted.archive is None:
            raise AdminRefused("say on which bus, or of which archive")
        return None
    found = [
        rule
        for rule in sight.rules()
        if wanted.rule in (rule.name, rule.arn)
        if wanted.picks(BusRef(account=rule.account, region=rule.region, name=rule.bus))
    ]
    if not found:
        raise AdminRefused(f"there is no rule {wanted.rule}", 404)
    if len(found) > 1:
        raise AdminRefused(f"there are {len(found)} rules {wanted.rule}; say on which bus, or give its ARN")
    return found[0]


ROUTES = (ViewRoute("POST", "/backtests", run_backtest, body=Backtest, asks=True),)
