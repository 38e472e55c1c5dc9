"""The calls that deliveries share at each service, and what each delivery is told."""

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest

from partnerbus.kernel.clock import SystemClock
from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.model.resources import InputTransformer, Target
from partnerbus.targets.registry import Targets, TargetSettings, make_targets
from partnerbus.testing.receiver import Receiver, Respond
from tests.targets.things import ACCOUNT, REGION, SECRETS, Resources, a_target, an_invocation

pytestmark = pytest.mark.slow

SNS_BATCH = """<PublishBatchResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishBatchResult>
<Successful><member><Id>0</Id><MessageId>m</MessageId></member></Successful>
<Failed><member><Id>1</Id><Code>OutOfOrder</Code><Message>m</Message><SenderFault>false</SenderFault></member>
<member><Id>2</Id><Code>InvalidParameter</Code><Message>m</Message><SenderFault>true</SenderFault></member></Failed>
</PublishBatchResult></PublishBatchResponse>"""

TOOK, AGAIN, NEVER = (None, False), (ErrorCode.ERROR_FROM_TARGET, True), (ErrorCode.SDK_CLIENT_ERROR, False)


async def _forward(invocation, bus) -> None:
    raise AssertionError


@pytest.fixture
async def targets(receiver: Receiver, no_aws_credentials: None) -> AsyncIterator[Targets]:
    settings = TargetSettings(aws_endpoint_url=receiver.url)
    targets = make_targets(settings, Resources(), SECRETS, SystemClock(), _forward)
    yield targets
    await targets.close()


def arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


async def send(targets: Targets, target: Target, payloads: Sequence[bytes]) -> list[Reply]:
    """Deliver all of them at the same moment."""
    invoker = targets.invoker(target.arn)
    assert invoker is not None
    return await asyncio.gather(*(invoker.invoke(an_invocation(target, each)) for each in payloads))


def told(replies: Sequence[Reply]) -> list[tuple[ErrorCode | None, bool]]:
    return [(reply.error, reply.retryable) for reply in replies]


def as_json(output: object) -> Respond:
    return Respond(body=msgspec.json.encode(output))


def last_body(receiver: Receiver) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(receiver.requests[-1].body)
    return found


PAYLOADS = (b'"a"', b'"b"', b'"c"')


async def test_sqs(receiver: Receiver, targets: Targets):
    receiver.script(
        "/",
        as_json({"QueueUrl": "http://q"}),
        as_json(
            {
                "Failed": [
                    {"Id": "2", "SenderFault": True, "Code": "InvalidMessageContents", "Message": "m"},
                    {"Id": "1", "SenderFault": False, "Code": "OutOfOrder", "Message": "m"},
                ],
                "Successful": [{"Id": "0", "MessageId": "m", "MD5OfMessageBody": "x"}],
            }
        ),
    )
    replies = await send(targets, a_target(arn("sqs", "q.fifo"), group="g"), PAYLOADS)
    assert told(replies) == [TOOK, AGAIN, NEVER]
    assert receiver.requests[-1].headers["x-amz-target"] == "AmazonSQS.SendMessageBatch"
    assert last_body(receiver) == {
        "QueueUrl": "http://q",
        "Entries": [
            {"Id": str(at), "MessageBody": payload.decode(), "MessageGroupId": "g"}
            for at, payload in enumerate(PAYLOADS)
        ],
    }


async def test_an_entry_of_which_the_service_says_nothing_is_sent_again(receiver: Receiver, targets: Targets):
    receiver.script(
        "/",
        as_json({"QueueUrl": "http://q"}),
        as_json({"Successful": [{"Id": "1", "MessageId": "m"}, {"Id": "0", "MessageId": "m"}]}),
    )
    assert told(await send(targets, a_target(arn("sqs", "q")), PAYLOADS)) == [TOOK, TOOK, AGAIN]


@pytest.mark.parametrize(
    "output",
    [
        {"Successful": [], "Failed": []},
        {"Successful": [{"Id": "9"}, {"Id": "x"}, {}]},
        {"Failed": None, "Successful": []},
    ],
)
async def test_an_answer_about_other_entries(receiver: Receiver, targets: Targets, output: object):
    receiver.script("/", as_json({"QueueUrl": "http://q"}), as_json(output))
    assert told(await send(targets, a_target(arn("sqs", "q")), PAYLOADS)) == [AGAIN] * 3


@pytest.mark.parametrize("records", [[], [{}], [{}] * 4])
async def test_an_answer_about_another_number_of_entries(
    receiver: Receiver, targets: Targets, records: object
):
    receiver.script("/", as_json({"Records": records, "FailedRecordCount": 0}))
    replies = await send(targets, a_target(arn("kinesis", "stream/s")), PAYLOADS)
    assert told(replies) == [AGAIN] * 3


