"""Calling AWS services, or an emulator of them, without blocking the event loop.

botocore writes the request, signs it and reads the answer, exactly as the AWS SDKs do; the request itself
goes through `Outbound`. What of botocore may block (reading its service models, and finding or refreshing
credentials, which may ask the machine's metadata service) runs in a thread.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import cast

import botocore.session
import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import create_request_object, prepare_request_dict
from botocore.credentials import Credentials, ReadOnlyCredentials, RefreshableCredentials
from botocore.exceptions import BotoCoreError
from botocore.model import ServiceModel, Shape
from botocore.parsers import ResponseParser, create_parser
from botocore.regions import EndpointResolver
from botocore.serialize import create_serializer

from partnerbus.kernel.clock import Clock
from partnerbus.model.reply import BODY_HEAD_BYTES, ErrorCode, Reply
from partnerbus.targets.outbound import (
    Outbound,
    OutboundFailure,
    OutboundRequest,
    OutboundResponse,
    failure_reply,
)

USER_AGENT = "partnerbus"

EMULATOR_SECRET = "partnerbus"  # noqa: S105 - emulators check no secret
"""With an endpoint URL and no credentials: the access key id is the account, the secret this word."""

CREDENTIALS_TIMEOUT = timedelta(seconds=10)
CREDENTIALS_PAUSE = timedelta(minutes=1)
"""How long finding credentials may take, and when it is tried again if there were none."""

_THROTTLED = frozenset(
    {
        "LimitExceededException",
        "OverLimit",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_NO_RESOURCE = frozenset(
    {
        "AWS.SimpleQueueService.NonExistentQueue",
        "NotFound",
        "QueueDoesNotExist",
        "ResourceNotFoundException",
    }
)
_NO_PERMISSIONS = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthFailure",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})

Output = Mapping[str, object]


class AwsCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call. `account` is whose resource it is about.

    `expects` is the member that the operation's output always has: without it somebody else answered.
    """

    service: str
    operation: str
    region: str
    account: str
    parameters: Mapping[str, object]
    expects: str


class AwsCaller:
    """Makes calls; `endpoint_url` (the operator's) is called instead of AWS if given."""

    def __init__(self, outbound: Outbound, clock: Clock, endpoint_url: str | None) -> None:
        self._outbound = outbound
        self._endpoint_url = endpoint_url
        self._services = _Services()
        self._credentials = _CredentialChain(clock, endpoint_url is not None)

    @property
    def is_emulated(self) -> bool:
        """Whether an endpoint URL stands in for AWS."""
        return self._endpoint_url is not None

    async def call(self, call: AwsCall) -> Output | Reply:
        """The operation's output, or the reply that its failure amounts to."""
        service = await self._services.get(call.service)
        endpoint = self._endpoint_url or service.endpoint(call.region)
        if endpoint is None:
            return Reply(error=ErrorCode.INVALID_PARAMETER, message=f"There is no region {call.region}.")
        credentials = await self._credentials.find(call.account)
        if credentials is None:
            # The operator can mend this, so it is worth another attempt.
            return Reply(
                error=ErrorCode.NO_PERMISSIONS, message="This node has no AWS credentials.", retryable=True
            )
        answer = await self._outbound.send(service.request(call, endpoint, credentials))
        if isinstance(answer, OutboundFailure):
            # The address is the operator's or AWS's own: wrong at the moment, not for ever.
            return msgspec.structs.replace(failure_reply(answer), retryable=True)
        return service.read(call, answer)


