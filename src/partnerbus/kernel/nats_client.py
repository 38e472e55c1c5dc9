"""Connecting to NATS as this project does everywhere. Imported only if nats-py is installed."""

import re
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec
import nats.errors
from nats.aio.client import Client
from nats.aio.transport import TcpTransport

from partnerbus.kernel.nats_credentials import Credentials

_UNAUTHORIZED = re.compile(r"authorization violation|authentication (expired|revoked|timeout)", re.IGNORECASE)


class Access(msgspec.Struct, frozen=True):
    """What it takes to be let in."""

    credentials: Credentials
    tls: ssl.SSLContext


class NatsClient(Client):
    """The library's client, which would be content without TLS at a `tls://` server that has none."""

    needs_tls = False

    async def open(self, servers: Sequence[str], access: Access, **options: Any) -> None:
        """Connect to one of `servers`; `options` are the library's."""
        self.needs_tls = any(server.startswith("tls:") for server in servers)
        key, jwt = access.credentials.key, access.credentials.jwt
        if key is not None:  # the library takes a key alone only through a package that has no wheels
            self._public_nkey = key.public
        await self.connect(
            servers=list(servers),
            user=access.credentials.user,
            password=access.credentials.password,
            token=access.credentials.token,
            signature_cb=None if key is None else key.sign,
            user_jwt_cb=None if jwt is None else jwt.encode,
            tls=access.tls,
            name="partnerbus",
            **options,
        )

    async def let_go(self) -> None:
        """Close, whatever the connection is worth by now."""
        if not self.is_connected:  # the library would send what it has, and stop halfway when it cannot
            self.forget_unsent()
        with suppress(nats.errors.Error, OSError):
            await self.close()

    def forget_unsent(self) -> None:
        """Send nothing of what the library keeps for when there is a connection again."""
        self._pending, self._pending_data_size = [], 0

    async def _attempt_reconnect(self) -> None:
        """Connect anew, at once: a server that is gone may never take what the old connection still has."""
        self.abort()
        await super()._attempt_reconnect()

    def abort(self) -> None:
        """Let go of the socket as it is."""
        if isinstance(self._transport, TcpTransport) and self._transport._io_writer is not None:
            self._transport._io_writer.transport.abort()

    def _connect_command(self) -> bytes:
        """The credentials, about to be sent; after the handshake if the server wanted one."""
        if self.needs_tls and not self._server_info.get("tls_required"):
            raise ssl.SSLError("the server does not speak TLS")
        return super()._connect_command()


def is_unauthorized(error: Exception) -> bool:
    """Whether a server refused credentials; the client does not make that an exception of its own."""
    return _UNAUTHORIZED.search(str(error)) is not None
