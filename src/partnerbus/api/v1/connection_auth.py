"""The authorization of a connection: what a caller gives, what is stored, what is given back."""

from collections.abc import Sequence

import msgspec

from partnerbus.api.errors import invalid
from partnerbus.api.v1.shapes import Shape
from partnerbus.kernel.secrets import SecretBox
from partnerbus.model.resources import (
    AuthorizationType,
    Connection,
    ConnectionParameter,
    OAuthExchange,
    ParameterPlace,
)

NO_PRIVATE = "Private connectivity is not supported by this node yet."
WRONG_PARAMETERS = "AuthParameters must hold the parameters of AuthorizationType {}, and of no other."
"""Text assumed; documented is that only those of the declared type may be given."""


class BasicShape(Shape, frozen=True, kw_only=True):
    username: str | None = None
    password: str | None = None


class ApiKeyShape(Shape, frozen=True, kw_only=True):
    api_key_name: str | None = None
    api_key_value: str | None = None


class ParameterShape(Shape, frozen=True, kw_only=True):
    key: str | None = None
    value: str | None = None
    is_value_secret: bool | None = None


class HttpParametersShape(Shape, frozen=True, kw_only=True):
    header_parameters: tuple[ParameterShape, ...] | None = None
    query_string_parameters: tuple[ParameterShape, ...] | None = None
    body_parameters: tuple[ParameterShape, ...] | None = None


class ClientShape(Shape, frozen=True, kw_only=True):
    client_id: str | None = msgspec.field(default=None, name="ClientID")
    client_secret: str | None = None


class OAuthShape(Shape, frozen=True, kw_only=True):
    client_parameters: ClientShape | None = None
    authorization_endpoint: str | None = None
    http_method: str | None = None
    o_auth_http_parameters: HttpParametersShape | None = msgspec.field(
        default=None, name="OAuthHttpParameters"
    )


Unsupported = dict[str, object]
"""A structure that is refused if it is given."""


class AuthShape(Shape, frozen=True, kw_only=True):
    basic_auth_parameters: BasicShape | None = None
    api_key_auth_parameters: ApiKeyShape | None = None
    o_auth_parameters: OAuthShape | None = msgspec.field(default=None, name="OAuthParameters")
    invocation_http_parameters: HttpParametersShape | None = None
    connectivity_parameters: Unsupported | None = None


# -- given -----------------------------------------------------------------------------------------------


def check_supported(kind: AuthorizationType, auth: AuthShape, private: Unsupported | None) -> None:
    """Only what this node does, and only the parameters of the declared type (documented)."""
    if private is not None or auth.connectivity_parameters is not None:
        raise invalid(NO_PRIVATE)
    given = {
        AuthorizationType.BASIC: auth.basic_auth_parameters,
        AuthorizationType.API_KEY: auth.api_key_auth_parameters,
        AuthorizationType.OAUTH_CLIENT_CREDENTIALS: auth.o_auth_parameters,
    }
    if any(shape is not None for declared, shape in given.items() if declared is not kind):
        raise invalid(WRONG_PARAMETERS.format(kind))


class Credentials(msgspec.Struct, frozen=True):
    """What is stored of an authorization."""

    user: str
    sealed_secret: str
    oauth: OAuthExchange | None = None


def credentials(
    box: SecretBox, kind: AuthorizationType, auth: AuthShape, before: Connection | None
) -> Credentials:
    """What a caller gave, completed by the credentials `before`.

    Members that are left out stay, unless the type changes or the connection was deauthorized: both take a
    whole new set.
    """
    kept = before if before is not None and before.authorization is kind and before.has_credentials else None
    user, secret = _pair(kind, auth)
    if kept is None and (user is None or secret is None):
        raise invalid(WRONG_PARAMETERS.format(kind))
    return Credentials(
        user=(kept.user if kept is not None else "") if user is None else user,
        sealed_secret=(kept.sealed_secret if kept is not None else "")
        if secret is None
        else box.seal(secret),
        oauth=_exchange(box, kind, auth.o_auth_parameters or OAuthShape(), kept.oauth if kept else None),
    )


def _pair(kind: AuthorizationType, auth: AuthShape) -> tuple[str | None, str | None]:
    """User (name of the key's header, client id) and secret, as far as they are given."""
    if kind is AuthorizationType.BASIC:
        basic = auth.basic_auth_parameters or BasicShape()
        return basic.username, basic.password
    if kind is AuthorizationType.API_KEY:
        key = auth.api_key_auth_parameters or ApiKeyShape()
        return key.api_key_name, key.api_key_value
    client = (auth.o_auth_parameters or OAuthShape()).client_parameters or ClientShape()
    return client.client_id, client.client_secret


