"""Accounts and keys, for the operator, who may also see what each of them sees.

A secret is on the page that made it, and on no other.
"""

from urllib.parse import quote

from starlette.responses import Response

from partnerbus.api.admin.accounts import AccountDetails, AccountList, Deleted, NewKey
from partnerbus.api.admin.viewer import Viewer
from partnerbus.console.door import Screen
from partnerbus.console.refusal import Refused
from partnerbus.console.visit import Visit

FIELDS = ("id", "partner")


async def list_accounts(visit: Visit) -> Response:
    return await _list(visit, dict.fromkeys(FIELDS, ""))


async def create(visit: Visit) -> Response:
    given = {name: visit.form.text(name) for name in FIELDS}
    try:
        made = await visit.tell("/accounts", {name: text or None for name, text in given.items()}, NewKey)
    except Refused as refused:
        return await _list(visit, given, refused)
    return await _page(visit, made.account, made)


async def show_account(visit: Visit) -> Response:
    return await _page(visit, visit.request.query_params.get("id", ""))


async def add_key(visit: Visit) -> Response:
    account = visit.form.text("account")
    return await _page(visit, account, await visit.tell(f"{_path(account)}/keys", {}, NewKey))


async def delete_key(visit: Visit) -> Response:
    account, key = visit.form.text("account"), quote(visit.form.text("key"), safe="")
    done = await visit.remove(f"{_path(account)}/keys/{key}", Deleted)
    return visit.go(page_of(account), f"The key {done.deleted} is deleted; its sessions have ended.")


async def delete_account(visit: Visit) -> Response:
    """Refused while the account holds something: the page says what."""
    account = visit.form.text("account")
    done = await visit.remove(_path(account), Deleted)
    return visit.go("/console/accounts", f"The account {done.deleted} is deleted, and its keys are.")


async def look(visit: Visit) -> Response:
    """See what an account sees. Nothing can be changed with its eyes."""
    found = await visit.ask(_path(visit.form.text("account")), AccountDetails)
    visit.look_through(Viewer(account=found.id, partner=found.partner, only_looks=True))
    return visit.go("/console")


async def look_no_more(visit: Visit) -> Response:
    account = visit.viewer.account or ""
    visit.look_no_more()
    return visit.go(page_of(account), f"You are the operator again, and see more than {account} does.")


async def _list(visit: Visit, given: dict[str, str], refused: Refused | None = None) -> Response:
    return visit.page(
        "accounts.html",
        refused.status if refused is not None else 200,
        accounts=(await visit.ask("/accounts", AccountList)).accounts,
        given=given,
        refusal=refused.sentence if refused is not None else None,
    )


async def _page(visit: Visit, account: str, made: NewKey | None = None) -> Response:
    return visit.page("account.html", found=await visit.ask(_path(account), AccountDetails), made=made)


def _path(account: str) -> str:
    return f"/accounts/{quote(account, safe='')}"


def page_of(account: str) -> str:
    return f"/console/accounts/account?id={quote(account, safe='')}"


SCREENS = (
    Screen("GET", "/accounts", list_accounts),
    Screen("POST", "/accounts", create),
    Screen("GET", "/accounts/account", show_account),
    Screen("POST", "/accounts/keys", add_key),
    Screen("POST", "/accounts/keys/delete", delete_key),
    Screen("POST", "/accounts/delete", delete_account),
    Screen("POST", "/accounts/look", look),
    Screen("POST", "/accounts/look-no-more", look_no_more),
)
