"""`partnerbus account`: accounts and their keys."""

import os
import sys
from collections.abc import Callable

import click

from partnerbus.api.admin.accounts import AccountList, Deleted, NewKey
from partnerbus.api.admin.quotas import QuotaList
from partnerbus.cli.asking import Asker, asks, columns, pairs, segment

SECRET_VARIABLE = "PARTNERBUS_SECRET_ACCESS_KEY"  # noqa: S105


@click.group()
def account() -> None:
    """Create, list and delete accounts; rotate their keys; change their quotas.

    Works while the server runs, and takes effect there at once.
    """


def takes_key(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options for a key pair that the operator brings."""
    command = click.option(
        "--secret-access-key",
        metavar="SECRET",
        help=f"Its secret; - reads it from standard input. Better: the variable {SECRET_VARIABLE}.",
    )(command)
    return click.option("--access-key-id", metavar="ID", help="A key id of your own; drawn otherwise.")(
        command
    )


@account.command()
@click.argument("account_id", metavar="ACCOUNT")
@click.option(
    "--partner", metavar="DOMAIN", help="Make it a publishing account of the partner with this domain."
)
@takes_key
@asks
def create(
    asker: Asker,
    account_id: str,
    partner: str | None,
    access_key_id: str | None,
    secret_access_key: str | None,
) -> None:
    """Create an account of 12 digits with one access key. The secret is shown here and never again."""
    body = {"id": account_id, "partner": partner, **_key(access_key_id, secret_access_key)}
    _tell_key(asker, asker.ask(NewKey, "POST", "/accounts", body=body, may_make=True))


@account.command("list")
@asks
def list_(asker: Asker) -> None:
    """List accounts and their keys, without secrets."""
    found = asker.ask(AccountList, "GET", "/accounts")
    rows = [
        (each.id, each.partner, ", ".join(key.access_key_id for key in each.keys) or None)
        for each in found.accounts
    ]
    asker.tell(found, lambda: columns(("ACCOUNT", "PARTNER", "ACCESS KEYS"), rows))


@account.command()
@click.argument("account_id", metavar="ACCOUNT")
@asks
def delete(asker: Asker, account_id: str) -> None:
    """Delete an account and its keys; refused while it holds buses, rules or connections."""
    _tell_deleted(asker, asker.ask(Deleted, "DELETE", f"/accounts/{segment(account_id)}"))


@account.group()
def key() -> None:
    """Rotate and delete access keys."""


@key.command()
@click.argument("account_id", metavar="ACCOUNT")
@takes_key
@asks
def rotate(asker: Asker, account_id: str, access_key_id: str | None, secret_access_key: str | None) -> None:
    """Give an account a new key; the old ones stay valid until `account key delete`."""
    body = _key(access_key_id, secret_access_key)
    _tell_key(asker, asker.ask(NewKey, "POST", f"/accounts/{segment(account_id)}/keys", body=body))


@key.command("delete")
@click.argument("account_id", metavar="ACCOUNT")
@click.argument("access_key_id", metavar="KEY")
@asks
def delete_key(asker: Asker, account_id: str, access_key_id: str) -> None:
    """Delete an access key; calls signed with it are refused at once."""
    path = f"/accounts/{segment(account_id)}/keys/{segment(access_key_id)}"
    _tell_deleted(asker, asker.ask(Deleted, "DELETE", path))


@account.group()
def quota() -> None:
    """See and change how much an account may have."""


@quota.command("list")
@click.argument("account_id", metavar="ACCOUNT")
@asks
def list_quotas(asker: Asker, account_id: str) -> None:
    """List the quotas of an account, with the defaults."""
    _tell_quotas(asker, asker.ask(QuotaList, "GET", f"/accounts/{segment(account_id)}/quotas"))


@quota.command("set")
@click.argument("account_id", metavar="ACCOUNT")
@click.argument("name", metavar="NAME")
@click.argument("value", metavar="N", type=int)
@asks
def set_quota(asker: Asker, account_id: str, name: str, value: int) -> None:
    """Change a quota of an account. What is above a lower one stays."""
    path = f"/accounts/{segment(account_id)}/quotas/{segment(name)}"
    _tell_quotas(asker, asker.ask(QuotaList, "PUT", path, body={"value": value}))


@quota.command("reset")
@click.argument("account_id", metavar="ACCOUNT")
@click.argument("name", metavar="NAME")
@asks
def reset_quota(asker: Asker, account_id: str, name: str) -> None:
    """Give an account the default of a quota again."""
    path = f"/accounts/{segment(account_id)}/quotas/{segment(name)}"
    _tell_quotas(asker, asker.ask(QuotaList, "DELETE", path))


def _tell_quotas(asker: Asker, found: QuotaList) -> None:
    rows = [(each.name, each.value, each.default) for each in found.quotas]
    asker.tell(found, lambda: columns(("QUOTA", "VALUE", "DEFAULT"), rows))


def _key(access_key_id: str | None, secret: str | None) -> dict[str, str | None]:
    if secret == "-":  # noqa: S105
        secret = sys.stdin.readline().strip()
    elif secret is None and access_key_id is not None:
        secret = os.environ.get(SECRET_VARIABLE)
    return {"access_key_id": access_key_id, "secret_access_key": secret}


def _tell_key(asker: Asker, made: NewKey) -> None:
    named = {
        "account": made.account,
        "partner": made.partner,
        "access key id": made.access_key_id,
        "secret access key": made.secret_access_key,
    }
    asker.tell(made, lambda: pairs(named))
    click.echo("Keep the secret now: it is not shown again.", err=True)


def _tell_deleted(asker: Asker, deleted: Deleted) -> None:
    asker.tell(deleted, lambda: f"deleted {deleted.deleted}")
