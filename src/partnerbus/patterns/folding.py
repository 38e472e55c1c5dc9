"""Comparison without case, as the service does it.

Each UTF-16 unit of the *pattern* stands for its upper-cased or its lower-cased form in the root locale,
either of which may be several characters long: `straße` accepts `STRASSE`, but `STRASSE` does not accept
`straße`. Characters beyond the basic plane are two units without case, so they stand for themselves.
"""

Forms = tuple[tuple[str, ...], ...]
"""Per character of a pattern, the texts it accepts."""


def forms(text: str) -> Forms:
    return tuple(_forms(character) for character in text)


def _forms(character: str) -> tuple[str, ...]:
    if character > "\uffff":
        return (character,)
    return tuple({character.lower(): None, character.upper(): None})


def starts_with(pattern: Forms, value: str) -> bool:
    return bool(_ends(pattern, value))


def equals(pattern: Forms, value: str) -> bool:
    return len(value) in _ends(pattern, value)


def reversed_forms(text: str) -> Forms:
    """Forms to be compared with a reversed value, for suffixes."""
    return tuple(tuple(form[::-1] for form in _forms(character)) for character in reversed(text))


def _ends(pattern: Forms, value: str) -> set[int]:
    """Where in `value` a reading of the whole pattern from the start can end."""
    ends = {0}
    for choices in pattern:
        ends = {end + len(form) for end in ends for form in choices if value.startswith(form, end)}
        if not ends:
            break
    return ends
