"""Host names: resolved on threads of their own, addresses that the guard refuses left out.

A name whose servers hang keeps a thread for as long as the system is patient, which is longer than any call.
So that many of them cannot keep the others waiting, a name that was resolved when it was last asked for has
threads that it shares only with its like.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from ipaddress import ip_address
from urllib.parse import urlsplit

from partnerbus.kernel.clock import Clock
from partnerbus.targets.addresses import Address, AddressGuard

RESOLVER_THREADS = 16
PROVEN_THREADS = 8
PROVEN_NAMES = 10_000

NAME_SECONDS = 10.0
"""How long a resolved name is remembered."""

NAMES_REMEMBERED = 10_000

CHECK_THREADS = 2
"""Of names that are checked when somebody gives them, so that these hold up no delivery."""

CHECK_TIMEOUT = timedelta(seconds=2)

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""The addresses of a host name, `socket.gaierror` if there are none."""


class AddressRefused(OSError):
    """The address is not one that targets may have."""


class Names:
    """Resolves names. Without a guard every address is allowed."""

    def __init__(
        self, guard: AddressGuard | None, resolve: Resolve | None, threads: int = RESOLVER_THREADS
    ) -> None:
        self._guard = guard
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="resolve")
        self._proven_threads = ThreadPoolExecutor(PROVEN_THREADS, thread_name_prefix="resolve-proven")
        self._proven: set[str] = set()
        self._resolve = resolve or self._ask_system

    async def allowed(self, host: str) -> list[Address]:
        """The addresses of `host` that may be connected to; `AddressRefused` if it has only others."""
        found = [ip_address(text.partition("%")[0]) for text in await self._resolve(host)]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        allowed = [address for address in found if self._guard is None or self._guard.allows(address)]
        if not allowed:
            raise AddressRefused
        return allowed

    async def close(self) -> None:
        for threads in (self._threads, self._proven_threads):
            threads.shutdown(wait=False, cancel_futures=True)

    async def _ask_system(self, host: str) -> Sequence[str]:
        threads = self._proven_threads if host in self._proven else self._threads
        self._proven.discard(host)  # until it has answered again
        found = await asyncio.get_running_loop().run_in_executor(threads, look_up, host)
        if len(self._proven) >= PROVEN_NAMES:
            self._proven.clear()
        self._proven.add(host)
        return list(dict.fromkeys(found))


class RememberedNames:
    """Names whose addresses are remembered for a moment, and looked up once for all who ask meanwhile.

    Lives in the event loop; a moment is in the machine's time, as everything about names is.
    """

    def __init__(self, names: Names) -> None:
        self._names = names
        self._known: dict[str, tuple[float, list[Address]]] = {}
        self._asking: dict[str, asyncio.Task[list[Address]]] = {}

    async def allowed(self, host: str) -> list[Address]:
        """See `Names.allowed`."""
        until, addresses = self._known.get(host, (0.0, []))
        if until > asyncio.get_running_loop().time():
            return addresses
        asked = self._asking.get(host)
        if asked is None:
            asked = self._asking[host] = asyncio.create_task(self._names.allowed(host))
            asked.add_done_callback(partial(self._answered, host))
        return await asyncio.shield(asked)  # others may wait for it

    async def close(self) -> None:
        for asked in self._asking.values():
            asked.cancel()
        await self._names.close()

    def _answered(self, host: str, asked: asyncio.Task[list[Address]]) -> None:
        del self._asking[host]
        if asked.cancelled() or asked.exception() is not None:
            return
        if len(self._known) >= NAMES_REMEMBERED:
            self._known.clear()
        self._known[host] = (asyncio.get_running_loop().time() + NAME_SECONDS, asked.result())


class UrlCheck:
    """Says of a URL that somebody gives what would be said of it at every delivery.

    A name that does not resolve, or not in time, is taken: it may by the time it is used, and its addresses
    are checked again at every connection, whatever was said here.
    """

    def __init__(self, guard: AddressGuard, clock: Clock, resolve: Resolve | None = None) -> None:
        self._guard = guard
        self._clock = clock
        self._names = Names(guard, resolve, CHECK_THREADS)

    async def refusal(self, url: str) -> str | None:
        """Why a target must not have this URL, as a sentence; None if it may."""
        return self._guard.url_refusal(url) or await self._name_refusal(urlsplit(url).hostname or "")

    async def close(self) -> None:
        await self._names.close()

    async def _name_refusal(self, host: str) -> str | None:
        try:
            async with self._clock.timeout(CHECK_TIMEOUT):
                await self._names.allowed(host)
        except AddressRefused:
            return "The URL's host has only addresses that are not allowed as targets."
        except (OSError, ValueError):  # a timeout among them
            return None
        return None


def look_up(host: str) -> list[str]:
    """The system's addresses of a name; blocks, and raises `OSError` if there are none."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]
