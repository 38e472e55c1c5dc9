"""The service's small part of JSONPath, and reading an event by it.

`$`, names after dots (ASCII letters, digits, `-`, `_`, `/`), `[n]`, and `*` for every child (documented).
There are no filters, unions or recursion, so a path is followed in one walk. Values are handed out as the
JSON text that the sender wrote: nothing is decoded and encoded again on the way.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Final, TypeAlias

import msgspec

from partnerbus.model.event import Event

VALUES_LIMIT = 10_000
"""How many values a path with `*` may reach at one step (assumed); it keeps memory in proportion."""

ANY: Final = None
"""The step `*`."""

Step: TypeAlias = str | int | None

_PATH = re.compile(r"\$(?:\.(?:[A-Za-z0-9_\-/]+|\*)|\[(?:[0-9]{1,9}|\*)\])*")
_STEP = re.compile(r"\.([A-Za-z0-9_\-/]+)|\[([0-9]+)\]|[.\[]\*")

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode


class Path(msgspec.Struct, frozen=True):
    """A parsed path: member names, indices, and `ANY`."""

    steps: tuple[Step, ...]


class PathError(ValueError):
    """A path with `*` reaches more values than `VALUES_LIMIT`, or one is nested too deeply to be read."""


def parse_path(text: str) -> Path | None:
    """The path in `text`; None if it is not one."""
    if not _PATH.fullmatch(text):
        return None
    return Path(tuple(_step(found) for found in _STEP.finditer(text)))


def _step(found: re.Match[str]) -> Step:
    name, index = found.groups()
    return name if name is not None else int(index) if index is not None else ANY


@contextmanager
def _readable() -> Iterator[None]:
    """Whether nesting can be read depends on how deep the caller already is in Python's stack."""
    try:
        yield
    except (msgspec.DecodeError, RecursionError) as error:
        raise PathError from error


class _Value:
    """A JSON value in its text, taken apart when somebody looks inside, and only once."""

    def __init__(self, text: bytes | msgspec.Raw) -> None:
        self._text = text

    @cached_property
    def text(self) -> bytes:
        return bytes(self._text)

    def _starts(self, bracket: bytes) -> bool:
        return memoryview(self._text)[:1].tobytes() == bracket

    @cached_property
    def members(self) -> "dict[str, _Value]":
        if not self._starts(b"{"):
            return {}
        with _readable():
            return {name: _Value(value) for name, value in _decode_members(self._text).items()}

    @cached_property
    def items(self) -> "list[_Value]":
        if not self._starts(b"["):
            return []
        with _readable():
            return [_Value(value) for value in _decode_items(self._text)]

    def follow(self, step: Step) -> "Sequence[_Value]":
        """The children that `step` leads to."""
        if isinstance(step, str):
            found = self.members.get(step)
            return () if found is None else (found,)
        if isinstance(step, int):
            return self.items[step : step + 1]
        return [*self.members.values(), *self.items]


class EventDocument:
    """An event to be read by paths. Each part of it is parsed at most once, however many paths there are."""

    def __init__(self, event: Event) -> None:
        self.event = event
        self._found: dict[Path, bytes | None] = {}

    @cached_property
    def _root(self) -> _Value:
        root = _Value(b"")
        root.members = {name: _Value(text) for name, text in _members(self.event).items()}
        root.items = []
        return root

    def find(self, path: Path) -> bytes | None:
        """The JSON text at `path`; None if there is nothing. With `*`: an array of what matches.

        Raises `PathError`.
        """
        if not path.steps:
            return self.event.encode()
        if path not in self._found:
            self._found[path] = self._walk(path)
        return self._found[path]

    def _walk(self, path: Path) -> bytes | None:
        values: Sequence[_Value] = (self._root,)
        spread = False
        for step in path.steps:
            values = [child for value in values for child in value.follow(step)]
            if len(values) > VALUES_LIMIT:
                raise PathError
            if not values and not spread and step is not ANY:
                return None
            spread = spread or step is ANY
        if spread:
            return b"[" + b",".join(value.text for value in values) + b"]"
        return values[0].text


def is_dynamic(value: str) -> bool:
    """Whether a target's parameter depends on the event."""
    return _dynamic(value) is not None


def _dynamic(value: str) -> Path | None:
    return parse_path(value) if value.startswith(("$.", "$[")) else None


def resolve(value: str, document: EventDocument) -> str | None:
    """A target's parameter that may be a dynamic path: `value` itself unless it is wholly a path.

    A path gives the text at it in the event as it was matched (documented), never as it was transformed;
    None if there is nothing there. A string comes without its quotes, anything else as its JSON text.
    """
    path = _dynamic(value)
    if path is None:
        return value
    try:
        found = document.find(path)
    except PathError:
        return None
    return None if found is None else string_text(found) if found[:1] == b'"' else found.decode()


def string_text(text: bytes) -> str:
    """What a JSON string says."""
    return _decode_text(text)


def _members(event: Event) -> dict[str, bytes]:
    replay = {} if event.replay_name is None else {"replay-name": _encode(event.replay_name)}
    return {
        "version": b'"0"',
        "id": _encode(event.id),
        "detail-type": _encode(event.detail_type),
        "source": _encode(event.source),
        "account": _encode(event.account),
        "time": _encode(event.time),
        "region": _encode(event.region),
        **replay,
        "resources": _encode(event.resources),
        "detail": event.detail,
    }
