"""`partnerbus connection`: what operators add to the connections that callers make."""

import sys
from collections.abc import Callable
from pathlib import Path

import click

from partnerbus.api.admin.connections import CertificateView
from partnerbus.cli.asking import Asker, asks, given, pairs, segment
from partnerbus.targets.client_certificates import LARGEST_PEM


def names(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command NAME, and the options that say which connection of that name."""
    for name, help_text in (("--region", "The connection's region."), ("--account", "Its account.")):
        command = click.option(name, help=help_text)(command)
    return click.argument("name")(command)


@click.group()
def connection() -> None:
    """Client certificates of connections."""


@connection.group()
def certificate() -> None:
    """Set, show or delete the client certificate that a connection shows to its API destinations (mTLS)."""


@certificate.command("set")
@names
@click.option(
    "--cert", required=True, type=click.Path(path_type=Path), help="Certificates in PEM, the leaf first."
)
@click.option("--key", required=True, metavar="FILE", help="The private key in PEM; - is standard input.")
@asks
def set_certificate(asker: Asker, name: str, cert: Path, key: str, **options: str | None) -> None:
    """Show a certificate with every request of connection NAME from now on; the key is stored encrypted."""
    body = {"certificate": _read(cert), "private_key": _read_key(key), **given(**options)}
    _tell(asker, asker.ask(CertificateView, "PUT", _path(name), body=body))


@certificate.command()
@names
@asks
def show(asker: Asker, name: str, **options: str | None) -> None:
    """Show whose certificate connection NAME has, and until when."""
    _tell(asker, asker.ask(CertificateView, "GET", _path(name), query=given(**options)))


@certificate.command()
@names
@asks
def delete(asker: Asker, name: str, **options: str | None) -> None:
    """Show no certificate any more, and forget the key."""
    _tell(asker, asker.ask(CertificateView, "DELETE", _path(name), query=given(**options)))


def _path(name: str) -> str:
    return f"/connections/{segment(name)}/certificate"


def _read_key(key: str) -> str:
    return sys.stdin.read(LARGEST_PEM + 1) if key == "-" else _read(Path(key))


def _read(path: Path) -> str:
    try:
        with path.open(encoding="ascii") as file:
            return file.read(LARGEST_PEM + 1)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise click.ClickException(f"{path} is not PEM") from None


def _tell(asker: Asker, found: CertificateView) -> None:
    named = {
        "connection": found.connection,
        "certificate": found.subject or "none",
        "issuer": found.issuer,
        "valid from": found.not_before,
        "valid until": found.not_after,
    }
    asker.tell(found, lambda: pairs(named))
