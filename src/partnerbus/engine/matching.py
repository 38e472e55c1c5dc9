"""Which subscriptions an event is owed to, and which archives keep it: indexed by bus, and current.

It follows the catalog change by change. Only rules that can be owed something stand in the index of their
bus (enabled, with a pattern, with targets); a change that leaves the pattern alone leaves the index alone.

To parse a pattern and to put it in an index takes some 50 µs, so a node with many buses would take long to
start. The index of a bus with few patterns is made when its first event comes, which waits for it.
"""

from collections.abc import Sequence

import msgspec

from partnerbus.engine.catalog import Catalog
from partnerbus.kernel.telemetry import Log
from partnerbus.model import arns
from partnerbus.model.delivery import Record
from partnerbus.model.event import Event
from partnerbus.model.resources import AnyResource, Archive, EventBus, Replay, Rule, bus_key, rule_key
from partnerbus.model.schedule import scheduling_rule
from partnerbus.model.subscription import Subscription, scheduled_subscriptions, subscriptions
from partnerbus.patterns import PatternError, PatternIndex, parse_pattern
from partnerbus.patterns.event_fields import EventFields

NOTHING: tuple[Subscription, ...] = ()

INDEXED_LATER = 200
"""So many patterns are put in an index while an event waits: about ten milliseconds of the event loop."""


class Match(msgspec.Struct, frozen=True, gc=False):
    """What an event is owed to, how many rules it matched, and the logs of the archives that keep it."""

    owed: Sequence[Subscription]
    rules: int
    kept: Sequence[str] = ()


NO_MATCH = Match((), 0)


class _Bus:
    """The rules and archives of one bus by key, and the index of their patterns, once it is needed."""

    def __init__(self, log: Log) -> None:
        self.owed: dict[str, tuple[Subscription, ...]] = {}
        self.archives: dict[str, Archive] = {}
        self._log = log
        self._index: PatternIndex[str] | None = None

    def __len__(self) -> int:
        return len(self.owed) + len(self.archives)

    def match(self, event: Event) -> Sequence[str]:
        """The keys of the rules and archives whose patterns match `event`."""
        index = self._make_index() if self._index is None else self._index
        return index.match(fields_of(event))

    def added(self, one: Rule | Archive) -> None:
        """It is here now, or here anew with another pattern."""
        if self._index is not None:
            self._add(self._index, one)
        elif len(self) > INDEXED_LATER:
            self._make_index()

    def removed(self, key: str) -> None:
        """It is here no more, or will be here anew."""
        if self._index is not None:
            self._index.remove(key)

    def _make_index(self) -> PatternIndex[str]:
        index: PatternIndex[str] = PatternIndex()
        self._index = index
        for owed in self.owed.values():
            self._add(index, owed[0].rule)
        for archive in self.archives.values():
            self._add(index, archive)
        return index

    def _add(self, index: PatternIndex[str], one: Rule | Archive) -> None:
        """Nothing but a line in the log if what is stored is no pattern (any more)."""
        text = one.rule_pattern if isinstance(one, Archive) else one.pattern or ""
        try:
            index.add(one.key, parse_pattern(text))
        except PatternError as error:
            self._log.error("stored pattern does not parse", error=error.message, arn=one.arn)


