"""`partnerbus status`, `ledger`, `clock`, `reset`: what a node holds, how it balances, what time it has."""

import re
from datetime import timedelta

import click
import msgspec

from partnerbus.api.admin.clock import ClockView
from partnerbus.api.admin.logs import LedgerList
from partnerbus.api.admin.reset import RESET_PATH, ResetDone
from partnerbus.api.admin.status import Status
from partnerbus.cli.asking import Asker, asks, columns, given, pairs
from partnerbus.kernel.clock import SystemClock
from partnerbus.store.protocol import Ledger

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


class Duration(click.ParamType[timedelta]):
    """`24h`, `1h30m`, `7d`, `90s`, or plain seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        text = str(value)
        if text.isdecimal():
            return timedelta(seconds=int(text))
        if not text or _PART.sub("", text):
            self.fail(f"{text!r} is no duration; write one like 24h, 1h30m or 90s", param, ctx)
        return timedelta(seconds=sum(float(count) * _UNITS[unit] for count, unit in _PART.findall(text)))


@click.command()
@asks
def status(asker: Asker) -> None:
    """Say whether a server runs on the folder, and what the folder holds."""
    found = asker.ask(Status, "GET", "/status")
    server = found.server
    named = {
        "server": f"{server.url} (process {server.pid})" if server is not None else "not running",
        "auth": server.auth if server is not None else None,
        "version": found.version,
        "time": found.now.isoformat(timespec="seconds"),
        "accounts": found.accounts,
        "partner sources": found.sources,
        "buses": found.buses,
        "rules": found.rules,
        "archives": found.archives,
        "events archived": found.archived,
        "events accepted": found.accepted,
        "pending": found.pending,
        "dead letters": found.dead,
        "targets failing": found.targets_failing,
        "targets disabled": found.targets_disabled,
        "targets held": found.targets_held,
    }
    asker.tell(found, lambda: "\n".join([pairs(named), *_nodes(found)]))


def _nodes(found: Status) -> list[str]:
    """The nodes of a cluster, with what they do and since when, or until when they were there.

    Leases are instants of the machines' clocks, which a test clock that was shifted is not.
    """
    now = SystemClock().now()
    rows = [
        (
            each.name,
            each.url,
            ",".join(each.roles),
            f"since {each.started_at:%Y-%m-%dT%H:%M:%S}"
            if each.leased_until > now
            else f"gone since {each.leased_until:%Y-%m-%dT%H:%M:%S}",
        )
        for each in found.nodes
    ]
    return ["", columns(("NODE", "URL", "ROLES", "THERE"), rows)] if rows else []


@click.command()
@click.option("--bus", help="Only this bus, by name or ARN.")
@click.option("--account", help="Only this account's.")
@asks
def ledger(asker: Asker, bus: str | None, account: str | None) -> None:
    """Show how each bus balances: what came in, and what became of it."""
    found = asker.ask(LedgerList, "GET", "/ledgers", query=given(bus=bus, account=account))
    fields = msgspec.structs.fields(Ledger)[1:]
    head = ("BUS", *(field.name.upper() for field in fields))
    rows = [
        (each.bus or each.log, *(getattr(each.ledger, field.name) for field in fields))
        for each in found.ledgers
    ]
    asker.tell(found, lambda: columns(head, rows))


@click.command()
@asks
def reset(asker: Asker) -> None:
    """Forget everything but accounts and keys, on a server that was started with --allow-reset."""
    done = asker.ask(ResetDone, "POST", RESET_PATH)
    asker.tell(done, lambda: "everything is forgotten but accounts and keys")


@click.group()
def clock() -> None:
    """Read the clock of a node; move it, if it was started with --test-clock."""


@clock.command()
@asks
def show(asker: Asker) -> None:
    """Print the node's time."""
    _tell_clock(asker, asker.ask(ClockView, "GET", "/clock"))


@clock.command()
@click.argument("duration", type=Duration())
@asks
def advance(asker: Asker, duration: timedelta) -> None:
    """Move the clock forwards by DURATION (24h, 1h30m, 90s); what is due by then happens at once."""
    body = {"seconds": duration.total_seconds()}
    _tell_clock(asker, asker.ask(ClockView, "POST", "/clock/advance", body=body))


def _tell_clock(asker: Asker, found: ClockView) -> None:
    asker.tell(found, lambda: found.now.isoformat())
