"""AppSync APIs: each event runs the target's GraphQL operation, with the input as its variables."""

import re

import msgspec

from partnerbus.model.arns import Arn
from partnerbus.model.reply import ACCEPTED, ErrorCode, Reply
from partnerbus.model.resources import Rule, Target
from partnerbus.targets.aws import AwsCaller
from partnerbus.targets.aws_errors import named_error, unreadable
from partnerbus.targets.aws_http import API_ID, AwsHttp, is_region
from partnerbus.targets.aws_kind import NO_OBJECT, Unusable, input_object, is_never_object
from partnerbus.targets.aws_service import USER_AGENT
from partnerbus.targets.invoker import Invocation
from partnerbus.targets.outbound import OutboundRequest, OutboundResponse

ANSWER_LIMIT_BYTES = 262_144
"""How much of an answer is read; an operation may ask for much more than anybody here needs."""

SERVICE = "appsync"
PREFIX = "endpoints/graphql-api/"

_HEADERS = {"Content-Type": "application/json", "User-Agent": USER_AGENT}


class _Error(msgspec.Struct, rename="camel"):
    error_type: str | None = None
    message: str | None = None


class _Answer(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw(b"")
    errors: tuple[_Error, ...] | None = None


_decode_answer = msgspec.json.Decoder(_Answer).decode


class AppSyncInvoker:
    """Posts a GraphQL operation, signed with credentials of the API's account."""

    kind = "appsync"

    def __init__(self, aws: AwsCaller, http: AwsHttp) -> None:
        self._aws = aws
        self._http = http

    def refusal(self, target: Target, rule: Rule) -> str | None:
        """The ARN names the endpoint, not the API; the operation must be given."""
        arn = Arn.parse(target.arn)
        if arn is None or not is_region(arn) or not re.fullmatch(PREFIX + API_ID, arn.resource):
            return f"The target's ARN is not valid: it must end in {PREFIX}ID."
        if target.app_sync is None or not target.app_sync.graph_ql_operation:
            return "AppSyncParameters with a GraphQLOperation is required for this target."
        if is_never_object(target):
            return NO_OBJECT
        return self._aws.refusal(SERVICE, arn, rule.created_by)

    async def invoke(self, invocation: Invocation) -> Reply:
        """Run the operation."""
        arn = Arn.parse(invocation.target.arn)
        assert arn is not None  # checked when it was put
        refusal = self._aws.refusal(SERVICE, arn, invocation.rule.created_by)
        if refusal is not None:
            return Reply(error=ErrorCode.NO_PERMISSIONS, message=refusal)
        try:
            request = self._request(invocation, arn)
        except Unusable as error:
            return Reply(error=ErrorCode.INVALID_PARAMETER, message=str(error))
        answer = await self._http.send(request, service=SERVICE, arn=arn, is_signed=True)
        return answer if isinstance(answer, Reply) else _judge(answer)

    def _request(self, invocation: Invocation, arn: Arn) -> OutboundRequest:
        app_sync = invocation.target.app_sync
        assert app_sync is not None
        base = self._http.base_url(SERVICE, "appsync-api", arn, arn.resource.removeprefix(PREFIX))
        input_object(invocation)  # variables are members of an object
        body = {"query": app_sync.graph_ql_operation, "variables": msgspec.Raw(invocation.payload)}
        return OutboundRequest(
            method="POST",
            url=f"{base}/graphql",
            headers=_HEADERS,
            body=msgspec.json.encode(body),
            body_limit=ANSWER_LIMIT_BYTES,
        )


def _judge(answer: OutboundResponse) -> Reply:
    """GraphQL tells errors in an answer that went well. They are not repeated unless their type says so
    (assumed): an operation may have done a part of its work, and one that is wrong stays wrong."""
    if answer.status == 200 and len(answer.body) >= ANSWER_LIMIT_BYTES:
        return ACCEPTED  # too much data to see whether there are errors too
    try:
        found = _decode_answer(answer.body)
    except (msgspec.DecodeError, RecursionError):
        return unreadable(answer.status)
    if found.errors:
        first = found.errors[0]
        reply = named_error((first.error_type or "GraphQL",), first.message or "", answer.status)
        if reply.error is ErrorCode.SDK_CLIENT_ERROR:
            return msgspec.structs.replace(reply, error=ErrorCode.ERROR_FROM_TARGET)
        return reply
    is_answer = answer.status == 200 and bytes(found.data)
    return ACCEPTED if is_answer else unreadable(answer.status)
