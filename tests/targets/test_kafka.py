"""Kafka topics without a broker: with the cluster that the library simulates on a socket, and with nobody.

What a real broker says is in test_kafka_broker.py.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import KafkaError, Producer

from partnerbus.kernel.clock import SystemClock
from partnerbus.kernel.errors import ConfigurationError
from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.targets import kafka_client, kafka_topic
from partnerbus.targets.kafka_errors import reply_to
from partnerbus.targets.kafka_topic import NO_SERVERS, NOT_INSTALLED, KafkaInvoker, KafkaSettings
from partnerbus.targets.kafka_topics import FORM
from partnerbus.targets.own_arns import FOREIGN
from tests.targets.kafka_broker import read_topic
from tests.targets.things import ACCOUNT, REGION, a_rule, a_target, an_invocation

TOPIC = f"partnerbus.{ACCOUNT}.orders"
NOWHERE = ["127.0.0.1:1"]


def arn(topic: str = TOPIC, account: str = ACCOUNT) -> str:
    return f"arn:partnerbus:kafka:{REGION}:{account}:{topic}"


@pytest.fixture
def servers() -> Iterator[str]:
    """The simulated cluster's, which has `TOPIC`."""
    cluster = Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1, "log_level": 0})
    yield ",".join(
        str(broker).split("/")[0] for broker in cluster.list_topics(TOPIC, timeout=60).brokers.values()
    )
    cluster.close()


@asynccontextmanager
async def invoking(*servers: str) -> AsyncIterator[KafkaInvoker]:
    invoker = KafkaInvoker(KafkaSettings(servers=servers), SystemClock())
    try:
        yield invoker
    finally:
        await invoker.close()


async def send(
    invoker: KafkaInvoker, payload: bytes = b"1", ordered_by: str | None = None, detail: object = None
) -> Reply:
    target = msgspec.structs.replace(a_target(arn()), ordered_by=ordered_by)
    return await invoker.invoke(an_invocation(target, payload, detail))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ordered_by", "customer", "key"),
    [
        (None, "c", None),
        ("$.detail.customer", "c", b"c"),
        ("$.detail.customer", 'é"', 'é"'.encode()),
        ("$.detail.customer", "", b""),
        ("$.detail.customer", 1.5, b"1.5"),
        ("$.detail.customer", {"id": 1}, b'{"id":1}'),
        ("$.detail.missing", "c", None),
    ],
)
async def test_the_key_is_the_value_that_the_target_is_ordered_by(
    servers: str, ordered_by: str | None, customer: object, key: bytes | None
):
    async with invoking(servers) as invoker:
        assert (await send(invoker, b"[1]", ordered_by, {"customer": customer})).accepted
    (found,) = await asyncio.to_thread(read_topic, servers, TOPIC, 1)
    assert (found.key(), found.value()) == (key, b"[1]")


@pytest.mark.slow
async def test_many_at_once(servers: str):
    async with invoking(servers) as invoker:
        replies = await asyncio.gather(*(send(invoker, b"%d" % number) for number in range(200)))
        assert {reply.accepted for reply in replies} == {True}
    found = await asyncio.to_thread(read_topic, servers, TOPIC, 200)
    assert {each.value() for each in found} == {b"%d" % number for number in range(200)}


@pytest.mark.slow
async def test_nobody_there():
    with socket.socket() as taken:  # bound, and listening to nobody
        taken.bind(("127.0.0.1", 0))
        async with invoking(f"127.0.0.1:{taken.getsockname()[1]}") as invoker:
            reply = await send(invoker)
    assert (reply.error, reply.retryable) == (ErrorCode.CONNECTION_FAILURE, True)
    assert reply.message == "No Kafka broker of this node could be connected to."


@pytest.mark.slow
async def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(kafka_client._PROMISES, "queue.buffering.max.kbytes", 1)
    async with invoking(*NOWHERE) as invoker:
        replies = await asyncio.gather(*(send(invoker, b"x" * 1_000) for _ in range(5)))
    assert [reply.retryable for reply in replies] == [True] * 5
    assert {reply.error for reply in replies} == {
        ErrorCode.CONNECTION_FAILURE,
        ErrorCode.RESOURCE_LIMIT_EXCEEDED,
    }


async def test_what_is_under_way_at_the_end_does_not_hold_it_up():
    invoker = KafkaInvoker(KafkaSettings(servers=NOWHERE), SystemClock())
    sending = asyncio.create_task(send(invoker))
    await asyncio.sleep(0)
    await invoker.close()
    reply = await sending
    assert (reply.error, reply.retryable) == (ErrorCode.ERROR_FROM_TARGET, True)


async def test_a_client_that_is_past_help_is_replaced(servers: str):
    async with invoking(servers) as invoker:
        assert (await send(invoker)).accepted
        publisher = invoker._publisher
        assert isinstance(publisher, kafka_client.KafkaPublisher)
        spent = publisher._client
        assert spent is not None
        spent._remember(KafkaError(KafkaError._FATAL, "the promise is broken", True))
        assert (await send(invoker)).accepted
        assert publisher._client is not spent


