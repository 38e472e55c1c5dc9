"""Connections: how API destinations are authorized. Secrets are sealed, and never given back."""

import secrets
import uuid
from collections.abc import Iterator

import msgspec

from partnerbus.api.errors import ApiError, already_exists, invalid, not_found
from partnerbus.api.operation import Call, Input, Operation, Output, Services, epoch_seconds, operation
from partnerbus.api.v1.connection_auth import (
    AuthShape,
    Unsupported,
    auth_shape,
    check_supported,
    credentials,
    parameters_of,
)
from partnerbus.api.v1.paging import ListInput, page
from partnerbus.api.v1.shapes import Shape, retried, seconds
from partnerbus.kernel.errors import RevisionConflict
from partnerbus.model.resources import AuthorizationType, Connection, ConnectionState, connection_key

DEAUTHORIZED_BY_OWNER = "The connection was deauthorized."
"""The reason that is shown (text assumed)."""


class CreateInput(Input, frozen=True, kw_only=True):
    name: str
    authorization_type: AuthorizationType
    auth_parameters: AuthShape
    description: str | None = None
    invocation_connectivity_parameters: Unsupported | None = None
    kms_key_identifier: str | None = None


class UpdateInput(Input, frozen=True, kw_only=True):
    name: str
    authorization_type: AuthorizationType | None = None
    auth_parameters: AuthShape = AuthShape()
    description: str | None = None
    invocation_connectivity_parameters: Unsupported | None = None
    kms_key_identifier: str | None = None


class NameInput(Input, frozen=True, kw_only=True):
    name: str


class CreateOutput(Output, frozen=True, kw_only=True):
    connection_arn: str
    connection_state: str
    creation_time: float
    last_modified_time: float


class ChangeOutput(Output, frozen=True, kw_only=True):
    connection_arn: str
    connection_state: str
    creation_time: float
    last_modified_time: float
    last_authorized_time: float | None = None


class DescribeOutput(Output, frozen=True, kw_only=True):
    connection_arn: str
    name: str
    connection_state: str
    state_reason: str | None = None
    authorization_type: str
    secret_arn: str
    auth_parameters: AuthShape
    creation_time: float
    last_modified_time: float
    last_authorized_time: float | None = None
    description: str | None = None
    kms_key_identifier: str | None = None


class ListConnectionsInput(ListInput, frozen=True, kw_only=True):
    name_prefix: str | None = None
    connection_state: str | None = None


class ConnectionItem(Shape, frozen=True, kw_only=True):
    connection_arn: str
    name: str
    connection_state: str
    state_reason: str | None = None
    authorization_type: str
    creation_time: float
    last_modified_time: float
    last_authorized_time: float | None = None


class ListConnectionsOutput(Output, frozen=True, kw_only=True):
    connections: list[ConnectionItem]
    next_token: str | None = None


# -- handlers ------------------------------------------------------------------------------------------


async def create_connection(services: Services, call: Call, given: CreateInput) -> Output:
    check_supported(given.authorization_type, given.auth_parameters, given.invocation_connectivity_parameters)
    await _check_endpoint(services, given.auth_parameters)
    connection = _new_connection(services, call, given)
    owned, most = connection_key(call.account, call.region, ""), services.quotas_of(call.account).connections
    try:
        with services.room.take(services.catalog, connection.key, owned, most):
            await services.catalog.create(connection)
    except RevisionConflict:
        raise already_exists(f"Connection {given.name} already exists.") from None  # text assumed
    await services.connection_secrets.follow(connection.key)
    return CreateOutput(
        connection_arn=connection.arn,
        connection_state=connection.state,
        creation_time=epoch_seconds(connection.created_at),
        last_modified_time=epoch_seconds(connection.modified_at),
    )


