"""Reading a matcher object, `{"prefix": "x"}` and its like, from a reader that stands on its brace.

Each function returns standing on the last token of what it read. The sentences, and the order in which
things are checked, are those of the service's matcher (observed).
"""

from collections.abc import Callable

from partnerbus.patterns.addresses import looks_like_address, parse_address
from partnerbus.patterns.errors import PatternError
from partnerbus.patterns.json_reader import JsonReader, Token
from partnerbus.patterns.numbers import Number, survives_double
from partnerbus.patterns.syntax import (
    AnythingBut,
    Cidr,
    EqualsIgnoreCase,
    Exactly,
    Excluded,
    Exists,
    Matcher,
    NumberIs,
    Prefix,
    Range,
    Suffix,
    Wildcard,
)
from partnerbus.patterns.wildcards import BadWildcard, check_complexity, read_wildcard

IGNORE_CASE = "equals-ignore-case"
_ONE_KEY = "Only one key allowed in match expression"
_TOO_MANY = "Too many elements in numeric expression"  # also said of anything-but (observed)
_NO_MIX = "Inside anything but list, either all values are number or string, mixed type is not supported"
_NO_VALUE = "Value of anything-but must be an array or single string/number value."


def read_matcher(reader: JsonReader) -> Matcher:
    """The matcher whose opening brace was just read."""
    if reader.next() is Token.OBJECT_END:
        reader.refuse("Match expression name not found")
    operator = reader.text()
    if operator not in _OPERATORS:
        reader.refuse(f"Unrecognized match type {operator}")
    matcher = _OPERATORS[operator](reader)
    _end_object(reader, _TOO_MANY if operator in ("numeric", "anything-but") else _ONE_KEY)
    return matcher


def _end_object(reader: JsonReader, otherwise: str) -> None:
    if reader.next() is not Token.OBJECT_END:
        reader.refuse(otherwise)


def _string(reader: JsonReader, word: str) -> str:
    if reader.next() is not Token.STRING:
        reader.refuse(f"{word} match pattern must be a string")
    return reader.text()


# -- strings -------------------------------------------------------------------------------------------


def _exactly(reader: JsonReader) -> Matcher:
    return Exactly(_string(reader, "exact"))


def _prefix(reader: JsonReader) -> Matcher:
    return Prefix(*_affix(reader, "prefix"))


def _suffix(reader: JsonReader) -> Matcher:
    return Suffix(*_affix(reader, "suffix"))


def _affix(reader: JsonReader, word: str) -> tuple[str, bool]:
    """The text, and whether its case is ignored."""
    token = reader.next()
    if token is Token.STRING:
        return reader.text(), False
    if token is not Token.OBJECT:
        reader.refuse(f"{word} match pattern must be a string")
    if reader.next() is Token.OBJECT_END:
        reader.refuse(f"{word.capitalize()} expression name not found")
    if reader.text() != IGNORE_CASE:
        reader.refuse(f"Unsupported {word} pattern: {reader.text()}")
    text = _string(reader, IGNORE_CASE)
    _end_object(reader, _ONE_KEY)
    return text, True


def _equals_ignore_case(reader: JsonReader) -> Matcher:
    return EqualsIgnoreCase(_string(reader, IGNORE_CASE))


def _wildcard(reader: JsonReader) -> Matcher:
    return _make_wildcard(reader, _string(reader, "wildcard"))


def _make_wildcard(reader: JsonReader, text: str) -> Wildcard:
    try:
        literals = read_wildcard(text)
    except BadWildcard as bad:
        reader.refuse(str(bad))
    check_complexity(literals)
    return Wildcard(literals)


def _exists(reader: JsonReader) -> Matcher:
    token = reader.next()
    if token is not Token.TRUE and token is not Token.FALSE:
        reader.refuse("exists match pattern must be either true or false.")
    return Exists(token is Token.TRUE)


# -- cidr ----------------------------------------------------------------------------------------------


def _cidr(reader: JsonReader) -> Matcher:
    """A block. Its refusals have no place, save the one that calls it a prefix (both observed)."""
    address, _, bits = _string(reader, "prefix").partition("/")
    if not bits or "/" in bits:
        raise PatternError("Malformed CIDR, one '/' required")
    return Cidr(*_block(address, _mask(bits)))


def _mask(text: str) -> int:
    digits = text[1:] if text[0] in "+-" else text
    if not (digits.isascii() and digits.isdigit()) or len(digits.lstrip("0")) > 9:
        raise PatternError("Malformed CIDR, mask bits must be an integer")
    if int(text) < 0:
        raise PatternError("Malformed CIDR, mask bits must not be negative")
    return int(text)


def _block(text: str, bits: int) -> tuple[bytes, int]:
    address = parse_address(text)
    if address is None:
        kind = "Invalid" if looks_like_address(text) else "Nonstandard"
        raise PatternError(f"{kind} IP address: {text}")
    limit = 8 * len(address)
    if bits >= limit:  # so a block of one address cannot be written (observed)
        raise PatternError(f"IPv{4 if limit == 32 else 6} mask bits must be < {limit}")
    return address, bits


# -- numeric -------------------------------------------------------------------------------------------


