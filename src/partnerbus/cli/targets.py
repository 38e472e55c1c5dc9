"""`partnerbus target`: targets that keep failing, and enabling those that were disabled for it."""

import click

from partnerbus.api.admin.targets import Enabled, TargetList
from partnerbus.cli.asking import Asker, asks, columns, given


@click.group()
def target() -> None:
    """List targets that keep failing; enable one that was disabled."""


@target.command("list")
@click.option("--region", help="Only this region.")
@click.option("--account", help="Only this account's.")
@asks
def list_failing(asker: Asker, **options: str | None) -> None:
    """List the targets that have failed for a while without a success."""
    found = asker.ask(TargetList, "GET", "/targets/failing", query=given(**options))
    head = ("ACCOUNT", "TARGET", "SINCE", "FAILURES", "ERROR", "DISABLED", "HELD UNTIL")
    rows = [
        (
            each.account,
            each.target_arn,
            each.since,
            each.failures,
            each.error,
            each.disabled_at,
            each.held_until,
        )
        for each in found.targets
    ]
    asker.tell(found, lambda: columns(head, rows))


@target.command()
@click.argument("arn")
@click.option("--region", help="Only in this region.")
@click.option("--account", help="Only for this account.")
@asks
def enable(asker: Asker, arn: str, **options: str | None) -> None:
    """Send to the target ARN again. What died meanwhile is redriven by `dead-letters redrive`."""
    done = asker.ask(Enabled, "POST", "/targets/enable", body={"arn": arn, **given(**options)})
    asker.tell(done, lambda: f"enabled {arn}")
