"""`partnerbus torture`: kills a server on this machine again and again, and counts what was kept."""

import asyncio
import random
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from partnerbus.cli.asking import config_option, pairs
from partnerbus.cli.progress import progress
from partnerbus.cli.trial import Trial, tries

if TYPE_CHECKING:
    from partnerbus.testing.crash_report import CrashReport

MOST_EVENTS_A_LIFE = 300
"""A server is killed once a random number of events up to this was acknowledged since its start."""

FAULTS_SHOWN = 20


class TortureView(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted. Numbers are those of events that any rule asked for, save where it says otherwise."""

    kills: int
    seconds: float
    acknowledged: int
    arrived: int
    lost: int
    repeated: int
    """Arrivals of what had arrived before, which `at least once` allows."""
    dead_letters: int
    """In the queue and on the server's own list, as they should be: two targets never take what they get."""
    stored: int
    """At least the acknowledged ones: a kill may take the answer and leave the event."""
    archived: int
    faults: list[str]
    folder: str | None
    """Where the server's data and log are kept, if there was a fault, and its store in a cluster."""


@click.command()
@click.option(
    "--kills", metavar="N", type=click.IntRange(min=1), default=20, show_default=True, help="How often."
)
@tries
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def torture(kills: int, data: str | None, store: str | None, config: Path | None, as_json: bool) -> None:
    """Kill a server at random moments under load, and count whether anything was lost.

    A server of its own, in a new folder beside the data folder, is published to over HTTP, killed with
    SIGKILL and started again. Then each acknowledged event is looked for: at its targets, among the dead
    letters, in the archive and in the ledger. Exit status 1 if a promise was broken; the folder is kept then.
    """
    trial = Trial(data, store, config, "torture")
    view = _torture(trial, kills)
    if view.folder is None:
        trial.remove()
    click.echo(msgspec.json.encode(view).decode() if as_json else in_words(view))
    sys.exit(1 if view.faults else 0)


def _torture(trial: Trial, kills: int) -> TortureView:
    from partnerbus.testing.crash import KillAfter, crash_run  # here: the other commands need not wait for it

    plan = [KillAfter(random.randint(1, MOST_EVENTS_A_LIFE)) for _ in range(kills)]  # noqa: S311
    began = time.monotonic()
    with progress(kills, "Killing") as ended:
        run = crash_run(
            trial.folder,
            plan,
            events=MOST_EVENTS_A_LIFE,
            environment=trial.environment,
            progress=lambda _report: ended(),
        )
        report = _lived_through(run, trial)
    return view_of(report, time.monotonic() - began, trial.place)


def _lived_through(run: Coroutine[object, object, "CrashReport"], trial: Trial) -> "CrashReport":
    """What the harness counted. A server that is not back, or at rest, in minutes is a fault of its own."""
    try:
        return asyncio.run(run)
    except KeyboardInterrupt:
        trial.remove()
        raise
    except (TimeoutError, ExceptionGroup) as error:
        raise click.ClickException(
            f"the server did not come back, or never came to rest ({error!r}); {trial.place} was kept"
        ) from error


def view_of(report: "CrashReport", seconds: float, place: str) -> TortureView:
    """What the harness counted, for people who want to know whether anything was lost."""
    arrived = report.received["/all"]
    faults = report.faults()
    return TortureView(
        kills=report.ends,
        seconds=round(seconds, 1),
        acknowledged=len(report.acknowledged),
        arrived=len(arrived),
        lost=len(report.acknowledged - arrived.keys()),
        repeated=arrived.total() - len(arrived),
        dead_letters=len(report.dead_letters) + len(report.given_up),
        stored=report.ledger.accepted,
        archived=report.archived,
        faults=faults,
        folder=place if faults else None,
    )


def in_words(view: TortureView) -> str:
    """A table and the verdict."""
    table = pairs(
        {
            "kills": view.kills,
            "seconds": view.seconds,
            "acknowledged": view.acknowledged,
            "arrived": view.arrived,
            "arrived again": view.repeated,
            "dead letters": view.dead_letters,
            "stored": view.stored,
            "archived": view.archived,
            "lost": view.lost,
        }
    )
    if not view.faults:
        return f"{table}\n\nNothing that was acknowledged is missing, and the ledger balances."
    more = len(view.faults) - FAULTS_SHOWN
    shown = [*view.faults[:FAULTS_SHOWN], *([f"and {more} more"] if more > 0 else [])]
    return f"{table}\n\nPROMISES WERE BROKEN; {view.folder} was kept.\n" + "\n".join(
        f"  {fault}" for fault in shown
    )
