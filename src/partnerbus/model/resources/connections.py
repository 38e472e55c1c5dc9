"""Connections, and the API destinations that use them."""

from datetime import datetime
from enum import StrEnum

import msgspec

from partnerbus.model import arns
from partnerbus.model.resources.resource import Resource


class AuthorizationType(StrEnum):
    BASIC = "BASIC"
    API_KEY = "API_KEY"
    OAUTH_CLIENT_CREDENTIALS = "OAUTH_CLIENT_CREDENTIALS"


class ConnectionState(StrEnum):
    """A connection as its owner sees it (the service has more, for private connectivity).

    AUTHORIZING is an OAuth connection whose first token is being asked for. DEAUTHORIZED is one whose
    credentials were taken away, or were refused by the authorization endpoint.
    """

    AUTHORIZING = "AUTHORIZING"
    AUTHORIZED = "AUTHORIZED"
    DEAUTHORIZING = "DEAUTHORIZING"
    DEAUTHORIZED = "DEAUTHORIZED"
    DELETING = "DELETING"


class ParameterPlace(StrEnum):
    HEADER = "header"
    QUERY = "query"
    BODY = "body"


class ConnectionParameter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An extra header, query parameter or body member; `value` is sealed if it `is_secret`."""

    place: ParameterPlace
    name: str
    value: str
    is_secret: bool = False


class OAuthExchange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a client's id and secret are exchanged for a token, and what else goes with the request."""

    url: str
    method: str
    parameters: tuple[ConnectionParameter, ...] = ()


class ClientCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """What this node shows of itself in TLS: certificates in PEM, the leaf first, and the sealed key."""

    chain: str
    sealed_key: str


class Connection(Resource, frozen=True, kw_only=True, tag="connection"):
    """How to authorize at an endpoint.

    `user` is the user name, the name of the API key's header, or the id of the OAuth client; `sealed_secret`
    is what goes with it, empty once the connection was deauthorized. `copied` is the version of the secret
    that lies in Secrets Manager: None if none was ever sent there, empty if nobody knows.
    `has_http_parameters`: whether its owner gave a structure of them, be it an empty one.
    """

    account: str
    region: str
    name: str
    uuid: str
    secret_suffix: str
    authorization: AuthorizationType
    user: str
    sealed_secret: str
    state: ConnectionState
    created_at: datetime
    modified_at: datetime
    state_reason: str | None = None
    authorized_at: datetime | None = None
    description: str | None = None
    kms_key: str | None = None
    parameters: tuple[ConnectionParameter, ...] = ()
    has_http_parameters: bool = False
    oauth: OAuthExchange | None = None
    copied: str | None = None
    certificate: ClientCertificate | None = None

    @property
    def key(self) -> str:
        return connection_key(self.account, self.region, self.name)

    @property
    def arn(self) -> str:
        return arns.connection_arn(self.region, self.account, self.name, self.uuid)

    @property
    def has_credentials(self) -> bool:
        """Whether it was not deauthorized by its owner."""
        return self.sealed_secret != ""

    @property
    def credentials(self) -> tuple[str, str, OAuthExchange | None]:
        """What a token is given for; other ones make every token worthless."""
        return self.user, self.sealed_secret, self.oauth

    @property
    def secret_arn(self) -> str:
        return arns.connection_secret_arn(self.region, self.account, self.name, self.secret_suffix)


class ApiDestination(Resource, frozen=True, kw_only=True, tag="api-destination"):
    """An HTTP endpoint that rules may name as a target."""

    account: str
    region: str
    name: str
    uuid: str
    connection_arn: str
    url: str
    method: str
    created_at: datetime
    modified_at: datetime
    description: str | None = None
    rate_per_second: int = 300

    @property
    def key(self) -> str:
        return api_destination_key(self.account, self.region, self.name)

    @property
    def arn(self) -> str:
        return arns.api_destination_arn(self.region, self.account, self.name, self.uuid)


def connection_key(account: str, region: str, name: str) -> str:
    return f"connection:{account}:{region}:{name}"


def api_destination_key(account: str, region: str, name: str) -> str:
    return f"api-destination:{account}:{region}:{name}"
