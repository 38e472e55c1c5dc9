"""Accounts and their access keys: who may call, and as which partner."""

import msgspec

from partnerbus.engine.catalog import Catalog
from partnerbus.kernel.clock import Clock
from partnerbus.kernel.secrets import SecretBox


class KeyHolder(msgspec.Struct, frozen=True, kw_only=True):
    """Whose key it is. `secret` is for verifying signatures only; it is never logged or returned."""

    account: str
    partner: str | None
    secret: str


class Accounts:
    """The accounts of this node."""

    def __init__(self, catalog: Catalog, secrets: SecretBox, clock: Clock) -> None:
        self._catalog = catalog
        self._secrets = secrets
        self._clock = clock

    def holder(self, access_key: str) -> KeyHolder | None:
        """Who holds an access key; None if nobody does. Reads memory."""
