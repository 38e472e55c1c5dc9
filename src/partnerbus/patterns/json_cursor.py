"""A place in a pattern's text, and refusals that tell it."""

from typing import Never

from partnerbus.patterns import errors
from partnerbus.patterns.errors import PatternError, is_control


class Cursor:
    """`at` is the index of the next character of `source`."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0

    def peek(self) -> str:
        """The next character; "" at the end."""
        return self.source[self.at : self.at + 1]

    def location(self, at: int) -> str:
        """How a refusal names the place before `source[at]`."""
        return errors.location(self.source, at)

    def refuse(self, reason: str) -> Never:
        """Raise `reason` with the place reached so far."""
        raise PatternError(f"{reason}\n at {self.location(self.at)}")

    def refuse_passing(self, reason: str, characters: int = 1) -> Never:
        """Refuse at the next character, and then be past as many as given."""
        try:
            self.refuse(reason)
        finally:
            self.at += characters

    def unexpected(self, character: str, why: str) -> Never:
        """Refuse the next character."""
        self.refuse_passing(f"Unexpected character ({describe(character)}): {why}")


def describe(character: str) -> str:
    """A character as a refusal spells it."""
    code = ord(character)
    if is_control(character):
        return f"(CTRL-CHAR, code {code})"
    return f"'{character}' (code {code} / 0x{code:x})" if code > 255 else f"'{character}' (code {code})"
