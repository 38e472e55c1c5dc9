"""Becomes `python -m partnerbus …`, with a matcher that takes long over each event while a file is there.

python launch_slow_matcher.py FILE ARGUMENT…
"""

import sys
import time
from pathlib import Path

from partnerbus.cli.main import main
from partnerbus.engine import router
from partnerbus.engine.matching import Match, Matching
from partnerbus.model.delivery import Record

SECONDS = 0.01


def slow_down(path: Path) -> None:
    match = Matching.match

    def slowly(self: Matching, record: Record) -> Match:
        if path.exists():
            time.sleep(SECONDS)
        return match(self, record)

    Matching.match = slowly  # type: ignore[method-assign]
    router.RECORDS_PER_TURN = 1  # it is slow, and does not keep publishers from the event loop


if __name__ == "__main__":
    slow_down(Path(sys.argv[1]))
    del sys.argv[1]
    main()
