"""`partnerbus logs`: what buses wrote of their events, if their owners want it written."""

from datetime import UTC, datetime

import click

from partnerbus.api.admin.bus_logs import BusLogRecords
from partnerbus.cli.asking import Asker, asks, columns, given, limit_option
from partnerbus.model.bus_log import BusLogLevel, BusLogRecord

LEVELS = [level.value for level in BusLogLevel if level is not BusLogLevel.OFF]


@click.group()
def logs() -> None:
    """Read what buses wrote of their events: those with a LogConfig."""


@logs.command("bus")
@click.argument("bus")
@click.option("--level", type=click.Choice(LEVELS, case_sensitive=False), help="Nothing less important.")
@click.option("--type", metavar="TYPE", help="Only records of this message type.")
@click.option("--event", metavar="ID", help="Only of this event.")
@click.option("--delivery", metavar="ID", help="Only of this delivery.")
@click.option("--rule", help="Only of this rule, by name or ARN.")
@click.option("--since", metavar="INSTANT", help="Only from then on, like 2026-01-31T12:00:00Z.")
@click.option("--before", metavar="INSTANT", help="Only what was before.")
@click.option("--region", help="The region of the bus.")
@click.option("--account", help="The account of the bus.")
@limit_option
@asks
def bus_log(asker: Asker, **options: str | int | None) -> None:
    """Show what BUS (a name or ARN) wrote, the newest first. Details are in the JSON."""
    found = asker.ask(BusLogRecords, "GET", "/bus-logs", query=given(**options))
    head = ("TIME", "LEVEL", "TYPE", "EVENT", "DELIVERY", "RULE", "SAID")
    asker.tell(found, lambda: columns(head, [_row(record) for record in found.records]))


def _row(record: BusLogRecord) -> tuple[object, ...]:
    details, error = record.details, record.error
    rule = details.rule_arn.rpartition("/")[2] if details is not None and details.rule_arn else None
    said = " ".join(error.error_message.split())[:80] if error is not None else None
    at = datetime.fromtimestamp(record.message_timestamp_ms / 1_000, UTC)
    time = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return time, record.log_level, record.message_type, record.event_id, record.invocation_id, rule, said
