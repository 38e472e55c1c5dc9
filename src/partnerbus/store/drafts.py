"""What lines are made of later, many at once.

A line that is made in between other work costs about three times what it costs among its like, and what many
have in common need then be made once. So whoever has something to write puts down what it is made of, and
goes on. What is put down is held as it is, so only so much of it waits.
"""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from partnerbus.store.line_files import LineFiles

TOGETHER = 64
"""How many lines are made at once, on the event loop: about half a millisecond."""

TOGETHER_BYTES = 128 * 1024
"""From how many bytes on no others are waited for."""

T = TypeVar("T")


class Drafts(Generic[T]):
    """Has lines made of what is put. `spell` gives those of many, each with its end, in one text."""

    def __init__(self, lines: LineFiles, spell: Callable[[Sequence[T]], bytes]) -> None:
        self._lines = lines
        self._spell = spell
        self._waiting: list[T] = []
        self._waiting_bytes = 0
        lines.before_writing(self._make)

    def put(self, draft: T, size_bytes: int) -> None:
        """Let a line be made of `draft`, which holds about so much. Neither waits nor fails."""
        self._waiting.append(draft)
        self._waiting_bytes += size_bytes
        if len(self._waiting) >= TOGETHER or self._waiting_bytes >= TOGETHER_BYTES:
            self._make()
        else:
            self._lines.expect()

    def _make(self) -> None:
        if not self._waiting:
            return
        drafts, self._waiting, self._waiting_bytes = self._waiting, [], 0
        try:
            text = self._spell(drafts)
        except Exception as error:  # noqa: BLE001 (whoever puts the next one has nothing to do with it)
            self._lines.spoiled(len(drafts), error)
        else:
            self._lines.put_all(text, len(drafts))
