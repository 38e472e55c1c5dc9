"""`partnerbus tail` and `listen`: events as they are stored, printed or sent on to a server of one's own."""

import http.client
import time
from urllib.parse import urlsplit

import click
import msgspec

from partnerbus.api.admin.events import EventView
from partnerbus.cli.asking import Asker, asks, instant
from partnerbus.cli.following import follow, follows
from partnerbus.model.event import Event

ANSWER_SECONDS = 30.0
"""How long what is developed may think about an event."""

_SHOWN_CHARACTERS = 400


class Forwarded(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an event that was sent on: the status, or why there was none."""

    event_id: str
    answer: str
    taken: bool
    seconds: float


@click.command()
@follows
@asks
def tail(asker: Asker, **picked: str | None) -> None:
    """Print events as they are stored on BUS (a name or ARN; default: every bus), until interrupted.

    With --json each is one line of JSON.
    """
    for event in follow(asker, **picked):
        click.echo(msgspec.json.encode(event) if asker.as_json else _in_words(event))


@click.command()
@follows
@click.option("--forward-to", "url", metavar="URL", required=True, help="Where each event is POSTed to.")
@asks
def listen(asker: Asker, url: str, **picked: str | None) -> None:
    """POST events to a URL of this machine as they are stored on BUS, until interrupted.

    For development: a target that needs no public address, no rule and no connection. What is refused is
    shown and not sent again, and what is stored while nobody listens is not sent at all. With --json what
    came of each is one line of JSON.
    """
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise click.UsageError(f"{url!r} is no http:// or https:// URL")
    for event in follow(asker, **picked):
        began = time.perf_counter()
        said, is_taken = _post(url, as_delivered(event))
        seconds = time.perf_counter() - began
        if asker.as_json:
            forwarded = Forwarded(event_id=event.id, answer=said, taken=is_taken, seconds=round(seconds, 4))
            click.echo(msgspec.json.encode(forwarded))
            continue
        answer = click.style(said, fg="green" if is_taken else "red")
        click.echo(f"{_head(event)}  ->  {answer} in {1_000 * seconds:.0f} ms")


def as_delivered(event: EventView) -> bytes:
    """The event as a rule without a transform delivers it."""
    return Event(
        id=event.id,
        detail_type=event.detail_type,
        source=event.source,
        account=event.account,
        time=event.time,
        region=event.region,
        resources=tuple(event.resources),
        detail=bytes(event.detail),
        replay_name=event.replay,
    ).encode()


def _post(url: str, body: bytes) -> tuple[str, bool]:
    """What came of it, and whether it was taken."""
    where = urlsplit(url)
    kind = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
    connection = kind(where.hostname or "", where.port, timeout=ANSWER_SECONDS)
    path = (where.path or "/") + (f"?{where.query}" if where.query else "")
    try:
        connection.request("POST", path, body=body, headers={"Content-Type": "application/json"})
        status = connection.getresponse().status
        return str(status), 200 <= status < 300
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__, False
    finally:
        connection.close()


def _head(event: EventView) -> str:
    bus = event.bus.rpartition("/")[2] if event.bus is not None and "/" in event.bus else "-"
    kind = click.style(event.detail_type, bold=True)
    return f"{click.style(instant(event.stored_at), dim=True)}  {bus}  {event.source}  {kind}  {event.id}"


def _in_words(event: EventView) -> str:
    detail = bytes(event.detail).decode()
    cut = detail if len(detail) <= _SHOWN_CHARACTERS else f"{detail[:_SHOWN_CHARACTERS]}…"
    return f"{_head(event)}\n    {cut}"
