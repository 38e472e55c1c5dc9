"""Events as they are stored, for the commands that wait for them.

They ask a running server, again and again: where none runs nothing is stored, and a command that opened the
folder itself would keep a server from starting.
"""

import signal
from collections.abc import Callable, Iterator

import click

from partnerbus.api.admin.events import EventView
from partnerbus.api.admin.tail import TAIL_PATH, TailEvents
from partnerbus.cli.asking import Asker, given, segment

NULL = b"null"


def follows(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command BUS and the options that pick events."""
    for name, help_text in (
        ("--pattern", "Only events that match this event pattern."),
        ("--source", "Only events of this source."),
        ("--detail-type", "Only events of this detail-type."),
        ("--region", "The region of the bus."),
        ("--account", "The account of the bus."),
    ):
        command = click.option(name, help=help_text)(command)
    return click.argument("bus", required=False)(command)


def follow(asker: Asker, **picked: str | None) -> Iterator[EventView]:
    """Every event that is stored from now on and picked, in full, until the command is interrupted."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is to be finished, and nobody wants to be told
    after: str | None = None
    while True:
        found = asker.ask(TailEvents, "GET", TAIL_PATH, query=given(after=after, **picked), needs_server=True)
        for event in found.events:
            yield _whole(asker, event)
        after = found.next


def _whole(asker: Asker, event: EventView) -> EventView:
    """The event with its detail, which a list leaves out if it is long."""
    if bytes(event.detail) != NULL:
        return event
    return asker.ask(EventView, "GET", f"/events/{segment(event.id)}", query=given(bus=event.bus))
