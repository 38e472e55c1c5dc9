"""`partnerbus serve`: runs a node until a signal ends it."""

import asyncio
import gc
import os
import resource
import signal
import sys
from collections.abc import Callable, Coroutine
from enum import StrEnum
from pathlib import Path

import click

from partnerbus import __version__
from partnerbus.cli.asking import config_option
from partnerbus.kernel.errors import StoreUnavailable
from partnerbus.node.load_settings import load_settings
from partnerbus.node.settings import ServiceUrls, Setting, Settings, table, without_secrets

ENOUGH_FILES = 65_536

SWITCH_SECONDS = 0.0001
"""How long the event loop may keep the store's threads from the interpreter. With Python's 5 ms a busy loop
starved the writer for up to seconds, with 0.5 ms still in some runs (measured)."""

COLLECTED_AT = 10_000
"""How many new objects bring the garbage collector, which hardly finds anything among them. With Python's 700
it took 8 % of the event loop's time (measured)."""

RECURSION_LEVELS = 4_000
"""Enough to read JSON of the documented 1,000 levels from anywhere in the code."""

_METAVARS: dict[type, str] = {str: "TEXT", int: "NUMBER", Path: "FOLDER", ServiceUrls: "SERVICE=URL,…"}


def takes_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option per setting, as text: the table reads it, wherever it came from."""
    for setting in reversed(list(table().values())):
        command = setting_option(setting)(command)
    return command


def setting_option(setting: Setting) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The option of one setting, as text."""
    if setting.kind is bool:
        flags = f"--{setting.option}/--no-{setting.option}"
        return click.option(flags, setting.name, default=None, help=setting.help)
    shown = f"{setting.help}  [{setting.default}]" if setting.default not in ("", {}) else setting.help
    metavar = "|".join(setting.kind) if issubclass(setting.kind, StrEnum) else _METAVARS[setting.kind]
    return click.option(f"--{setting.option}", setting.name, metavar=metavar, help=shown)


@click.command()
@config_option
@takes_settings
def serve(config: Path | None, **options: str | bool | None) -> None:
    """Run a server until SIGTERM or SIGINT.

    It then takes no more requests, lets the attempts that are under way finish, and exits; a second signal
    ends it at once. Settings may also come from the environment (PARTNERBUS_PORT) and from a file.
    """
    given = {name: value for name, value in options.items() if value is not None}
    settings = load_settings(given, config=config)
    raise_file_limit()
    tune_interpreter()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings))


def raise_file_limit() -> None:
    """Allow as many open sockets as the machine lets us have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH_FILES if hard == resource.RLIM_INFINITY else min(hard, ENOUGH_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def tune_interpreter() -> None:
    """What a process that is only a server may decide for itself."""
    sys.setswitchinterval(SWITCH_SECONDS)
    sys.setrecursionlimit(RECURSION_LEVELS)
    gc.set_threshold(COLLECTED_AT)


def spare_what_stays() -> None:
    """Take what a start leaves in memory (code, the service model, the registry) out of garbage collection.

    It is there until the end, and each full collection looked at all of it: 20 to 60 ms in which nothing
    moved (measured with a thousand targets), more with more rules.
    """
    gc.collect()
    gc.freeze()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        from uvloop import new_event_loop
    except ImportError:
        return asyncio.new_event_loop
    return new_event_loop


async def _serve(settings: Settings) -> None:
    from partnerbus.node.node import Node  # here, since the other commands need not wait for all it imports

    stopped = _stop_on_signals()
    async with Node(settings) as node:
        spare_what_stays()
        click.echo(ready_line(node.url, settings))
        click.echo(console_line(node.url, node.operator_token, settings, for_a_person=sys.stdout.isatty()))
        if (reason := await _end(stopped, node.lost())) is not None:
            raise StoreUnavailable(reason)


async def _end(stopped: asyncio.Event, lost: Coroutine[None, None, str]) -> str | None:
    """Wait until somebody stops the server, or it has lost its store: then why."""
    losing, stopping = asyncio.create_task(lost), asyncio.create_task(stopped.wait())
    await asyncio.wait([losing, stopping], return_when=asyncio.FIRST_COMPLETED)
    reason = losing.result() if losing.done() else None
    for task in (losing, stopping):
        task.cancel()
    return reason


def ready_line(url: str, settings: Settings) -> str:
    """Where it listens, and what to do with that."""
    store = f", store {without_secrets(settings.store)}" if settings.store else ""
    return (
        f"partnerbus {__version__} is ready: endpoint_url {url}, auth {settings.auth}, "
        f"data {settings.data.absolute()}{store}"
    )


def console_line(url: str, token: str, settings: Settings, *, for_a_person: bool) -> str:
    """Where the console is. The operator's token is for a terminal, not for what collects logs."""
    shown = token if for_a_person else f"in {(settings.data / 'operator.json').absolute()}"
    return f"the console is at {url}/console; the operator's token is {shown}"


def _stop_on_signals() -> asyncio.Event:
    """An event that the first signal sets; the second ends the process."""
    stopped = asyncio.Event()

    def stop(number: signal.Signals) -> None:
        if stopped.is_set():
            os._exit(128 + number)
        stopped.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    return stopped
