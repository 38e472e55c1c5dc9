"""Somebody who looks at the pages without a browser: cookies, forms, and what stands in the page."""

import asyncio
import html
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec

from tests.admin.world import SECRET, Desk


class Seen(msgspec.Struct, frozen=True):
    """An answer: where it came from at last, its headers, and its text."""

    status: int
    path: str
    headers: Mapping[str, str]
    text: str

    @property
    def words(self) -> str:
        """The page without its tags, blanks put together."""
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", self.text)).split())

    @property
    def form_token(self) -> str:
        found = re.search(r'name="form_token" value="([^"]+)"', self.text)
        assert found is not None, self.words
        return found[1]


class Visitor:
    """Cookies are kept, redirects followed. `token` is the operator's."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    @property
    def cookies(self) -> aiohttp.abc.AbstractCookieJar:
        return self._session.cookie_jar

    async def see(self, path: str, *, follow: bool = True, **headers: str) -> Seen:
        return await self._request("GET", path, None, headers, follow)

    async def send(self, path: str, fields: object, *, follow: bool = True, **headers: Any) -> Seen:
        """Post a form as it stands."""
        return await self._request("POST", path, fields, headers, follow)

    @asynccontextmanager
    async def open(self, path: str) -> AsyncIterator[aiohttp.StreamReader]:
        """A stream, from its beginning."""
        async with self._session.get(f"{self._url}/console{path}") as answer:
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            yield answer.content

    async def submit(self, page: str, to: str, *fields: tuple[str, str], **more: str) -> Seen:
        """Look at a page, and post a form of it."""
        token = (await self.see(page)).form_token
        return await self.send(to, [("form_token", token), *fields, *more.items()])

    async def sign_in(self, account: str | None) -> Seen:
        """With an account's key, or as the operator."""
        name = f"KEY{account}" if account is not None else ""
        secret = SECRET.format(account) if account is not None else self._token
        return await self.try_to_sign_in(name, secret)

    async def try_to_sign_in(self, name: str, secret: str, **fields: str) -> Seen:
        return await self.submit("/sign-in", "/sign-in", name=name, secret=secret, **fields)

    async def _request(
        self, method: str, path: str, fields: object, headers: Mapping[str, str], follow: bool
    ) -> Seen:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._session.request(
            method, f"{self._url}/console{path}", data=fields, headers=named, allow_redirects=follow
        ) as answer:
            return Seen(answer.status, answer.url.path_qs, dict(answer.headers), await answer.text())


@asynccontextmanager
async def visitor(desk: Desk, account: str | None) -> AsyncIterator[Visitor]:
    """Somebody who is signed in."""
    async with Visitor(desk.node.url, desk.node.operator_token) as found:
        assert (await found.sign_in(account)).status == 200
        yield found


async def until_it_says(somebody: Visitor, path: str, words: str) -> Seen:
    """The page once it says so, which is for good."""
    while words not in (page := await somebody.see(path)).words:  # noqa: ASYNC110 - only asking tells
        await asyncio.sleep(0.02)
    return page
