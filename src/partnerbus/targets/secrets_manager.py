"""AWS Secrets Manager, in which the secret of each connection is also kept, as at the service.

Only where the operator named an endpoint for it: this node uses its own sealed secrets, so what lies there is
for others to look at. Names and the JSON inside are recorded; where the record is silent (parameters that
are not empty), they follow the names of the API (assumed).
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from uuid import UUID

import msgspec

from partnerbus.kernel.errors import ConfigurationError
from partnerbus.kernel.secrets import SecretBox
from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.model.resources import AuthorizationType, Connection, ConnectionParameter, ParameterPlace
from partnerbus.targets.aws import AwsCaller
from partnerbus.targets.aws_errors import Output
from partnerbus.targets.aws_service import AwsCall
from partnerbus.targets.tokens import open_parameter

SERVICE = "secretsmanager"

_MEMBERS = {
    AuthorizationType.BASIC: ("username", "password"),
    AuthorizationType.API_KEY: ("api_key_name", "api_key_value"),
    AuthorizationType.OAUTH_CLIENT_CREDENTIALS: ("client_id", "client_secret"),
}
_PLACES = {
    ParameterPlace.HEADER: "header_parameters",
    ParameterPlace.QUERY: "query_string_parameters",
    ParameterPlace.BODY: "body_parameters",
}

_encode = msgspec.json.Encoder().encode


class SecretsManager:
    """Keeps the secrets of connections there. What goes wrong is a reply, in which no secret is."""

    def __init__(self, aws: AwsCaller, box: SecretBox) -> None:
        self._aws = aws
        self._box = box

    async def keep(self, connection: Connection) -> str | Reply:
        """Let the secret be what the connection has now; its ARN."""
        try:
            text = secret_text(connection, self._box)
        except ConfigurationError as error:
            return Reply(error=ErrorCode.INTERNAL_ERROR, message=str(error))
        content: dict[str, object] = {"SecretString": text, "ClientRequestToken": _token(connection)}
        if connection.kms_key is not None:
            content["KmsKeyId"] = connection.kms_key
        answer = await self._call(connection, "UpdateSecret", {"SecretId": secret_id(connection), **content})
        if isinstance(answer, Reply) and answer.error is ErrorCode.NO_RESOURCE:
            answer = await self._call(connection, "CreateSecret", {"Name": secret_id(connection), **content})
        return answer if isinstance(answer, Reply) else str(answer["ARN"])

    async def forget(self, connection: Connection) -> Reply | None:
        """Delete the secret at once, without a time in which it could be taken back. None: it is gone."""
        given = {"SecretId": secret_id(connection), "ForceDeleteWithoutRecovery": True}
        answer = await self._call(connection, "DeleteSecret", given)
        is_left = isinstance(answer, Reply) and answer.error is not ErrorCode.NO_RESOURCE
        return answer if isinstance(answer, Reply) and is_left else None

    async def _call(
        self, connection: Connection, operation: str, parameters: Mapping[str, object]
    ) -> Output | Reply:
        answer = await self._aws.call(
            AwsCall(
                service=SERVICE,
                operation=operation,
                region=connection.region,
                account=connection.account,
                parameters=parameters,
                expects="ARN",
            )
        )
        if isinstance(answer, Reply):
            name = answer.message.partition(":")[0]  # what follows may quote what was sent
            return msgspec.structs.replace(answer, message=name)
        return answer


def secret_id(connection: Connection) -> str:
    """The name of a connection's secret (recorded); Secrets Manager adds six characters to it in the ARN."""
    return f"events!connection/{connection.name}/{connection.secret_suffix.rpartition('-')[0]}"


def secret_text(connection: Connection, box: SecretBox) -> str:
    """The secret as JSON (recorded); empty once the connection was deauthorized (documented)."""
    if not connection.has_credentials:
        return "{}"
    user, secret = _MEMBERS[connection.authorization]
    members: dict[str, object] = {user: connection.user, secret: box.open(connection.sealed_secret)}
    if connection.oauth is not None:
        members["authorization_endpoint"] = connection.oauth.url
        members["http_method"] = connection.oauth.method
        if connection.oauth.parameters:
            members["oauth_http_parameters"] = _parameters(connection.oauth.parameters, box)
    if connection.has_http_parameters or connection.parameters:
        members["invocation_http_parameters"] = _parameters(connection.parameters, box)
    return _encode(members).decode()


def secret_version(connection: Connection) -> str:
    """What changes with the secret. It is made of what is sealed, so it tells nothing of what is inside."""
    parts = (
        connection.authorization,
        connection.user,
        connection.sealed_secret,
        connection.oauth,
        connection.parameters,
        connection.has_http_parameters,
        connection.kms_key,
    )
    return blake2b(_encode(parts), digest_size=16).hexdigest()


def _token(connection: Connection) -> str:
    """By it a call that is repeated is known to be the same."""
    return str(UUID(hex=secret_version(connection)))


def _parameters(parameters: Sequence[ConnectionParameter], box: SecretBox) -> dict[str, object]:
    opened = [open_parameter(box, one) for one in parameters]
    found = {
        name: [
            {"key": one.name, "value": one.value, "is_value_secret": one.is_secret}
            for one in opened
            if one.place is place
        ]
        for place, name in _PLACES.items()
    }
    return {name: listed for name, listed in found.items() if listed}
