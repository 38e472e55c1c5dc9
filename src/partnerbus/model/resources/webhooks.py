"""Webhooks and their signing secrets."""

from datetime import datetime

import msgspec

from partnerbus.model import arns
from partnerbus.model.resources.resource import Resource


class WebhookSecret(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A sealed signing secret; one that was rotated away still signs until `expires_at`."""

    sealed: str
    created_at: datetime
    expires_at: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        return self.expires_at is None or now < self.expires_at


class Webhook(Resource, frozen=True, kw_only=True, tag="webhook"):
    """A URL that rules may name as a target, and what its requests are signed with, the newest first."""

    account: str
    region: str
    name: str
    url: str
    secrets: tuple[WebhookSecret, ...]
    created_at: datetime
    modified_at: datetime

    @property
    def key(self) -> str:
        return webhook_key(self.account, self.region, self.name)

    @property
    def arn(self) -> str:
        return arns.webhook_arn(self.region, self.account, self.name)


def webhook_key(account: str, region: str, name: str) -> str:
    return f"webhook:{account}:{region}:{name}"
