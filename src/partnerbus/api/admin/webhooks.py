"""Webhooks, which the service has no word for. A secret is in the answer that made it, and in no other.

An account has its own to make, as it has its API destinations.
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from partnerbus.api.admin.accounts import Deleted
from partnerbus.api.admin.request import AdminRefused, Request
from partnerbus.api.admin.sight import Sight, ViewRoute
from partnerbus.kernel.errors import RevisionConflict
from partnerbus.model.resources import Webhook, WebhookSecret
from partnerbus.targets.webhook_signing import draw_secret

NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)
REGION = re.compile(r"[a-z0-9-]{1,32}")
LONGEST_URL = 2_048
"""As of API destinations."""

WEBHOOKS_AT_MOST = 3_000
"""Of an account in a region; as of API destinations."""

SECRETS_AT_MOST = 5
"""How many secrets of a webhook may sign at once; each makes the header longer."""

KEEP_SECONDS = 86_400
LONGEST_KEEP_SECONDS = 365 * 86_400


class WebhookFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which webhooks: what is not given counts as every."""

    account: str | None = None
    region: str | None = None

    def picks(self, found: Webhook) -> bool:
        return self.account in (None, found.account) and self.region in (None, found.region)


class NewWebhook(WebhookFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    url: str


class Rotation(WebhookFilter, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long requests are also signed with the secrets that are valid now."""

    keep_seconds: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_KEEP_SECONDS)] = KEEP_SECONDS


class SecretView(msgspec.Struct, frozen=True, kw_only=True):
    """A secret, without it. `signs_until` is None for the newest."""

    created_at: datetime
    signs_until: datetime | None


class WebhookView(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    arn: str
    account: str
    region: str
    url: str
    created_at: datetime
    secrets: list[SecretView]


class WebhookList(msgspec.Struct, frozen=True, kw_only=True):
    webhooks: list[WebhookView]


class NewSecret(msgspec.Struct, frozen=True, kw_only=True):
    """The one answer that shows a secret."""

    arn: str
    url: str
    secret: str


async def list_webhooks(sight: Sight, request: Request) -> WebhookList:
    wanted = request.query_as(WebhookFilter)
    return WebhookList(webhooks=[_view(sight, found) for found in _every(sight, wanted)])


async def show_webhook(sight: Sight, request: Request) -> WebhookView:
    return _view(sight, _find(sight, request, request.query_as(WebhookFilter)))


async def create_webhook(sight: Sight, request: Request) -> NewSecret:
    wanted = request.body_as(NewWebhook)
    if not NAME.fullmatch(wanted.name):
        raise AdminRefused("a webhook's name is up to 64 letters, digits, '_', '.' and '-'")
    account, region = _account(sight, wanted.account), _region(sight, wanted.region)
    await _check_url(sight, wanted.url)
    if len(list(_every(sight, WebhookFilter(account=account, region=region)))) >= WEBHOOKS_AT_MOST:
        raise AdminRefused(f"account {account} has {WEBHOOKS_AT_MOST} webhooks, which is the most")
    secret, now = draw_secret(), sight.now()
    made = Webhook(
        account=account,
        region=region,
        name=wanted.name,
        url=wanted.url,
        secrets=(WebhookSecret(sealed=sight.seal(secret), created_at=now),),
        created_at=now,
        modified_at=now,
    )
    try:
        await sight.add_webhook(made)
    except RevisionConflict:
        raise AdminRefused(f"there is a webhook {wanted.name} already", 409) from None
    return NewSecret(arn=made.arn, url=made.url, secret=secret)


async def rotate_secret(sight: Sight, request: Request) -> NewSecret:
    wanted = request.body_as(Rotation)
    before = _find(sight, request, wanted)
    now = sight.now()
    secret, until = draw_secret(), now + timedelta(seconds=wanted.keep_seconds)
    kept = tuple(each for each in _expiring(before, until) if each.is_valid(now))
    if len(kept) >= SECRETS_AT_MOST:
        raise AdminRefused(
            f"{len(kept)} secrets of this webhook are valid still; wait until one ends, or keep none"
        )
    drawn = WebhookSecret(sealed=sight.seal(secret), created_at=now)
    after = msgspec.structs.replace(before, secrets=(drawn, *kept), modified_at=now)
    await sight.change_webhook(before, after)
    return NewSecret(arn=after.arn, url=after.url, secret=secret)


async def delete_webhook(sight: Sight, request: Request) -> Deleted:
    found = _find(sight, request, request.query_as(WebhookFilter))
    await sight.remove_webhook(found)
    return Deleted(deleted=found.arn)


def _expiring(webhook: Webhook, until: datetime) -> Iterator[WebhookSecret]:
    """The secrets with an end: `until`, or their own if it comes before."""
    for each in webhook.secrets:
        ends = until if each.expires_at is None else min(each.expires_at, until)
        yield msgspec.structs.replace(each, expires_at=ends)


async def _check_url(sight: Sight, url: str) -> None:
    if len(url) > LONGEST_URL:
        raise AdminRefused(f"the URL is longer than {LONGEST_URL} characters")
    if (sentence := await sight.url_refusal(url)) is not None:
        raise AdminRefused(sentence)


def _account(sight: Sight, given: str | None) -> str:
    """The account that is meant: the viewer's, the given one, or the one customer there is."""
    if sight.viewer.account is not None and given in (None, sight.viewer.account):
        return sight.viewer.account
    if given is None:
        given = sight.only_customer()
    if given is None:
        raise AdminRefused("say whose webhook it is, with its account")
    if not sight.is_account(given):
        raise AdminRefused(f"there is no account {given}", 404)
    return given


def _region(sight: Sight, given: str | None) -> str:
    given = given or sight.region
    if given is None:
        raise AdminRefused("no server runs on this folder to say which region is meant; give one")
    if not REGION.fullmatch(given):
        raise AdminRefused(f"{given!r} is no region")
    return given


def _every(sight: Sight, wanted: WebhookFilter) -> Iterator[Webhook]:
    return (found for found in sight.webhooks() if wanted.picks(found))


def _find(sight: Sight, request: Request, wanted: WebhookFilter) -> Webhook:
    name = request.path["name"]
    found = [each for each in _every(sight, wanted) if each.name == name]
    if not found:
        raise AdminRefused(f"there is no webhook {name}", 404)
    if len(found) > 1:
        raise AdminRefused(f"there are {len(found)} webhooks {name}; say whose, and in which region")
    return found[0]


def _view(sight: Sight, webhook: Webhook) -> WebhookView:
    now = sight.now()
    return WebhookView(
        name=webhook.name,
        arn=webhook.arn,
        account=webhook.account,
        region=webhook.region,
        url=webhook.url,
        created_at=webhook.created_at,
        secrets=[
            SecretView(created_at=each.created_at, signs_until=each.expires_at)
            for each in webhook.secrets
            if each.is_valid(now)
        ],
    )


ROUTES = (
    ViewRoute("GET", "/webhooks", list_webhooks, query=WebhookFilter),
    ViewRoute("POST", "/webhooks", create_webhook, body=NewWebhook),
    ViewRoute("GET", "/webhooks/{name}", show_webhook, query=WebhookFilter),
    ViewRoute("POST", "/webhooks/{name}/rotate", rotate_secret, body=Rotation),
    ViewRoute("DELETE", "/webhooks/{name}", delete_webhook, query=WebhookFilter),
)
