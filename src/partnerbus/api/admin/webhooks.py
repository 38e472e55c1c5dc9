"""Webhooks, which the service has no word for. A secret is in the answer that made it, and in no other."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from partnerbus.api.admin.accounts import Deleted
from partnerbus.api.admin.request import AdminRefused, AdminServices, Request, Route
from partnerbus.engine.accounts import ACCOUNT_ID
from partnerbus.kernel.errors import RevisionConflict
from partnerbus.model.resources import Webhook, WebhookSecret
from partnerbus.targets.webhook_signing import draw_secret

NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)
REGION = re.compile(r"[a-z0-9-]{1,32}")
LONGEST_URL = 2_048
"""As of API destinations."""

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


async def list_webhooks(services: AdminServices, request: Request) -> WebhookList:
    wanted = request.query_as(WebhookFilter)
    return WebhookList(webhooks=[_view(services, found) for found in _every(services, wanted)])


async def show_webhook(services: AdminServices, request: Request) -> WebhookView:
    return _view(services, _find(services, request, request.query_as(WebhookFilter)))


async def create_webhook(services: AdminServices, request: Request) -> NewSecret:
    wanted = request.body_as(NewWebhook)
    if not NAME.fullmatch(wanted.name):
        raise AdminRefused("a webhook's name is up to 64 letters, digits, '_', '.' and '-'")
    await _check_url(services, wanted.url)
    secret, now = draw_secret(), services.clock.now()
    made = Webhook(
        account=_account(services, wanted.account),
        region=_region(services, wanted.region),
        name=wanted.name,
        url=wanted.url,
        secrets=(WebhookSecret(sealed=services.secrets.seal(secret), created_at=now),),
        created_at=now,
        modified_at=now,
    )
    try:
        await services.catalog.create(made)
    except RevisionConflict:
        raise AdminRefused(f"there is a webhook {wanted.name} already", 409) from None
    return NewSecret(arn=made.arn, url=made.url, secret=secret)


async def rotate_secret(services: AdminServices, request: Request) -> NewSecret:
    wanted = request.body_as(Rotation)
    before = _find(services, request, wanted)
    now = services.clock.now()
    secret, until = draw_secret(), now + timedelta(seconds=wanted.keep_seconds)
    kept = tuple(each for each in _expiring(before, until) if each.is_valid(now))
    if len(kept) >= SECRETS_AT_MOST:
        raise AdminRefused(
            f"{len(kept)} secrets of this webhook are valid still; wait until one ends, or keep none"
        )
    drawn = WebhookSecret(sealed=services.secrets.seal(secret), created_at=now)
    after = msgspec.structs.replace(before, secrets=(drawn, *kept), modified_at=now)
    await services.catalog.replace(before, after)
    return NewSecret(arn=after.arn, url=after.url, secret=secret)


async def delete_webhook(services: AdminServices, request: Request) -> Deleted:
    found = _find(services, request, request.query_as(WebhookFilter))
    await services.catalog.remove(found)
    return Deleted(deleted=found.arn)


def _expiring(webhook: Webhook, until: datetime) -> Iterator[WebhookSecret]:
    """The secrets with an end: `until`, or their own if it comes before."""
    for each in webhook.secrets:
        ends = until if each.expires_at is None else min(each.expires_at, until)
        yield msgspec.structs.replace(each, expires_at=ends)


async def _check_url(services: AdminServices, url: str) -> None:
    if len(url) > LONGEST_URL:
        raise AdminRefused(f"the URL is longer than {LONGEST_URL} characters")
    if (sentence := await services.url_refusal(url)) is not None:
        raise AdminRefused(sentence)


def _account(services: AdminServices, given: str | None) -> str:
    """The account that is meant: the given one, or the one customer there is."""
    customers = [each.id for each in services.accounts.every() if each.partner is None]
    if given is None and len(customers) == 1:
        return customers[0]
    if given is None:
        raise AdminRefused("say whose webhook it is, with its account")
    running = services.running()
    anybody = running is not None and running.auth == "none" and ACCOUNT_ID.fullmatch(given)
    if services.accounts.find(given) is None and not anybody:
        raise AdminRefused(f"there is no account {given}", 404)
    return given


def _region(services: AdminServices, given: str | None) -> str:
    running = services.running()
    if given is None and running is not None:
        return running.region
    if given is None:
        raise AdminRefused("no server runs on this folder to say which region is meant; give one")
    if not REGION.fullmatch(given):
        raise AdminRefused(f"{given!r} is no region")
    return given


def _every(services: AdminServices, wanted: WebhookFilter) -> Iterator[Webhook]:
    return (found for found in services.catalog.list(Webhook, "webhook:") if wanted.picks(found))


def _find(services: AdminServices, request: Request, wanted: WebhookFilter) -> Webhook:
    name = request.path["name"]
    found = [each for each in _every(services, wanted) if each.name == name]
    if not found:
        raise AdminRefused(f"there is no webhook {name}", 404)
    if len(found) > 1:
        raise AdminRefused(f"there are {len(found)} webhooks {name}; say whose, and in which region")
    return found[0]


def _view(services: AdminServices, webhook: Webhook) -> WebhookView:
    now = services.clock.now()
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
    Route("GET", "/webhooks", list_webhooks, query=WebhookFilter),
    Route("POST", "/webhooks", create_webhook, body=NewWebhook),
    Route("GET", "/webhooks/{name}", show_webhook, query=WebhookFilter),
    Route("POST", "/webhooks/{name}/rotate", rotate_secret, body=Rotation),
    Route("DELETE", "/webhooks/{name}", delete_webhook, query=WebhookFilter),
)
