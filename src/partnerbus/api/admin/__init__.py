"""What AWS has no word for: JSON under `/_partnerbus/`, for the operator, and for accounts about their own.

Start at `face` (the table of routes), `sight` (what an account may see of a node) and `viewer` (who looks).
"""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from partnerbus.api.admin.viewer import Viewer


class AdminAnswer(msgspec.Struct, frozen=True):
    """An answer of the admin face: status and JSON."""

    status: int
    body: bytes


class Admin(Protocol):
    """The admin face. Whoever calls it has made sure who looks."""

    async def answer(
        self, viewer: Viewer, method: str, path: str, query: Mapping[str, str], body: bytes
    ) -> AdminAnswer:
        """Answer a request for `path` (without `/_partnerbus`) as far as `viewer` may see."""
