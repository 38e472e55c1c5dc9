"""Webhooks: URLs that get signed requests. A secret is on the page that made it, and on no other."""

from urllib.parse import quote

from starlette.responses import Response

from partnerbus.api.admin.accounts import Deleted
from partnerbus.api.admin.webhooks import NewSecret, WebhookList, WebhookView
from partnerbus.console.door import Screen
from partnerbus.console.refusal import Refused
from partnerbus.console.screens.targets import health_of
from partnerbus.console.visit import Visit
from partnerbus.model.arns import Arn

FIELDS = ("name", "url", "account")
KEEP_HOURS = (0, 1, 24, 168)
"""For how long the old secret may go on signing, to choose from."""


async def list_webhooks(visit: Visit) -> Response:
    return await _list(visit, dict.fromkeys(FIELDS, ""))


async def create_webhook(visit: Visit) -> Response:
    given = {name: visit.form.text(name) for name in FIELDS}
    try:
        made = await visit.tell("/webhooks", {name: text or None for name, text in given.items()}, NewSecret)
    except Refused as refused:
        return await _list(visit, given, refused)
    return await _page(visit, made.arn, made.secret)


async def show_webhook(visit: Visit) -> Response:
    return await _page(visit, visit.request.query_params.get("arn", ""))


async def change_webhook(visit: Visit) -> Response:
    """What the buttons of a webhook's page do: draw another secret, delete."""
    form = visit.form
    found = await _found(visit, form.text("webhook"))
    whose = {"account": found.account, "region": found.region}
    match form.text("do"):
        case "rotate":
            hours = form.text("hours")
            if hours not in map(str, KEEP_HOURS):
                raise Refused(400, "Choose for how long the old secret goes on signing.")
            body = {**whose, "keep_seconds": int(hours) * 3600}
            made = await visit.tell(f"/webhooks/{found.name}/rotate", body, NewSecret)
            return await _page(visit, found.arn, made.secret)
        case "delete":
            await visit.remove(f"/webhooks/{found.name}", Deleted, **whose)
            return visit.go("/console/targets/webhooks", f"The webhook {found.name} is deleted.")
    raise Refused(400, "There is no such button.")


async def _list(visit: Visit, given: dict[str, str], refused: Refused | None = None) -> Response:
    return visit.page(
        "webhooks.html",
        refused.status if refused is not None else 200,
        webhooks=(await visit.ask("/webhooks", WebhookList)).webhooks,
        given=given,
        refusal=refused.sentence if refused is not None else None,
    )


async def _page(visit: Visit, arn: str, secret: str | None = None) -> Response:
    found = await _found(visit, arn)
    health = await health_of(visit, arn)
    return visit.page("webhook.html", found=found, secret=secret, health=health, keep_hours=KEEP_HOURS)


async def _found(visit: Visit, arn: str) -> WebhookView:
    """The webhook of that ARN, asked for by name: others may have webhooks of that name."""
    parsed = Arn.parse(arn)
    if parsed is None or parsed.service != "webhook" or not parsed.resource:
        raise Refused(404, "There is no such webhook.")
    path = f"/webhooks/{quote(parsed.resource, safe='')}"
    return await visit.ask(path, WebhookView, account=parsed.account, region=parsed.region)


def page_of(arn: str) -> str:
    return f"/console/targets/webhooks/webhook?arn={quote(arn, safe='')}"


SCREENS = (
    Screen("GET", "/targets/webhooks", list_webhooks),
    Screen("POST", "/targets/webhooks", create_webhook),
    Screen("GET", "/targets/webhooks/webhook", show_webhook),
    Screen("POST", "/targets/webhooks/webhook", change_webhook),
)
