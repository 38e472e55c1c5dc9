"""Requests to one AWS service, as botocore writes, signs and reads them."""

import asyncio
from collections.abc import Mapping
from typing import cast

import botocore.session
import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, create_request_object, prepare_request_dict
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, ParamValidationError
from botocore.model import ServiceModel, Shape, StructureShape
from botocore.parsers import ResponseParser, ResponseParserError, create_parser
from botocore.regions import EndpointResolver
from botocore.serialize import create_serializer

from partnerbus.model.reply import BODY_HEAD_BYTES, ErrorCode, Reply
from partnerbus.targets.aws_errors import Output, error_reply, unreadable
from partnerbus.targets.aws_fitting import fitted
from partnerbus.targets.outbound import OutboundRequest, OutboundResponse

USER_AGENT = "partnerbus"

_UNREADABLE = (
    BotoCoreError,
    ResponseParserError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
)
"""What botocore's parsers raise for bodies that are not the service's."""

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

ANSWER_LIMIT_BYTES = 1_048_576
"""How much of a service's answer is read; the longest are those about many entries."""


Expected = str | tuple[str, ...]


class AwsCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call. `account` is whose resource it is about.

    `service` is named as botocore names it. `parameters` are exact; those `to_fit`, such as an event's
    input, are fitted to what the operation takes (`aws_fitting`) and never win over exact ones. `expects` is
    a member that the operation's output always has, or several of which it has one: without it somebody
    else answered. An output of a JSON protocol may have none.

    A call that `names_account` names the resource together with its account, so that the resource's own
    policy decides. Any other would reach the resource of that name in the account of the credentials, so it
    is made only if that is `account`.
    """

    service: str
    operation: str
    region: str
    account: str
    parameters: Mapping[str, object]
    to_fit: Mapping[str, object] = {}
    expects: Expected = ()
    names_account: bool = False


class AwsService:
    """How requests to one service are written and its answers read."""

    def __init__(self, session: botocore.session.Session, name: str) -> None:
        self._model: ServiceModel = session.get_service_model(name)
        protocol = self._model.resolved_protocol
        self._serializer = create_serializer(protocol, include_validation=True)
        self._parser: ResponseParser = create_parser(protocol)
        self._regions = EndpointResolver(session.get_data("endpoints"))

    def endpoint(self, region: str) -> str | None:
        """The service's URL in a region; None if AWS has no such region."""
        found = self._regions.construct_endpoint(self._model.endpoint_prefix, region)
        return f"https://{found['hostname']}/" if found else None

    def request(
        self, call: AwsCall, endpoint: str, credentials: ReadOnlyCredentials
    ) -> OutboundRequest | Reply:
        """The signed request; a reply if the service's model does not allow what is to be sent."""
        operation = self._model.operation_model(call.operation)
        given = {**_fitted(call.to_fit, operation.input_shape), **call.parameters}
        try:
            written = self._serializer.serialize_to_request(given, operation)
        except (ParamValidationError, ValueError, TypeError) as error:
            message = f"{call.operation} does not take this: {error}"[:BODY_HEAD_BYTES]
            return Reply(error=ErrorCode.INVALID_PARAMETER, message=message)
        prepare_request_dict(written, endpoint, context={}, user_agent=USER_AGENT)
        return signed(create_request_object(written), self._model.signing_name, call.region, credentials)

    def read(self, call: AwsCall, answer: OutboundResponse) -> Output | Reply:
        """The output in an answer, or what its error amounts to."""
        shape = cast(Shape, self._model.operation_model(call.operation).output_shape)  # None is fine
        response = {"status_code": answer.status, "headers": dict(answer.headers), "body": answer.body}
        try:
            output = cast(dict[str, object], self._parser.parse(response, shape))
        except _UNREADABLE:
            return unreadable(answer.status)
        if answer.status >= 300:
            return error_reply(output, answer.status)
        wanted = (call.expects,) if isinstance(call.expects, str) else call.expects
        is_its_own = any(name in output for name in wanted) if wanted else _is_json(answer.body)
        return output if is_its_own else unreadable(answer.status)


class AwsServices:
    """The services that were called so far; each is loaded once, in a thread."""

    def __init__(self) -> None:
        self._loading = asyncio.Lock()
        self._session: botocore.session.Session | None = None
        self._loaded: dict[str, AwsService] = {}

    async def get(self, name: str) -> AwsService:
        """The service that botocore calls `name`."""
        if name not in self._loaded:
            async with self._loading:
                if name not in self._loaded:
                    self._loaded[name] = await asyncio.to_thread(self._load, name)
        return self._loaded[name]

    def _load(self, name: str) -> AwsService:
        self._session = self._session or botocore.session.Session()
        return AwsService(self._session, name)


def signed(
    request: AWSRequest, signing_name: str, region: str, credentials: ReadOnlyCredentials
) -> OutboundRequest:
    """A request with its signature, ready to be sent."""
    SigV4Auth(credentials, signing_name, region).add_auth(request)
    prepared = request.prepare()
    headers = {str(name): _text(value) for name, value in prepared.headers.items()}
    headers.pop("Content-Length", None)
    return OutboundRequest(
        method=prepared.method,
        url=prepared.url,
        headers=headers,
        body=_bytes(prepared.body),
        body_limit=ANSWER_LIMIT_BYTES,
    )


def _fitted(given: Mapping[str, object], shape: StructureShape | None) -> Mapping[str, object]:
    return {} if shape is None else cast(Mapping[str, object], fitted(given, shape))


def _is_json(body: bytes) -> bool:
    """Whether it is the body of an output without members, or with optional ones only, in a JSON protocol."""
    try:
        return not body or _decode_members(body) is not None
    except (msgspec.DecodeError, RecursionError):
        return False


def _bytes(body: object) -> bytes:
    return body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else b""


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
