"""The failures that are not values.

An expected failure (a target answers 500, an entry is refused) is a value of its own type; what stands
here stops the operation that met it. Each class's docstring is its default message.

    PartnerbusError
    ├── ConfigurationError      the operator asked for something that cannot be
    └── StoreError
        ├── StoreLocked         another process holds the data folder
        ├── StoreOverloaded     more is waiting for the disk than memory allows; try again
        ├── StoreUnavailable    the disk refused; nothing was acknowledged
        │   └── EventDamaged    one stored event is not what was stored; others can be read
        ├── RevisionConflict    somebody else changed the resource first
        └── CursorMoved         somebody else has routed the log meanwhile
"""

from datetime import datetime


class PartnerbusError(Exception):
    """Something went wrong in partnerbus."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class ConfigurationError(PartnerbusError):
    """The configuration cannot be used as it is."""


class StoreError(PartnerbusError):
    """The store could not do what was asked."""


class StoreLocked(StoreError):
    """The data folder is in use by another partnerbus process."""


class StoreOverloaded(StoreError):
    """More is waiting to be written than memory allows; try again in a moment."""


class StoreUnavailable(StoreError):
    """The store cannot be written or read right now."""


class EventDamaged(StoreUnavailable):
    """A stored event is not what was stored any more. `stored_at` is what the disk says, right or wrong."""

    def __init__(self, log: str, position: int, stored_at: datetime, event_id: str | None = None) -> None:
        name = f"event {event_id}" if event_id is not None else "event"
        super().__init__(
            f"The {name} at position {position} of {log} is damaged: it is not what was put any more, so "
            "nobody is sent it."
        )
        self.log = log
        self.position = position
        self.stored_at = stored_at
        self.event_id = event_id


class RevisionConflict(StoreError):
    """The resource was changed by somebody else in the meantime."""


class CursorMoved(StoreError):
    """The log was routed by somebody else in the meantime."""
