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

from partnerbus.patterns.errors import PatternError, is_control, location

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
_WORDS = {token.value: token for token in (Token.TRUE, Token.FALSE, Token.NULL)}
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

_BLANKS = re.compile(r"[ \t\r\n]*")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_WORD = re.compile(r"[\w$]+")
_HEX = re.compile(r"[0-9a-fA-F]{0,4}")
_DIGITS = re.compile(r"[0-9]*")

_VALUE_EXPECTED = (
    "expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
)
_COMMENT = (
    "maybe a (non-standard) comment? "
    "(not recognized as one since Feature 'ALLOW_COMMENTS' not enabled for parser)"
)
_PLUS_SIGN = (
    "JSON spec does not allow numbers to have plus signs: "
    "enable `JsonReadFeature.ALLOW_LEADING_PLUS_SIGN_FOR_NUMBERS` to allow"
)


class JsonReader:
    """`next()` gives the next token; `text()` the text of a name, string, number or mark just given."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
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
        raise PatternError(f"{reason}\n at {location(self._source, self._at)}")

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
            place = location(self._source, start)
            self.refuse(
                f"Unexpected end-of-input: expected close marker for {name} (start marker at {place})"
            )
        return Token.END

    def _close(self, mark: str) -> Token:
        token, opener, name = _CLOSE[mark]
        if not self._containers:
            self._refuse_passing(f"Unexpected close marker '{mark}': no open {name} to close")
        kind, start = self._containers[-1]
        if kind != opener:
            wanted, other = ("]", "Array") if kind == "[" else ("}", "Object")
            place = location(self._source, start)
            self._refuse_passing(
                f"Unexpected close marker '{mark}': expected '{wanted}' (for {other} starting at {place})"
            )
        self._containers.pop()
        self._filled = bool(self._containers)
        self._at += 1
        self._text = mark
        return token

    def _separator(self, character: str) -> None:
        name = self._inside()
        if character != ",":
            self._unexpected(character, f"was expecting comma to separate {name} entries")
        self._at += 1
        if not self._skip_blanks():
            self.refuse(f"Unexpected end-of-input within/between {name} entries")

    def _inside(self) -> str:
        if not self._containers:
            return "root"
        return "Object" if self._containers[-1][0] == "{" else "Array"

    def _name(self) -> Token:
        if self._peek() != '"':
            self._unexpected(self._peek(), "was expecting double-quote to start field name")
        self._at += 1
        name = self._string("in name", " in field name")
        character = self._skip_blanks()
        if character and character != ":":
            self._unexpected(character, "was expecting a colon to separate field name and value")
        self._at += bool(character)
        if not self._skip_blanks():
            self.refuse("Unexpected end-of-input within/between Object entries")
        self._ahead = self._value()
        self._text = name
        return Token.NAME

    def _skip_blanks(self) -> str:
        """Move to the next character that is not white space, and return it; "" at the end."""
        match = _BLANKS.match(self._source, self._at)
        self._at = match.end() if match else self._at
        character = self._peek()
        if character == "/":
            self._unexpected(character, _COMMENT)
        if character and character < " ":
            self._at += 1
            self.refuse(
                f"Illegal character ({_describe(character)}): "
                "only regular white space (\\r, \\n, \\t) is allowed between tokens"
            )
        return character

    def _peek(self) -> str:
        return self._source[self._at : self._at + 1]

    def _unexpected(self, character: str, why: str) -> Never:
        self._refuse_passing(f"Unexpected character ({_describe(character)}): {why}")

    def _refuse_passing(self, reason: str, characters: int = 1) -> Never:
        """Refuse at the next character, and then be past as many as given."""
        try:
            self.refuse(reason)
        finally:
            self._at += characters

    # -- values ----------------------------------------------------------------------------------------

    def _value(self) -> Token:
        """Read a value's first token. Its text goes to `_ahead_text`."""
        character = self._peek()
        if character == '"':
            self._at += 1
            self._string_open = True
            return Token.STRING
        if character in _OPEN:
            return self._open(character)
        if character == "-" or "0" <= character <= "9":
            return self._number()
        return self._word(character)

    def _open(self, mark: str) -> Token:
        if len(self._containers) == MAX_NESTING:
            depth = f"depth ({MAX_NESTING + 1}) exceeds the maximum allowed ({MAX_NESTING})"
            raise PatternError(f"Document nesting {depth}")
        self._containers.append((mark, self._at))
        self._filled = False
        self._at += 1
        self._ahead_text = mark
        return _OPEN[mark]

    def _word(self, character: str) -> Token:
        match = _WORD.match(self._source, self._at)
        if match is None:
            self._no_value(character)
        word = match.group()
        if word in ("NaN", "Infinity"):
            self._non_standard(word)
        if word not in _WORDS:
            self._unrecognized(word)
        self._at = match.end()
        self._ahead_text = word
        return _WORDS[word]

    def _no_value(self, character: str) -> Never:
        if character == "+":
            self._plus()
        self._unexpected(character, "expected a value" if character == "}" else _VALUE_EXPECTED)

    def _plus(self) -> Never:
        if self._source.startswith("+Infinity", self._at):
            self._non_standard("+Infinity")
        self._at += 1
        if not self._peek():
            self.refuse("Unexpected end-of-input in a Number value")
        self.refuse(f"Unexpected character ({_describe('+')}) in numeric value: {_PLUS_SIGN}")

    def _non_standard(self, word: str) -> Never:
        self._at += len(word)
        self.refuse(
            f"Non-standard token '{word}': enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow"
        )

    def _unrecognized(self, word: str) -> Never:
        expected = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
        self._refuse_passing(f"Unrecognized token '{word}': was expecting {expected}", len(word))

    # -- numbers ---------------------------------------------------------------------------------------

    def _number(self) -> Token:
        start = self._at
        if self._peek() == "-":
            self._minus()
        whole = self._digits(self._at)
        if self._peek() == "0" and whole > self._at + 1:
            self._at += 1
            self.refuse("Invalid numeric value: Leading zeroes not allowed")
        end = self._exponent(whole, self._fraction(whole))
        self._ahead_text = self._source[start:end]
        self._at = end
        return Token.NUMBER

    def _minus(self) -> None:
        start = self._at
        self._at += 1
        character = self._peek()
        if not character:
            self.refuse("Unexpected end-of-inputNo digit following sign")
        if character == "I":
            self._infinity(start)
        if not "0" <= character <= "9":
            self._bad_number(character, "expected digit (0-9) to follow minus sign, for valid numeric value")

    def _infinity(self, start: int) -> Never:
        word = _WORD.match(self._source, self._at)
        self._at = start
        if word is not None and word.group() == "Infinity":
            self._non_standard("-Infinity")
        if word is not None and word.end() == len(self._source):
            self._at = word.end()
            self.refuse("Unexpected end-of-input in a Number value")
        self._unrecognized("-" + (word.group() if word else ""))

    def _digits(self, at: int) -> int:
        match = _DIGITS.match(self._source, at)
        return match.end() if match else at

    def _fraction(self, whole: int) -> int:
        if self._source[whole : whole + 1] != ".":
            return whole
        end = self._digits(whole + 1)
        if end == whole + 1:
            self._at = whole
            self._bad_number(self._source[end : end + 1] or ".", "Decimal point not followed by a digit")
        return end

    def _exponent(self, whole: int, at: int) -> int:
        if self._source[at : at + 1] not in ("e", "E"):
            return at
        start = at + 1 + (self._source[at + 1 : at + 2] in ("+", "-"))
        end = self._digits(start)
        if end == start:
            self._bad_exponent(whole, start)
        return end

    def _bad_exponent(self, whole: int, at: int) -> Never:
        if at >= len(self._source):
            self._at = len(self._source)
            self.refuse("Unexpected end-of-inputexpected a digit for number exponent")
        self._at = whole
        self._bad_number(self._source[at], "Exponent indicator not followed by a digit")

    def _bad_number(self, character: str, why: str) -> Never:
        self.refuse(f"Unexpected character ({_describe(character)}) in numeric value: {why}")

    # -- strings ---------------------------------------------------------------------------------------

    def _close_string(self) -> None:
        self._string_open = False
        self._text = self._string("in string value", ": was expecting closing quote for a string value")

    def _string(self, what: str, at_end: str) -> str:
        """Read up to and with the closing quote; the opening one has been read."""
        parts: list[str] = []
        while True:
            match = _PLAIN.match(self._source, self._at)
            assert match is not None
            parts.append(match.group())
            self._at = match.end()
            character = self._peek()
            if character == '"':
                self._at += 1
                return _join(parts)
            if not character:
                self.refuse(f"Unexpected end-of-input{at_end}")
            if character != "\\":
                self.refuse(
                    f"Illegal unquoted character ({_describe(character)}): "
                    f"has to be escaped using backslash to be included {what}"
                )
            parts.append(self._escape())

    def _escape(self) -> str:
        self._at += 1
        character = self._peek()
        if not character:
            self.refuse("Unexpected end-of-input in character escape sequence")
        if character == "u":
            return self._hex_escape()
        if character not in _ESCAPES:
            self._refuse_passing(f"Unrecognized character escape {_describe(character)}")
        self._at += 1
        return _ESCAPES[character]

    def _hex_escape(self) -> str:
        match = _HEX.match(self._source, self._at + 1)
        assert match is not None
        self._at = match.end()
        if len(match.group()) < 4:
            if not self._peek():
                self.refuse("Unexpected end-of-input in character escape sequence")
            self._unexpected(self._peek(), "expected a hex-digit for character escape sequence")
        return chr(int(match.group(), 16))


def _join(parts: list[str]) -> str:
    text = "".join(parts)
    if any("\ud800" <= character <= "\udfff" for character in text):  # two escapes may make one character
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return text


def _describe(character: str) -> str:
    code = ord(character)
    if is_control(character):
        return f"(CTRL-CHAR, code {code})"
    return f"'{character}' (code {code} / 0x{code:x})" if code > 255 else f"'{character}' (code {code})"
