"""`partnerbus endpoint`: which bus of a global endpoint takes the events."""

import click

from partnerbus.api.admin.endpoints import EndpointList, EndpointView
from partnerbus.cli.asking import Asker, asks, columns, given, segment
from partnerbus.model.resources import EndpointHealth


@click.group()
def endpoint() -> None:
    """List global endpoints; fail one over to its secondary bus, and back."""


@endpoint.command("list")
@click.option("--region", help="Only this region's.")
@click.option("--account", help="Only this account's.")
@asks
def list_endpoints(asker: Asker, **options: str | None) -> None:
    """List global endpoints, and which bus takes their events now."""
    found = asker.ask(EndpointList, "GET", "/endpoints", query=given(**options))
    head = ("NAME", "ID", "HEALTH", "TAKING")
    rows = [(each.name, each.endpoint_id, each.health, each.taking) for each in found.endpoints]
    asker.tell(found, lambda: columns(head, rows))


@endpoint.command()
@click.argument("name")
@click.argument("state", type=click.Choice([each.value for each in EndpointHealth]))
@click.option("--region", help="The endpoint's region.")
@click.option("--account", help="Its account.")
@asks
def health(asker: Asker, name: str, state: str, **options: str | None) -> None:
    """Say that the health check of endpoint NAME is healthy or unhealthy.

    While it is unhealthy, the secondary bus takes the events that are put through the endpoint.
    """
    body = {"health": state, **given(**options)}
    done = asker.ask(EndpointView, "PUT", f"/endpoints/{segment(name)}/health", body=body)
    asker.tell(done, lambda: f"{name} is {done.health}: events go to {done.taking}")
