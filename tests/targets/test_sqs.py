"""SQS queues and dead-letter queues, against moto's server over real sockets."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import boto3
import msgspec
import pytest
from moto.server import ThreadedMotoServer
from types_boto3_sqs import SQSClient

from partnerbus.kernel.clock import SystemClock
from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.targets.aws import AwsCaller
from partnerbus.targets.aws_endpoints import AwsEndpoints
from partnerbus.targets.aws_service import AwsCall
from partnerbus.targets.dead_letter import DeadLetterNote, DeadLetterQueue, dead_letter_refusal
from partnerbus.targets.outbound import OutboundRequest, OutboundResponse
from partnerbus.targets.outbound_client import HttpOutbound
from partnerbus.targets.sqs import SqsInvoker, SqsQueues
from partnerbus.testing.receiver import Hang, Receiver, Respond
from tests.targets.things import ACCOUNT, REGION, a_rule, a_target, an_event, an_invocation

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_credentials(no_aws_credentials: None) -> None:
    """A machine without AWS credentials."""


@pytest.fixture(scope="module")
def moto_url() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def sqs(moto_url: str) -> Iterator[SQSClient]:
    client = boto3.client(
        "sqs",
        region_name=REGION,
        endpoint_url=moto_url,
        aws_access_key_id=ACCOUNT,
        aws_secret_access_key="x",
    )
    yield client
    client.close()


@pytest.fixture
async def queues(moto_url: str) -> AsyncIterator[SqsQueues]:
    outbound = HttpOutbound(SystemClock(), guard=None)
    yield SqsQueues(AwsCaller(outbound, SystemClock(), AwsEndpoints(everywhere=moto_url)))
    await outbound.close()


def queue_arn(name: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:sqs:{REGION}:{account}:{name}"


def drain(sqs: SQSClient, name: str) -> list:
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    answer = sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"], AttributeNames=["All"]
    )
    return answer.get("Messages", [])


async def test_the_input_is_the_body(sqs: SQSClient, queues: SqsQueues):
    sqs.create_queue(QueueName="plain")
    invoker = SqsInvoker(queues)
    for body in ('{"n":1.0,"é":"☃"}', '"two\nlines"'):
        reply = await invoker.invoke(an_invocation(a_target(queue_arn("plain")), body.encode()))
        assert reply.accepted, reply
    found = drain(sqs, "plain")
    assert sorted(message["Body"] for message in found) == ['"two\nlines"', '{"n":1.0,"é":"☃"}']


async def test_a_fifo_queue_gets_its_group_from_the_event(sqs: SQSClient, queues: SqsQueues):
    sqs.create_queue(
        QueueName="orders.fifo", Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    )
    target = a_target(queue_arn("orders.fifo"), group="$.detail.customer")
    reply = await SqsInvoker(queues).invoke(an_invocation(target, detail={"customer": "c-7"}))
    assert reply.accepted, reply
    [message] = drain(sqs, "orders.fifo")
    assert message["Attributes"]["MessageGroupId"] == "c-7"


async def test_a_group_that_is_not_in_the_event(queues: SqsQueues):
    target = a_target(queue_arn("orders.fifo"), group="$.detail.customer")
    reply = await SqsInvoker(queues).invoke(an_invocation(target))
    assert (reply.error, reply.retryable) == (ErrorCode.INVALID_PARAMETER, False)


def test_a_fifo_queue_needs_a_group(queues: SqsQueues):
    invoker = SqsInvoker(queues)
    assert (
        invoker.refusal(a_target(queue_arn("a.fifo")), a_rule()) == "A FIFO queue needs a message group id."
    )
    assert invoker.refusal(a_target(queue_arn("a.fifo"), group="g"), a_rule()) is None
    assert invoker.refusal(a_target(queue_arn("a")), a_rule()) is None


async def test_a_queue_that_does_not_exist(sqs: SQSClient, queues: SqsQueues):
    invocation = an_invocation(a_target(queue_arn("nowhere")))
    reply = await SqsInvoker(queues).invoke(invocation)
    assert (reply.error, reply.retryable) == (ErrorCode.NO_RESOURCE, False)


async def test_a_queue_that_was_deleted_and_made_anew(sqs: SQSClient, queues: SqsQueues):
    invoker, invocation = SqsInvoker(queues), an_invocation(a_target(queue_arn("again")))
    url = sqs.create_queue(QueueName="again")["QueueUrl"]
    assert (await invoker.invoke(invocation)).accepted
    sqs.delete_queue(QueueUrl=url)
    assert (await invoker.invoke(invocation)).error is ErrorCode.NO_RESOURCE
    sqs.create_queue(QueueName="again")
    assert (await invoker.invoke(invocation)).accepted


async def test_a_dead_letter(sqs: SQSClient, queues: SqsQueues):
    sqs.create_queue(QueueName="dead")
    note = DeadLetterNote(
        event=an_event(b'{"n":1.0}'),
        account=ACCOUNT,
        rule_arn="arn:rule",
        target_arn="arn:target",
        error=ErrorCode.ERROR_FROM_TARGET,
        message="answered 500\x00\x1f " + "x" * 5_000,
        exhausted="MaximumRetryAttempts",
        retry_attempts=185,
    )
    assert (await DeadLetterQueue(queues).send(queue_arn("dead"), note)).accepted
    [letter] = drain(sqs, "dead")
    assert letter["Body"] == note.event.encode().decode()
    attributes = letter["MessageAttributes"]
    assert {attribute["DataType"] for attribute in attributes.values()} == {"String"}
    values = {name: attribute["StringValue"] for name, attribute in attributes.items()}
    assert values.pop("ERROR_MESSAGE").startswith("answered 500   x")
    assert values == {
        "RULE_ARN": "arn:rule",
        "TARGET_ARN": "arn:target",
        "ERROR_CODE": "ERROR_FROM_TARGET",
        "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
        "RETRY_ATTEMPTS": "185",
    }


def test_a_dead_letter_that_was_not_retried():
    note = DeadLetterNote(
        event=an_event(),
        account=ACCOUNT,
        rule_arn="r",
        target_arn="t",
        error=ErrorCode.NO_RESOURCE,
        exhausted="MaximumRetryAttempts",
    )
    attributes = note.attributes()
    assert "EXHAUSTED_RETRY_CONDITION" not in attributes
    assert (attributes["ERROR_MESSAGE"], attributes["RETRY_ATTEMPTS"]) == ("NO_RESOURCE", "0")


@pytest.mark.parametrize(
    ("arn", "refused"),
    [
        (queue_arn("q"), False),
        (queue_arn("q.fifo"), True),
        (queue_arn("q").replace("arn:aws:", "arn:aws-cn:"), False),
        (queue_arn("q").replace("arn:aws:", "arn:awss:"), True),
        ("arn:aws:sns:us-east-1:1:t", True),
        ("x", True),
    ],
)
def test_which_queues_may_hold_dead_letters(arn: str, refused: bool):
    assert (dead_letter_refusal(arn) is not None) is refused


# -- answers of the service that moto does not give -------------------------------------------------------

SEND = AwsCall(
    service="sqs",
    operation="SendMessage",
    region=REGION,
    account=ACCOUNT,
    parameters={"QueueUrl": "http://q", "MessageBody": "{}"},
    expects="MessageId",
    names_account=True,
)


async def failure(caller: AwsCaller, call: AwsCall = SEND) -> Reply:
    answer = await caller.call(call)
    assert isinstance(answer, Reply), answer
    return answer


@pytest.fixture
async def caller(receiver: Receiver) -> AsyncIterator[AwsCaller]:
    outbound = HttpOutbound(SystemClock(), guard=None)
    yield AwsCaller(outbound, SystemClock(), AwsEndpoints(everywhere=receiver.url))
    await outbound.close()


@pytest.mark.parametrize(
    ("status", "kind", "error", "retryable"),
    [
        (400, "com.amazonaws.sqs#RequestThrottled", ErrorCode.THROTTLING, True),
        (400, "com.amazon.coral.availability#ThrottlingException", ErrorCode.THROTTLING, True),
        (429, "Unheard", ErrorCode.THROTTLING, True),
        (400, "com.amazonaws.sqs#QueueDoesNotExist", ErrorCode.NO_RESOURCE, False),
        (403, "AccessDeniedException", ErrorCode.NO_PERMISSIONS, False),
        (403, "InvalidClientTokenId", ErrorCode.NO_PERMISSIONS, False),
        (403, "ExpiredToken", ErrorCode.NO_PERMISSIONS, True),
        (400, "com.amazonaws.sqs#InvalidMessageContents", ErrorCode.SDK_CLIENT_ERROR, False),
        (500, "InternalFailure", ErrorCode.ERROR_FROM_TARGET, True),
        (503, "ServiceUnavailable", ErrorCode.ERROR_FROM_TARGET, True),
    ],
)
async def test_errors_of_the_service(receiver: Receiver, caller: AwsCaller, status, kind, error, retryable):
    body = f'{{"__type":"{kind}","message":"the reason"}}'.encode()
    receiver.script("/", Respond(status=status, body=body))
    reply = await failure(caller)
    assert (reply.error, reply.retryable, reply.status) == (error, retryable, status)
    assert "the reason" in reply.message


@pytest.mark.parametrize("status", [200, 500, 502])
async def test_an_answer_that_is_not_the_service_s(receiver: Receiver, caller: AwsCaller, status: int):
    receiver.script("/", Respond(status=status, body=b"<html>gateway</html>"))
    reply = await failure(caller)
    assert (reply.error, reply.retryable) == (ErrorCode.ERROR_FROM_TARGET, True)


async def test_an_emulator_s_url_is_asked_for_once_until_the_queue_is_gone(
    receiver: Receiver, caller: AwsCaller
):
    receiver.script(
        "/",
        Respond(body=b'{"QueueUrl":"http://one"}'),
        Respond(body=b'{"MessageId":"1"}'),
        Respond(status=400, body=b'{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"gone"}'),
        Respond(body=b'{"QueueUrl":"http://two"}'),
        Respond(body=b'{"MessageId":"2"}'),
    )
    queues = SqsQueues(caller)
    replies = [await queues.send(queue_arn("q"), "{}") for _ in range(3)]
    assert [reply.accepted for reply in replies] == [True, False, True]
    sent = [msgspec.json.decode(request.body).get("QueueUrl") for request in receiver.requests]
    assert sent == [None, "http://one", "http://one", None, "http://two"]


async def test_an_emulator_is_signed_to_as_the_account(receiver: Receiver, caller: AwsCaller):
    receiver.script("/", Respond(body=b'{"MessageId":"m"}'))
    await caller.call(SEND)
    [request] = receiver.requests
    assert request.headers["x-amz-target"] == "AmazonSQS.SendMessage"
    assert f"Credential={ACCOUNT}/" in request.headers["authorization"]
    assert f"/{REGION}/sqs/aws4_request" in request.headers["authorization"]


async def test_credentials_of_the_chain_come_first(receiver: Receiver, caller: AwsCaller, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret of the operator")
    receiver.script("/", Respond(status=403, body=b'{"__type":"SignatureDoesNotMatch","message":"m"}'))
    reply = await failure(caller)
    [request] = receiver.requests
    assert "Credential=AKIAEXAMPLE/" in request.headers["authorization"]
    assert "a secret of the operator" not in repr(reply) + repr(request)


async def test_without_credentials_aws_itself_is_not_called():
    outbound = HttpOutbound(SystemClock(), guard=None)
    reply = await failure(AwsCaller(outbound, SystemClock(), AwsEndpoints()))
    await outbound.close()
    assert (reply.error, reply.retryable) == (ErrorCode.NO_PERMISSIONS, True)


async def test_a_region_that_aws_does_not_have():
    outbound = HttpOutbound(SystemClock(), guard=None)
    caller = AwsCaller(outbound, SystemClock(), AwsEndpoints())
    for region in ("nowhere-1", "evil.example/", "us-east-1.evil.example#"):
        reply = await failure(caller, msgspec.structs.replace(SEND, region=region))
        assert (reply.error, reply.retryable) == (ErrorCode.INVALID_PARAMETER, False)
    await outbound.close()


async def test_an_emulator_that_is_down_is_tried_again(receiver: Receiver):
    outbound = HttpOutbound(SystemClock(), guard=None)
    caller = AwsCaller(outbound, SystemClock(), AwsEndpoints(everywhere="http://no-such-host.invalid:4566"))
    reply = await failure(caller)
    await outbound.close()
    assert (reply.error, reply.retryable) == (ErrorCode.CONNECTION_FAILURE, True)


async def test_the_event_loop_is_not_blocked_while_an_emulator_hangs(receiver: Receiver, caller: AwsCaller):
    receiver.script("/", Hang())
    hanging = asyncio.create_task(caller.call(SEND))
    await receiver.received(1)
    assert not hanging.done()
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging


class Calls:
    """What would have been sent."""

    def __init__(self) -> None:
        self.requests: list[OutboundRequest] = []

    async def send(self, request: OutboundRequest) -> OutboundResponse:
        self.requests.append(request)
        return OutboundResponse(status=200, headers={}, body=b'{"MessageId":"m"}')

    async def close(self) -> None:
        pass


async def test_at_aws_the_url_is_made_of_the_arn(monkeypatch: pytest.MonkeyPatch):
    """No GetQueueUrl, which the policy of many queues does not allow."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    calls = Calls()
    queues = SqsQueues(AwsCaller(calls, SystemClock(), AwsEndpoints()))
    assert (await queues.send(queue_arn("q"), "{}")).accepted
    [request] = calls.requests
    assert request.url == f"https://sqs.{REGION}.amazonaws.com/"
    url = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/q"
    assert msgspec.json.decode(request.body) == {"QueueUrl": url, "MessageBody": "{}"}
