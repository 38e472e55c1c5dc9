"""`partnerbus webhook`: URLs that get signed requests, and the secrets that these are signed with."""

from collections.abc import Callable
from datetime import timedelta

import click

from partnerbus.api.admin.accounts import Deleted
from partnerbus.api.admin.webhooks import NewSecret, WebhookList, WebhookView
from partnerbus.cli.asking import Asker, asks, columns, given, pairs, segment
from partnerbus.cli.node import Duration


def owned(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that say whose webhook is meant."""
    command = click.option("--region", help="The webhook's region.")(command)
    return click.option("--account", help="Its account.")(command)


@click.group()
def webhook() -> None:
    """Create, list and delete webhooks; rotate their secrets."""


@webhook.command()
@click.argument("name")
@click.option("--url", required=True, help="Where its requests go.")
@owned
@asks
def create(asker: Asker, name: str, url: str, **options: str | None) -> None:
    """Create a webhook that rules may have as a target. Its secret is shown here and never again.

    Without --account it is the one customer's, without --region it is in the server's region.
    """
    body = {"name": name, "url": url, **given(**options)}
    _tell_secret(asker, asker.ask(NewSecret, "POST", "/webhooks", body=body))


@webhook.command("list")
@owned
@asks
def list_(asker: Asker, **options: str | None) -> None:
    """List webhooks, without secrets."""
    found = asker.ask(WebhookList, "GET", "/webhooks", query=given(**options))
    rows = [(each.account, each.region, each.name, each.url, len(each.secrets)) for each in found.webhooks]
    asker.tell(found, lambda: columns(("ACCOUNT", "REGION", "NAME", "URL", "SECRETS"), rows))


@webhook.command()
@click.argument("name")
@owned
@asks
def show(asker: Asker, name: str, **options: str | None) -> None:
    """Show a webhook's ARN and URL, and how long each of its secrets signs."""
    found = asker.ask(WebhookView, "GET", f"/webhooks/{segment(name)}", query=given(**options))
    named = {"arn": found.arn, "url": found.url, "created": found.created_at}
    for number, secret in enumerate(found.secrets, start=1):
        ends = f", signs until {secret.signs_until}" if secret.signs_until is not None else ""
        named[f"secret {number}"] = f"created {secret.created_at}{ends}"
    asker.tell(found, lambda: pairs(named))


@webhook.command()
@click.argument("name")
@click.option(
    "--keep", type=Duration(), default="24h", help="How long the old secrets sign too; 24h unless given."
)
@owned
@asks
def rotate(asker: Asker, name: str, keep: timedelta, **options: str | None) -> None:
    """Sign with a new secret from now on, and with the old ones for a while."""
    body = {"keep_seconds": keep.total_seconds(), **given(**options)}
    _tell_secret(asker, asker.ask(NewSecret, "POST", f"/webhooks/{segment(name)}/rotate", body=body))


@webhook.command()
@click.argument("name")
@owned
@asks
def delete(asker: Asker, name: str, **options: str | None) -> None:
    """Delete a webhook; what is due to it goes to the dead letters."""
    done = asker.ask(Deleted, "DELETE", f"/webhooks/{segment(name)}", query=given(**options))
    asker.tell(done, lambda: f"deleted {done.deleted}")


def _tell_secret(asker: Asker, made: NewSecret) -> None:
    asker.tell(made, lambda: pairs({"arn": made.arn, "url": made.url, "secret": made.secret}))
    click.echo("Keep the secret now: it is not shown again.", err=True)
