"""The authorization of a connection: what a caller gives, what is stored, what is given back."""

from collections.abc import Sequence

import msgspec

from partnerbus.api.errors import invalid
from partnerbus.api.v1.shapes import Shape
from partnerbus.kernel.secrets import SecretBox
from partnerbus.model.resources import AuthorizationType, Connection, ConnectionParameter, ParameterPlace

NO_OAUTH = "AuthorizationType OAUTH_CLIENT_CREDENTIALS is not supported by this node yet."
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


Unsupported = dict[str, object]
"""A structure that is refused if it is given."""


class AuthShape(Shape, frozen=True, kw_only=True):
    basic_auth_parameters: BasicShape | None = None
    api_key_auth_parameters: ApiKeyShape | None = None
    o_auth_parameters: Unsupported | None = msgspec.field(default=None, name="OAuthParameters")
    invocation_http_parameters: HttpParametersShape | None = None
    connectivity_parameters: Unsupported | None = None


# -- given -----------------------------------------------------------------------------------------------


def check_supported(kind: AuthorizationType, auth: AuthShape, private: Unsupported | None) -> None:
    if kind is AuthorizationType.OAUTH_CLIENT_CREDENTIALS:
        raise invalid(NO_OAUTH)
    if private is not None or auth.connectivity_parameters is not None:
        raise invalid(NO_PRIVATE)
    others = auth.api_key_auth_parameters if kind is AuthorizationType.BASIC else auth.basic_auth_parameters
    if others is not None or auth.o_auth_parameters is not None:
        raise invalid(WRONG_PARAMETERS.format(kind))


def credentials(kind: AuthorizationType, auth: AuthShape) -> tuple[str | None, str | None]:
    """User (or name of the key's header) and secret, as far as they are given."""
    if kind is AuthorizationType.BASIC:
        basic = auth.basic_auth_parameters or BasicShape()
        return basic.username, basic.password
    key = auth.api_key_auth_parameters or ApiKeyShape()
    return key.api_key_name, key.api_key_value


def with_credentials(
    box: SecretBox, before: Connection, kind: AuthorizationType, auth: AuthShape
) -> Connection:
    """Members that are left out stay, unless the type changes, which takes a whole new set."""
    user, secret = credentials(kind, auth)
    if kind is not before.authorization and (user is None or secret is None):
        raise invalid(WRONG_PARAMETERS.format(kind))
    return msgspec.structs.replace(
        before,
        authorization=kind,
        user=before.user if user is None else user,
        sealed_secret=before.sealed_secret if secret is None else box.seal(secret),
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
    is_basic = connection.authorization is AuthorizationType.BASIC
    return AuthShape(
        basic_auth_parameters=BasicShape(username=connection.user) if is_basic else None,
        api_key_auth_parameters=None if is_basic else ApiKeyShape(api_key_name=connection.user),
        invocation_http_parameters=_http_shape(connection) if connection.parameters else None,
    )


def _http_shape(connection: Connection) -> HttpParametersShape:
    def at(place: ParameterPlace) -> tuple[ParameterShape, ...] | None:
        shapes = tuple(_parameter_shape(one) for one in connection.parameters if one.place is place)
        return shapes or None

    return HttpParametersShape(
        header_parameters=at(ParameterPlace.HEADER),
        query_string_parameters=at(ParameterPlace.QUERY),
        body_parameters=at(ParameterPlace.BODY),
    )


def _parameter_shape(parameter: ConnectionParameter) -> ParameterShape:
    """The value of a secret one is left out (assumed)."""
    value = None if parameter.is_secret else parameter.value
    return ParameterShape(key=parameter.name, value=value, is_value_secret=parameter.is_secret)
