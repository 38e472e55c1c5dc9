"""The scalars of a pattern's JSON: numbers as text, words, strings. Each is read from its first character."""

import re
from typing import Never

from partnerbus.patterns.json_cursor import Cursor, describe

LITERALS = ("true", "false", "null")

_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_WORD = re.compile(r"[\w$]+")
_HEX = re.compile(r"[0-9a-fA-F]{0,4}")
_DIGITS = re.compile(r"[0-9]*")

_VALUE_EXPECTED = (
    "expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
)
_PLUS_SIGN = (
    "JSON spec does not allow numbers to have plus signs: "
    "enable `JsonReadFeature.ALLOW_LEADING_PLUS_SIGN_FOR_NUMBERS` to allow"
)

# -- numbers -------------------------------------------------------------------------------------------


def read_number(cursor: Cursor) -> str:
    """The text of the number that starts here."""
    start = cursor.at
    if cursor.peek() == "-":
        _minus(cursor)
    whole = _digits(cursor, cursor.at)
    if cursor.peek() == "0" and whole > cursor.at + 1:
        cursor.at += 1
        cursor.refuse("Invalid numeric value: Leading zeroes not allowed")
    end = _exponent(cursor, whole, _fraction(cursor, whole))
    cursor.at = end
    return cursor.source[start:end]


def _minus(cursor: Cursor) -> None:
    start = cursor.at
    cursor.at += 1
    character = cursor.peek()
    if not character:
        cursor.refuse("Unexpected end-of-inputNo digit following sign")
    if character == "I":
        _infinity(cursor, start)
    if not "0" <= character <= "9":
        _bad_number(cursor, character, "expected digit (0-9) to follow minus sign, for valid numeric value")


def _infinity(cursor: Cursor, start: int) -> Never:
    word = _WORD.match(cursor.source, cursor.at)
    cursor.at = start
    if word is not None and word.group() == "Infinity":
        _non_standard(cursor, "-Infinity")
    if word is not None and word.end() == len(cursor.source):
        cursor.at = word.end()
        cursor.refuse("Unexpected end-of-input in a Number value")
    _unrecognized(cursor, "-" + (word.group() if word else ""))


def _digits(cursor: Cursor, at: int) -> int:
    match = _DIGITS.match(cursor.source, at)
    return match.end() if match else at


def _fraction(cursor: Cursor, whole: int) -> int:
    if cursor.source[whole : whole + 1] != ".":
        return whole
    end = _digits(cursor, whole + 1)
    if end == whole + 1:
        cursor.at = whole
        _bad_number(cursor, cursor.source[end : end + 1] or ".", "Decimal point not followed by a digit")
    return end


def _exponent(cursor: Cursor, whole: int, at: int) -> int:
    if cursor.source[at : at + 1] not in ("e", "E"):
        return at
    start = at + 1 + (cursor.source[at + 1 : at + 2] in ("+", "-"))
    end = _digits(cursor, start)
    if end == start:
        _bad_exponent(cursor, whole, start)
    return end


def _bad_exponent(cursor: Cursor, whole: int, at: int) -> Never:
    if at >= len(cursor.source):
        cursor.at = len(cursor.source)
        cursor.refuse("Unexpected end-of-inputexpected a digit for number exponent")
    cursor.at = whole
    _bad_number(cursor, cursor.source[at], "Exponent indicator not followed by a digit")


def _bad_number(cursor: Cursor, character: str, why: str) -> Never:
    cursor.refuse(f"Unexpected character ({describe(character)}) in numeric value: {why}")


# -- words ---------------------------------------------------------------------------------------------


def read_word(cursor: Cursor) -> str:
    """The literal that starts here; anything else that is no value is refused."""
    match = _WORD.match(cursor.source, cursor.at)
    if match is None:
        _no_value(cursor, cursor.peek())
    word = match.group()
    if word in ("NaN", "Infinity"):
        _non_standard(cursor, word)
    if word not in LITERALS:
        _unrecognized(cursor, word)
    cursor.at = match.end()
    return word


def _no_value(cursor: Cursor, character: str) -> Never:
    if character == "+":
        _plus(cursor)
    cursor.unexpected(character, "expected a value" if character == "}" else _VALUE_EXPECTED)


def _plus(cursor: Cursor) -> Never:
    if cursor.source.startswith("+Infinity", cursor.at):
        _non_standard(cursor, "+Infinity")
    cursor.at += 1
    if not cursor.peek():
        cursor.refuse("Unexpected end-of-input in a Number value")
    cursor.refuse(f"Unexpected character ({describe('+')}) in numeric value: {_PLUS_SIGN}")


def _non_standard(cursor: Cursor, word: str) -> Never:
    cursor.at += len(word)
    cursor.refuse(f"Non-standard token '{word}': enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow")


def _unrecognized(cursor: Cursor, word: str) -> Never:
    expected = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
    cursor.refuse_passing(f"Unrecognized token '{word}': was expecting {expected}", len(word))


# -- strings -------------------------------------------------------------------------------------------


def read_string(cursor: Cursor, what: str, at_end: str) -> str:
    """Read up to and with the closing quote; the opening one has been read."""
    parts: list[str] = []
    while True:
        match = _PLAIN.match(cursor.source, cursor.at)
        assert match is not None
        parts.append(match.group())
        cursor.at = match.end()
        character = cursor.peek()
        if character == '"':
            cursor.at += 1
            return _join(parts)
        if not character:
            cursor.refuse(f"Unexpected end-of-input{at_end}")
        if character != "\\":
            cursor.refuse(
                f"Illegal unquoted character ({describe(character)}): "
                f"has to be escaped using backslash to be included {what}"
            )
        parts.append(_escape(cursor))


def _escape(cursor: Cursor) -> str:
    cursor.at += 1
    character = cursor.peek()
    if not character:
        cursor.refuse("Unexpected end-of-input in character escape sequence")
    if character == "u":
        return _hex_escape(cursor)
    if character not in _ESCAPES:
        cursor.refuse_passing(f"Unrecognized character escape {describe(character)}")
    cursor.at += 1
    return _ESCAPES[character]


def _hex_escape(cursor: Cursor) -> str:
    match = _HEX.match(cursor.source, cursor.at + 1)
    assert match is not None
    cursor.at = match.end()
    if len(match.group()) < 4:
        if not cursor.peek():
            cursor.refuse("Unexpected end-of-input in character escape sequence")
        cursor.unexpected(cursor.peek(), "expected a hex-digit for character escape sequence")
    return chr(int(match.group(), 16))


def _join(parts: list[str]) -> str:
    text = "".join(parts)
    if any("\ud800" <= character <= "\udfff" for character in text):  # two escapes may make one character
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return text
