"""PutEvents and PutPartnerEvents: entries are checked, stamped and stored, or refused one by one.

A request fails as a whole for its size or its caller; what is wrong with an entry is told in its place of the
answer, even if no entry is left (recorded). All entries that are taken go to their logs in one append.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from partnerbus.api.errors import access_denied, invalid
from partnerbus.api.operation import (
    Call,
    Input,
    Limits,
    Operation,
    Output,
    Services,
    from_epoch_seconds,
    operation,
)
from partnerbus.api.v1.destinations import (
    ACCESS_DENIED,
    MALFORMED_DETAIL,
    NO_SUCH_SOURCE,
    NOT_AUTHORIZED_FOR_SOURCE,
    THROTTLED,
    Destination,
    Drop,
    EntryRefusal,
    Into,
    find_endpoint,
    invalid_argument,
    named_bus,
    through_endpoint,
)
from partnerbus.api.v1.partner_sources import partner_operation
from partnerbus.engine import publish
from partnerbus.engine.sources import AcceptAndDrop, AcceptInto, Reject, judge
from partnerbus.kernel.errors import StoreOverloaded
from partnerbus.kernel.ids import id_text
from partnerbus.model.arns import DEFAULT_BUS
from partnerbus.model.delivery import NewRecord
from partnerbus.model.detail import compact_detail
from partnerbus.model.event import Event, event_time

DETAIL_TYPE_CHARACTERS = 128
"""Documented, not in the service's model."""

TIME_BYTES = 14
"""What a Time counts in the size of an entry (documented)."""

FIRST_TIME = -30_610_224_000
END_OF_TIME = 253_402_300_800
"""Epoch seconds of the years 1000 and 10000: the times that an envelope can write."""

RESERVED_SOURCES = "aws."
"""Sources that PutEvents refuses."""

BEHIND = EntryRefusal(THROTTLED, publish.BEHIND)

FOR_ITSELF = frozenset({MALFORMED_DETAIL, NOT_AUTHORIZED_FOR_SOURCE})
"""What an entry is refused for wherever it goes; its arguments may be of that kind, too."""

REFUSED = "refused"
"""What became of an entry that was not taken, as metrics say it."""

NOT_A_PARTNER = "The account is not that of a registered partner."


class PutEventsEntry(Input, frozen=True, kw_only=True):
    """An entry of PutEvents."""

    source: str = ""
    detail_type: str = ""
    detail: str = ""
    resources: tuple[str, ...] = ()
    time: float | None = None
    event_bus_name: str = DEFAULT_BUS


class PutPartnerEventsEntry(Input, frozen=True, kw_only=True):
    """An entry of PutPartnerEvents."""

    source: str = ""
    detail_type: str = ""
    detail: str = ""
    resources: tuple[str, ...] = ()
    time: float | None = None


AnyEntry = PutEventsEntry | PutPartnerEventsEntry
E = TypeVar("E", PutEventsEntry, PutPartnerEventsEntry)


class PutEventsInput(Input, frozen=True, kw_only=True):
    entries: tuple[PutEventsEntry, ...]
    endpoint_id: str | None = None


class PutPartnerEventsInput(Input, frozen=True, kw_only=True):
    entries: tuple[PutPartnerEventsEntry, ...]


class ResultEntry(Output, frozen=True, kw_only=True):
    """The id of an entry that was taken, or why it was not."""

    event_id: str | None = None
    error_code: str | None = None
    error_message: str | None = None


class PutEventsOutput(Output, frozen=True, kw_only=True):
    """Results in the order of the entries."""

    failed_entry_count: int
    entries: tuple[ResultEntry, ...]


async def put_events(services: Services, call: Call, request: PutEventsInput) -> PutEventsOutput:
    """Entries of the caller's own, to buses of its account and to those of others whose policy allows it."""
    by_id = request.endpoint_id
    endpoint = None if by_id is None else find_endpoint(services, call, by_id)

    def destination(entry: PutEventsEntry) -> Destination:
        if entry.source.startswith(RESERVED_SOURCES):
            return EntryRefusal(NOT_AUTHORIZED_FOR_SOURCE, "Not authorized for the source.")
        if endpoint is not None:
            return through_endpoint(services, call, endpoint, entry)
        return named_bus(services, call, entry)

    return await _put(services, call, request.entries, lambda: destination)


