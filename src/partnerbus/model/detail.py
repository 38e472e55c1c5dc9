"""The detail of an event: a JSON object in text, checked in one pass and made compact, never re-encoded.

White space outside strings goes; numbers, key order, duplicate keys and escapes stay as the sender wrote
them.
"""

import re
from itertools import accumulate

import msgspec

NESTING_LEVELS = 1_000
"""How deep objects and arrays may nest, the detail itself included (documented). What the interpreter's own
recursion limit does not allow is refused in the same way."""

HEADROOM_LEVELS = 64
"""How much deeper in its own calls than here the code may be that reads the detail later."""

NEVER_TOO_DEEP = 400
"""So many brackets are no reason to look closer."""

INTEGER_RANGE = range(-(2**63), 2**63)
"""The integers a detail may hold (documented); that a detail with others is malformed is assumed."""

_ANY_DIGIT = bytes.maketrans(b"123456789", b"000000000")
_SUSPICIOUS = b"0" * 19  # an integer with fewer digits is in range
_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_INTEGERS = re.compile(rb"(?<![\d.eE+-])-?\d{19,}(?![\d.eE])")
_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
_STEPS = {ord("{"): 1, ord("["): 1, ord("}"): -1, ord("]"): -1}


def compact_detail(text: str) -> bytes | None:
    """The detail in `text` without white space; None if it is malformed or not an object."""
    try:
        compact = msgspec.json.format(text.encode(), indent=-1)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    if not compact.startswith(b"{") or _too_deep(compact) or _too_large_integers(compact):
        return None
    return compact


def _too_deep(compact: bytes) -> bool:
    if compact.count(b"{") + compact.count(b"[") <= NEVER_TOO_DEEP:
        return False
    brackets = _STRINGS.sub(b"", compact).translate(None, _NO_BRACKETS)
    depth = max(accumulate(map(_STEPS.__getitem__, brackets)))
    return depth > NESTING_LEVELS or not _readable(depth + HEADROOM_LEVELS)


def _readable(depth: int) -> bool:
    """Whether the interpreter's recursion limit lets JSON of that depth be read from here."""
    try:
        msgspec.json.format(b"[" * depth + b"]" * depth)
    except RecursionError:
        return False
    return True


def _too_large_integers(compact: bytes) -> bool:
    if _SUSPICIOUS not in compact.translate(_ANY_DIGIT):
        return False
    # Twenty digits are too many whatever they are; int() is not asked about more.
    integers = (found.group() for found in _INTEGERS.finditer(_STRINGS.sub(b"", compact)))
    return any(len(integer) > 20 or int(integer) not in INTEGER_RANGE for integer in integers)