@pytest.mark.parametrize(
    ("code", "error", "retryable"),
    [
        (KafkaError.MSG_SIZE_TOO_LARGE, ErrorCode.INVALID_PARAMETER, False),
        (KafkaError.INVALID_RECORD, ErrorCode.INVALID_PARAMETER, False),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, ErrorCode.NO_PERMISSIONS, True),
        (KafkaError._AUTHENTICATION, ErrorCode.NO_PERMISSIONS, True),
        (KafkaError._UNKNOWN_TOPIC, ErrorCode.NO_RESOURCE, True),
        (KafkaError.NOT_ENOUGH_REPLICAS, ErrorCode.ERROR_FROM_TARGET, True),
        (KafkaError.THROTTLING_QUOTA_EXCEEDED, ErrorCode.THROTTLING, True),
        (KafkaError._MSG_TIMED_OUT, ErrorCode.TIMEOUT, True),
        (KafkaError._FATAL, ErrorCode.ERROR_FROM_TARGET, True),
    ],
)
def test_what_an_error_means(code: int, error: ErrorCode, retryable: bool):
    reply = reply_to(KafkaError(code, "10.0.0.7:9092 said no"), TOPIC, None)
    assert (reply.error, reply.retryable) == (error, retryable)
    assert "10.0.0.7" not in reply.message
    assert "{" not in reply.message


def test_being_late_has_the_reason_that_the_connections_had():
    late, trouble = KafkaError(KafkaError._MSG_TIMED_OUT), KafkaError(KafkaError._AUTHENTICATION)
    assert reply_to(late, TOPIC, trouble).error is ErrorCode.NO_PERMISSIONS
    assert reply_to(KafkaError(KafkaError.INVALID_RECORD), TOPIC, trouble).retryable is False


@pytest.mark.parametrize(
    "topic", ["", ".", "..", "a b", "a/b", "__consumer_offsets", "_schemas", "a\r\n", "x" * 250]
)
def test_what_is_no_topic(topic: str):
    invoker = KafkaInvoker(KafkaSettings(servers=NOWHERE, topics="*"), SystemClock())
    assert invoker.refusal(a_target(arn(topic)), a_rule()) == FORM


@pytest.mark.parametrize(
    ("pattern", "topic", "allowed"),
    [
        ("partnerbus.{account}.*", TOPIC, True),
        ("partnerbus.{account}.*", TOPIC + ".eu", True),
        ("partnerbus.{account}.*", "partnerbus.999988887777.orders", False),
        ("partnerbus.{account}.*", f"partnerbus.{ACCOUNT}", False),
        ("*", "other", True),
        ("orders", "orders", True),
        ("orders", "orders2", False),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("a*b*c", "a-c-b-c", True),
        ("a*b*c", "a-c", False),
        ("*.b.*.b", "a.b.b", False),
        ("a.c", "abc", False),
    ],
)
def test_an_account_publishes_where_the_operator_lets_it(pattern: str, topic: str, allowed: bool):
    invoker = KafkaInvoker(KafkaSettings(servers=NOWHERE, topics=pattern), SystemClock())
    assert (invoker.refusal(a_target(arn(topic)), a_rule()) is None) is allowed


async def test_another_account_s_rule_publishes_nothing():
    invoker = KafkaInvoker(KafkaSettings(servers=NOWHERE, topics="*"), SystemClock())
    theirs = a_target(arn("x", "999988887777"))
    assert invoker.refusal(theirs, a_rule()) == FOREIGN
    reply = await invoker.invoke(an_invocation(theirs))
    assert (reply.error, reply.retryable) == (ErrorCode.NO_PERMISSIONS, False)


def test_it_is_off_without_servers_and_without_a_client(monkeypatch: pytest.MonkeyPatch):
    assert KafkaInvoker(KafkaSettings(), SystemClock()).refusal(a_target(arn()), a_rule()) == NO_SERVERS
    monkeypatch.setattr(kafka_topic, "find_spec", lambda _: None)
    invoker = KafkaInvoker(KafkaSettings(servers=NOWHERE), SystemClock())
    assert invoker.refusal(a_target(arn()), a_rule()) == NOT_INSTALLED


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sasl.username", "line 1 of .* is not name=value"),
        ("\nacks=0", "the name in line 2 of .* is none that may be set there"),
        ("bootstrap.servers=10.0.0.1:1", "the name in line 1"),
        ("s3cretpassword=x", "the name in line 1"),
        ("sasl.no.such=s3cretpassword", 'No such configuration property: "sasl.no.such"'),
        ("security.protocol=s3cretpassword", "Invalid value"),
        ("security.protocol=ssl\nssl.ca.location=/s3cretpassword/ca", "ssl.ca.location"),
        (
            "security.protocol=ssl\nssl.key.pem=s3cretpassword\nssl.certificate.pem=x",
            "ssl.certificate.pem|ssl.key.pem",
        ),
        ("security.protocol=sasl_ssl\nsasl.mechanism=NONE4", "kafka-properties"),
    ],
)
def test_properties_that_cannot_be_end_the_start(tmp_path: Path, text: str, said: str):
    file = tmp_path / "kafka.properties"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=said) as refused:
        KafkaInvoker(KafkaSettings(servers=NOWHERE, properties=file), SystemClock())
    assert "kafka-properties" in str(refused.value)
    assert "s3cretpassword" not in str(refused.value)


def test_properties_that_cannot_be_read_end_the_start(tmp_path: Path):
    settings = KafkaSettings(servers=NOWHERE, properties=tmp_path / "missing")
    with pytest.raises(ConfigurationError, match=r"kafka-properties: .*missing cannot be read"):
        KafkaInvoker(settings, SystemClock())
