"""Becomes `python -m partnerbus …`, on a machine's clock that a test sets.

    python launch_jumping.py FILE ARGUMENT…

FILE holds by how many seconds the machine's clock is off, as a double; it is read whenever the time is.
"""

import mmap
import struct
import sys
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from partnerbus.cli.main import main
from partnerbus.kernel import clock

OFFSET = struct.Struct("=d")


def set_clock(path: Path) -> None:
    """Let the node's time be off by what is in `path`, from now on."""
    with path.open("rb") as file:
        offset = mmap.mmap(file.fileno(), OFFSET.size, access=mmap.ACCESS_READ)

    class Jumping(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(seconds=OFFSET.unpack(offset)[0])

    clock.datetime = Jumping  # type: ignore[attr-defined]


if __name__ == "__main__":
    set_clock(Path(sys.argv[1]))
    del sys.argv[1]
    main()