def _exchange(
    box: SecretBox, kind: AuthorizationType, shape: OAuthShape | None, kept: OAuthExchange | None
) -> OAuthExchange | None:
    if kind is not AuthorizationType.OAUTH_CLIENT_CREDENTIALS:
        return None
    given = shape or OAuthShape()
    url = given.authorization_endpoint or (kept.url if kept is not None else None)
    method = given.http_method or (kept.method if kept is not None else None)
    if url is None or method is None:
        raise invalid(WRONG_PARAMETERS.format(kind))
    before = kept.parameters if kept is not None else ()
    return OAuthExchange(
        url=url, method=method, parameters=parameters_of(box, given.o_auth_http_parameters, before)
    )


def parameters_of(
    box: SecretBox, given: HttpParametersShape | None, before: Sequence[ConnectionParameter]
) -> tuple[ConnectionParameter, ...]:
    """The list that is stored: each place (header, query, body) that is given replaces what was there.

    A secret parameter without a value keeps the stored one, since nobody can read it to send it again.
    """
    known = {(one.place, one.name): one for one in before}
    found: list[ConnectionParameter] = []
    for place, shapes in _places(given or HttpParametersShape()):
        if shapes is None:
            found += (one for one in before if one.place is place)
            continue
        for shape in shapes:
            kept = known.get((place, shape.key or ""))
            found.append(_parameter(box, place, shape, kept))
    return tuple(found)


def _parameter(
    box: SecretBox, place: ParameterPlace, shape: ParameterShape, kept: ConnectionParameter | None
) -> ConnectionParameter:
    is_secret = bool(shape.is_value_secret)
    if shape.value is None and is_secret and kept is not None and kept.is_secret:
        return kept
    value = shape.value or ""
    stored = box.seal(value) if is_secret else value
    return ConnectionParameter(place=place, name=shape.key or "", value=stored, is_secret=is_secret)


def _places(
    shape: HttpParametersShape,
) -> tuple[tuple[ParameterPlace, tuple[ParameterShape, ...] | None], ...]:
    return (
        (ParameterPlace.HEADER, shape.header_parameters),
        (ParameterPlace.QUERY, shape.query_string_parameters),
        (ParameterPlace.BODY, shape.body_parameters),
    )


# -- given back ------------------------------------------------------------------------------------------


def auth_shape(connection: Connection) -> AuthShape:
    """Everything but the secrets; of a connection that was deauthorized nothing is left (assumed)."""
    if not connection.has_credentials:
        return AuthShape()
    kind = connection.authorization
    return AuthShape(
        basic_auth_parameters=(
            BasicShape(username=connection.user) if kind is AuthorizationType.BASIC else None
        ),
        api_key_auth_parameters=(
            ApiKeyShape(api_key_name=connection.user) if kind is AuthorizationType.API_KEY else None
        ),
        o_auth_parameters=_oauth_shape(connection.user, connection.oauth) if connection.oauth else None,
        invocation_http_parameters=_http_shape(connection.parameters),
    )


def _oauth_shape(client_id: str, exchange: OAuthExchange) -> OAuthShape:
    return OAuthShape(
        client_parameters=ClientShape(client_id=client_id),
        authorization_endpoint=exchange.url,
        http_method=exchange.method,
        o_auth_http_parameters=_http_shape(exchange.parameters),
    )


def _http_shape(parameters: Sequence[ConnectionParameter]) -> HttpParametersShape | None:
    def at(place: ParameterPlace) -> tuple[ParameterShape, ...] | None:
        shapes = tuple(_parameter_shape(one) for one in parameters if one.place is place)
        return shapes or None

    if not parameters:
        return None
    return HttpParametersShape(
        header_parameters=at(ParameterPlace.HEADER),
        query_string_parameters=at(ParameterPlace.QUERY),
        body_parameters=at(ParameterPlace.BODY),
    )


def _parameter_shape(parameter: ConnectionParameter) -> ParameterShape:
    """The value of a secret one is left out (assumed)."""
    value = None if parameter.is_secret else parameter.value
    return ParameterShape(key=parameter.name, value=value, is_value_secret=parameter.is_secret)
