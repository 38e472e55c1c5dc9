"""What a customer lets a partner see: the texts of errors that its targets gave, source by source."""

import msgspec

from partnerbus.api.admin.request import AdminRefused, Request
from partnerbus.api.admin.sight import Sight, ViewRoute


class Sharing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the partner of a source may read what errors the customer's targets give for its events.

    A source is named by its ARN, or by name and region.
    """

    source: str
    errors: bool
    region: str | None = None


class SharingView(msgspec.Struct, frozen=True, kw_only=True):
    arn: str
    partner: str
    account: str
    shares_errors: bool


async def share_errors(sight: Sight, request: Request) -> SharingView:
    """Only the customer decides; the operator may for it."""
    wanted = request.body_as(Sharing)
    found = [
        each
        for each in sight.sources()
        if sight.is_customer(each) and wanted.source in (each.name, each.arn)
        if wanted.region in (None, each.region)
    ]
    if not found:
        raise AdminRefused(f"no source {wanted.source} is offered to this account", 404)
    if len(found) > 1:
        raise AdminRefused(f"there are {len(found)} sources {wanted.source}; say in which region")
    source = await sight.set_sharing(found[0], wanted.errors)
    return SharingView(
        arn=source.arn, partner=source.partner, account=source.account, shares_errors=source.shares_errors
    )


ROUTES = (ViewRoute("POST", "/sources/share", share_errors, body=Sharing),)
