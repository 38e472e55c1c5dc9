"""`partnerbus`: the commands, and how their failures end.

Exit status 0: done. 1: refused, or it went wrong. 2: the command line or the settings cannot be used.
"""

import os
import sys

import click

from partnerbus import __version__
from partnerbus.cli.accounts import account
from partnerbus.cli.bench import bench
from partnerbus.cli.connections import connection
from partnerbus.cli.deliveries import dead_letters, deliveries
from partnerbus.cli.endpoints import endpoint
from partnerbus.cli.logs import logs
from partnerbus.cli.migrate import migrate
from partnerbus.cli.node import clock, ledger, reset, status
from partnerbus.cli.pattern import pattern
from partnerbus.cli.serve import serve
from partnerbus.cli.tail import listen, tail
from partnerbus.cli.targets import target
from partnerbus.cli.torture import torture
from partnerbus.cli.trace import trace, why
from partnerbus.cli.webhooks import webhook
from partnerbus.kernel.errors import ConfigurationError, PartnerbusError, StoreLocked


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="partnerbus", message="%(prog)s %(version)s")
def partnerbus() -> None:
    """A partner event bus that speaks the EventBridge API."""


for command in (
    serve,
    account,
    connection,
    endpoint,
    webhook,
    dead_letters,
    deliveries,
    logs,
    tail,
    trace,
    why,
    listen,
    ledger,
    status,
    target,
    clock,
    reset,
    migrate,
    pattern,
    torture,
    bench,
):
    partnerbus.add_command(command)


def main() -> None:
    """Run the command line; a failure is one sentence on standard error."""
    os.umask(0o077)  # whatever a data folder holds is its owner's
    try:
        partnerbus(prog_name="partnerbus")
    except PartnerbusError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2 if isinstance(error, ConfigurationError | StoreLocked) else 1)
