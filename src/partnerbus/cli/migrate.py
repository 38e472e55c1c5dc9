"""`partnerbus migrate`: moves a store from a folder to a NATS cluster, and back."""

import asyncio
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from partnerbus.cli.asking import columns, config_option
from partnerbus.cli.progress import progress
from partnerbus.cli.serve import setting_option
from partnerbus.kernel.clock import SystemClock
from partnerbus.kernel.errors import ConfigurationError
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.kernel.secrets import copy_key_file
from partnerbus.kernel.telemetry import make_log
from partnerbus.node.folder import DataFolder, opened
from partnerbus.node.load_settings import load_settings
from partnerbus.node.open_store import cluster_settings, require_cluster_client
from partnerbus.node.settings import LogLevel, Settings, table, without_secrets
from partnerbus.store.embedded import EmbeddedStore
from partnerbus.store.embedded.database import DATABASE, make_folder
from partnerbus.store.embedded.digests import Compared
from partnerbus.store.embedded.mark import read_mark

if TYPE_CHECKING:
    from partnerbus.store.jetstream.move import Move, Moved

KEY = "secret.key"
SHOWN = 16
"""How many characters of a checksum people see."""

HEAD = ("TABLE", "ROWS IN SOURCE", "CHECKSUM", "ROWS IN TARGET", "CHECKSUM", "")

AGAIN = "Run it again, or give it up with --discard."

CLUSTER_OPTIONS = ("replicas", "store_credentials", "store_ca", "store_certificate", "store_monitors")


class MigrateView(msgspec.Struct, frozen=True, kw_only=True):
    """What was moved. `tables` is empty if an earlier run has finished it."""

    source: str
    target: str
    is_finished: bool
    tables: Sequence[Compared] = ()
    next: Sequence[str] = ()
    """What is to be done now, a sentence or a command each."""


def _takes_cluster(command: Callable[..., None]) -> Callable[..., None]:
    for name in reversed(CLUSTER_OPTIONS):
        command = setting_option(table()[name])(command)
    return command


@click.command()
@click.option("--from", "source", metavar="FOLDER|URL", required=True, help="The store that is to be moved.")
@click.option("--to", "target", metavar="FOLDER|URL", required=True, help="Where there is none yet.")
@click.option(
    "--data",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="A node's folder: that of the first one gets secret.key, from any one of them it is taken back.",
)
@click.option("--discard", is_flag=True, help="Give up a move that is not finished; the source stays.")
@click.option(
    "--discard-mark",
    "mark_id",
    metavar="ID",
    help="Let a cluster's store be one again that was being moved, or was moved, to a folder, lost or not.",
)
@_takes_cluster
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def migrate(
    source: str,
    target: str,
    data: Path | None,
    discard: bool,
    mark_id: str | None,
    config: Path | None,
    as_json: bool,
    **options: str | None,
) -> None:
    """Move a store from a data folder to a NATS cluster, or back.

    One of --from and --to is a folder, the other nats://host,…[/name]. Nobody may serve the store meanwhile.
    What was interrupted goes on when the same command is run again. In the end every table is read on both
    sides and compared. The source is not served any more from then on.
    """
    require_cluster_client()
    url, folder = _sides(source, target)
    given = {name: value for name, value in options.items() if value is not None}
    settings = load_settings({"store": url, **given}, config=config)
    to_cluster = url == target
    key = (folder if to_cluster else _key_folder(folder, data)) / KEY
    move = _move(settings, folder, key)
    if discard or mark_id is not None:
        asyncio.run(_discard(move, mark_id, to_cluster=to_cluster))
        click.echo('{"discarded":true}' if as_json else "given up; the source is as it was")
        return
    moved = asyncio.run(_to_cluster(move, data) if to_cluster else _to_folder(move))
    view = _view(without_secrets(source), without_secrets(target), moved)
    if moved.finished_at is not None:
        steps = _next_of_cluster(move, data) if to_cluster else _next_of_folder(move)
        view = msgspec.structs.replace(view, next=steps)
    click.echo(msgspec.json.encode(view).decode() if as_json else in_words(view))
    sys.exit(0 if view.is_finished else 1)


# -- what is meant -----------------------------------------------------------------------------------------


def _sides(source: str, target: str) -> tuple[str, Path]:
    """The URL and the folder, whichever is which."""
    urls = [side for side in (source, target) if "://" in side]
    folders = [side for side in (source, target) if "://" not in side]
    if len(folders) == 2:
        raise ConfigurationError(
            "--from and --to are both folders: stop the server and copy the folder as it is, with secret.key"
        )
    if len(urls) == 2:
        raise ConfigurationError(
            "--from and --to are both clusters: move the store to a folder first, and from there to the other"
        )
    return urls[0], Path(folders[0])


def _key_folder(folder: Path, data: Path | None) -> Path:
    """Where the key of a store is that is moved to `folder`."""
    found = folder if data is None else data
    if not (found / KEY).exists():
        raise ConfigurationError(
            f"{found / KEY} is not there, and without it nobody reads the store's secrets: "
            "name the folder of one of the nodes with --data"
        )
    return found


