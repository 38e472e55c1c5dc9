"""A JSON reader for patterns: tokens one by one, numbers as text, refusals with a place.

The refusals are compatible with those of the service, whose reader is Jackson, so three of its habits are
kept because they show in the column of a refusal:

* a member's name is read together with the first token of its value;
* a string value is only opened: its end is looked for when its text is wanted or the next token is;
* a broken number is reported where its integer part ends.

Nothing here is recursive; what follows the outermost closing brace is never looked at.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Never

from partnerbus.patterns.errors import PatternError
from partnerbus.patterns.json_cursor import Cursor, describe
from partnerbus.patterns.json_scalars import LITERALS, read_number, read_string, read_word

MAX_NESTING = 100
"""Objects and arrays in one another (assumed; the service allows 1,000 in its 4,096 characters)."""


class Token(Enum):
    """What `next` found. The value is how a refusal spells it."""

    OBJECT = "{"
    OBJECT_END = "}"
    ARRAY = "["
    ARRAY_END = "]"
    NAME = "name"
    STRING = "string"
    NUMBER = "number"
    TRUE = "true"
    FALSE = "false"
    NULL = "null"
    END = "end"


_OPEN = {"{": Token.OBJECT, "[": Token.ARRAY}
_CLOSE = {"}": (Token.OBJECT_END, "{", "Object"), "]": (Token.ARRAY_END, "[", "Array")}

_WORDS = {word: Token(word) for word in LITERALS}
_BLANKS = re.compile(r"[ \t\r\n]*")

_COMMENT = (
    "maybe a (non-standard) comment? "
    "(not recognized as one since Feature 'ALLOW_COMMENTS' not enabled for parser)"
)


class JsonReader:
    """`next()` gives the next token; `text()` the text of a name, string, number or mark just given."""

    def __init__(self, source: str) -> None:
        self._cursor = Cursor(source)
        self._containers: list[tuple[str, int]] = []
        self._filled = False  # the innermost container has an entry
        self._ahead: Token | None = None
        self._ahead_text = ""
        self._string_open = False
        self._token = Token.END
        self._text = ""

    def next(self) -> Token:
        """Read a token; `Token.END` after the last. `PatternError` if the text is not JSON."""
        if self._ahead is not None:
            self._token, self._ahead, self._text = self._ahead, None, self._ahead_text
        else:
            self._token = self._read()
        return self._token

    def text(self) -> str:
        """What the current token says; for a string this reads it to its end."""
        if self._string_open and self._token is Token.STRING:
            self._close_string()
        return self._text

    def refuse(self, reason: str) -> Never:
        """Raise `reason` with the place reached so far."""
        self._cursor.refuse(reason)

    @contextmanager
    def place_again(self) -> Iterator[None]:
        """Add the place to refusals from within, though they may have one (as the service does, observed)."""
        try:
            yield
        except PatternError as refusal:
            self.refuse(refusal.reason)

    # -- structure -------------------------------------------------------------------------------------

    def _read(self) -> Token:
        if self._string_open:
            self._close_string()
        character = self._skip_blanks()
        if not character:
            return self._end()
        if character in "]}":
            return self._close(character)
        if self._filled:
            self._separator(character)
        self._filled = True
        if self._containers and self._containers[-1][0] == "{":
            return self._name()
        token = self._value()
        self._text = self._ahead_text
        return token

    def _end(self) -> Token:
        if self._containers:
            kind, start = self._containers[-1]
            name = "Object" if kind == "{" else "Array"
            place = self._cursor.location(start)
            self.refuse(
                f"Unexpected end-of-input: expected close marker for {name} (start marker at {place})"
            )
        return Token.END

    def _close(self, mark: str) -> Token:
        token, opener, name = _CLOSE[mark]
        if not self._containers:
            self._cursor.refuse_passing(f"Unexpected close marker '{mark}': no open {name} to close")
        kind, start = self._containers[-1]
        if kind != opener:
            wanted, other = ("]", "Array") if kind == "[" else ("}", "Object")
            place = self._cursor.location(start)
            self._cursor.refuse_passing(
                f"Unexpected close marker '{mark}': expected '{wanted}' (for {other} starting at {place})"
            )
        self._containers.pop()
        self._filled = bool(self._containers)
        self._cursor.at += 1
        self._text = mark
        return token

    def _separator(self, character: str) -> None:
        name = self._inside()
        if character != ",":
            self._cursor.unexpected(character, f"was expecting comma to separate {name} entries")
        self._cursor.at += 1
        if not self._skip_blanks():
            self.refuse(f"Unexpected end-of-input within/between {name} entries")

    def _inside(self) -> str:
        if not self._containers:
            return "root"
        return "Object" if self._containers[-1][0] == "{" else "Array"

    def _name(self) -> Token:
        if self._cursor.peek() != '"':
            self._cursor.unexpected(self._cursor.peek(), "was expecting double-quote to start field name")
        self._cursor.at += 1
        name = read_string(self._cursor, "in name", " in field name")
        character = self._skip_blanks()
        if character and character != ":":
            self._cursor.unexpected(character, "was expecting a colon to separate field name and value")
        self._cursor.at += bool(character)
        if not self._skip_blanks():
            self.refuse("Unexpected end-of-input within/between Object entries")
        self._ahead = self._value()
        self._text = name
        return Token.NAME

    def _skip_blanks(self) -> str:
        """Move to the next character that is not white space, and return it; "" at the end."""
        match = _BLANKS.match(self._cursor.source, self._cursor.at)
        self._cursor.at = match.end() if match else self._cursor.at
        character = self._cursor.peek()
        if character == "/":
            self._cursor.unexpected(character, _COMMENT)
        if character and character < " ":
            self._cursor.at += 1
            self.refuse(
                f"Illegal character ({describe(character)}): "
                "only regular white space (\\r, \\n, \\t) is allowed between tokens"
            )
        return character

    # -- values ----------------------------------------------------------------------------------------

    def _value(self) -> Token:
        """Read a value's first token. Its text goes to `_ahead_text`."""
        character = self._cursor.peek()
        if character == '"':
            self._cursor.at += 1
            self._string_open = True
            return Token.STRING
        if character in _OPEN:
            return self._open(character)
        if character == "-" or "0" <= character <= "9":
            self._ahead_text = read_number(self._cursor)
            return Token.NUMBER
        self._ahead_text = read_word(self._cursor)
        return _WORDS[self._ahead_text]

    def _open(self, mark: str) -> Token:
        if len(self._containers) == MAX_NESTING:
            depth = f"depth ({MAX_NESTING + 1}) exceeds the maximum allowed ({MAX_NESTING})"
            raise PatternError(f"Document nesting {depth}")
        self._containers.append((mark, self._cursor.at))
        self._filled = False
        self._cursor.at += 1
        self._ahead_text = mark
        return _OPEN[mark]

    def _close_string(self) -> None:
        self._string_open = False
        self._text = read_string(
            self._cursor, "in string value", ": was expecting closing quote for a string value"
        )
