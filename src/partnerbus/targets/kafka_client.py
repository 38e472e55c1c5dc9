"""Publishing to Kafka until the brokers acknowledge. Imported only if confluent-kafka is installed.

The library (librdkafka) connects, batches, repeats and gives up in threads of its own; each record ends
with a report, in time, that a thread of ours fetches. A record that it gave up is not sent later, but may
have arrived: as with every target, a repeat has the same delivery id.

All in-sync replicas acknowledge, and what the library repeats within an attempt is stored once
(idempotence). After an error that ends this promise the client is thrown away and another one made.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from partnerbus.kernel.clock import Clock
from partnerbus.kernel.errors import ConfigurationError
from partnerbus.model.reply import ACCEPTED, ErrorCode, Reply
from partnerbus.targets.kafka_errors import TOO_LATE, reply_to
from partnerbus.targets.kafka_properties import without_values
from partnerbus.targets.outbound import CALL_TIMEOUT

REPORT_TIMEOUT = 3 * CALL_TIMEOUT
"""When a report is no longer waited for. The library's own limit is CALL_TIMEOUT; it looks now and then."""

WAITING_BYTES = 128 * 1_024 * 1_024
"""How much may wait in the library: two full windows of the largest events."""

BATCH_BYTES = 16_384
"""Small, as Kafka's own client has it: a broker refuses a batch that is larger than its topic's limit as a
whole, although each record of it were welcome. A record that is larger than this travels alone."""

LARGEST_RECORD = 64 * 1_024 * 1_024
"""What is larger than its topic allows is the broker's to refuse, not the library's."""

POLL_SECONDS = 0.5
CLOSE_SECONDS = 1.0

_MILLISECONDS = int(CALL_TIMEOUT / timedelta(milliseconds=1))
_PROMISES: dict[str, str | int | bool] = {
    "client.id": "partnerbus",
    "acks": "all",
    "enable.idempotence": True,
    "delivery.timeout.ms": _MILLISECONDS,
    "request.timeout.ms": _MILLISECONDS,
    "socket.timeout.ms": _MILLISECONDS,
    "topic.metadata.propagation.max.ms": _MILLISECONDS // 2,
    "allow.auto.create.topics": False,
    "reconnect.backoff.max.ms": 1_000,
    "partitioner": "murmur2_random",  # as Kafka's own client, so that keys meet those of others
    "batch.size": BATCH_BYTES,
    "message.max.bytes": LARGEST_RECORD,
    "queue.buffering.max.kbytes": WAITING_BYTES // 1_024,
}

_SILENT = logging.Logger("partnerbus.kafka", logging.CRITICAL + 1)
"""The library would write to standard error; what matters of that is in the replies."""


class KafkaPublisher:
    """One client for all topics, made at the first publish.

    Raises `ConfigurationError` at once if the library does not take `properties`.
    """

    def __init__(self, servers: Sequence[str], properties: Mapping[str, str], clock: Clock) -> None:
        self._configuration = {"bootstrap.servers": ",".join(servers), **properties, **_PROMISES}
        self._clock = clock
        self._client: _Client | None = None
        self._ending: set[asyncio.Task[None]] = set()
        _check(self._configuration, properties)

    async def publish(
        self, topic: str, payload: bytes, key: bytes | None, headers: Mapping[str, str]
    ) -> Reply:
        """Publish, and say whether it was acknowledged."""
        client = self._usable()
        try:
            async with self._clock.timeout(REPORT_TIMEOUT):
                error = await client.publish(topic, payload, key, headers)
        except TimeoutError:
            return Reply(error=ErrorCode.TIMEOUT, message=TOO_LATE, retryable=True)
        return ACCEPTED if error is None else reply_to(error, topic, client.trouble)

    async def close(self) -> None:
        """Give up what is under way, and end the client."""
        if self._client is not None:
            self._throw_away(self._client)
        await asyncio.gather(*self._ending)

    def _usable(self) -> "_Client":
        if self._client is not None and self._client.is_spent:
            self._throw_away(self._client)
        if self._client is None:
            self._client = _Client(self._configuration)
        return self._client

    def _throw_away(self, client: "_Client") -> None:
        self._client = None
        ending = asyncio.create_task(client.close())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)


class _Client:
    """The library's client, and the thread that fetches its reports."""

    def __init__(self, configuration: Mapping[str, str | int | bool]) -> None:
        self._loop = asyncio.get_running_loop()
        self._producer = Producer({**configuration, "error_cb": self._note}, logger=_SILENT)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="partnerbus-kafka")
        self._is_open = True
        self._polling = asyncio.create_task(self._poll())
        self.trouble: KafkaError | None = None
        self.is_spent = False

    async def publish(
        self, topic: str, payload: bytes, key: bytes | None, headers: Mapping[str, str]
    ) -> KafkaError | None:
        """What went wrong, if anything."""
        ended: asyncio.Future[KafkaError | None] = self._loop.create_future()
        try:
            self._producer.produce(
                topic, payload, key, on_delivery=self._reporting(ended), headers=[*headers.items()]
            )
        except BufferError:
            return KafkaError(KafkaError._QUEUE_FULL)
        except KafkaException as exception:
            error: KafkaError = exception.args[0]
            self.is_spent = self.is_spent or error.fatal() or error.code() == KafkaError._FATAL
            return error
        return await ended

    async def close(self) -> None:
        """Give up what is under way, and end the library's threads."""
        self._is_open = False
        await self._polling
        await self._loop.run_in_executor(self._thread, self._end)
        self._thread.shutdown(wait=False)

    def _end(self) -> None:
        self._producer.purge()
        self._producer.flush(CLOSE_SECONDS)
        self._producer.close()

    async def _poll(self) -> None:
        """Fetch reports and notes as they come, in a thread: the library offers no other way."""
        while self._is_open:
            await self._loop.run_in_executor(self._thread, self._producer.poll, POLL_SECONDS)

    def _reporting(self, ended: "asyncio.Future[KafkaError | None]") -> Callable[..., None]:
        def report(error: KafkaError | None, _: Message) -> None:
            self._loop.call_soon_threadsafe(self._settle, ended, error)

        return report

    def _settle(self, ended: "asyncio.Future[KafkaError | None]", error: KafkaError | None) -> None:
        if error is None:
            self.trouble = None
        elif error.fatal():
            self.is_spent = True
        if not ended.done():
            ended.set_result(error)

    def _note(self, error: KafkaError) -> None:
        """What the library says of its connections, in the thread of `_poll`."""
        self._loop.call_soon_threadsafe(self._remember, error)

    def _remember(self, error: KafkaError) -> None:
        if error.fatal() or error.code() == KafkaError._FATAL:
            self.is_spent = True
        elif self.trouble is None or error.code() != KafkaError._ALL_BROKERS_DOWN:
            self.trouble = error  # that all are down only says again what was said of each


def _check(configuration: Mapping[str, str | int | bool], properties: Mapping[str, str]) -> None:
    """Have the library read the properties and the files that they name, without connecting."""
    try:
        client = Producer({**configuration, "enable.idempotence": False}, logger=_SILENT)
    except KafkaException as exception:
        reason = without_values(exception.args[0].str(), properties)
        raise ConfigurationError(f"kafka-properties: {reason}") from None
    client.close()
