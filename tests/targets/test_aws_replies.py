"""What an AWS service answers, and how an attempt ends by it."""

import asyncio

import pytest

from partnerbus.kernel.clock import ManualClock
from partnerbus.model.reply import ErrorCode
from partnerbus.model.resources import Target
from partnerbus.model.target_parameters import (
    AppSyncParameters,
)
from partnerbus.targets.registry import Targets
from partnerbus.testing.receiver import Hang, Receiver, Respond
from tests.targets.aws_calls import answers, make, send
from tests.targets.aws_targets import ECS, GOOD, LOGS, a_target, arn

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_aws_credentials")]


@pytest.mark.parametrize(
    ("target", "output", "error", "retryable"),
    [
        (
            a_target(arn("ecs", "cluster/c"), ecs=ECS),
            {"tasks": [], "failures": [{"reason": "RESOURCE:MEMORY", "detail": None}]},
            ErrorCode.RESOURCE_LIMIT_EXCEEDED,
            True,
        ),
        (a_target(arn("ecs", "cluster/c"), ecs=ECS), {}, ErrorCode.ERROR_FROM_TARGET, True),
        (
            a_target(LOGS),
            {"rejectedLogEventsInfo": {"tooOldLogEventEndIndex": 1}},
            ErrorCode.EVENTS_IN_BATCH_REQUEST_REJECTED,
            False,
        ),
        (a_target(arn("glue", "workflow/w")), {}, ErrorCode.ERROR_FROM_TARGET, True),
    ],
)
async def test_an_answer_that_went_well_and_did_not(
    receiver: Receiver, targets: Targets, target: Target, output: object, error: ErrorCode, retryable: bool
):
    answers(receiver, output)
    reply = await send(targets, target)
    assert (reply.error, reply.retryable) == (error, retryable)


@pytest.mark.parametrize(
    ("status", "name", "error", "retryable"),
    [
        (400, "ClusterNotFoundException", ErrorCode.NO_RESOURCE, False),
        (400, "AccessDeniedException", ErrorCode.NO_PERMISSIONS, False),
        (400, "ConflictException", ErrorCode.RESOURCE_MODIFICATION_COLLISION, True),
        (400, "ServiceQuotaExceededException", ErrorCode.RESOURCE_LIMIT_EXCEEDED, True),
        (400, "ThrottlingException", ErrorCode.THROTTLING, True),
        (400, "KMSDisabledException", ErrorCode.ERROR_FROM_TARGET, False),
        (400, "KmsAccessDeniedException", ErrorCode.NO_PERMISSIONS, False),
        (400, "KmsThrottlingException", ErrorCode.THROTTLING, True),
        (502, "KMSInvalidStateException", ErrorCode.ERROR_FROM_TARGET, False),
        (400, "ServerException", ErrorCode.ERROR_FROM_TARGET, True),
        (400, "OperationTimeoutException", ErrorCode.TIMEOUT, True),
        (400, "InvalidParameterException", ErrorCode.SDK_CLIENT_ERROR, False),
        (503, "Whatever", ErrorCode.ERROR_FROM_TARGET, True),
    ],
)
async def test_families_of_errors(receiver: Receiver, targets: Targets, status, name, error, retryable):
    answers(receiver, {"__type": name, "message": "the reason"}, status=status)
    reply = await send(targets, a_target(arn("ecs", "cluster/c"), ecs=ECS))
    assert (reply.error, reply.retryable, reply.status) == (error, retryable, status)
    assert "the reason" in reply.message


SNS_ERROR = """<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type>
<Code>NotFound</Code><Message>Topic does not exist</Message></Error></ErrorResponse>"""


