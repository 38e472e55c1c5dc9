"""What commands share that try this machine: a folder on the disk that counts."""

import tempfile
from pathlib import Path

import click

from partnerbus.kernel.errors import ConfigurationError
from partnerbus.node.load_settings import load_settings

data_option = click.option(
    "--data", metavar="FOLDER", help="Try the disk of this data folder, beside it, not in it."
)


def make_folder_beside(data: str | None, config: Path | None, what: str) -> Path:
    """A new folder beside the data folder, which is neither opened nor changed, and need not exist."""
    beside = load_settings({} if data is None else {"data": data}, config=config).data.absolute()
    try:
        return Path(tempfile.mkdtemp(prefix=f"{beside.name}.{what}-", dir=beside.parent))
    except OSError as error:
        raise ConfigurationError(
            f"no folder can be made beside the data folder {beside}: {error.strerror}"
        ) from None
