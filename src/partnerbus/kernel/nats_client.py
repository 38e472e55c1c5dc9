"""Connecting to NATS as this project does everywhere. Imported only if nats-py is installed."""

import re
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec
import nats.errors
from nats.aio.client import Client

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
            self._pending, self._pending_data_size = [], 0
        with suppress(nats.errors.Error, OSError):
            await self.close()

    def _connect_command(self) -> bytes:
        """The credentials, about to be sent; after the handshake if the server wanted one."""
        if self.needs_tls and not self._server_info.get("tls_required"):
            raise ssl.SSLError("the server does not speak TLS")
        return super()._connect_command()


def is_unauthorized(error: Exception) -> bool:
    """Whether a server refused credentials; the client does not make that an exception of its own."""
    return _UNAUTHORIZED.search(str(error)) is not None
