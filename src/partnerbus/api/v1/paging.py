"""Lists in pages: `Limit` and `NextToken`.

A token is the name of the last item that was shown, sealed, so a caller can neither read nor make one. A
page starts after that name: items that come or go between two pages never make a third one appear twice or
not at all. A token is bound to its account, region, operation and arguments (`Limit` may change).
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from itertools import islice
from typing import Generic, TypeVar

import msgspec

from partnerbus.api.errors import ApiError, invalid
from partnerbus.api.operation import Call, Input, Services
from partnerbus.kernel.errors import ConfigurationError

PAGE_ITEMS = 100
"""Items of a page when the caller gives no `Limit`: its maximum (documented for rules and targets)."""

UNKNOWN_PAGE = "Parameter NextToken is not valid."
"""Assumed; documented is only that such a token is refused with HTTP 400."""

T = TypeVar("T")


class ListInput(Input, frozen=True, kw_only=True):
    """What every list takes."""

    next_token: str | None = None
    limit: int | None = None


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some items of a list; `next_token` is None if these are the last."""

    items: Sequence[T]
    next_token: str | None


class _Token(msgspec.Struct, frozen=True, array_like=True):
    bound_to: bytes
    after: str


def page(
    services: Services,
    call: Call,
    given: ListInput,
    items_after: Callable[[str | None], Iterable[T]],
    name: Callable[[T], str],
) -> Page[T]:
    """The page that `given` asks for.

    `items_after(n)` gives the items whose `name` is greater than `n` (None: all), in order of their names.
    """
    bound_to = _binding(call, given)
    after = None if given.next_token is None else _open(services, given.next_token, bound_to)
    limit = given.limit or PAGE_ITEMS
    found = list(islice(items_after(after), limit + 1))
    if len(found) <= limit:
        return Page(found, None)
    shown = found[:limit]
    token = _Token(bound_to, name(shown[-1]))
    return Page(shown, services.secrets.seal(msgspec.json.encode(token).decode()))


def _binding(call: Call, given: ListInput) -> bytes:
    arguments = msgspec.json.encode(msgspec.structs.replace(given, next_token=None, limit=None))
    where = msgspec.json.encode((call.account, call.region, call.operation))
    return sha256(where + arguments).digest()[:16]


def _open(services: Services, text: str, bound_to: bytes) -> str:
    try:
        token = msgspec.json.decode(services.secrets.open(text), type=_Token)
    except (ConfigurationError, msgspec.DecodeError):
        raise _invalid_token() from None
    if token.bound_to != bound_to:
        raise _invalid_token()
    return token.after


def _invalid_token() -> ApiError:
    return invalid(UNKNOWN_PAGE)
