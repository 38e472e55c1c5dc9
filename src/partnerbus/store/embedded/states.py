"""The numbers by which the tables name the states of a delivery."""

from partnerbus.model.delivery import TRANSITIONS, DeliveryState

NUMBERS: dict[DeliveryState, int] = {
    DeliveryState.OWED: 0,
    DeliveryState.CLAIMED: 1,
    DeliveryState.DELIVERED: 2,
    DeliveryState.DEAD: 3,  # schema.sql's partial indexes say 3
    DeliveryState.DROPPED: 4,
    DeliveryState.CANCELLED: 5,
}

STATES: dict[int, DeliveryState] = {number: state for state, number in NUMBERS.items()}

SETTLES_TO = frozenset(after for (before, _), after in TRANSITIONS.items() if before is DeliveryState.CLAIMED)
"""Where a settlement may lead."""
