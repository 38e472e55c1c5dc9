"""Kafka topics against a real broker: what it takes, whom it lets in, that it hangs, dies, comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from partnerbus.kernel.clock import SystemClock
from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.targets.kafka_topic import KafkaInvoker, KafkaSettings
from tests.certificates import Authority
from tests.targets.kafka_broker import PASSWORD, USER, KafkaBroker, kafka_broker
from tests.targets.things import ACCOUNT, REGION, a_target, an_invocation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def broker(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> AsyncIterator[KafkaBroker]:
    async with kafka_broker(tmp_path_factory.mktemp("broker"), authority) as broker:
        yield broker


@asynccontextmanager
async def invoking(servers: str, properties: Path | None = None) -> AsyncIterator[KafkaInvoker]:
    settings = KafkaSettings(servers=[servers], topics="*", properties=properties)
    invoker = KafkaInvoker(settings, SystemClock())
    try:
        yield invoker
    finally:
        await invoker.close()


async def send(
    invoker: KafkaInvoker, topic: str, payload: bytes = b'{"n":1.0}', customer: str | None = None
) -> Reply:
    target = a_target(f"arn:partnerbus:kafka:{REGION}:{ACCOUNT}:{topic}")
    if customer is not None:
        target = msgspec.structs.replace(target, ordered_by="$.detail.customer")
    return await invoker.invoke(an_invocation(target, payload, detail={"customer": customer}))


def security(folder: Path, ca: Path, password: str = PASSWORD) -> Path:
    file = folder / "kafka.properties"
    file.write_text(
        "# how to be let in\n\n"
        "security.protocol=SASL_SSL\nsasl.mechanism = SCRAM-SHA-512\n"
        f"sasl.username={USER}\nsasl.password={password}\nssl.ca.location={ca}\n"
    )
    return file


async def allow(broker: KafkaBroker, topic: str) -> None:
    binding = AclBinding(
        ResourceType.TOPIC,
        topic,
        ResourcePatternType.LITERAL,
        f"User:{USER}",
        "*",
        AclOperation.WRITE,
        AclPermissionType.ALLOW,
    )
    await asyncio.to_thread(broker.admin.create_acls([binding])[binding].result, 60)


async def test_records_arrive_as_they_are(broker: KafkaBroker):
    await broker.make_topic("plain")
    async with invoking(broker.servers) as invoker:
        assert (await send(invoker, "plain")).accepted
        assert (await send(invoker, "plain", b"[2]", customer="é")).accepted
    first, second = await broker.read("plain", 2)
    assert (first.key(), first.value()) == (None, b'{"n":1.0}')
    assert first.headers() == [
        ("partnerbus-delivery-id", b"s-1"),
        ("partnerbus-event-id", b"e-1"),
        ("partnerbus-source", b"aws.partner/example.com/1"),
        ("partnerbus-detail-type", b"Order Placed"),
    ]
    assert (second.key(), second.value()) == ("é".encode(), b"[2]")


async def test_events_of_one_value_share_a_partition_in_their_order(broker: KafkaBroker):
    await broker.make_topic("ordered")
    async with invoking(broker.servers) as invoker:
        for number in range(20):
            customer = f"c{number % 4}"
            assert (await send(invoker, "ordered", b"%d" % number, customer=customer)).accepted
    found = await broker.read("ordered", 20)
    for at in range(4):
        of_one = [each for each in found if each.key() == b"c%d" % at]
        assert len({each.partition() for each in of_one}) == 1
        assert [each.value() for each in of_one] == [b"%d" % number for number in range(at, 20, 4)]
    assert len({each.partition() for each in found}) == 2


async def test_a_topic_that_does_not_exist(broker: KafkaBroker):
    async with invoking(broker.servers) as invoker:
        reply = await send(invoker, "missing")
        assert (reply.error, reply.retryable) == (ErrorCode.NO_RESOURCE, True)
        assert reply.message == "The Kafka brokers know no topic missing."
        await broker.make_topic("missing")
        while not (await send(invoker, "missing")).accepted:  # the library remembers for a moment
            continue


async def test_what_a_topic_does_not_take_is_not_tried_again(broker: KafkaBroker):
    await broker.make_topic("small", {"max.message.bytes": "60000"})
    await broker.make_topic("compacted", {"cleanup.policy": "compact"})
    async with invoking(broker.servers) as invoker:
        large = await send(invoker, "small", b"x" * 100_000)
        assert (large.error, large.retryable) == (ErrorCode.INVALID_PARAMETER, False)
        keyless = await send(invoker, "compacted")
        assert (keyless.error, keyless.retryable) == (ErrorCode.INVALID_PARAMETER, False)
        assert keyless.message == "The Kafka broker does not take this event: INVALID_RECORD."
        assert (await send(invoker, "compacted", customer="c")).accepted


async def test_many_that_are_large_are_not_refused_for_their_sum(broker: KafkaBroker):
    await broker.make_topic("nearly", {"max.message.bytes": "60000"})
    async with invoking(broker.servers) as invoker:
        replies = await asyncio.gather(*(send(invoker, "nearly", b"x" * 50_000) for _ in range(40)))
        assert {reply.accepted for reply in replies} == {True}


async def test_a_user_and_what_it_may_not_do(broker: KafkaBroker, tmp_path: Path, authority: Authority):
    await broker.make_topic("allowed")
    await broker.make_topic("forbidden")
    await allow(broker, "allowed")
    async with invoking(broker.guarded, security(tmp_path, authority.ca_file)) as invoker:
        assert (await send(invoker, "allowed")).accepted
        reply = await send(invoker, "forbidden")
        assert (reply.error, reply.retryable) == (ErrorCode.NO_PERMISSIONS, True)
        assert reply.message == "This node's Kafka user may not publish to forbidden."
        assert (await send(invoker, "allowed")).accepted


async def test_a_wrong_password(broker: KafkaBroker, tmp_path: Path, authority: Authority):
    wrong = security(tmp_path, authority.ca_file, "wrong-password")
    async with invoking(broker.guarded, wrong) as invoker:
        reply = await send(invoker, "plain")
        assert (reply.error, reply.retryable) == (ErrorCode.NO_PERMISSIONS, True)
        assert reply.message == "The Kafka brokers did not accept this node's credentials."


async def test_a_broker_that_nobody_vouches_for(broker: KafkaBroker, tmp_path: Path):
    other = tmp_path / "other"
    other.mkdir()
    async with invoking(broker.guarded, security(tmp_path, Authority(other).ca_file)) as invoker:
        reply = await send(invoker, "plain")
        assert (reply.error, reply.retryable) == (ErrorCode.CONNECTION_FAILURE, True)
        assert reply.message == "No Kafka broker of this node could be connected to securely: TLS failed."


async def test_a_broker_that_hangs_and_goes_on(broker: KafkaBroker):
    await broker.make_topic("hanging")
    async with invoking(broker.servers) as invoker:
        assert (await send(invoker, "hanging")).accepted
        await broker.stop_answering()
        try:
            replies = await asyncio.gather(*(send(invoker, "hanging") for _ in range(3)))
        finally:
            broker.go_on()
        assert {(each.error, each.retryable) for each in replies} <= {
            (ErrorCode.TIMEOUT, True),
            (ErrorCode.CONNECTION_FAILURE, True),
        }
        while not (await send(invoker, "hanging")).accepted:
            continue


async def test_a_broker_that_dies_and_comes_back(broker: KafkaBroker):
    await broker.make_topic("mortal")
    async with invoking(broker.servers) as invoker:
        assert (await send(invoker, "mortal", b"1")).accepted
        await broker.kill()
        reply = await send(invoker, "mortal", b"2")
        assert (reply.error, reply.retryable) == (ErrorCode.CONNECTION_FAILURE, True)
        assert reply.message == "No Kafka broker of this node could be connected to."
        await broker.start()
        while not (await send(invoker, "mortal", b"3")).accepted:
            continue
    assert b"1" in {each.value() for each in await broker.read("mortal", 2)}
