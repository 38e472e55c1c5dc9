"""What commands share that try this machine: a folder on the disk that counts, a store in the cluster."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import click
import msgspec

from partnerbus.cli.reach import reach
from partnerbus.kernel.errors import ConfigurationError, PartnerbusError
from partnerbus.node.load_settings import load_settings
from partnerbus.node.settings import Settings, without_secrets
from partnerbus.node.trial_store import remove_trial, store_environment, trial_settings


def tries(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--data` and `--store`, which say what is tried."""
    command = click.option(
        "--store", metavar="URL", help="Try this NATS cluster, with a store of its own, not the one there."
    )(command)
    return click.option(
        "--data", metavar="FOLDER", help="Try the disk of this data folder, beside it, not in it."
    )(command)


class Trial:
    """Where a server is tried: in a new `folder`, and, if there is a cluster, on a new store there.

    The folder is beside the data folder, which is neither opened nor changed, and need not exist. Raises
    `ConfigurationError` if none can be made or the cluster cannot be used, `StoreUnavailable` if it is not
    there; then nothing is left.
    """

    def __init__(self, data: str | None, store: str | None, config: Path | None, what: str) -> None:
        given = {name: value for name, value in (("data", data), ("store", store)) if value is not None}
        settings = load_settings(given, config=config)
        self._settings = trial_settings(settings, what)
        self.folder = _folder_beside(settings, what)
        try:
            asyncio.run(self._open_once())
        except BaseException:
            with suppress(PartnerbusError):
                self.remove()
            raise

    @property
    def environment(self) -> Mapping[str, str]:
        """What a server must know of the store."""
        return store_environment(self._settings)

    @property
    def place(self) -> str:
        """Where what it leaves is, for people."""
        store = without_secrets(self._settings.store)
        return f"{self.folder} and {store}" if store else str(self.folder)

    async def _open_once(self) -> None:
        """Make the store in the cluster: a server that cannot use it would only die."""
        if self._settings.store:
            settings = msgspec.structs.replace(self._settings, data=self.folder / "data")
            async with reach(settings, may_make=True):
                pass

    def remove(self) -> None:
        """Take all of it away."""
        shutil.rmtree(self.folder)
        asyncio.run(remove_trial(self._settings))


def _folder_beside(settings: Settings, what: str) -> Path:
    beside = settings.data.absolute()
    try:
        return Path(tempfile.mkdtemp(prefix=f"{beside.name}.{what}-", dir=beside.parent))
    except OSError as error:
        raise ConfigurationError(
            f"no folder can be made beside the data folder {beside}: {error.strerror}"
        ) from None
