"""`partnerbus bench`: how fast a server is on this machine, beside what the machine itself can do."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from partnerbus.cli.asking import columns, config_option
from partnerbus.cli.progress import progress
from partnerbus.cli.trial import Trial, tries

if TYPE_CHECKING:
    from partnerbus.testing.bench import Figures


@click.command()
@tries
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def bench(data: str | None, store: str | None, config: Path | None, as_json: bool) -> None:
    """Measure a server on this machine for half a minute.

    A server of its own, in a new folder beside the data folder, is published to with signatures over HTTP and
    delivers to a webhook. Each figure stands beside one of the machine's own. The load and the webhook run on
    the same cores, so a server with a machine to itself is faster.
    """
    from partnerbus.testing.bench import STEPS, measure  # here: the other commands need not wait for it

    trial = Trial(data, store, config, "bench")
    try:
        with progress(STEPS, "Measuring") as further:
            figures = asyncio.run(measure(trial.folder, environment=trial.environment, progress=further))
    finally:
        trial.remove()
    click.echo(msgspec.json.encode(figures).decode() if as_json else in_words(figures))


def in_words(figures: "Figures") -> str:
    """A table."""
    put, post = figures.put_to_webhook, figures.direct_post
    syncs = f"{figures.syncs_per_second:,.0f} syncs/s of 1 KB on this disk"
    return columns(
        ["measure", "here", "beside"],
        [
            ["acknowledged requests/s, 1 entry", f"{figures.acknowledged_per_second:,.0f}", syncs],
            ["acknowledged events/s, 10 entries", f"{figures.acknowledged_events_per_second:,.0f}", syncs],
            ["accepted and delivered events/s", f"{figures.delivered_per_second:,.0f}", None],
            ["put to webhook at 200/s, p50 ms", f"{put.p50:.2f}", f"{post.p50:.2f} for a direct POST"],
            ["put to webhook at 200/s, p99 ms", f"{put.p99:.2f}", f"{post.p99:.2f} for a direct POST"],
        ],
    )