class Matching:
    """The subscriptions of all buses."""

    def __init__(self, catalog: Catalog, log: Log) -> None:
        self._catalog = catalog
        self._log = log
        self._buses: dict[str, _Bus] = {}
        self._bus_of_log: dict[str, str] = {}
        self._by_id: dict[str, Subscription] = {}
        self._replays: dict[str, Replay] = {}
        for bus in catalog.list(EventBus, "bus:"):
            self._bus_of_log[bus.log] = bus.key
        for rule in catalog.list(Rule, "rule:"):
            self._change_rule(None, rule)
        for archive in catalog.list(Archive, "archive:"):
            self._change_archive(None, archive)
        for replay in catalog.list(Replay, "replay:"):
            self._replays[replay.log] = replay
        catalog.listen(self._changed)

    def match(self, record: Record) -> Match:
        """What `record` is owed to now, by the rules of the bus whose log it is in.

        What the schedule of a rule put there is owed to the targets of that rule, and to nobody else. What is
        replayed is owed to the rules of the bus as they are now, and not archived again (documented).
        """
        if record.event.replay_name is not None and (replay := self._replays.get(record.log)):
            return self._replayed(record, replay)
        rule_arn = scheduling_rule(record)
        if rule_arn is not None:
            return self._scheduled(record, rule_arn)
        bus = self._buses.get(self._bus_of_log.get(record.log, ""))
        if bus is None:
            return NO_MATCH
        matched = bus.match(record.event)
        owed = [
            subscription
            for rule in matched
            for subscription in bus.owed.get(rule, NOTHING)
            if subscription.since < record.position
        ]
        if not bus.archives:
            return Match(owed, len(matched))
        archives = [bus.archives[key] for key in matched if key in bus.archives]
        return Match(owed, len(matched) - len(archives), _kept(record, archives))

    def _replayed(self, record: Record, replay: Replay) -> Match:
        """What a copy in the log of a replay is owed to. Positions there are not those of the bus's log."""
        bus = self._buses.get(bus_key(replay.account, replay.region, replay.bus))
        if bus is None:
            return NO_MATCH
        matched = [bus.owed[key] for key in bus.match(record.event) if key in bus.owed]
        meant = [
            subscriptions
            for subscriptions in matched
            if not replay.rule_arns or subscriptions[0].rule.arn in replay.rule_arns
        ]
        return Match([one for subscriptions in meant for one in subscriptions], len(meant))

    def _scheduled(self, record: Record, rule_arn: str) -> Match:
        name = rule_arn.rpartition(":rule/")[2]
        event = record.event
        rule = self._catalog.get(Rule, rule_key(event.account, event.region, arns.DEFAULT_BUS, name))
        found = scheduled_subscriptions(rule) if rule is not None else NOTHING
        return Match([one for one in found if one.since < record.position], int(bool(found)))

    def find(self, subscription: str) -> Subscription | None:
        """The subscription with that id, of an enabled rule or of a disabled one; None if it is gone."""
        return self._by_id.get(subscription)

    # -- following the catalog -------------------------------------------------------------------------

    def _changed(self, _: str, before: AnyResource | None, after: AnyResource | None) -> None:
        if isinstance(before, EventBus):
            self._bus_of_log.pop(before.log, None)
        if isinstance(after, EventBus):
            self._bus_of_log[after.log] = after.key
        if isinstance(before, Replay):
            self._replays.pop(before.log, None)
        if isinstance(after, Replay):
            self._replays[after.log] = after
        old = before if isinstance(before, Rule) else None
        new = after if isinstance(after, Rule) else None
        if old is not None or new is not None:
            self._change_rule(old, new)
        archive_before = before if isinstance(before, Archive) else None
        archive_after = after if isinstance(after, Archive) else None
        if archive_before is not None or archive_after is not None:
            self._change_archive(archive_before, archive_after)

    def _change_archive(self, old: Archive | None, new: Archive | None) -> None:
        archive = new or old
        assert archive is not None
        of_bus = bus_key(archive.account, archive.region, archive.bus)
        bus = self._index_of(archive, of_bus)
        if bus.archives.pop(archive.key, None) is not None:
            bus.removed(archive.key)
        if new is not None:
            bus.archives[new.key] = new
            bus.added(new)
        self._tidy(of_bus)

    def _change_rule(self, old: Rule | None, new: Rule | None) -> None:
        for target in old.targets if old else ():
            self._by_id.pop(target.subscription, None)
        for target in new.targets if new else ():
            assert new is not None
            self._by_id[target.subscription] = Subscription(rule=new, target=target)
        rule = new or old
        assert rule is not None
        of_bus = bus_key(rule.account, rule.region, rule.bus)
        bus = self._index_of(rule, of_bus)
        self._reindex(rule.key, bus, old, new)
        self._tidy(of_bus)

    def _tidy(self, of_bus: str) -> None:
        if not len(self._buses[of_bus]):
            del self._buses[of_bus]

    def _reindex(self, key: str, bus: _Bus, old: Rule | None, new: Rule | None) -> None:
        owed = subscriptions(new) if new else NOTHING
        known = bus.owed.get(key)
        if known and owed and old and new and old.pattern == new.pattern:
            bus.owed[key] = owed
            return
        if known:
            bus.removed(key)
            del bus.owed[key]
        if new and owed:
            bus.owed[key] = owed
            bus.added(new)

    def _index_of(self, one: Rule | Archive, key: str) -> _Bus:
        if one.bus == arns.DEFAULT_BUS:  # it exists without being stored, so nothing else tells its log
            self._learn_default(one, key)
        if key not in self._buses:
            self._buses[key] = _Bus(self._log)
        return self._buses[key]

    def _learn_default(self, one: Rule | Archive, key: str) -> None:
        bus = self._catalog.bus(one.account, one.region, one.bus)
        if bus is not None:
            self._bus_of_log[bus.log] = key


def _kept(record: Record, archives: Sequence[Archive]) -> Sequence[str]:
    """The logs of those archives that keep a record."""
    if record.event.replay_name is not None:
        return ()
    return [
        archive.log
        for archive in archives
        if archive.bus_log == record.log and archive.since < record.position
    ]


def fields_of(event: Event) -> EventFields:
    """What patterns see of an event, its detail still as bytes."""
    envelope: dict[str, object] = {
        "version": "0",
        "id": event.id,
        "detail-type": event.detail_type,
        "source": event.source,
        "account": event.account,
        "time": event.time,
        "region": event.region,
        "resources": event.resources,
    }
    if event.replay_name is not None:
        envelope["replay-name"] = event.replay_name
    return EventFields(envelope, event.detail)
