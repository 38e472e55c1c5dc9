"""What a publisher has under way: calls, packed into messages, and what the stream says to them."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from partnerbus.store.embedded.writer import Verb
from partnerbus.store.jetstream.commands import BY_VERB
from partnerbus.store.jetstream.read_model import Run


class Call(Run):
    """A command of this node, who waits for it, and since when."""

    __slots__ = ("done", "name", "raw", "since", "weight")

    def __init__(
        self, verb: Verb[Any, Any], argument: Any, weight: int, done: asyncio.Future[Any], since: datetime
    ) -> None:
        kind = BY_VERB[verb]
        super().__init__(kind.verb, argument)  # which every other node runs, too: verbs may share a kind
        self.since = since
        self.name = kind.name
        self.raw = kind.encode(argument)
        self.weight = weight
        self.done = done


class Outgoing:
    """A message under way."""

    __slots__ = ("calls", "due_at", "is_acknowledged", "number", "payload")

    def __init__(self, number: int, calls: Sequence[Call], now: datetime) -> None:
        self.number = number
        self.calls = calls
        self.payload = b""
        self.due_at = now
        self.is_acknowledged = False

    @property
    def since(self) -> datetime:
        """Since when its eldest call waits."""
        return self.calls[0].since
