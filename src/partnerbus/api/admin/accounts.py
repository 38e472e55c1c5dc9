"""Accounts and access keys. A secret is in the answer that made it, and in no other."""

from datetime import datetime

import msgspec

from partnerbus.api.admin.request import AdminRefused, AdminServices, Request, Route
from partnerbus.engine.accounts import KeyPair
from partnerbus.model.resources import Account


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret."""

    access_key_id: str
    created_at: datetime


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    partner: str | None
    created_at: datetime
    keys: list[KeyView]


class AccountDetails(AccountView, frozen=True, kw_only=True):
    """An account, and in words what it holds: it can be deleted once it holds nothing."""

    held: list[str]


class AccountList(msgspec.Struct, frozen=True, kw_only=True):
    accounts: list[AccountView]


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """The one answer that shows a secret."""

    account: str
    partner: str | None
    access_key_id: str
    secret_access_key: str


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    deleted: str


class GivenKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key pair that the operator brings; both or neither."""

    access_key_id: str | None = None
    secret_access_key: str | None = None

    def __post_init__(self) -> None:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("an access key id and its secret are given together or not at all")

    @property
    def pair(self) -> KeyPair | None:
        if self.access_key_id is None or self.secret_access_key is None:
            return None
        return KeyPair(id=self.access_key_id, secret=self.secret_access_key)


class NewAccount(GivenKey, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: str
    partner: str | None = None


async def list_accounts(services: AdminServices, _request: Request) -> AccountList:
    return AccountList(accounts=[_view(services, account) for account in services.accounts.every()])


async def show_account(services: AdminServices, request: Request) -> AccountDetails:
    account = services.accounts.find(request.path["account"])
    if account is None:
        raise AdminRefused(f"there is no account {request.path['account']}", 404)
    shown = msgspec.structs.asdict(_view(services, account))
    return AccountDetails(**shown, held=services.accounts.held_by(account.id))


async def create_account(services: AdminServices, request: Request) -> NewKey:
    wanted = request.body_as(NewAccount)
    pair = await services.accounts.create(wanted.id, wanted.partner, wanted.pair)
    return _new_key(services, wanted.id, pair)


async def delete_account(services: AdminServices, request: Request) -> Deleted:
    await services.accounts.delete(request.path["account"])
    return Deleted(deleted=request.path["account"])


async def rotate_key(services: AdminServices, request: Request) -> NewKey:
    account = request.path["account"]
    pair = await services.accounts.rotate(account, request.body_as(GivenKey).pair)
    return _new_key(services, account, pair)


async def delete_key(services: AdminServices, request: Request) -> Deleted:
    await services.accounts.delete_key(request.path["account"], request.path["key"])
    return Deleted(deleted=request.path["key"])


def _view(services: AdminServices, account: Account) -> AccountView:
    keys = services.accounts.keys(account.id)
    return AccountView(
        id=account.id,
        partner=account.partner,
        created_at=account.created_at,
        keys=[KeyView(access_key_id=key.id, created_at=key.created_at) for key in keys],
    )


def _new_key(services: AdminServices, account: str, pair: KeyPair) -> NewKey:
    found = services.accounts.find(account)
    return NewKey(
        account=account,
        partner=found.partner if found is not None else None,
        access_key_id=pair.id,
        secret_access_key=pair.secret,
    )


ROUTES = (
    Route("GET", "/accounts", list_accounts),
    Route("POST", "/accounts", create_account, body=NewAccount),
    Route("GET", "/accounts/{account}", show_account),
    Route("DELETE", "/accounts/{account}", delete_account),
    Route("POST", "/accounts/{account}/keys", rotate_key, body=GivenKey),
    Route("DELETE", "/accounts/{account}/keys/{key}", delete_key),
)
