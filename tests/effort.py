"""How many examples a test of properties tries: as many as it says, a fifth of them in `make test-fast`."""

from hypothesis import settings

USUAL = 100
"""The examples of a test that says nothing of it."""


def examples(number: int) -> int:
    """`number`, or the share of it that the chosen profile tries (5 at least, where there are so many)."""
    return max(number * settings().max_examples // USUAL, min(number, 5))
