"""Calling AWS services, or emulators of them, without blocking the event loop.

botocore writes the request, signs it and reads the answer, exactly as the AWS SDKs do; the request itself
goes through `Outbound`. What of botocore may block (reading its service models, and finding or refreshing
credentials, which may ask the machine's metadata service) runs in a thread.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import msgspec
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from partnerbus.kernel.clock import Clock
from partnerbus.model.arns import Arn
from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.targets.aws_credentials import CredentialChain, for_emulator
from partnerbus.targets.aws_endpoints import AwsEndpoints
from partnerbus.targets.aws_errors import Output
from partnerbus.targets.aws_service import AwsCall, AwsServices, signed
from partnerbus.targets.outbound import (
    Outbound,
    OutboundFailure,
    OutboundRequest,
    OutboundResponse,
    failure_reply,
)

NO_CREDENTIALS = Reply(
    # The operator can mend this, so it is worth another attempt.
    error=ErrorCode.NO_PERMISSIONS,
    message="This node has no AWS credentials.",
    retryable=True,
)
OTHERS_CREDENTIALS = Reply(
    error=ErrorCode.NO_PERMISSIONS, message="This node's AWS credentials are those of another account."
)

IDENTITY_PAUSE = timedelta(seconds=10)
"""When STS is asked again whose the node's credentials are, if it did not say."""

FOREIGN = "The ARN names a resource of another account than the rule's."


class AwsCaller:
    """Makes calls, at AWS or where `endpoints` say."""

    def __init__(self, outbound: Outbound, clock: Clock, endpoints: AwsEndpoints) -> None:
        self._outbound = outbound
        self._endpoints = endpoints
        self._services = AwsServices()
        self._credentials = CredentialChain(clock)
        self._identity = _Identity(self._ask_sts, clock)

    def emulator(self, service: str) -> str | None:
        """The URL of what stands in for a service; None if it is called at AWS."""
        return self._endpoints.url(service)

    def refusal(self, service: str, arn: Arn, account: str) -> str | None:
        """Why a rule of `account` may not reach a resource; None if it may.

        At AWS this node signs with its operator's credentials, whoever's rule it is: they are lent for
        resources of the rule's own account only. An emulator has no accounts to keep apart.
        """
        if self.emulator(service) is not None or arn.account in ("", account):
            return None
        return FOREIGN

    async def call(self, call: AwsCall) -> Output | Reply:
        """The operation's output, or the reply that its failure amounts to."""
        service = await self._services.get(call.service)
        endpoint = self.emulator(call.service) or service.endpoint(call.region)
        if endpoint is None:
            return Reply(error=ErrorCode.INVALID_PARAMETER, message=f"There is no region {call.region}.")
        credentials = await self._credentials_for(
            call.service, call.region, call.account, is_own=not call.names_account
        )
        if isinstance(credentials, Reply):
            return credentials
        request = service.request(call, endpoint, credentials)
        if isinstance(request, Reply):
            return request
        answer = await self._outbound.send(request)
        if isinstance(answer, OutboundFailure):
            # The address is the operator's or AWS's own: wrong at the moment, not for ever.
            return msgspec.structs.replace(failure_reply(answer), retryable=True)
        return service.read(call, answer)

    async def sign(
        self, request: OutboundRequest, *, service: str, region: str, account: str
    ) -> OutboundRequest | Reply:
        """A request that is no operation of an API, such as a GraphQL query, with a signature for `service`.

        Signed only with credentials of `account`, whose resource it is about.
        """
        credentials = await self._credentials_for(service, region, account, is_own=True)
        if isinstance(credentials, Reply):
            return credentials
        unsigned = AWSRequest(request.method, request.url, dict(request.headers), request.body)
        made = signed(unsigned, service, region, credentials)
        return msgspec.structs.replace(made, body_limit=request.body_limit, timeout=request.timeout)

    async def send(self, request: OutboundRequest) -> OutboundResponse | OutboundFailure:
        """Send a request to what stands in for a service, whose address the operator chose."""
        return await self._outbound.send(request)

    async def _credentials_for(
        self, service: str, region: str, account: str, *, is_own: bool
    ) -> ReadOnlyCredentials | Reply:
        found = await self._credentials.find()
        if self.emulator(service) is not None:
            return found or for_emulator(account)
        if found is None:
            return NO_CREDENTIALS
        if not is_own:
            return found
        whose = await self._identity.account(found, region)
        if isinstance(whose, Reply):
            return whose
        return found if whose == account else OTHERS_CREDENTIALS

    async def _ask_sts(self, region: str) -> Output | Reply:
        return await self.call(
            AwsCall(
                service="sts",
                operation="GetCallerIdentity",
                region=region,
                account="",
                parameters={},
                expects="Account",
                names_account=True,
            )
        )


class _Identity:
    """The account that the node's credentials belong to, asked once for each access key.

    If STS does not say, it is left alone for a moment and everybody who asks gets the same reply.
    """

    def __init__(self, ask: Callable[[str], Awaitable[Output | Reply]], clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._asking = asyncio.Lock()
        self._access_key: str | None = None
        self._account = ""
        self._failure: Reply | None = None
        self._ask_again_at = clock.now()

    async def account(self, credentials: ReadOnlyCredentials, region: str) -> str | Reply:
        """The account of `credentials`, or why it is not known."""
        async with self._asking:
            if credentials.access_key == self._access_key:
                return self._account
            if self._failure is None or self._clock.now() >= self._ask_again_at:
                await self._look(credentials, region)
            return self._failure or self._account

    async def _look(self, credentials: ReadOnlyCredentials, region: str) -> None:
        answer = await self._ask(region)
        if isinstance(answer, Reply):
            self._failure = msgspec.structs.replace(answer, retryable=True)
            self._ask_again_at = self._clock.now() + IDENTITY_PAUSE
        else:
            self._failure = None
            self._access_key, self._account = credentials.access_key, str(answer["Account"])
