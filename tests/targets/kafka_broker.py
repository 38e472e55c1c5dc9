"""A real Kafka broker in a process of its own, where there is a Java to run it.

Java 17 and Maven must be installed; Maven fetches the broker's jars into its own cache, once. Where they
are not, the tests that need the broker are skipped and say so. Where they are, CI does not skip.
"""

import asyncio
import fcntl
import os
import random
import shutil
import signal
import socket
import subprocess
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.certificates import Authority

POM = Path(__file__).parent / "kafka_jars" / "pom.xml"
CLASSPATH = Path(__file__).parents[2] / "build" / "kafka-broker.classpath"
JAVA = ("java", "-Xmx320m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
CLUSTER = "cGFydG5lcmJ1cy10ZXN0cw"
USER, PASSWORD = "bus", "pass=wörd-of-bus"
READY_SECONDS = 180
PORTS = range(15_000, 30_000)
"""Below those that the system gives to whoever asks for any."""

PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=OPEN://127.0.0.1:{open},GUARDED://127.0.0.1:{guarded},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=OPEN://127.0.0.1:{open},GUARDED://localhost:{guarded}
listener.security.protocol.map=OPEN:PLAINTEXT,GUARDED:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=OPEN
controller.listener.names=CONTROLLER
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.guarded.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.pem
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
log.dirs={folder}/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
"""


class KafkaBroker:
    """A broker: who comes to `servers` may do everything, who comes to `guarded` must be let in.

    `USER` has the password `PASSWORD`, and may do nothing until somebody allows it.
    """

    def __init__(self, folder: Path, authority: Authority, classpath: str) -> None:
        opened, guarded, controller = _free_ports(3)
        self.servers = f"127.0.0.1:{opened}"
        self.guarded = f"localhost:{guarded}"
        self.admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 0})
        self._java = (*JAVA, "-cp", classpath)
        self._properties = folder / "server.properties"
        ports = {"open": opened, "guarded": guarded, "controller": controller}
        self._properties.write_text(PROPERTIES.format(folder=folder, **ports))
        certificate, key = authority.issue("localhost")
        (folder / "broker.pem").write_text(key + certificate + authority.ca_file.read_text())
        self._process: Process | None = None
        self._log = folder / "broker.log"

    async def format(self) -> None:
        """Make the broker's folder, with its one user."""
        scram = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
        command = (*self._java, "kafka.tools.StorageTool", "format", "-t", CLUSTER, "-S", scram)
        process = await asyncio.create_subprocess_exec(
            *command, "-c", str(self._properties), stdin=DEVNULL, stdout=PIPE, stderr=STDOUT
        )
        said, _ = await process.communicate()
        if b"UnsupportedClassVersionError" in said:
            cannot("this Java is too old for a Kafka broker")
        assert process.returncode == 0, said.decode()

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._java,
                "kafka.Kafka",
                str(self._properties),
                stdin=DEVNULL,
                stdout=log,
                stderr=STDOUT,
            )
        async with asyncio.timeout(READY_SECONDS):
            while not await asyncio.to_thread(self._answers):
                assert self._process.returncode is None, self._log.read_text()

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def stop_answering(self) -> None:
        """Hang: connections stay, and nobody answers. Returns once no thread runs any more."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        await asyncio.to_thread(os.waitid, os.P_PID, self._process.pid, os.WSTOPPED)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            return bool(self.admin.list_topics(timeout=5).brokers)
        except KafkaException:
            return False

    async def make_topic(self, name: str, settings: Mapping[str, str] | None = None) -> None:
        topic = NewTopic(name, 2, 1, config=dict(settings or {}))
        await asyncio.to_thread(self.admin.create_topics([topic])[name].result, 60)

    async def read(self, topic: str, count: int) -> list[Message]:
        """All records of a topic, once it has `count`."""
        return await asyncio.to_thread(read_topic, self.servers, topic, count)


def read_topic(servers: str, topic: str, count: int) -> list[Message]:
    """All records of a topic, once it has `count`; those of a partition in their order."""
    reader = Consumer({"bootstrap.servers": servers, "group.id": "r", "log_level": 0})
    try:
        known = reader.list_topics(topic, timeout=60).topics[topic].partitions
        partitions = [TopicPartition(topic, partition, 0) for partition in known]
        reader.assign(partitions)
        found: list[Message] = []
        while len(found) < count or len(found) < _stored(reader, partitions):
            one = reader.poll(60)
            assert one is not None, f"{len(found)} of {count} records of {topic} within a minute"
            if one.error() is None:
                found.append(one)
    finally:
        reader.close()
    return sorted(found, key=lambda each: each.timestamp())


def _stored(reader: Consumer, partitions: Sequence[TopicPartition]) -> int:
    return sum(reader.get_watermark_offsets(each, timeout=60)[1] for each in partitions)


@asynccontextmanager
async def kafka_broker(folder: Path, authority: Authority) -> AsyncIterator[KafkaBroker]:
    """A broker that is ready; skips the test where none can be had."""
    broker = KafkaBroker(folder, authority, await asyncio.to_thread(_classpath))
    await broker.format()
    await broker.start()
    try:
        yield broker
    finally:
        await broker.kill()


def cannot(reason: str) -> None:
    """Skip, but not where the means are there and nobody would notice."""
    if os.environ.get("CI"):
        pytest.fail(f"no Kafka broker: {reason}")
    pytest.skip(f"NOT TESTED against a Kafka broker: {reason}")


def _classpath() -> str:
    """The broker's jars, fetched by Maven the first time."""
    if shutil.which("java") is None or shutil.which("mvn") is None:
        pytest.skip("NOT TESTED against a Kafka broker: it takes Java 17 and Maven, which are not installed")
    CLASSPATH.parent.mkdir(exist_ok=True)
    with CLASSPATH.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_fetched():
            _fetch()
        return CLASSPATH.read_text()


def _is_fetched() -> bool:
    if not CLASSPATH.exists() or CLASSPATH.stat().st_mtime < POM.stat().st_mtime:
        return False
    return all(Path(jar).exists() for jar in CLASSPATH.read_text().split(":"))


def _fetch() -> None:
    command = ["mvn", "-q", "-B", "-f", str(POM), "dependency:build-classpath"]
    done = subprocess.run(
        [*command, f"-Dmdep.outputFile={CLASSPATH}"], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        cannot(f"Maven could not fetch it: {done.stdout[-500:]}")


def _free_ports(count: int) -> Sequence[int]:
    found: list[int] = []
    while len(found) < count:
        port = random.choice(PORTS)
        with socket.socket() as candidate:
            if port not in found and candidate.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
    return found
