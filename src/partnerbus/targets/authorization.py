"""A connection, opened for one request: the header that authorizes, its parameters, its certificate."""

import base64
import ssl

import msgspec

from partnerbus.kernel.secrets import SecretBox
from partnerbus.model.resources import AuthorizationType, Connection, ConnectionParameter
from partnerbus.targets.client_certificates import ClientContexts
from partnerbus.targets.hiding import HIDDEN
from partnerbus.targets.tokens import TokenFailure, Tokens, open_parameter

REFUSED_STATUSES = frozenset({401, 407})
"""What a target answers to a token that is no longer good (documented)."""


class OpenConnection(msgspec.Struct, frozen=True, kw_only=True):
    """Lives for one request only; `secrets` are the texts that must not be seen in a reply."""

    connection: Connection
    authorization: tuple[str, str]
    parameters: tuple[ConnectionParameter, ...]
    secrets: tuple[str, ...]
    token: str | None = None
    tls: ssl.SSLContext | None = None

    def __repr__(self) -> str:
        return f"OpenConnection({HIDDEN})"


class Opener:
    """Opens connections. Raises `ConfigurationError` for a secret that does not open."""

    def __init__(self, secrets: SecretBox, tokens: Tokens, contexts: ClientContexts) -> None:
        self._secrets = secrets
        self._tokens = tokens
        self._contexts = contexts

    async def open(self, connection: Connection) -> OpenConnection | TokenFailure:
        """The connection with its secrets opened, or why an OAuth one has no token."""
        token: str | None = None
        if connection.authorization is AuthorizationType.OAUTH_CLIENT_CREDENTIALS:
            found = await self._tokens.get(connection)
            if isinstance(found, TokenFailure):
                return found
            token = found
        secret = self._secrets.open(connection.sealed_secret)
        authorization, hidden = _authorization(connection, secret, token)
        parameters = tuple(open_parameter(self._secrets, one) for one in connection.parameters)
        certificate = connection.certificate
        return OpenConnection(
            connection=connection,
            authorization=authorization,
            parameters=parameters,
            secrets=(secret, hidden, *(one.value for one in parameters if one.is_secret)),
            token=token,
            tls=await self._contexts.get(certificate) if certificate is not None else None,
        )

    def judge(self, opened: OpenConnection, status: int) -> None:
        """Learn from how a target answered: a token that it refused is not used again."""
        if opened.token is not None and status in REFUSED_STATUSES:
            self._tokens.refused(opened.connection, opened.token)


def _authorization(connection: Connection, secret: str, token: str | None) -> tuple[tuple[str, str], str]:
    """The header, and the text in it that is as secret as the secret."""
    if token is not None:
        return ("Authorization", f"Bearer {token}"), token
    if connection.authorization is AuthorizationType.BASIC:
        pair = base64.b64encode(f"{connection.user}:{secret}".encode()).decode()
        return ("Authorization", f"Basic {pair}"), pair
    return (connection.user, secret), secret