async def put_partner_events(
    services: Services, call: Call, request: PutPartnerEventsInput
) -> PutEventsOutput:
    """A partner's entries, to the buses that customers associated with its sources.

    A caller that is no partner at all is refused as a whole, as by every partner operation (assumed).
    """
    if call.partner is None and not call.any_partner:
        raise access_denied(NOT_A_PARTNER)
    now = services.clock.now()

    def as_of_now() -> Callable[[PutPartnerEventsEntry], Destination]:
        known: dict[str, Destination] = {}  # most entries name the same source

        def destination(entry: PutPartnerEventsEntry) -> Destination:
            found = known.get(entry.source)
            if found is None:
                found = known[entry.source] = _bus_of(services, call, entry.source, now)
            return found

        return destination

    return await _put(services, call, request.entries, as_of_now)


def _bus_of(services: Services, call: Call, source: str, now: datetime) -> Destination:
    """Where the entries of a partner's source go."""
    verdict = judge(services.catalog, call.region, source, call.partner, call.any_partner, now)
    match verdict:
        case AcceptInto(bus):
            return Into(bus, bus.account)
        case AcceptAndDrop():
            return Drop()
        case Reject.NOT_THE_PARTNERS:
            return EntryRefusal(ACCESS_DENIED, f"Not authorized for event source {source}.")
        case Reject.NO_SUCH_SOURCE:
            return EntryRefusal(NO_SUCH_SOURCE, f"Event source {source} does not exist.")


# -- what both have in common ------------------------------------------------------------------------------


class _Taken(msgspec.Struct, frozen=True):
    """An entry that is taken: the records to store, none if nobody gets the event."""

    event_id: str
    records: Sequence[NewRecord] = ()


async def _put(
    services: Services, call: Call, entries: Sequence[E], as_of_now: Callable[[], Callable[[E], Destination]]
) -> PutEventsOutput:
    """Judge the entries in their order, store what is taken, and tell of each.

    Before anything is refused or dropped for its source, its bus or its endpoint, this node hears of what any
    other has been answered: of a source that has just become ACTIVE, or of a new bus. What is refused for
    itself, or because its bus takes no more for now, is refused at once.
    """
    check_total_size(entries, services.limits)
    destination = as_of_now()
    verdicts = _judge_all(services, entries, destination)
    if any(map(_may_change, entries, verdicts)) and await services.catch_up():
        destination = as_of_now()
        verdicts = _judge_all(services, entries, destination)
    records = [record for taken in verdicts if isinstance(taken, _Taken) for record in taken.records]
    if BEHIND in verdicts and not any(isinstance(verdict, _Taken) for verdict in verdicts):
        raise StoreOverloaded
    if records:
        await services.publisher.publish(records, call.request_id)
    became = [_what_became(verdict) for verdict in verdicts]
    for each in set(became):
        services.metrics.entries.labels(call.operation, each).inc(became.count(each))
    results = tuple([_result(verdict) for verdict in verdicts])
    failed = became.count(REFUSED)
    if failed:
        _tell_refused(services, call, zip(entries, verdicts, strict=True), destination)
    return PutEventsOutput(failed_entry_count=failed, entries=results)


def _judge_all(
    services: Services, entries: Sequence[E], destination: Callable[[E], Destination]
) -> Sequence[_Taken | EntryRefusal]:
    now = services.clock.now()
    taking, time = _taking(services, destination), event_time(now)
    return [
        _judge(entry, taking, ids, time)
        for entry, ids in zip(entries, services.ids.drawn(now, len(entries)), strict=True)
    ]


def _may_change(entry: AnyEntry, verdict: _Taken | EntryRefusal) -> bool:
    """Whether what another node has just been answered may make the verdict on an entry another one."""
    if isinstance(verdict, _Taken):
        return not verdict.records
    return verdict.code not in FOR_ITSELF and verdict != BEHIND and _argument_refusal(entry) is None


def _taking(services: Services, destination: Callable[[E], Destination]) -> Callable[[E], Destination]:
    """`destination`, but for the buses that take no more for now.

    Only their entries are refused, so that a customer whose targets are down holds up no other. If no entry
    is left the request fails as a whole, which every SDK takes for a reason to try again.
    """

    def found(entry: E) -> Destination:
        into = destination(entry)
        is_behind = isinstance(into, Into) and services.publisher.is_behind(into.bus.log)
        return BEHIND if is_behind else into

    return found


def _tell_refused(
    services: Services,
    call: Call,
    judged: Iterable[tuple[E, _Taken | EntryRefusal]],
    destination: Callable[[E], Destination],
) -> None:
    """Let the logs of buses tell of what was refused, if it has a source that may be put on the bus."""
    now = services.clock.now()
    for entry, verdict in judged:
        if isinstance(verdict, _Taken) or not entry.source:
            continue
        found = destination(entry)
        if isinstance(found, Into):
            [ids] = services.ids.drawn(now, 1)
            time = event_time(now) if _time_refusal(entry) is not None else _time(entry, event_time(now))
            event = _event(entry, found, ids[0], time, entry.detail.encode(errors="replace"))
            record = NewRecord(log=found.bus.log, dedup_id=ids[1], event=event)
            services.publisher.refused([record], verdict.message, call.request_id)


