"""Kafka topics as targets: the input is published to a topic of the operator's brokers.

Brokers and credentials are the operator's, and it is the operator who says which topics an account may
publish to; an ARN names only the topic.
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import msgspec

from partnerbus.kernel.clock import Clock
from partnerbus.model.arns import Arn
from partnerbus.model.paths import EventDocument
from partnerbus.model.reply import ErrorCode, Reply
from partnerbus.model.resources import Rule, Target
from partnerbus.model.subscription import ordering_value
from partnerbus.targets.invoker import Invocation
from partnerbus.targets.kafka_properties import read_properties
from partnerbus.targets.kafka_topics import AllowedTopics

NO_SERVERS = "Kafka topics are no targets on this node, unless its operator names brokers: kafka-servers."
NOT_INSTALLED = "This node cannot speak Kafka: partnerbus[kafka] is not installed."


class KafkaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where to publish, and what. `properties` is a file that says how to be let in."""

    servers: Sequence[str] = ()
    topics: str = "partnerbus.{account}.*"
    properties: Path | None = None


class Publisher(Protocol):
    """Publishes, and says whether it was acknowledged."""

    async def publish(
        self, topic: str, payload: bytes, key: bytes | None, headers: Mapping[str, str]
    ) -> Reply: ...

    async def close(self) -> None: ...


class KafkaInvoker:
    """Publishes a target's input to its topic."""

    kind = "kafka"

    def __init__(self, settings: KafkaSettings, clock: Clock) -> None:
        self._allowed = AllowedTopics(settings.topics)
        self._missing = _missing(settings)
        self._publisher = None if self._missing else _make_publisher(settings, clock)

    def refusal(self, target: Target, rule: Rule) -> str | None:
        """The operator must have named brokers, and allowed the account the topic."""
        return self._missing or self._allowed.refusal(Arn.parse(target.arn), rule)

    async def invoke(self, invocation: Invocation) -> Reply:
        """Publish, and wait for the brokers' word."""
        target = invocation.target
        refusal, arn = self.refusal(target, invocation.rule), Arn.parse(target.arn)
        if refusal is not None or self._publisher is None or arn is None:
            return Reply(error=ErrorCode.NO_PERMISSIONS, message=refusal or NO_SERVERS)
        key = ordering_value(target, EventDocument(invocation.record.event))
        return await self._publisher.publish(arn.resource, invocation.payload, key, _headers(invocation))

    async def close(self) -> None:
        """Give up what is under way, and close the connections."""
        if self._publisher is not None:
            await self._publisher.close()


def _headers(invocation: Invocation) -> dict[str, str]:
    event = invocation.record.event
    return {
        "partnerbus-delivery-id": invocation.delivery_id,
        "partnerbus-event-id": event.id,
        "partnerbus-source": event.source,
        "partnerbus-detail-type": event.detail_type,
    }


def _missing(settings: KafkaSettings) -> str | None:
    if not settings.servers:
        return NO_SERVERS
    return None if find_spec("confluent_kafka") is not None else NOT_INSTALLED


def _make_publisher(settings: KafkaSettings, clock: Clock) -> Publisher:
    from partnerbus.targets.kafka_client import KafkaPublisher

    properties = {} if settings.properties is None else read_properties(settings.properties)
    return KafkaPublisher(settings.servers, properties, clock)
