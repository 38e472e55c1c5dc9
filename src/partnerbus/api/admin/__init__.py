"""What AWS has no word for: JSON under `/_partnerbus/`, for the operator."""

from collections.abc import Mapping
from typing import Protocol

import msgspec


class AdminAnswer(msgspec.Struct, frozen=True):
    """An answer of the admin face: status and JSON."""

    status: int
    body: bytes


class Admin(Protocol):
    """The admin face. Whoever calls it has checked the operator's token."""

    async def answer(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> AdminAnswer:
        """Answer a request for `path` (without `/_partnerbus`)."""