async def test_sns(receiver: Receiver, targets: Targets):
    receiver.script("/", Respond(body=SNS_BATCH.encode()))
    replies = await send(targets, a_target(arn("sns", "t")), PAYLOADS)
    assert told(replies) == [TOOK, AGAIN, NEVER]
    [request] = receiver.requests
    assert b"Action=PublishBatch&" in request.body
    assert b"PublishBatchRequestEntries.member.3.Message=%22c%22" in request.body


async def test_kinesis(receiver: Receiver, targets: Targets):
    records = [
        {"SequenceNumber": "1", "ShardId": "s"},
        {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "m"},
        {"ErrorCode": "InternalFailure", "ErrorMessage": "m"},
    ]
    receiver.script("/", as_json({"FailedRecordCount": 2, "Records": records}))
    replies = await send(targets, a_target(arn("kinesis", "stream/s")), PAYLOADS)
    assert told(replies) == [TOOK, (ErrorCode.THROTTLING, True), AGAIN]
    assert last_body(receiver) == {
        "StreamARN": arn("kinesis", "stream/s"),
        "Records": [
            {"Data": base64.b64encode(payload).decode(), "PartitionKey": "e-1"} for payload in PAYLOADS
        ],
    }


async def test_firehose(receiver: Receiver, targets: Targets):
    answers = [
        {"RecordId": "1"},
        {"ErrorCode": "ServiceUnavailableException", "ErrorMessage": "m"},
        {"RecordId": "3"},
    ]
    receiver.script("/", as_json({"FailedPutCount": 1, "RequestResponses": answers}))
    replies = await send(targets, a_target(arn("firehose", "deliverystream/d")), PAYLOADS)
    assert told(replies) == [TOOK, AGAIN, TOOK]
    assert last_body(receiver) == {
        "DeliveryStreamName": "d",
        "Records": [{"Data": base64.b64encode(payload).decode()} for payload in PAYLOADS],
    }


LOG_TEMPLATE = InputTransformer(template='{"timestamp": <t>, "message": <m>}')


def log_event(instant: int) -> bytes:
    return msgspec.json.encode({"timestamp": instant, "message": str(instant)})


@pytest.mark.parametrize(
    ("rejected", "instants"),
    [
        ({}, []),
        ({"tooOldLogEventEndIndex": 1}, [10]),
        ({"expiredLogEventEndIndex": 2}, [10, 20]),
        ({"tooNewLogEventStartIndex": 2}, [30]),
        ({"tooOldLogEventEndIndex": 1, "tooNewLogEventStartIndex": 2}, [10, 30]),
    ],
)
async def test_logs_go_in_order_of_time(receiver: Receiver, targets: Targets, rejected, instants):
    receiver.script("/", as_json({"rejectedLogEventsInfo": rejected} if rejected else {}))
    target = msgspec.structs.replace(a_target(arn("logs", "log-group:g")), input_transformer=LOG_TEMPLATE)
    sent = (30, 10, 20)
    replies = await send(targets, target, [log_event(instant) for instant in sent])
    assert [event["timestamp"] for event in last_body(receiver)["logEvents"]] == [10, 20, 30]
    assert [instant for instant, reply in zip(sent, replies, strict=True) if not reply.accepted] == [
        instant for instant in sent if instant in instants
    ]


async def test_logs_of_different_days_or_targets_share_no_call(receiver: Receiver, targets: Targets):
    receiver.script("/", as_json({}))
    target = msgspec.structs.replace(a_target(arn("logs", "log-group:g")), input_transformer=LOG_TEMPLATE)
    day = 24 * 60 * 60 * 1_000
    await send(targets, target, [log_event(instant) for instant in (day - 1, day, day + 1)])
    calls = [msgspec.json.decode(request.body)["logEvents"] for request in receiver.requests]
    assert sorted([event["timestamp"] for event in events] for events in calls) == [[day - 1], [day, day + 1]]


async def test_a_batch_that_may_not_be_sent_is_sent_one_by_one(receiver: Receiver, targets: Targets):
    """A policy may allow PutRecord and not PutRecords."""

    def answer(request: Any) -> Respond:
        if request.headers["x-amz-target"].endswith(".PutRecords"):
            return Respond(status=400, body=b'{"__type":"AccessDeniedException","message":"m"}')
        return as_json({"SequenceNumber": "1", "ShardId": "s"})

    receiver.respond("/", answer)
    replies = await send(targets, a_target(arn("kinesis", "stream/s")), PAYLOADS)
    assert told(replies) == [TOOK, TOOK, TOOK]
    assert len(receiver.requests) == 4
