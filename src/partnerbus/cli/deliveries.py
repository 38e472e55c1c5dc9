"""`partnerbus dead-letters` and `deliveries`: why something did not arrive, and sending it again."""

from collections.abc import Callable
from datetime import datetime

import click
import msgspec

from partnerbus.api.admin.deliveries import DeliveryDetails, DeliveryList
from partnerbus.api.admin.redriving import Redriven
from partnerbus.cli.asking import Asker, asks, columns, given, pairs, segment
from partnerbus.model.delivery import Attempt, DeliveryState


def picks(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that pick deliveries."""
    for name, help_text in (
        ("--detail-type", "Only events of this detail-type."),
        ("--source", "Only events of this source."),
        ("--error", "Only what failed with this code."),
        ("--target", "Only this target, by id or ARN."),
        ("--rule", "Only this rule."),
        ("--bus", "Only this bus, by name or ARN."),
        ("--region", "Only this region."),
        ("--account", "Only this account's."),
    ):
        command = click.option(name, help=help_text)(command)
    return command


def pages(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options for one page of a list."""
    command = click.option("--after", metavar="ID", help="Go on after this delivery.")(command)
    return click.option("--limit", type=click.IntRange(1, 1_000), default=100, show_default=True)(command)


@click.group("dead-letters")
def dead_letters() -> None:
    """List, show and redrive dead letters: what did not arrive and is not tried any more."""


@click.group()
def deliveries() -> None:
    """List and show deliveries in every state."""


@dead_letters.command("list")
@picks
@pages
@asks
def list_dead_letters(asker: Asker, **options: str | int | None) -> None:
    """List dead letters, the newest event first."""
    _tell_list(asker, asker.ask(DeliveryList, "GET", "/dead-letters", query=given(**options)))


@deliveries.command("list")
@click.option("--state", metavar="STATE,…", help=f"Only these: {', '.join(DeliveryState)}.")
@picks
@pages
@asks
def list_deliveries(asker: Asker, **options: str | int | None) -> None:
    """List deliveries, the newest event first."""
    _tell_list(asker, asker.ask(DeliveryList, "GET", "/deliveries", query=given(**options)))


@dead_letters.command("show")
@click.argument("delivery_id", metavar="ID")
@asks
def show_dead_letter(asker: Asker, delivery_id: str) -> None:
    """Show a dead letter: why, the attempts (of more than 20 the first and the latest), and the event."""
    _tell_details(asker, delivery_id)


@deliveries.command("show")
@click.argument("delivery_id", metavar="ID")
@asks
def show_delivery(asker: Asker, delivery_id: str) -> None:
    """Show a delivery: its state, the attempts, and the event."""
    _tell_details(asker, delivery_id)


@dead_letters.command()
@click.argument("delivery_ids", metavar="ID…", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every dead letter that the other options pick.")
@picks
@click.option("--to", metavar="TARGET", help="Send to this target instead: an id or ARN, same account.")
@click.option("--to-rule", metavar="RULE", help="The rule of that target, if several have it.")
@click.option("--rate", type=click.FloatRange(0.001, 100_000), help="How many a second; default: at once.")
@click.option("--before", metavar="INSTANT", help="Only what died before, like 2026-01-31T12:00:00Z.")
@asks
def redrive(
    asker: Asker,
    delivery_ids: tuple[str, ...],
    every: bool,
    rate: float | None,
    **options: str | None,
) -> None:
    """Send dead letters again, with a fresh retry policy. Name them, or use --all.

    Nothing is redriven twice: to repeat a redrive that was interrupted, give --before the instant that
    it began.
    """
    if bool(delivery_ids) == every:
        raise click.UsageError("name the dead letters to redrive, or say --all")
    body: dict[str, object] = {**given(**options)} | ({} if rate is None else {"rate": rate})
    body |= {"every": True} if every else {"ids": delivery_ids}
    done = asker.ask(Redriven, "POST", "/dead-letters/redrive", body=body)
    of = "" if every else f" of {len(delivery_ids)}"
    last = "" if rate is None else f", the last one is due at {_plain(done.last_due_at)}"
    asker.tell(done, lambda: f"redriven {done.redriven}{of}{last if done.redriven else ''}")


def _tell_list(asker: Asker, found: DeliveryList) -> None:
    fields = ("id", "state", "bus", "rule", "target", "detail_type", "attempts_made", "error")
    rows = [[getattr(each, field) for field in fields] for each in found.deliveries]
    head = [field.replace("_", " ").upper() for field in fields]
    more = f"\nmore: --after {found.next}" if found.next is not None else ""
    asker.tell(found, lambda: columns(head, rows) + more)


def _tell_details(asker: Asker, delivery_id: str) -> None:
    found = asker.ask(DeliveryDetails, "GET", f"/deliveries/{segment(delivery_id)}")
    asker.tell(found, lambda: _in_words(found))


def _in_words(found: DeliveryDetails) -> str:
    named = {
        name.replace("_", " "): _plain(getattr(found, name))
        for name in found.__struct_fields__
        if name not in ("attempts", "event")
    }
    attempts = [_attempt(attempt) for attempt in found.attempts]
    head = ("ATTEMPT", "STARTED", "SECONDS", "STATUS", "ERROR", "SAID")
    event = msgspec.json.format(bytes(found.event), indent=2).decode()
    return "\n\n".join((pairs(named), columns(head, attempts), f"event\n{event}"))


def _attempt(attempt: Attempt) -> tuple[object, ...]:
    reply = attempt.reply
    said = " ".join((reply.message or reply.body_head).split())[:80] or None
    took = f"{attempt.seconds:.3f}"
    return (attempt.number, _plain(attempt.started_at), took, reply.status, reply.error, said)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value if value != "" else None
