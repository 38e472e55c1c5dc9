"""Who may call."""

from datetime import datetime

import msgspec

from partnerbus.model.resources.resource import Resource


class Account(Resource, frozen=True, kw_only=True, tag="account"):
    """A customer or, with `partner` (the domain it publishes for), a publishing account of that partner.

    `quotas` has those that an operator changed, by name.
    """

    id: str
    created_at: datetime
    partner: str | None = None
    quotas: dict[str, int] = msgspec.field(default_factory=dict)

    @property
    def key(self) -> str:
        return account_key(self.id)


class AccessKey(Resource, frozen=True, kw_only=True, tag="access-key"):
    """A key pair of an account; the secret is sealed."""

    id: str
    account: str
    sealed_secret: str
    created_at: datetime

    @property
    def key(self) -> str:
        return access_key_key(self.id)


def account_key(account: str) -> str:
    return f"account:{account}"


def access_key_key(access_key: str) -> str:
    return f"access-key:{access_key}"
