"""What an InputTransformer means, written down as plainly as possible, to hold the real one against.

It shares nothing with it: templates, paths and JSON are read one character after another, without regard for
time. Use it on small templates, and on events as `Event.encode` writes them.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Set
from typing import NamedTuple, NoReturn, TypeAlias

LETTERS_AND_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
EVENT, EVENT_JSON = "aws.events.event", "aws.events.event.json"
MARK = "\ufffe"
"""Stands where a value goes inside quotes."""


class Hole(NamedTuple):
    """A placeholder of a template."""

    name: str
    quoted: bool


class Value(NamedTuple):
    """A JSON value: its text as the sender wrote it, and what is inside of an object or array."""

    text: str
    members: dict[str, "Value"]
    items: list["Value"]


Step: TypeAlias = str | int
"""A member's name, an index, or `*`, which no name is."""


def oracle_accepts(template: str, names: Set[str]) -> bool:
    """Whether a template can work whose variables, reserved ones included, are `names`."""
    holes = [piece for piece in _cut(template) if isinstance(piece, Hole)]
    if any(hole.name not in names for hole in holes):
        return False
    if not _is_json_template(template):
        return _is_quoted_lines(template) or [f"<{hole.name}>" for hole in holes] == [template.strip()]
    if any(hole.quoted and hole.name in (EVENT, EVENT_JSON) for hole in holes):
        return False
    keys = _keys(_filled(template, lambda hole: MARK if hole.quoted else "0"))
    return keys is not None and not any(MARK in key for key in keys)


def oracle_fill(
    template: str, paths: Mapping[str, str], event: str, reserved: Mapping[str, str]
) -> str | None:
    """An accepted template, filled; None if what comes out is not delivered.

    `reserved` has the texts of those reserved variables that do not come from the event.
    """
    found = {name: oracle_find(path, event) for name, path in paths.items()}
    found |= {name: json.dumps(text, ensure_ascii=False) for name, text in reserved.items()}
    found |= {EVENT: _without_detail(event), EVENT_JSON: event}
    as_json = _is_json_template(template)
    filled = _filled(template, lambda hole: _written(found[hole.name], hole.quoted, as_json))
    return None if as_json and _keys(filled) is None else filled


def oracle_find(path: str, event: str) -> str | None:
    """The text of what is at a path, with `*` an array of it; None if there is nothing."""
    steps = _steps(path)
    if steps is None:
        return None
    root, _ = _parse(event, 0)
    if "*" not in steps:
        return next((value.text for value in _reached(root, steps)), None)
    if not _reached(root, steps[: steps.index("*")]):
        return None
    return "[" + ",".join(value.text for value in _reached(root, steps)) + "]"


# -- templates ---------------------------------------------------------------------------------------------


def _cut(template: str) -> Iterator[str | Hole]:
    quoted, at = False, 0
    while at < len(template):
        name = _name_at(template, at)
        if name is not None:
            yield Hole(name, quoted)
            at += len(name) + 2
        elif template[at] == "\\":
            yield template[at : at + 2]
            at += 2
        else:
            quoted ^= template[at] == '"'
            yield template[at]
            at += 1


def _name_at(template: str, at: int) -> str | None:
    end = template.find(">", at)
    if template[at] != "<" or end < 0:
        return None
    name = template[at + 1 : end]
    return name if name and all(each in LETTERS_AND_DIGITS + "_-." for each in name) else None


def _filled(template: str, write: Callable[[Hole], str]) -> str:
    return "".join(write(piece) if isinstance(piece, Hole) else piece for piece in _cut(template))


def _is_json_template(template: str) -> bool:
    return template.lstrip().startswith(("{", "["))


def _is_quoted_lines(template: str) -> bool:
    """Strings with nothing but blanks around them."""
    quoted, strings = False, 0
    for piece in _cut(template):
        if piece == '"':
            quoted = not quoted
            strings += quoted
        elif not quoted and not (isinstance(piece, str) and piece.isspace()):
            return False
    return strings > 0 and not quoted


def _written(text: str | None, quoted: bool, as_json: bool) -> str:
    if not quoted:
        return '""' if text is None else text
    if text is None:
        return ""
    if text.startswith('"'):
        return str(json.loads(text))
    return text if as_json else "".join(_cut_quotes(text))


def _cut_quotes(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        width = 2 if text[at] == "\\" else 1
        if text[at] != '"':
            yield text[at : at + width]
        at += width


def _without_detail(event: str) -> str:
    root, _ = _parse(event, 0)
    names = {name: "detailType" if name == "detail-type" else name for name in root.members}
    kept = [f'"{names[name]}":{value.text}' for name, value in root.members.items() if name != "detail"]
    return "{" + ",".join(kept) + "}"


def _keys(text: str) -> list[str] | None:
    """The names of all members in a JSON text; None if it is not one."""
    keys: list[str] = []

    def keep(pairs: list[tuple[str, object]]) -> None:
        keys.extend(name for name, _ in pairs)

    def refuse(constant: str) -> NoReturn:
        raise ValueError(constant)

    try:
        json.loads(text, object_pairs_hook=keep, parse_constant=refuse)
    except ValueError:
        return None
    return keys


# -- paths -------------------------------------------------------------------------------------------------


def _steps(path: str) -> list[Step] | None:
    if not path.startswith("$"):
        return None
    steps: list[Step] = []
    at = 1
    while at < len(path):
        if path[at] not in ".[":
            return None
        end = path.find("]", at) if path[at] == "[" else _name_end(path, at + 1)
        step = _step(path[at + 1 : end], path[at] == "[") if end > 0 else None
        if step is None:
            return None
        steps.append(step)
        at = end + 1 if path[at] == "[" else end
    return steps


def _name_end(path: str, at: int) -> int:
    if path[at : at + 1] == "*":
        return at + 1
    while at < len(path) and path[at] in LETTERS_AND_DIGITS + "-_/":
        at += 1
    return at


def _step(text: str, in_brackets: bool) -> Step | None:
    if text == "*" or not in_brackets:
        return text or None
    return int(text) if text and len(text) < 10 and all(each in "0123456789" for each in text) else None


def _reached(value: Value, steps: list[Step]) -> list[Value]:
    if not steps:
        return [value]
    first, *rest = steps
    if first == "*":
        children = [*value.members.values(), *value.items]
    elif isinstance(first, int):
        children = value.items[first : first + 1]
    else:
        children = [value.members[first]] if first in value.members else []
    return [found for child in children for found in _reached(child, rest)]


# -- JSON without blanks -----------------------------------------------------------------------------------


def _parse(text: str, at: int) -> tuple[Value, int]:
    """The value that begins at a place, and the place after it."""
    members: dict[str, Value] = {}
    items: list[Value] = []
    if text[at] not in "{[":
        end = _string_end(text, at) if text[at] == '"' else _scalar_end(text, at)
        return Value(text[at:end], members, items), end
    end = at + 1
    while text[end] not in "}]":
        end += text[end] == ","
        if text[at] == "{":
            start, end = end, _string_end(text, end)
            members[json.loads(text[start:end])], end = _parse(text, end + 1)
        else:
            item, end = _parse(text, end)
            items.append(item)
    return Value(text[at : end + 1], members, items), end + 1


def _string_end(text: str, at: int) -> int:
    at += 1
    while text[at] != '"':
        at += 2 if text[at] == "\\" else 1
    return at + 1


def _scalar_end(text: str, at: int) -> int:
    while at < len(text) and text[at] not in ",]}":
        at += 1
    return at
