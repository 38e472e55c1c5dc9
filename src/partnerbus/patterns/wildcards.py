"""Wildcard patterns: reading, measuring and matching them.

A wildcard is kept as the literals between its stars, so `*a*` is `("", "a", "")`. It is matched without
backtracking: the first literal must start the value, the last must end it, and each one between is searched
for once, from where the one before it ended.
"""

from collections import Counter

from partnerbus.patterns.errors import PatternError

MAX_COMPLEXITY = 10
"""Assumed: the service has a cap but does not publish it; its documentation calls a wildcard of measure 11
too complex. See `complexity` for the measure."""

TOO_COMPLEX = (
    "Rule is too complex - try using fewer wildcard characters "
    "or fewer repeating character sequences after a wildcard character"
)

Literals = tuple[str, ...]


class BadWildcard(ValueError):
    """The wildcard has a syntax error; the argument is the service's sentence."""


def read_wildcard(text: str) -> Literals:
    """The literals between the stars of `text`, escapes resolved; `BadWildcard` if it is malformed."""
    literals, literal, index = [], "", 0
    while index < len(text):
        character = text[index]
        if character == "\\":
            index += 1
            character = text[index : index + 1]
            if not character or character not in "*\\":
                raise BadWildcard(f"Invalid escape character at pos {_position(text, index - 1)}")
            literal += character
        elif character == "*":
            if text.startswith("**", index):
                raise BadWildcard(f"Consecutive wildcard characters at pos {_position(text, index)}")
            literals.append(literal)
            literal = ""
        else:
            literal += character
        index += 1
    return (*literals, literal)


def _position(text: str, index: int) -> int:
    return len(text[:index].encode("utf-8", "surrogatepass")) + 1


def check_complexity(literals: Literals) -> None:
    """Refuse a wildcard over the cap. The refusal has no place (recorded)."""
    if complexity(literals) > MAX_COMPLEXITY:
        raise PatternError(TOO_COMPLEX)


def complexity(literals: Literals) -> int:
    """How many prefixes of the wildcard one input can be in at once, at most.

    Every star, once reached, stays reached. To that come the beginnings of literals after a star that the
    input could just have read: all those that are an end of what was read last. The longest of them is a
    beginning itself, so it is enough to try each, in the tree of beginnings with its failure links (Aho and
    Corasick): one pass over the bytes. An input that has just read the literal before the first star is in
    two prefixes, with the star and without it.
    """
    stars = len(literals) - 1
    if stars == 0:
        return 1
    beginnings = Counter[bytes]()
    for literal in literals[1:]:
        encoded = literal.encode("utf-8", "surrogatepass")
        beginnings.update(encoded[:length] for length in range(1, len(encoded) + 1))
    return max(2, stars + _most_nested(beginnings))


def _most_nested(beginnings: Counter[bytes]) -> int:
    """The most entries of `beginnings`, repeats counted, that are ends of one of them."""
    longest_end: dict[bytes, bytes] = {}
    nested: dict[bytes, int] = {b"": 0}
    for beginning in sorted(beginnings, key=len):
        end = longest_end.get(beginning[:-1], b"") if len(beginning) > 1 else None
        while end is not None and end + beginning[-1:] not in beginnings:
            end = longest_end[end] if end else None
        longest_end[beginning] = b"" if end is None else end + beginning[-1:]
        nested[beginning] = beginnings[beginning] + nested[longest_end[beginning]]
    return max(nested.values())


def matches_wildcard(literals: Literals, value: str) -> bool:
    """Whether the whole of `value` fits."""
    first, last = literals[0], literals[-1]
    if len(literals) == 1:
        return value == first
    if not (value.startswith(first) and value.endswith(last)):
        return False
    at, end = len(first), len(value) - len(last)
    for literal in literals[1:-1] if len(literals) > 2 else ():
        found = value.find(literal, at, end)
        if found < 0:
            return False
        at = found + len(literal)
    return at <= end
