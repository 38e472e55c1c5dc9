"""The quotas of an account: what they are, and changing them. A change counts from the next call on."""

import msgspec

from partnerbus.api.admin.request import AdminServices, Request, Route
from partnerbus.engine.accounts import AccountNotFound
from partnerbus.model.quotas import Quotas, quotas_of, table


class QuotaView(msgspec.Struct, frozen=True, kw_only=True):
    """One quota of an account; `default` is what it has without a change of its own."""

    name: str
    value: int
    default: int
    help: str


class QuotaList(msgspec.Struct, frozen=True, kw_only=True):
    account: str
    quotas: list[QuotaView]


class NewValue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    value: int


async def list_quotas(services: AdminServices, request: Request) -> QuotaList:
    return _view(services, request.path["account"])


async def set_quota(services: AdminServices, request: Request) -> QuotaList:
    account = request.path["account"]
    await services.accounts.set_quota(account, request.path["name"], request.body_as(NewValue).value)
    return _view(services, account)


async def reset_quota(services: AdminServices, request: Request) -> QuotaList:
    account = request.path["account"]
    await services.accounts.reset_quota(account, request.path["name"])
    return _view(services, account)


def _view(services: AdminServices, account: str) -> QuotaList:
    found = services.accounts.find(account)
    if found is None:
        raise AccountNotFound(f"there is no account {account}")
    values = quotas_of(found, Quotas())
    return QuotaList(
        account=account,
        quotas=[
            QuotaView(
                name=row.name,
                value=getattr(values, row.name.replace("-", "_")),
                default=row.default,
                help=row.help,
            )
            for row in table().values()
        ],
    )


ROUTES = (
    Route("GET", "/accounts/{account}/quotas", list_quotas),
    Route("PUT", "/accounts/{account}/quotas/{name}", set_quota, body=NewValue),
    Route("DELETE", "/accounts/{account}/quotas/{name}", reset_quota),
)