def _new_connection(services: Services, call: Call, given: CreateInput) -> Connection:
    found = credentials(services.secrets, given.authorization_type, given.auth_parameters, None)
    is_ready = found.oauth is None
    now = services.clock.now()
    return Connection(
        account=call.account,
        region=call.region,
        name=given.name,
        uuid=str(uuid.uuid4()),
        secret_suffix=f"{uuid.uuid4()}-{secrets.token_hex(3)}",
        authorization=given.authorization_type,
        user=found.user,
        sealed_secret=found.sealed_secret,
        oauth=found.oauth,
        state=ConnectionState.AUTHORIZED if is_ready else ConnectionState.AUTHORIZING,
        created_at=now,
        modified_at=now,
        authorized_at=now if is_ready else None,
        description=given.description,
        kms_key=given.kms_key_identifier,
        parameters=parameters_of(services.secrets, given.auth_parameters.invocation_http_parameters, ()),
        has_http_parameters=given.auth_parameters.invocation_http_parameters is not None,
    )


async def describe_connection(services: Services, call: Call, given: NameInput) -> Output:
    found = _existing(services, call, given.name)
    return DescribeOutput(
        connection_arn=found.arn,
        name=found.name,
        connection_state=found.state,
        state_reason=found.state_reason,
        authorization_type=found.authorization,
        secret_arn=found.secret_arn,
        auth_parameters=auth_shape(found),
        creation_time=epoch_seconds(found.created_at),
        last_modified_time=epoch_seconds(found.modified_at),
        last_authorized_time=seconds(found.authorized_at),
        description=found.description,
        kms_key_identifier=found.kms_key,
    )


async def update_connection(services: Services, call: Call, given: UpdateInput) -> Output:
    await _check_endpoint(services, given.auth_parameters)
    after = await retried(lambda: _update(services, call, given))
    await services.connection_secrets.follow(after.key)
    return _changed(after, after.state)


async def _update(services: Services, call: Call, given: UpdateInput) -> Connection:
    before = _lasting(services, call, given.name)
    kind = given.authorization_type or before.authorization
    check_supported(kind, given.auth_parameters, given.invocation_connectivity_parameters)
    after = msgspec.structs.replace(
        before if _keeps_authorization(before, given) else _authorized_anew(services, before, kind, given),
        modified_at=services.clock.now(),
        description=before.description if given.description is None else given.description,
        kms_key=before.kms_key if given.kms_key_identifier is None else given.kms_key_identifier or None,
    )
    await services.catalog.replace(before, after)
    return after


def _keeps_authorization(before: Connection, given: UpdateInput) -> bool:
    return given.authorization_type in (None, before.authorization) and given.auth_parameters == AuthShape()


def _authorized_anew(
    services: Services, before: Connection, kind: AuthorizationType, given: UpdateInput
) -> Connection:
    """The connection as its new parameters make it; an OAuth one asks for a token first."""
    auth = given.auth_parameters
    found = credentials(services.secrets, kind, auth, before)
    is_ready = found.oauth is None
    return msgspec.structs.replace(
        before,
        authorization=kind,
        user=found.user,
        sealed_secret=found.sealed_secret,
        oauth=found.oauth,
        parameters=parameters_of(services.secrets, auth.invocation_http_parameters, before.parameters),
        has_http_parameters=before.has_http_parameters or auth.invocation_http_parameters is not None,
        state=ConnectionState.AUTHORIZED if is_ready else ConnectionState.AUTHORIZING,
        state_reason=None,
        authorized_at=services.clock.now() if is_ready else before.authorized_at,
    )


async def deauthorize_connection(services: Services, call: Call, given: NameInput) -> Output:
    """Forget every parameter of the authorization (documented), a client certificate among them."""

    async def deauthorize() -> Connection:
        before = _lasting(services, call, given.name)
        after = _without_secrets(services, before, ConnectionState.DEAUTHORIZED, DEAUTHORIZED_BY_OWNER)
        await services.catalog.replace(before, after)
        return after

    after = await retried(deauthorize)
    await services.connection_secrets.follow(after.key)
    return _changed(after, ConnectionState.DEAUTHORIZING)


