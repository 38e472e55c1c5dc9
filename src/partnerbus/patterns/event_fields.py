"""What a pattern is matched against: the envelope's fields, and the detail still as bytes."""

import msgspec


class EventFields(msgspec.Struct, frozen=True, gc=False):
    """An event, opened no further than its envelope.

    `envelope` holds every member but detail, by its name on the wire (`detail-type`); values are text or a
    sequence of text for those we make, any JSON for an event that a caller wrote. `detail` is JSON text;
    empty if the event has none.
    """

    envelope: dict[str, object]
    detail: bytes = b""