def check_total_size(entries: Sequence[AnyEntry], limits: Limits) -> None:
    """Refuse a request whose entries are too large together; exactly the limit is allowed (measured)."""
    if sum(map(entry_bytes, entries)) > limits.entries_bytes:
        raise invalid("Total size of the entries in the request is over the limit.")


def entry_bytes(entry: AnyEntry) -> int:
    """The size of an entry by the documented rule: member names, quotes and the envelope do not count."""
    texts = (entry.source, entry.detail_type, entry.detail, *entry.resources)
    return (0 if entry.time is None else TIME_BYTES) + sum(map(_utf8_bytes, texts))


def _utf8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def _judge(
    entry: E, destination: Callable[[E], Destination], ids: tuple[str, bytes], now: str
) -> _Taken | EntryRefusal:
    refusal = _argument_refusal(entry)
    if refusal is not None:
        return refusal
    found = destination(entry)
    if isinstance(found, EntryRefusal):
        return found
    detail = compact_detail(entry.detail)
    if detail is None:
        return EntryRefusal(MALFORMED_DETAIL, "Detail is malformed.")
    if isinstance(found, Drop):
        return _Taken(ids[0])
    event = _event(entry, found, ids[0], _time(entry, now), detail)
    record = NewRecord(log=found.bus.log, dedup_id=ids[1], event=event)
    return _Taken(ids[0], _with_replica(record, found))


def _event(entry: AnyEntry, found: Into, event_id: str, time: str, detail: bytes) -> Event:
    return Event(
        id=event_id,
        detail_type=entry.detail_type,
        source=entry.source,
        account=found.account,
        time=time,
        region=found.bus.region,
        resources=entry.resources,
        detail=detail,
    )


def _time(entry: AnyEntry, now: str) -> str:
    return now if entry.time is None else event_time(from_epoch_seconds(math.floor(entry.time)))


def _with_replica(record: NewRecord, found: Into) -> Sequence[NewRecord]:
    """The record, and its copy for the other bus of a global endpoint, which is stored with it or not at all.

    The copy keeps the region it comes from and names the endpoint among its resources (documented); its id
    is another one, as in another region (recorded of buses). It came through a bus, so no rule forwards it
    once more, and nothing that a rule forwards is copied: so it never goes round.
    """
    if found.replica is None:
        return (record,)
    dedup_id = record.dedup_id[:-1] + bytes([record.dedup_id[-1] ^ 1])
    event = msgspec.structs.replace(
        record.event,
        id=id_text(dedup_id),
        resources=(*record.event.resources, found.replica.endpoint_arn),
    )
    return (
        record,
        NewRecord(log=found.replica.bus.log, dedup_id=dedup_id, event=event, via=found.bus.arn),
    )


def _argument_refusal(entry: AnyEntry) -> EntryRefusal | None:
    """What is wrong with the arguments of an entry. An empty text counts as none (assumed)."""
    if not (entry.source and entry.detail_type and entry.detail):
        name = "Source" if not entry.source else "DetailType" if not entry.detail_type else "Detail"
        return invalid_argument(name, f"{name} is a required argument.")
    if len(entry.detail_type) > DETAIL_TYPE_CHARACTERS:
        return invalid_argument(
            "DetailType", f"DetailType is longer than {DETAIL_TYPE_CHARACTERS} characters."
        )
    return _time_refusal(entry)


def _time_refusal(entry: AnyEntry) -> EntryRefusal | None:
    if entry.time is not None and not FIRST_TIME <= entry.time < END_OF_TIME:
        return invalid_argument("Time", "Time is out of range.")
    return None


def _result(verdict: _Taken | EntryRefusal) -> ResultEntry:
    if isinstance(verdict, _Taken):
        return ResultEntry(event_id=verdict.event_id)
    return ResultEntry(error_code=verdict.code, error_message=verdict.message)


def _what_became(verdict: _Taken | EntryRefusal) -> str:
    if isinstance(verdict, EntryRefusal):
        return REFUSED
    return "accepted" if verdict.records else "dropped"


OPERATIONS: Mapping[str, Operation] = {
    "PutEvents": operation(PutEventsInput, put_events, carries_events=True),
    "PutPartnerEvents": partner_operation(
        operation(PutPartnerEventsInput, put_partner_events, carries_events=True)
    ),
}
"""The operations of this module."""