def _without_secrets(
    services: Services, before: Connection, state: ConnectionState, reason: str | None
) -> Connection:
    return msgspec.structs.replace(
        before,
        user="",
        sealed_secret="",
        oauth=None,
        parameters=(),
        has_http_parameters=False,
        certificate=None,
        state=state,
        state_reason=reason,
        modified_at=services.clock.now(),
    )


async def delete_connection(services: Services, call: Call, given: NameInput) -> Output:
    """Gone at once, unless there is a copy of its secret, which is deleted first."""

    async def delete() -> Connection:
        found = _existing(services, call, given.name)
        if not services.connection_secrets.may_be_copied(found):
            await services.catalog.remove(found)
        elif found.state is not ConnectionState.DELETING:
            after = _without_secrets(services, found, ConnectionState.DELETING, None)
            await services.catalog.replace(found, after)
        return found

    found = await retried(delete)
    await services.connection_secrets.follow(found.key)
    return _changed(found, ConnectionState.DELETING)


async def list_connections(services: Services, call: Call, given: ListConnectionsInput) -> Output:
    def after(name: str | None) -> Iterator[Connection]:
        last = None if name is None else connection_key(call.account, call.region, name)
        prefix = connection_key(call.account, call.region, given.name_prefix or "")
        for found in services.catalog.list(Connection, prefix, after=last):
            if given.connection_state in (None, found.state):
                yield found

    found = page(services, call, given, after, lambda one: one.name)
    return ListConnectionsOutput(connections=[_item(one) for one in found.items], next_token=found.next_token)


def no_such_connection(name: str) -> ApiError:
    return not_found(f"Failed to describe the connection(s). Connection '{name}' does not exist.")


async def _check_endpoint(services: Services, auth: AuthShape) -> None:
    """The authorization endpoint must be one that this node may connect to."""
    url = auth.o_auth_parameters.authorization_endpoint if auth.o_auth_parameters is not None else None
    if url is not None and (sentence := await services.targets.url_refusal(url)) is not None:
        raise invalid(f"Parameter AuthorizationEndpoint is not valid. Reason: {sentence}")


def _existing(services: Services, call: Call, name: str) -> Connection:
    found = services.catalog.get(Connection, connection_key(call.account, call.region, name))
    if found is None:
        raise no_such_connection(name)
    return found


def _lasting(services: Services, call: Call, name: str) -> Connection:
    """One that is not being deleted; there is nothing about such a one that could be changed any more."""
    found = _existing(services, call, name)
    if found.state is ConnectionState.DELETING:
        raise no_such_connection(name)
    return found


def _changed(connection: Connection, state: ConnectionState) -> ChangeOutput:
    return ChangeOutput(
        connection_arn=connection.arn,
        connection_state=state,
        creation_time=epoch_seconds(connection.created_at),
        last_modified_time=epoch_seconds(connection.modified_at),
        last_authorized_time=seconds(connection.authorized_at),
    )


def _item(connection: Connection) -> ConnectionItem:
    return ConnectionItem(
        connection_arn=connection.arn,
        name=connection.name,
        connection_state=connection.state,
        state_reason=connection.state_reason,
        authorization_type=connection.authorization,
        creation_time=epoch_seconds(connection.created_at),
        last_modified_time=epoch_seconds(connection.modified_at),
        last_authorized_time=seconds(connection.authorized_at),
    )


OPERATIONS: dict[str, Operation] = {
    "CreateConnection": operation(CreateInput, create_connection),
    "DeauthorizeConnection": operation(NameInput, deauthorize_connection),
    "DeleteConnection": operation(NameInput, delete_connection),
    "DescribeConnection": operation(NameInput, describe_connection),
    "ListConnections": operation(ListConnectionsInput, list_connections),
    "UpdateConnection": operation(UpdateInput, update_connection),
}
