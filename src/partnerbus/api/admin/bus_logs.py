"""What buses wrote of their events (`LogConfig`), for people to read."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

import msgspec

from partnerbus.api.admin.logs import BusFilter
from partnerbus.api.admin.request import Request
from partnerbus.api.admin.sight import BusRef, Sight, ViewRoute
from partnerbus.model.arns import Arn
from partnerbus.model.bus_log import BusLogLevel, BusLogRecord, BusLogType, decode_record

Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class BusLogQuery(BusFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which records: what is not given counts as every.

    `level` is the least important that is wanted; `event` an event's id, `delivery` a delivery's, `rule` a
    rule's name or ARN. `since` is included, `before` is not.
    """

    level: BusLogLevel = BusLogLevel.TRACE
    type: BusLogType | None = None
    event: str | None = None
    delivery: str | None = None
    rule: str | None = None
    since: Instant | None = None
    before: Instant | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100


class BusLogRecords(msgspec.Struct, frozen=True):
    """The newest first."""

    records: list[BusLogRecord]


async def list_bus_log(sight: Sight, request: Request) -> BusLogRecords:
    wanted = request.query_as(BusLogQuery)
    return BusLogRecords(list(await sight.bus_log(_reader(wanted), wanted.limit)))


def _reader(wanted: BusLogQuery) -> Callable[[bytes], BusLogRecord | None]:
    """Reads a line and gives the record, if it is wanted. What is cheap to see is looked at first."""
    texts = [text.encode() for text in (wanted.bus, wanted.event, wanted.delivery, wanted.rule) if text]

    def read(line: bytes) -> BusLogRecord | None:
        if not all(text in line for text in texts):
            return None
        record = decode_record(line)
        return record if record is not None and _is_wanted(wanted, record) else None

    return read


_MORE_IMPORTANT_FIRST = tuple(BusLogLevel)


def _is_wanted(wanted: BusLogQuery, record: BusLogRecord) -> bool:
    arn = Arn.parse(record.resource_arn)
    bus = BusRef(
        account=arn.account if arn else "", region=arn.region if arn else "", name=record.event_bus_name
    )
    at = record.message_timestamp_ms / 1_000
    return (
        wanted.picks(bus)
        and _MORE_IMPORTANT_FIRST.index(record.log_level) <= _MORE_IMPORTANT_FIRST.index(wanted.level)
        and wanted.type in (None, record.message_type)
        and wanted.event in (None, record.event_id)
        and wanted.delivery in (None, record.invocation_id)
        and (wanted.rule is None or _is_of_rule(record, wanted.rule))
        and (wanted.since is None or at >= wanted.since.timestamp())
        and (wanted.before is None or at < wanted.before.timestamp())
    )


def _is_of_rule(record: BusLogRecord, rule: str) -> bool:
    arn = record.details.rule_arn if record.details is not None else None
    return arn is not None and rule in (arn, arn.rpartition("/")[2])


ROUTES = (ViewRoute("GET", "/bus-logs", list_bus_log, query=BusLogQuery),)
