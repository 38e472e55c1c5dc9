"""Runs `tests.store.victim` in a process that may be killed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from partnerbus.kernel.failpoints import VARIABLE

ROOT = Path(__file__).parents[2]


class Victim:
    """A process that says what it did, line by line."""

    def __init__(self, popen: "subprocess.Popen[str]") -> None:
        self._popen = popen

    def readline(self) -> str:
        assert self._popen.stdout is not None
        return self._popen.stdout.readline().strip()

    def kill(self) -> None:
        self._popen.kill()
        self._popen.wait()

    def run(self) -> tuple[list[str], int]:
        """Everything that it says until it ends, and how it ended."""
        said, _ = self._popen.communicate(timeout=240)
        return said.split(), self._popen.returncode


@contextmanager
def process(what: str, folder: Path, failpoints: str = "") -> Iterator[Victim]:
    """The victim at work on `folder`; it is gone afterwards."""
    popen = subprocess.Popen(
        [sys.executable, "-m", "tests.store.victim", what, str(folder)],
        cwd=ROOT,
        env={**os.environ, VARIABLE: failpoints},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with popen:
        try:
            yield Victim(popen)
        finally:
            popen.kill()
