"""How far something long has come, on standard error: a bar on a terminal, elsewhere a line at each tenth."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import click

TENTHS = 10


class Advance(Protocol):
    """Is told of each step that was made, or of how many."""

    def __call__(self, steps: int = 1, /) -> None: ...


@contextmanager
def progress(length: int, label: str, *, show_steps: bool = True) -> Iterator[Advance]:
    """Show how much of `length` steps is done: what is given is to be told of each.

    Steps that mean nothing to people (bytes) are better not shown as numbers.
    """
    if sys.stderr.isatty():
        with click.progressbar(length=length, label=label, show_pos=show_steps, file=sys.stderr) as bar:
            yield lambda steps=1, /: bar.update(steps)
    else:
        yield _Lines(length, label).advance


class _Lines:
    """Says each tenth once, when it is reached."""

    def __init__(self, length: int, label: str) -> None:
        self._length = length
        self._label = label
        self._done = self._told = 0

    def advance(self, steps: int = 1, /) -> None:
        self._done += steps
        tenth = min(TENTHS, self._done * TENTHS // self._length) if self._length else TENTHS
        if tenth > self._told:
            self._told = tenth
            click.echo(f"{self._label}: {tenth * 100 // TENTHS} %", err=True)