def _move(settings: Settings, folder: Path, key: Path) -> "Move":
    from partnerbus.store.jetstream.move import Move

    return Move(
        folder=folder,
        cluster=cluster_settings(settings, lambda: DataFolder(key.parent).secret_box().fingerprint),
        url=without_secrets(settings.store),
        key=key,
        failpoints=Failpoints.from_environment(),
        log=make_log(LogLevel.ERROR),
        show=progress,
    )


# -- doing it ----------------------------------------------------------------------------------------------


async def _to_cluster(move: "Move", data: Path | None) -> "Moved":
    from partnerbus.store.jetstream.move_in import move_in

    if not (move.folder / DATABASE).exists():
        raise ConfigurationError(f"There is no store in {move.folder}.")
    if not move.key.exists():
        raise ConfigurationError(f"{move.key} is not there, and without it nobody reads the store's secrets")
    if data is not None:
        _check_key(move, data)
    if read_mark(move.folder) is None:
        await _check_source(move)
    moved = await move_in(move)
    if data is not None and moved.finished_at is not None:
        _give_key(move, data)
    return moved


def _check_key(move: "Move", data: Path) -> None:
    if data.resolve() == move.folder.resolve():
        raise ConfigurationError(
            f"{data} is the folder that is moved: a node needs another one, name it with --data"
        )
    make_folder(data)
    try:
        theirs = (data / KEY).read_bytes() if (data / KEY).exists() else None
        ours = move.key.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{error.filename or data} cannot be read: {error.strerror}") from None
    if theirs is not None and theirs.strip() != ours.strip():
        raise ConfigurationError(f"{data / KEY} is another key file than {move.key}: name an empty folder")


def _give_key(move: "Move", data: Path) -> None:
    try:
        copy_key_file(move.key, data)
    except OSError as error:
        raise ConfigurationError(
            f"{move.url} is the store now, but {data / KEY} cannot be written: {error.strerror}; "
            f"copy {move.key} there"
        ) from None


async def _check_source(move: "Move") -> None:
    """Open the store once, as a server that starts does: what a crash left is mended, its key tried."""
    from partnerbus.store.jetstream.move import lock

    lock(move.folder).release()
    async with opened(DataFolder(move.folder), SystemClock(), Failpoints()) as found:
        if isinstance(found.store, EmbeddedStore) and found.store.damage is not None:
            click.echo(f"Warning: {found.store.damage}", err=True)


async def _to_folder(move: "Move") -> "Moved":
    from partnerbus.store.jetstream.move_out import move_out

    return await move_out(move)


async def _discard(move: "Move", mark_id: str | None, *, to_cluster: bool) -> None:
    from partnerbus.store.jetstream.move_in import discard_in
    from partnerbus.store.jetstream.move_out import discard_out
    from partnerbus.store.jetstream.move_source import reopen

    if mark_id is None:
        await (discard_in(move) if to_cluster else discard_out(move))
    elif to_cluster:
        raise ConfigurationError("--discard-mark is for a cluster's store: name it with --from")
    else:
        await reopen(move, mark_id)


# -- saying it ---------------------------------------------------------------------------------------------


def _next_of_cluster(move: "Move", data: Path | None) -> Sequence[str]:
    serve = f"partnerbus serve --data {shlex.quote(str(data or 'NODE_FOLDER'))} --store {move.url}"
    copy = f"Copy {move.key} into the folder of each node before its first start."
    if data is not None:
        copy = f"{data} has secret.key; copy it into the folder of each other node before its first start."
    return [copy, serve, f"{move.folder} is not served any more. Keep it until the new store has been used."]


def _next_of_folder(move: "Move") -> Sequence[str]:
    return [
        f"partnerbus serve --data {shlex.quote(str(move.folder))}",
        f"{move.url} is not served any more. Keep it until the new store has been used.",
    ]


def _view(source: str, target: str, moved: "Moved") -> MigrateView:
    return MigrateView(
        source=source, target=target, is_finished=moved.finished_at is not None, tables=moved.tables
    )


def in_words(view: MigrateView) -> str:
    """A table and the verdict."""
    rows = [
        (
            each.table,
            each.source_rows,
            each.source_checksum[:SHOWN],
            each.target_rows,
            each.target_checksum[:SHOWN],
            "same" if each.is_same else "DIFFERS",
        )
        for each in view.tables
    ]
    said = [columns(HEAD, rows), ""]
    if not view.is_finished:
        return "\n".join([*said, f"NOT MOVED: {view.target} does not hold what {view.source} holds.", AGAIN])
    if not view.tables:
        said = []
        verdict = f"{view.source} was moved to {view.target} before."
    else:
        verdict = f"{view.source} was moved to {view.target}: every table is the same, every event as stored."
    return "\n".join([*said, verdict, *view.next])
