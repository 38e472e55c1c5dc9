"""Accounts and keys, for the operator. A secret is on the page that made it, and on no other."""

from starlette.responses import Response

from partnerbus.api.admin.accounts import AccountList, Deleted, NewKey
from partnerbus.console.door import Screen
from partnerbus.console.visit import Visit


async def list_accounts(visit: Visit) -> Response:
    found = await visit.ask("/accounts", AccountList)
    return visit.page("accounts.html", accounts=found.accounts, made=None)


async def create(visit: Visit) -> Response:
    body = {"id": visit.form.text("id"), "partner": visit.form.maybe("partner")}
    return await _with_key(visit, await visit.tell("/accounts", body, NewKey))


async def add_key(visit: Visit) -> Response:
    return await _with_key(visit, await visit.tell(f"/accounts/{_account(visit)}/keys", {}, NewKey))


async def delete_key(visit: Visit) -> Response:
    key = visit.form.text("key").replace("/", "")
    done = await visit.tell(f"/accounts/{_account(visit)}/keys/{key}", {}, Deleted, method="DELETE")
    return visit.go("/console/accounts", f"The key {done.deleted} is deleted; its sessions have ended.")


async def _with_key(visit: Visit, made: NewKey) -> Response:
    found = await visit.ask("/accounts", AccountList)
    return visit.page("accounts.html", accounts=found.accounts, made=made)


def _account(visit: Visit) -> str:
    return visit.form.text("account").replace("/", "")


SCREENS = (
    Screen("GET", "/accounts", list_accounts),
    Screen("POST", "/accounts", create),
    Screen("POST", "/accounts/keys", add_key),
    Screen("POST", "/accounts/keys/delete", delete_key),
)
