"""APIs of API Gateway: `arn:aws:execute-api:REGION:ACCOUNT:API/STAGE/METHOD/path`, called over HTTPS.

The request is made as for an API destination, with the target's HttpParameters; it is signed if the target
names a role (documented: optional).
"""

import re
from urllib.parse import unquote

import msgspec

from partnerbus.kernel.clock import Clock
from partnerbus.model.arns import Arn
from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.model.resources import HttpParameters, Rule, Target
from partnerbus.targets.aws import AwsCaller
from partnerbus.targets.aws_http import API_ID, AwsHttp, is_region
from partnerbus.targets.aws_kind import document_of
from partnerbus.targets.http_answer import judge
from partnerbus.targets.http_request import BadRequest, RequestParts, build_request
from partnerbus.targets.invoker import Invocation
from partnerbus.targets.outbound import OutboundRequest

SERVICE = "execute-api"

_RESOURCE = re.compile(
    rf"(?P<api>{API_ID})/(?P<stage>[A-Za-z0-9_$-]{{1,128}})/(?P<method>GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)"
    r"(?P<path>/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?"
)

BAD_ARN = "The target's ARN is not valid: it must end in API/STAGE/METHOD/path, with one HTTP method."
MORE_STARS = "The ARN's path has more * than HttpParameters has path parameter values."


class _Api(msgspec.Struct, frozen=True):
    """What an ARN says of the request."""

    arn: Arn
    api: str
    method: str
    path: str


class ExecuteApiInvoker:
    """Sends a target's input to an API of API Gateway."""

    kind = SERVICE

    def __init__(self, aws: AwsCaller, http: AwsHttp, clock: Clock) -> None:
        self._aws = aws
        self._http = http
        self._clock = clock

    def refusal(self, target: Target, rule: Rule) -> str | None:
        """The ARN's form, values for the `*` in its path, the account."""
        api = _parse(target.arn)
        if api is None:
            return BAD_ARN
        if api.path.count("*") > len((target.http or HttpParameters()).path_values):
            return MORE_STARS
        return self._aws.refusal(SERVICE, api.arn, rule.created_by)

    async def invoke(self, invocation: Invocation) -> Reply:
        """Make the request and judge the answer."""
        api = _parse(invocation.target.arn)
        assert api is not None  # checked when it was put
        refusal = self._aws.refusal(SERVICE, api.arn, invocation.rule.created_by)
        if refusal is not None:
            return Reply(error=ErrorCode.NO_PERMISSIONS, message=refusal)
        try:
            request = self._request(invocation, api)
        except BadRequest as error:
            return Reply(error=ErrorCode.INVALID_PARAMETER, message=str(error))
        is_signed = (invocation.target.role_arn or invocation.rule.role_arn) is not None
        answer = await self._http.send(request, service=SERVICE, arn=api.arn, is_signed=is_signed)
        return answer if isinstance(answer, Reply) else judge(answer, "The API", self._clock)

    def _request(self, invocation: Invocation, api: _Api) -> OutboundRequest:
        base = self._http.base_url(SERVICE, SERVICE, api.arn, api.api)
        parts = RequestParts(
            method=api.method,
            url=base + api.path,
            target=invocation.target.http or HttpParameters(),
        )
        return build_request(parts, invocation.payload, document_of(invocation))


def _parse(text: str) -> _Api | None:
    arn = Arn.parse(text)
    found = _RESOURCE.fullmatch(arn.resource) if arn is not None else None
    if arn is None or found is None or not is_region(arn):
        return None
    path = f"/{found['stage']}{found['path'] or '/'}"
    if any(unquote(segment) in (".", "..") for segment in path.split("/")):
        return None  # would lead out of the API
    return _Api(arn, found["api"], found["method"], path)
