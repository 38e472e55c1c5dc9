"""The pages, one file per part of the navigation."""

from partnerbus.console.door import Screen
from partnerbus.console.screens import accounts, dead_letters, events, home, rules, sources, tail, things

SCREENS: tuple[Screen, ...] = (
    *home.SCREENS,
    *events.SCREENS,
    *tail.SCREENS,
    *dead_letters.SCREENS,
    *sources.SCREENS,
    *rules.SCREENS,
    *things.SCREENS,
    *accounts.SCREENS,
)