class _Service:
    """How requests to one service are written and its answers read."""

    def __init__(self, session: botocore.session.Session, name: str) -> None:
        self._model: ServiceModel = session.get_service_model(name)
        protocol = self._model.resolved_protocol
        self._serializer = create_serializer(protocol, include_validation=False)
        self._parser: ResponseParser = create_parser(protocol)
        self._regions = EndpointResolver(session.get_data("endpoints"))

    def endpoint(self, region: str) -> str | None:
        """The service's URL in a region; None if AWS has no such region."""
        found = self._regions.construct_endpoint(self._model.endpoint_prefix, region)
        return f"https://{found['hostname']}/" if found else None

    def request(self, call: AwsCall, endpoint: str, credentials: ReadOnlyCredentials) -> OutboundRequest:
        """The signed request."""
        operation = self._model.operation_model(call.operation)
        written = self._serializer.serialize_to_request(dict(call.parameters), operation)
        prepare_request_dict(written, endpoint, context={}, user_agent=USER_AGENT)
        request = create_request_object(written)
        SigV4Auth(credentials, self._model.signing_name, call.region).add_auth(request)
        prepared = request.prepare()
        body = prepared.body if isinstance(prepared.body, bytes) else b""
        headers = {str(name): _text(value) for name, value in prepared.headers.items()}
        headers.pop("Content-Length", None)
        return OutboundRequest(method=prepared.method, url=prepared.url, headers=headers, body=body)

    def read(self, call: AwsCall, answer: OutboundResponse) -> Output | Reply:
        """The output in an answer, or what its error amounts to."""
        shape = cast(Shape, self._model.operation_model(call.operation).output_shape)  # None is fine
        response = {"status_code": answer.status, "headers": dict(answer.headers), "body": answer.body}
        try:
            output = cast(dict[str, object], self._parser.parse(response, shape))
        except (BotoCoreError, ValueError):
            return _unreadable(answer.status)
        if answer.status >= 300:
            return _error_reply(output, answer.status)
        return output if call.expects in output else _unreadable(answer.status)


class _Services:
    """The services that were called so far; each is loaded once, in a thread."""

    def __init__(self) -> None:
        self._loading = asyncio.Lock()
        self._session: botocore.session.Session | None = None
        self._loaded: dict[str, _Service] = {}

    async def get(self, name: str) -> _Service:
        if name not in self._loaded:
            async with self._loading:
                if name not in self._loaded:
                    self._loaded[name] = await asyncio.to_thread(self._load, name)
        return self._loaded[name]

    def _load(self, name: str) -> _Service:
        self._session = self._session or botocore.session.Session()
        return _Service(self._session, name)


class _CredentialChain:
    """Credentials from botocore's chain (environment, files, the machine's role)."""

    def __init__(self, clock: Clock, is_emulated: bool) -> None:
        self._clock = clock
        self._is_emulated = is_emulated
        self._finding = asyncio.Lock()
        self._found: Credentials | None = None
        self._look_again_at: datetime | None = None

    async def find(self, account: str) -> ReadOnlyCredentials | None:
        """Credentials to sign with; for an emulator those of `account` if the chain has none."""
        found = self._found or await self._look()
        if found is None:
            return ReadOnlyCredentials(account, EMULATOR_SECRET, None) if self._is_emulated else None
        if isinstance(found, RefreshableCredentials) and found.refresh_needed():
            return await asyncio.to_thread(found.get_frozen_credentials)
        return found.get_frozen_credentials()

    async def _look(self) -> Credentials | None:
        async with self._finding:
            now = self._clock.now()
            if self._found is None and (self._look_again_at is None or now >= self._look_again_at):
                self._look_again_at = now + CREDENTIALS_PAUSE
                try:
                    async with self._clock.timeout(CREDENTIALS_TIMEOUT):
                        self._found = await asyncio.to_thread(_look_in_chain)
                except (TimeoutError, BotoCoreError):
                    pass  # none for now
        return self._found


def _look_in_chain() -> Credentials | None:
    return botocore.session.Session().get_credentials()


def _unreadable(status: int) -> Reply:
    """For an answer that is not the service's, such as a gateway's."""
    return Reply(
        error=ErrorCode.ERROR_FROM_TARGET,
        message="The answer is not one of the AWS service.",
        retryable=True,
        status=status,
    )


def _error_reply(output: Output, status: int) -> Reply:
    error = cast(Mapping[str, str], output.get("Error", {}))
    codes = {error.get("Code", ""), error.get("QueryErrorCode", "")}
    code, retryable = _judge(codes, status)
    message = f"{error.get('Code', 'Error')}: {error.get('Message', '')}"[:BODY_HEAD_BYTES]
    return Reply(error=code, message=message, retryable=retryable, status=status)


def _judge(codes: set[str], status: int) -> tuple[ErrorCode, bool]:
    """What an error of a service means for a delivery, and whether it is worth another attempt."""
    if codes & _THROTTLED or status == 429:
        return ErrorCode.THROTTLING, True
    if codes & _EXPIRED:
        return ErrorCode.NO_PERMISSIONS, True
    if codes & _NO_RESOURCE:
        return ErrorCode.NO_RESOURCE, False
    if codes & _NO_PERMISSIONS or status in (401, 403):
        return ErrorCode.NO_PERMISSIONS, False
    if status >= 500:
        return ErrorCode.ERROR_FROM_TARGET, True
    return ErrorCode.SDK_CLIENT_ERROR, False


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
