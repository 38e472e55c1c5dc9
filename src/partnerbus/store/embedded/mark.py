"""The mark of a store that is being moved, or was: what keeps two copies of one store from being used.

Both ends are marked before anything is moved, and a marked end is opened by nobody. Taking the mark off the
new end is the one act that makes it a store; the old end keeps its mark, so that it is not served by mistake
beside what it has become.
"""

import os
from datetime import datetime
from pathlib import Path
from shlex import quote

import msgspec

from partnerbus.kernel.errors import ConfigurationError

MARK = "moving.json"


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A move from `source` to `target`, each a folder or a cluster's URL without secrets.

    The folder, whichever end it is, is on `host`. `id` tells the move from others, `is_source` which end of
    it is marked. What goes to a cluster goes in parts of `part_bytes`; what comes from one is of the stream
    with the id `stream`.
    """

    id: str
    source: str
    target: str
    host: str
    is_source: bool
    part_bytes: int = 0
    stream: str = ""
    finished_at: datetime | None = None

    @property
    def command(self) -> str:
        """What goes on with the move."""
        return f"partnerbus migrate --from {quote(self.source)} --to {quote(self.target)}"

    def refusal(self, what: str) -> str:
        """Why `what`, the end that is marked, is not to be used."""
        if self.is_source and self.finished_at is not None:
            return f"{what} was moved to {self.target} at {self.finished_at:%Y-%m-%d %H:%M} UTC: use that"
        state = f"being moved to {self.target}" if self.is_source else f"being filled from {self.source}"
        return (
            f"{what} is {state}, which is not finished: run `{self.command}` again on {self.host}, "
            "or with --discard to give it up"
        )


def read_mark(folder: Path) -> Mark | None:
    """The mark of `folder`, None if it has none."""
    try:
        return decode_mark((folder / MARK).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        raise ConfigurationError(f"{folder / MARK} cannot be read") from None


def decode_mark(text: bytes | str) -> Mark:
    """The mark that `text` is; a `ValueError` if it is none."""
    return msgspec.json.decode(text, type=Mark)


def write_mark(folder: Path, mark: Mark) -> None:
    """Mark `folder`, at once and so that a power cut does not take it."""
    draft = (folder / MARK).with_suffix(".draft")
    with draft.open("wb") as file:
        file.write(msgspec.json.encode(mark))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / MARK)
    sync_names(folder)


def remove_mark(folder: Path) -> None:
    """Take the mark off `folder`, in the same way."""
    (folder / MARK).unlink(missing_ok=True)
    sync_names(folder)


def check_unmarked(folder: Path) -> None:
    """Refuse a folder whose store is being moved, or was moved away."""
    mark = read_mark(folder)
    if mark is not None:
        raise ConfigurationError(mark.refusal(str(folder)))


def sync_names(folder: Path) -> None:
    """Let the names in `folder` be on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
