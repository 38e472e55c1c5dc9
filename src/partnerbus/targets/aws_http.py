"""HTTPS endpoints at AWS that customers made there: APIs of API Gateway and of AppSync.

They are no operations of an AWS API, so nothing of botocore knows their URLs. At AWS they are called as any
other HTTP target, with the address check; where the operator has something stand in for the service, that is
called by the same path, without it. `{api}` in the operator's URL becomes the id of the API.
"""

import re

import msgspec

from partnerbus.model.arns import Arn
from partnerbus.model.reply import Reply
from partnerbus.targets.aws import AwsCaller
from partnerbus.targets.outbound import (
    Outbound,
    OutboundFailure,
    OutboundRequest,
    OutboundResponse,
    failure_reply,
)

REGION = r"[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}"
API_ID = r"[a-z0-9]{1,64}"
"""Both become a part of a host name, so they must not hold anything else."""

API_IN_URL = "{api}"


class AwsHttp:
    """Sends requests to such endpoints."""

    def __init__(self, aws: AwsCaller, outbound: Outbound) -> None:
        self._aws = aws
        self._outbound = outbound

    def base_url(self, service: str, host: str, arn: Arn, api: str) -> str:
        """Where the paths of an API begin; `host` is what AWS calls the service in host names."""
        emulator = self._aws.emulator(service)
        if emulator is not None:
            return emulator.replace(API_IN_URL, api).rstrip("/")
        suffix = "amazonaws.com.cn" if arn.partition == "aws-cn" else "amazonaws.com"
        return f"https://{api}.{host}.{arn.region}.{suffix}"

    async def send(
        self, request: OutboundRequest, *, service: str, arn: Arn, is_signed: bool
    ) -> OutboundResponse | Reply:
        """The answer, or the reply that having none amounts to."""
        if is_signed:
            made = await self._aws.sign(request, service=service, region=arn.region, account=arn.account)
            if isinstance(made, Reply):
                return made
            request = made
        is_emulated = self._aws.emulator(service) is not None
        answer = await (self._aws if is_emulated else self._outbound).send(request)
        if not isinstance(answer, OutboundFailure):
            return answer
        reply = failure_reply(answer)
        return msgspec.structs.replace(reply, retryable=True) if is_emulated else reply


def is_region(arn: Arn) -> bool:
    """Whether the ARN's region can stand in a host name."""
    return re.fullmatch(REGION, arn.region) is not None