def _numeric(reader: JsonReader) -> Matcher:
    if reader.next() is not Token.ARRAY:
        reader.refuse("Value of numeric must be an array.")
    if reader.next() is not Token.STRING:
        reader.refuse(f"Invalid member in numeric match: {reader.text()}")
    operator, token = reader.text(), reader.next()
    if operator not in ("=", "<", "<=", ">", ">="):
        reader.refuse(f"Unrecognized numeric range operator: {operator}")
    text = _operand(reader, token, "equals" if operator == "=" else operator)
    if operator in (">", ">="):
        return _range_from(reader, operator, text)
    if reader.next() is not Token.ARRAY_END:
        reader.refuse(_TOO_MANY)
    value = _comparable(reader, text)
    if operator == "=":
        return Range(value, value, with_low=True, with_high=True)
    return Range(None, value, with_high=operator == "<=")


def _range_from(reader: JsonReader, operator: str, bottom: str) -> Range:
    token = reader.next()
    if token is Token.ARRAY_END:
        return Range(_comparable(reader, bottom), None, with_low=operator == ">=")
    if token is not Token.STRING:
        reader.refuse(f"Bad value in numeric range: {reader.text()}")
    until = reader.text()
    if until not in ("<", "<="):
        reader.refuse(f"Bad numeric range operator: {until}")
    top = _operand(reader, reader.next(), until)
    if reader.next() is not Token.ARRAY_END:
        reader.refuse("Too many terms in numeric range expression")
    low, high = _comparable(reader, bottom), _comparable(reader, top)
    if low >= high:
        reader.refuse("Bottom must be less than top")
    return Range(low, high, with_low=operator == ">=", with_high=until == "<=")


def _operand(reader: JsonReader, token: Token, operator: str) -> str:
    if token is not Token.NUMBER:
        reader.refuse(f"Value of {operator} must be numeric")
    return reader.text()


def _comparable(reader: JsonReader, text: str) -> float:
    if not survives_double(text):
        reader.refuse(f"Cannot compare number : {text}")
    return float(text)


# -- anything-but --------------------------------------------------------------------------------------


def _anything_but(reader: JsonReader) -> Matcher:
    token = reader.next()
    if token is Token.ARRAY:
        return AnythingBut(_excluded_values(reader))
    if token is Token.OBJECT:
        excluded = _excluded_by_operator(reader)
        _end_object(reader, _TOO_MANY)
        return AnythingBut(excluded)
    if token is Token.STRING:
        return AnythingBut((Exactly(reader.text()),))
    if token is not Token.NUMBER:
        reader.refuse(_NO_VALUE)
    return AnythingBut((_excluded_number(reader),))


def _excluded_number(reader: JsonReader) -> NumberIs:
    text = reader.text()
    if not survives_double(text):  # outside a list the service gives no place
        raise PatternError(f"Cannot compare number : {text}")
    return NumberIs(Number.of(text))


def _excluded_values(reader: JsonReader) -> tuple[Excluded, ...]:
    excluded: list[Excluded] = []
    with reader.place_again():
        while (token := reader.next()) is not Token.ARRAY_END:
            if token is Token.STRING:
                excluded.append(Exactly(reader.text()))
            elif token is Token.NUMBER:
                excluded.append(_excluded_number(reader))
            else:
                reader.refuse("Inside anything but list, start|null|boolean is not supported.")
    if len({type(value) for value in excluded}) != 1:
        reader.refuse(_NO_MIX)
    return tuple(excluded)


def _excluded_by_operator(reader: JsonReader) -> tuple[Excluded, ...]:
    if reader.next() is Token.OBJECT_END:
        reader.refuse("Anything-But expression name not found")
    operator = reader.text()
    if operator not in _NOT_A_STRING:
        reader.refuse(f"Unsupported anything-but pattern: {operator}")
    texts = _excluded_texts(reader, operator)
    if operator == "prefix":
        return tuple(Prefix(text) for text in texts)
    if operator == "suffix":
        return tuple(Suffix(text) for text in texts)
    if operator == IGNORE_CASE:
        return tuple(EqualsIgnoreCase(text) for text in texts)
    return tuple(_make_wildcard(reader, text) for text in texts)


def _excluded_texts(reader: JsonReader, operator: str) -> list[str]:
    token = reader.next()
    if token is Token.STRING:
        return [_excluded_text(reader, operator)]
    if token is Token.NUMBER:
        reader.refuse(_NOT_A_STRING[operator])
    if token is not Token.ARRAY:
        reader.refuse(_NO_VALUE)
    texts = []
    with reader.place_again():
        while (token := reader.next()) is not Token.ARRAY_END:
            if token is not Token.STRING:
                reader.refuse(_NOT_A_STRING[operator])
            texts.append(_excluded_text(reader, operator))
    return texts  # an empty list is accepted (observed): nothing is excluded


def _excluded_text(reader: JsonReader, operator: str) -> str:
    text = reader.text()
    if not text and operator in ("prefix", "suffix"):
        reader.refuse("Null prefix/suffix not allowed")
    return text


_NOT_A_STRING = {
    "prefix": "prefix/suffix match pattern must be a string",
    "suffix": "prefix/suffix match pattern must be a string",
    "wildcard": "wildcard match pattern must be a string",
    IGNORE_CASE: ("Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."),
}

_OPERATORS: dict[str, Callable[[JsonReader], Matcher]] = {
    "exactly": _exactly,
    "prefix": _prefix,
    "suffix": _suffix,
    IGNORE_CASE: _equals_ignore_case,
    "wildcard": _wildcard,
    "exists": _exists,
    "cidr": _cidr,
    "numeric": _numeric,
    "anything-but": _anything_but,
}
