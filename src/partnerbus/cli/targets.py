"""`partnerbus target`: targets that keep failing, enabling those that were disabled for it, and order."""

import click

from partnerbus.api.admin.targets import Enabled, OrderedTargets, OrderView, TargetList
from partnerbus.cli.asking import Asker, asks, columns, given


@click.group()
def target() -> None:
    """List targets that keep failing; enable one that was disabled; deliver to one in order."""


@target.command("list")
@click.option("--region", help="Only this region.")
@click.option("--account", help="Only this account's.")
@asks
def list_failing(asker: Asker, **options: str | None) -> None:
    """List the targets that have failed for a while without a success."""
    found = asker.ask(TargetList, "GET", "/targets/failing", query=given(**options))
    head = ("ACCOUNT", "TARGET", "SINCE", "FAILURES", "ERROR", "DISABLED", "HELD UNTIL", "ORDERED BY")
    rows = [
        (
            each.account,
            each.target_arn,
            each.since,
            each.failures,
            each.error,
            each.disabled_at,
            each.held_until,
            each.ordered_by,
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


@target.command()
@click.argument("rule")
@click.argument("target_id", metavar="TARGET")
@click.option("--by", metavar="PATH", help="Events with the same value there are delivered in order.")
@click.option("--off", is_flag=True, help="In no order again.")
@click.option("--bus", help="The rule's bus, by name or ARN.")
@click.option("--region", help="Its region.")
@click.option("--account", help="Its account.")
@asks
def order(asker: Asker, rule: str, target_id: str, by: str | None, off: bool, **options: str | None) -> None:
    """Deliver to the target TARGET (an id) of RULE in order: --by '$.detail.customer'.

    No event is attempted before every older one with the same value there is delivered or dead. Applies to
    events that are routed from now on.
    """
    if (by is None) != off:
        raise click.UsageError("say either --by PATH or --off")
    body = {"rule": rule, "target": target_id, "by": by, **given(**options)}
    done = asker.ask(OrderView, "POST", "/targets/order", body=body)
    how = "in no order" if done.ordered_by is None else f"ordered by {done.ordered_by}"
    asker.tell(done, lambda: f"target {done.target} of {done.rule_arn}: {how}")


@target.command()
@click.option("--bus", help="Only of this bus, by name or ARN.")
@click.option("--region", help="Only this region.")
@click.option("--account", help="Only this account's.")
@asks
def ordered(asker: Asker, **options: str | None) -> None:
    """List the targets that are delivered to in order, and by what."""
    found = asker.ask(OrderedTargets, "GET", "/targets/ordered", query=given(**options))
    rows = [(each.rule_arn, each.target, each.ordered_by) for each in found.targets]
    asker.tell(found, lambda: columns(("RULE", "TARGET", "ORDERED BY"), rows))