async def test_errors_of_other_protocols(receiver: Receiver, targets: Targets):
    receiver.script("/", Respond(status=404, body=SNS_ERROR.encode()))
    reply = await send(targets, a_target(arn("sns", "gone")))
    assert (reply.error, reply.retryable) == (ErrorCode.NO_RESOURCE, False)
    function = arn("lambda", "function:f")
    path = f"/2015-03-31/functions/{function}/invocations"
    too_many = Respond(
        status=429, headers={"x-amzn-ErrorType": "TooManyRequestsException"}, body=b'{"Message":"Rate"}'
    )
    receiver.script(path, too_many, Respond(status=200, body=b"<html>gateway</html>"))
    reply = await send(targets, a_target(function))
    assert (reply.error, reply.retryable) == (ErrorCode.THROTTLING, True)
    reply = await send(targets, a_target(function))
    assert (reply.error, reply.retryable) == (ErrorCode.ERROR_FROM_TARGET, True)


# An API of API Gateway may answer what it likes; the other log group takes another input.
JUDGED = [target for target in GOOD if "execute-api" not in target.arn and not target.input_transformer]


@pytest.mark.parametrize("target", JUDGED, ids=lambda target: target.arn)
async def test_an_answer_of_somebody_else(receiver: Receiver, targets: Targets, target: Target):
    paths = ("/", "/v1/submitjob", "/graphql", f"/2015-03-31/functions/{target.arn}/invocations")
    for body in (b"<html>gateway</html>", b"[]", b'"x"', b"\xff\xfe", b"{", b"<a><b></a>", b"[" * 20_000):
        for status in (200, 502):
            for path in paths:
                receiver.script(path, Respond(status=status, body=body))
            reply = await send(targets, target)
            assert (reply.accepted, reply.retryable) == (False, True), (status, body)


@pytest.mark.parametrize(
    ("body", "error", "retryable"),
    [
        (
            {"data": {"a": None}, "errors": [{"errorType": "MappingTemplate", "message": "m"}]},
            ErrorCode.ERROR_FROM_TARGET,
            False,
        ),
        ({"errors": [{"message": "m"}]}, ErrorCode.ERROR_FROM_TARGET, False),
        (
            {"data": None, "errors": [{"errorType": "ThrottlingException"}]},
            ErrorCode.THROTTLING,
            True,
        ),
        (
            {"errors": [{"errorType": "UnauthorizedException", "message": "m"}]},
            ErrorCode.NO_PERMISSIONS,
            False,
        ),
    ],
)
async def test_errors_of_graph_ql(receiver: Receiver, targets: Targets, body, error, retryable):
    answers(receiver, body, path="/graphql")
    target = a_target(
        arn("appsync", "endpoints/graphql-api/a1"), app_sync=AppSyncParameters(graph_ql_operation="{ a }")
    )
    reply = await send(targets, target)
    assert (reply.error, reply.retryable) == (error, retryable)


async def test_an_answer_with_a_lot_of_data(receiver: Receiver, targets: Targets):
    receiver.script("/graphql", Respond(body=b'{"data":"' + b"x" * 1_000_000 + b'"}'))
    target = a_target(
        arn("appsync", "endpoints/graphql-api/a1"), app_sync=AppSyncParameters(graph_ql_operation="{ a }")
    )
    assert (await send(targets, target)).accepted


@pytest.mark.parametrize(("status", "retryable"), [(401, True), (429, True), (500, True), (404, False)])
async def test_an_api_s_refusals(receiver: Receiver, targets: Targets, status: int, retryable: bool):
    receiver.script("/prod/", Respond(status=status))
    reply = await send(targets, a_target(arn("execute-api", "a1/prod/GET/")))
    assert (reply.accepted, reply.status, reply.retryable) == (False, status, retryable)


async def test_many_that_hang_at_one_host_hold_up_no_other(receiver: Receiver):
    """All of a service's resources, and at an emulator all services, are behind one host."""
    targets = make(ManualClock(), aws_endpoint_url=receiver.url)  # so that they hang for ever
    function = arn("lambda", "function:f")
    receiver.script(f"/2015-03-31/functions/{function}/invocations", Hang())
    answers(receiver, {"RunId": "1"})
    count = 257
    hanging = [asyncio.create_task(send(targets, a_target(function))) for _ in range(count)]
    async with asyncio.timeout(60):
        await receiver.received(count)
    assert (await send(targets, a_target(arn("glue", "workflow/w")))).accepted
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    await targets.close()
