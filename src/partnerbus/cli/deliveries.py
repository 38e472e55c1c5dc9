"""`partnerbus dead-letters` and `deliveries`: why something did not arrive, and sending it again."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import click
import msgspec

from partnerbus.api.admin.deliveries import DeliveryDetails, DeliveryList
from partnerbus.api.admin.redriving import Redriven
from partnerbus.api.admin.status import Status
from partnerbus.cli.asking import Asker, asks, columns, given, limit_option, pairs, segment
from partnerbus.cli.progress import progress
from partnerbus.model.delivery import Attempt, DeliveryState

LOOKED_AT_ONCE = 5_000
"""How many dead letters one request of a redrive looks through: about a second."""


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
    return limit_option(command)


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
    done = _every(asker, body, rate) if every else _ask_to_redrive(asker, body | {"ids": delivery_ids})
    of = "" if every else f" of {len(delivery_ids)}"
    last = "" if rate is None else f", the last one is due at {_plain(done.last_due_at)}"
    asker.tell(done, lambda: f"redriven {done.redriven}{of}{last if done.redriven else ''}")


def _every(asker: Asker, body: Mapping[str, object], rate: float | None) -> Redriven:
    """Redrive step by step, and show how far it is if one step is not all."""
    body = {**body, "every": True, "limit": LOOKED_AT_ONCE}
    done = _ask_to_redrive(asker, body)
    following = done.next
    if following is None:
        return done
    dead = asker.ask(Status, "GET", "/status").dead + done.redriven
    with progress(dead, "Looking through dead letters") as further:
        further(done.looked_at)
        while following is not None:
            step: dict[str, object] = {"after": following, "before": done.before}
            if rate is not None and done.last_due_at is not None:
                step["due_from"] = done.last_due_at + timedelta(seconds=1 / rate)
            more = _ask_to_redrive(asker, body | step)
            further(more.looked_at)
            done, following = _together(done, more), more.next
    return done


def _together(done: Redriven, more: Redriven) -> Redriven:
    return msgspec.structs.replace(
        more,
        redriven=done.redriven + more.redriven,
        last_due_at=more.last_due_at or done.last_due_at,
        looked_at=done.looked_at + more.looked_at,
    )


def _ask_to_redrive(asker: Asker, body: Mapping[str, object]) -> Redriven:
    return asker.ask(Redriven, "POST", "/dead-letters/redrive", body=body)


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
