"""The pages, one file per part of the navigation."""

from partnerbus.console.door import Screen
from partnerbus.console.screens import (
    accounts,
    api_destinations,
    archives,
    backtests,
    buses,
    connections,
    dead_letters,
    events,
    home,
    replays,
    rules,
    sources,
    tail,
    targets,
    webhooks,
)

SCREENS: tuple[Screen, ...] = (
    *home.SCREENS,
    *events.SCREENS,
    *tail.SCREENS,
    *dead_letters.SCREENS,
    *sources.SCREENS,
    *rules.SCREENS,
    *backtests.SCREENS,
    *archives.SCREENS,
    *replays.SCREENS,
    *buses.SCREENS,
    *targets.SCREENS,
    *api_destinations.SCREENS,
    *connections.SCREENS,
    *webhooks.SCREENS,
    *accounts.SCREENS,
)
