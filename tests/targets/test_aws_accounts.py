"""Whose credentials reach what at AWS itself: requests are looked at instead of sent."""

import asyncio

import pytest

from partnerbus.kernel.clock import ManualClock, SystemClock
from partnerbus.model.arns import Arn
from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.targets.aws import IDENTITY_PAUSE, OTHERS_CREDENTIALS, AwsCaller
from partnerbus.targets.aws_endpoints import AwsEndpoints
from partnerbus.targets.aws_http import AwsHttp
from partnerbus.targets.aws_kind import AwsInvoker
from partnerbus.targets.aws_service import AwsCall
from partnerbus.targets.outbound import OutboundRequest, OutboundResponse
from partnerbus.targets.registry import AWS_KINDS
from tests.targets.aws_targets import GOOD
from tests.targets.things import ACCOUNT, REGION, an_invocation

pytestmark = pytest.mark.slow

OTHER = "999988887777"
IDENTITY = """<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<GetCallerIdentityResult><Arn>arn:aws:iam::{0}:user/u</Arn><UserId>u</UserId><Account>{0}</Account>
</GetCallerIdentityResult></GetCallerIdentityResponse>"""


class Aws:
    """AWS, whose STS says that the credentials are `account`'s."""

    def __init__(self, account: str = ACCOUNT) -> None:
        self.requests: list[OutboundRequest] = []
        self.account = account
        self.sts_status = 200

    @property
    def hosts(self) -> list[str]:
        return [request.url.split("/")[2] for request in self.requests]

    async def send(self, request: OutboundRequest) -> OutboundResponse:
        self.requests.append(request)
        await asyncio.sleep(0)
        if "sts." in request.url:
            body = IDENTITY.format(self.account).encode()
            return OutboundResponse(status=self.sts_status, headers={}, body=body)
        return OutboundResponse(status=200, headers={}, body=b'{"RunId":"1","executionArn":"a"}')

    async def close(self) -> None:
        pass


START = AwsCall(
    service="glue",
    operation="StartWorkflowRun",
    region=REGION,
    account=ACCOUNT,
    parameters={"Name": "w"},
    expects="RunId",
)


@pytest.fixture(autouse=True)
def credentials(no_aws_credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")


def caller(aws: Aws) -> AwsCaller:
    return AwsCaller(aws, SystemClock(), AwsEndpoints())


async def test_a_name_alone_is_used_with_the_account_s_own_credentials_only():
    """Otherwise a rule would start what has the same name in the operator's account."""
    own, others = Aws(ACCOUNT), Aws(OTHER)
    caller_of_own, caller_of_others = caller(own), caller(others)
    for _ in range(2):
        assert not isinstance(await caller_of_own.call(START), Reply)
        assert await caller_of_others.call(START) == OTHERS_CREDENTIALS
    glue, sts = f"glue.{REGION}.amazonaws.com", f"sts.{REGION}.amazonaws.com"
    assert own.hosts == [sts, glue, glue]
    assert others.hosts == [sts]


async def test_many_calls_at_once_ask_whose_they_are_once():
    aws = Aws(ACCOUNT)
    asking = caller(aws)
    await asyncio.gather(*(asking.call(START) for _ in range(5)))
    assert sorted(aws.hosts) == [f"glue.{REGION}.amazonaws.com"] * 5 + [f"sts.{REGION}.amazonaws.com"]


async def test_a_resource_named_with_its_account_is_its_policy_s_affair():
    aws = Aws(OTHER)
    machine = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:m"
    call = AwsCall(
        service="stepfunctions",
        operation="StartExecution",
        region=REGION,
        account=ACCOUNT,
        parameters={"stateMachineArn": machine},
        expects="executionArn",
        names_account=True,
    )
    assert not isinstance(await caller(aws).call(call), Reply)
    assert aws.hosts == [f"states.{REGION}.amazonaws.com"]


NAMED_WITH_THEIR_ACCOUNT = {"kinesis", "lambda", "sns", "states"}


@pytest.mark.parametrize("service", AWS_KINDS)
async def test_which_kinds_are_called_by_a_name_alone(service: str):
    aws = Aws(OTHER)
    target = next(target for target in GOOD if target.arn.split(":")[2] == service)
    invoker = AwsInvoker(caller(aws), AWS_KINDS[service])
    reply = await invoker.invoke(an_invocation(target))
    await invoker.close()
    was_called = any(not host.startswith("sts.") for host in aws.hosts)
    assert was_called is (service in NAMED_WITH_THEIR_ACCOUNT)
    assert (reply == OTHERS_CREDENTIALS) is not was_called


async def test_whose_they_are_is_asked_again_when_sts_did_not_say():
    aws, clock = Aws(ACCOUNT), ManualClock()
    asking = AwsCaller(aws, clock, AwsEndpoints())
    aws.sts_status = 503
    for reply in await asyncio.gather(*(asking.call(START) for _ in range(5))):
        assert isinstance(reply, Reply)
        assert (reply.error, reply.retryable) == (ErrorCode.ERROR_FROM_TARGET, True)
    assert aws.hosts == [f"sts.{REGION}.amazonaws.com"]  # and is left alone meanwhile
    aws.sts_status = 200
    await clock.advance(IDENTITY_PAUSE)
    assert not isinstance(await asking.call(START), Reply)


async def test_apis_are_signed_for_with_their_account_s_own_credentials_only():
    arn = Arn("aws", "appsync", REGION, ACCOUNT, "endpoints/graphql-api/a1")
    request = OutboundRequest(method="POST", url="https://a1.example/graphql")
    for account, is_allowed in ((ACCOUNT, True), (OTHER, False)):
        aws = Aws(account)
        answer = await AwsHttp(caller(aws), aws).send(request, service="appsync", arn=arn, is_signed=True)
        assert (answer != OTHERS_CREDENTIALS) is is_allowed
        assert ("a1.example" in aws.hosts) is is_allowed


@pytest.mark.parametrize(
    ("partition", "region", "host"),
    [
        ("aws", REGION, f"a1.execute-api.{REGION}.amazonaws.com"),
        ("aws-cn", "cn-north-1", "a1.execute-api.cn-north-1.amazonaws.com.cn"),
        ("aws-us-gov", "us-gov-west-1", "a1.execute-api.us-gov-west-1.amazonaws.com"),
    ],
)
def test_the_host_of_an_api(partition: str, region: str, host: str):
    arn = Arn(partition, "execute-api", region, ACCOUNT, "a1/prod/GET/")
    assert (
        AwsHttp(caller(Aws()), Aws()).base_url("execute-api", "execute-api", arn, "a1") == f"https://{host}"
    )


async def test_at_aws_apis_are_called_like_any_other_http_target():
    """Through the outbound with the address check, not the one for what the operator configured."""
    guarded, unguarded = Aws(), Aws()
    http = AwsHttp(caller(unguarded), guarded)
    arn = Arn("aws", "execute-api", REGION, ACCOUNT, "a1/prod/GET/")
    request = OutboundRequest(method="GET", url="https://a1.example/prod/")
    await http.send(request, service="execute-api", arn=arn, is_signed=False)
    assert (guarded.hosts, unguarded.hosts) == (["a1.example"], [])
    assert guarded.requests == [request]
