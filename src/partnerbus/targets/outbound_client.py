"""The `Outbound` that deliveries are made with: HTTP/1.1 on the event loop's own sockets.

A connection is to an address that the guard was asked about on the very socket that connects. Nothing is
ever sent twice: a connection that the other side has closed is not kept, and one that turns out to be closed
after a request was written is a failed attempt.

How many connections there are is bounded by how many calls there are at once, and that by the dispatcher.
"""

import asyncio
import socket
import ssl
from functools import partial
from ipaddress import ip_address

from aiohappyeyeballs import AddrInfoType, start_connection

from partnerbus.kernel.clock import Clock
from partnerbus.targets.addresses import Address, AddressGuard
from partnerbus.targets.names import AddressRefused, Names, RememberedNames, Resolve
from partnerbus.targets.outbound import OutboundFailure, OutboundRequest, OutboundResponse, failure_of
from partnerbus.targets.outbound_connection import OutboundConnection
from partnerbus.targets.outbound_pool import Pool
from partnerbus.targets.outbound_wire import Party, Places, written

NEXT_ADDRESS_SECONDS = 0.25
"""How long one address may take to connect before the next is tried beside it (RFC 8305)."""


class HttpOutbound:
    """The client. Without a guard every address is allowed (what the operator configured)."""

    def __init__(
        self,
        clock: Clock,
        guard: AddressGuard | None,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._clock = clock
        self._guard = guard
        self._names = RememberedNames(Names(guard, resolve))
        # Made here, not at the first request: reading the authorities takes tens of milliseconds, and nothing
        # else would move meanwhile.
        self._tls = tls or ssl.create_default_context()
        self._places = Places()
        self._pool = Pool()

    async def send(self, request: OutboundRequest) -> OutboundResponse | OutboundFailure:
        host = ""
        try:
            place = self._places.find(request.url)
            host = place.origin.host
            text = written(request, place)
            async with self._clock.timeout(request.timeout):
                return await self._exchange(Party(place.origin, request.tls), request, text)
        except (OSError, ValueError, RuntimeError) as error:  # the last is uvloop's for a socket that broke
            return failure_of(error, host)

    async def close(self) -> None:
        self._pool.close()
        await self._names.close()
        await asyncio.sleep(0)  # in the loop's next turn the transports let go of their sockets

    async def _exchange(self, party: Party, request: OutboundRequest, text: bytes) -> OutboundResponse:
        connection = self._pool.take(party) or await self._connect(party)
        answer = await connection.exchange(
            text, is_head=request.method == "HEAD", body_limit=request.body_limit
        )
        if connection.is_open:
            self._pool.put(connection)
        return answer

    async def _connect(self, party: Party) -> OutboundConnection:
        origin = party.origin
        connected = await start_connection(
            [_address_info(address, origin.port) for address in await self._addresses(origin.host)],
            happy_eyeballs_delay=NEXT_ADDRESS_SECONDS,
            socket_factory=self._open_socket,
        )
        tls = (party.tls or self._tls) if origin.is_secure else None
        _, connection = await asyncio.get_running_loop().create_connection(
            partial(OutboundConnection, party, self._pool.forget),
            sock=connected,
            ssl=tls,
            server_hostname=origin.host.rstrip(".") if tls is not None else None,
        )
        return connection

    async def _addresses(self, host: str) -> list[Address]:
        """The addresses of a host; those that it spells itself are for the last check alone."""
        try:
            return [ip_address(host)]
        except ValueError:
            return await self._names.allowed(host)

    def _open_socket(self, info: AddrInfoType) -> socket.socket:
        """The last check: made on the very address that the socket is about to connect to."""
        family, kind, protocol, _, address = info
        if self._guard is not None and not self._guard.allows(ip_address(str(address[0]).partition("%")[0])):
            raise AddressRefused
        opened = socket.socket(family, kind, protocol)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        return opened


def _address_info(address: Address, port: int) -> AddrInfoType:
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (str(address), port)
