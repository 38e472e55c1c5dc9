"""The one refusal of this package, and how it quotes the pattern."""

QUOTED_UNITS = 500
"""How much of a pattern a refusal quotes, in UTF-16 units (as Jackson does)."""


class PatternError(Exception):
    """A pattern that is not one. `message` is the whole sentence for the wire.

    A pattern may hold half a character (`\\ud800`), which no answer can: it is quoted as `?` (assumed).
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason.encode(errors="replace").decode()
        self.message = f"Event pattern is not valid. Reason: {self.reason}"
        super().__init__(self.message)


def utf16_length(text: str) -> int:
    """Length in UTF-16 units, in which the service counts columns."""
    return len(text) + sum(character > "\uffff" for character in text)


def location(text: str, at: int) -> str:
    """`[Source: …; line: L, column: C]` for the place before `text[at]`, in Jackson's words."""
    before = text[:at].replace("\r\n", "\n").replace("\r", "\n")
    line = before.count("\n") + 1
    column = utf16_length(before[before.rfind("\n") + 1 :]) + 1
    return f"[Source: (String){_quoted(text)}; line: {line}, column: {column}]"


def _quoted(text: str) -> str:
    units = utf16_length(text)
    if units <= QUOTED_UNITS:
        return f'"{_printable(text)}"'
    head = text.encode("utf-16-le", "surrogatepass")[: 2 * QUOTED_UNITS].decode("utf-16-le", "ignore")
    return f'"{_printable(head)}"[truncated {units - QUOTED_UNITS} chars]'


def _printable(text: str) -> str:
    return "".join(f"\\u{ord(c):04X}" if is_control(c) and c not in "\r\n" else c for c in text)


def is_control(character: str) -> bool:
    return character <= "\x1f" or "\x7f" <= character <= "\x9f"
