"""What the commands share: where the folder is, asking the admin face, and printing what it says."""

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from partnerbus.api.admin import Admin, AdminAnswer
from partnerbus.api.admin.request import ErrorBody
from partnerbus.api.admin.viewer import OPERATOR
from partnerbus.cli.reach import reach, served
from partnerbus.node.load_settings import load_settings
from partnerbus.node.settings import Settings

V = TypeVar("V", bound=msgspec.Struct)


class Asker:
    """Asks the admin face of one node and prints the answer, as people or machines read it."""

    def __init__(self, settings: Settings, as_json: bool) -> None:
        self._settings = settings
        self.as_json = as_json

    def ask(
        self,
        kind: type[V],
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        may_make: bool = False,
        needs_server: bool = False,
    ) -> V:
        """The answer to one request; a refusal ends the command with its sentence and status 1.

        With `needs_server` so does a folder where none runs.
        """
        encoded = msgspec.json.encode(body) if body is not None else b""
        try:
            reached = served(self._settings) if needs_server else reach(self._settings, may_make=may_make)
            answer = asyncio.run(self._ask(reached, method, path, query or {}, encoded))
        except OSError as error:
            raise click.ClickException(f"the server went away before it answered: {error}") from None
        if answer.status != 200:
            raise click.ClickException(_sentence(answer))
        return msgspec.json.decode(answer.body, type=kind)

    def tell(self, view: msgspec.Struct, in_words: Callable[[], str]) -> None:
        """Print `view` as JSON, or what `in_words` makes of it."""
        click.echo(msgspec.json.encode(view).decode() if self.as_json else in_words())

    async def _ask(
        self,
        reached: AbstractAsyncContextManager[Admin],
        method: str,
        path: str,
        query: Mapping[str, str],
        body: bytes,
    ) -> AdminAnswer:
        async with reached as admin:
            return await admin.answer(OPERATOR, method, path, query, body)


config_option = click.option(
    "--config", type=click.Path(path_type=Path), envvar="PARTNERBUS_CONFIG", help="A settings file (TOML)."
)


limit_option = click.option(
    "--limit", type=click.IntRange(1, 1_000), default=100, show_default=True, help="How many at most."
)


def asks(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--data`, `--store`, `--config` and `--json`, and an `Asker` as its first argument."""

    @click.option("--data", metavar="FOLDER", help="The data folder.")
    @click.option("--store", metavar="URL", help="The NATS cluster that holds what the folder does not.")
    @config_option
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @functools.wraps(command)
    def asking(
        *arguments: Any,
        data: str | None,
        store: str | None,
        config: Path | None,
        as_json: bool,
        **options: Any,
    ) -> None:
        where = {name: value for name, value in (("data", data), ("store", store)) if value is not None}
        command(Asker(load_settings(where, config=config), as_json), *arguments, **options)

    return asking


def segment(text: str) -> str:
    """`text` for one segment of a path. It must not lead to another path: that is a usage error."""
    if not text or "/" in text:
        raise click.UsageError(f"{text!r} cannot be an id")
    return text


def columns(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Rows under a head, each column as wide as it must be; what is None shows as a dash."""
    cells = [list(head)] + [["-" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


def pairs(named: Mapping[str, object]) -> str:
    """One `name  value` per line; what is None is left out."""
    shown = {name: value for name, value in named.items() if value is not None}
    width = max(map(len, shown))
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in shown.items())


def instant(at: datetime) -> str:
    """An instant as people read it, to the millisecond."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def given(**options: str | int | None) -> dict[str, str]:
    """The options that were given, as a query."""
    return {name: str(value) for name, value in options.items() if value is not None}


def _sentence(answer: AdminAnswer) -> str:
    try:
        return msgspec.json.decode(answer.body, type=ErrorBody).error
    except msgspec.MsgspecError:
        return f"the server answered {answer.status}"
