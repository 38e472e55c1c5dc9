"""Kill a server while it works, start it again, and count: nothing that was acknowledged may be missing.

    report = await crash_run(folder, [KillAt(Failpoint.APPEND_COMMITTED, 7), KillAfter(200)])
    assert report.faults() == []

Publishers put numbered events through `PutPartnerEvents` while the server dies as the plan says and comes
back. Four rules pick among them: one takes all, one takes the even ones, one is refused by its target (400,
so its deliveries end in its dead-letter queue), one is answered 503 for ever with two retries (so they end
dead after three attempts, of which kills may have used some before anything was sent). Meanwhile another
source goes through its states, so that the registry is written all the time, and the clock is shifted, so
that retention trims. An archive keeps what the bus gets. At the end every number is accounted for: from
outside (what the targets received) and from inside (the ledger, the dead letters).
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

import aiohttp
import msgspec

from partnerbus.engine.attempts import NO_ATTEMPTS_LEFT
from partnerbus.kernel.failpoints import VARIABLE, Failpoint
from partnerbus.model import arns
from partnerbus.testing.crash_report import RETRIES_OF_THE_SICK, SICK_AT_MOST, SICK_EVERY, CrashReport
from partnerbus.testing.operator import Operator
from partnerbus.testing.receiver import Received, Receiver, Respond
from partnerbus.testing.server_process import PARTNERBUS, ServerDied, ServerProcess
from partnerbus.testing.wire import Wire, WireError

CUSTOMER = "111122223333"
PARTNER = "999900001111"
SOURCE = "aws.partner/acme.com/crash"
CHURNED = "aws.partner/acme.com/churned"
ARCHIVE = "crash"
DEAD_LETTER_QUEUE = f"arn:aws:sqs:us-east-1:{CUSTOMER}:dead"
SHIFT = timedelta(seconds=61)
"""By how much the clock is shifted, again and again: beyond a lease, and to the next sweep."""

SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, PAUSES_GROW = 0.05, 0.5, 1.05
"""Between shifts at the end: what waits for something real must not get a day older meanwhile."""

PUBLISHERS = 8
FLOWING = 50
"""After so many acknowledged events there are some in every state."""
PATIENCE_SECONDS = 180.0


class KillAt(msgspec.Struct, frozen=True):
    """Die the `nth` time the failpoint is passed."""

    failpoint: Failpoint
    nth: int = 1


class KillAfter(msgspec.Struct, frozen=True):
    """`kill -9` from outside once so many events were acknowledged since the last start."""

    acknowledged: int


class StopAfter(msgspec.Struct, frozen=True):
    """SIGTERM from outside once so many events were acknowledged since the last start."""

    acknowledged: int


class Trouble(msgspec.Struct, frozen=True):
    """Do something to the server while it works: `make` returns once the server may work again, or is gone.

    In the end it dies by `kill -9`.
    """

    make: Callable[[ServerProcess], Awaitable[None]]


End: TypeAlias = KillAt | KillAfter | StopAfter | Trouble
"""How the server ends once."""

Progress: TypeAlias = Callable[[CrashReport], None]


async def crash_run(
    folder: Path,
    plan: Sequence[End],
    *,
    events: int = 400,
    program: Sequence[str] | None = None,
    settings: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    progress: Progress = lambda _report: None,
) -> CrashReport:
    """Live through `plan` in `folder`, and after its last end with at least `events` more acknowledged.

    `program` becomes the server (see `ServerProcess`), which gets `settings` as further options and
    `environment`; `progress` is told after each end.
    """
    async with Receiver() as receiver:
        receiver.script("/refuses", Respond(status=400))
        receiver.script("/down", Respond(status=503))
        receiver.respond("/", _sqs)
        options = ["--auth", "none", "--allow-private-targets", "--test-clock", "--log-level", "error"]
        options += ["--keep-events-seconds", "60", "--aws-endpoint-url", receiver.url]
        options += settings
        server = ServerProcess(
            folder / "data",
            *options,
            environment=environment,
            log=folder / "log",
            program=program or PARTNERBUS,
        )
        run = _Run(server, receiver, events)
        try:
            await run.live(plan, progress)
        finally:
            if server.is_running:
                await server.kill()
        return run.report


class _Run:
    def __init__(self, server: ServerProcess, receiver: Receiver, events: int) -> None:
        self.report = CrashReport(acknowledged=set())
        self._server = server
        self._receiver = receiver
        self._events = events
        self._numbers = itertools.count()
        self._number_of: dict[str, int] = {}
        self._sick_left = 0
        self._up = asyncio.Event()
        self._progress = asyncio.Condition()

    async def live(self, plan: Sequence[End], progress: Progress) -> None:
        await self._server.start()
        await self._prepare()
        await self._server.stop()
        async with asyncio.TaskGroup() as group:
            work = [group.create_task(self._publish()) for _ in range(PUBLISHERS)]
            work.append(group.create_task(self._churn()))
            for end in plan:
                await self._live_once(end)
                progress(self.report)
            await self._start({})
            await self._acknowledged(self._events)
            for task in work:
                task.cancel()
        self.report.sent = next(self._numbers)
        await self._come_to_rest()
        await self._look_at_dead_letters()
        await self._look_at_archive()
        await self._server.stop()
        self.report.dead_letters = Counter(_dead_letters(self._receiver.requests))
        self.report.received = {
            path: self._numbers_at(path) for path in ("/all", "/even", "/refuses", "/down")
        }

    async def _live_once(self, end: End) -> None:
        self.report.ends += 1
        if isinstance(end, KillAt):
            await self._start({VARIABLE: f"{end.failpoint}=kill@{end.nth}"})
            await self._killed_at(end.failpoint)
        elif isinstance(end, Trouble):
            await self._start({})
            await self._acknowledged(FLOWING)
            await end.make(self._server)
            if self._server.is_running:
                await self._acknowledged(FLOWING)
            await self._server.kill()
        else:
            await self._start({})
            await self._acknowledged(end.acknowledged)
            if isinstance(end, StopAfter):
                self.report.statuses.append(await self._server.stop())
            await self._server.kill()
        self._up.clear()

    async def _killed_at(self, failpoint: Failpoint) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._server.wait()
        except TimeoutError:
            self.report.not_reached.append(failpoint)
            await self._server.kill()

    async def _start(self, environment: dict[str, str]) -> None:
        with suppress(ServerDied):  # a failpoint may be passed before the server is ready
            await self._server.start(environment)
            self._sick_left = SICK_AT_MOST
            self._up.set()

    async def _acknowledged(self, more: int) -> None:
        """Wait until so many more events were acknowledged than now."""
        goal = len(self.report.acknowledged) + more
        async with asyncio.timeout(PATIENCE_SECONDS), self._progress:
            await self._progress.wait_for(lambda: len(self.report.acknowledged) >= goal)

    # -- what goes on meanwhile ------------------------------------------------------------------------

    async def _publish(self) -> None:
        while True:
            await self._up.wait()
            async with Wire(self._server.url, PARTNER) as wire:
                with suppress(aiohttp.ClientError, OSError):
                    while True:
                        await self._put(wire)
            await asyncio.sleep(0)

    async def _put(self, wire: Wire) -> None:
        numbers = [next(self._numbers) for _ in range(3)]
        entries = [
            {
                "Source": SOURCE,
                "DetailType": "number",
                "Detail": msgspec.json.encode(
                    {"n": n, "even": n % 2 == 0, "sick": self._is_sick(n)}
                ).decode(),
            }
            for n in numbers
        ]
        with suppress(WireError):
            answer = await wire.call("PutPartnerEvents", Entries=entries)
            results = msgspec.convert(answer["Entries"], list[dict[str, str]])
            acknowledged = {
                result["EventId"]: number
                for number, result in zip(numbers, results, strict=True)
                if "EventId" in result
            }
            async with self._progress:
                self._number_of |= acknowledged
                self.report.acknowledged |= set(acknowledged.values())
                self._progress.notify_all()

    def _is_sick(self, number: int) -> bool:
        if number % SICK_EVERY or self._sick_left == 0:
            return False
        self._sick_left -= 1
        self.report.sick.add(number)
        return True

    async def _churn(self) -> None:
        """Take a second source through its states, again and again, whatever state a crash left it in."""
        steps = itertools.cycle(
            [
                ("CreatePartnerEventSource", PARTNER, {"Name": CHURNED, "Account": CUSTOMER}),
                ("CreateEventBus", CUSTOMER, {"Name": CHURNED, "EventSourceName": CHURNED}),
                ("DeactivateEventSource", CUSTOMER, {"Name": CHURNED}),
                ("ActivateEventSource", CUSTOMER, {"Name": CHURNED}),
                ("DeleteEventBus", CUSTOMER, {"Name": CHURNED}),
                ("DeletePartnerEventSource", PARTNER, {"Name": CHURNED, "Account": CUSTOMER}),
            ]
        )
        for operation, account, members in steps:
            await self._up.wait()
            with suppress(WireError, aiohttp.ClientError, OSError, LookupError):
                async with Wire(self._server.url, account) as wire:
                    await wire.call(operation, **members)
                if operation == "CreateEventBus":
                    async with Operator(self._server.data) as operator:
                        await operator.shift_clock(SHIFT)
            await asyncio.sleep(0)

    # -- before and after ------------------------------------------------------------------------------

    async def _prepare(self) -> None:
        async with Wire(self._server.url, CUSTOMER) as customer, Wire(self._server.url, PARTNER) as partner:
            await partner.call("CreatePartnerEventSource", Name=SOURCE, Account=CUSTOMER)
            await customer.call("CreateEventBus", Name=SOURCE, EventSourceName=SOURCE)
            bus = arns.bus_arn("us-east-1", CUSTOMER, SOURCE)
            await customer.call("CreateArchive", ArchiveName=ARCHIVE, EventSourceArn=bus)
            connection = await customer.call(
                "CreateConnection",
                Name="key",
                AuthorizationType="API_KEY",
                AuthParameters={"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "value"}},
            )
            for name, detail in [
                ("all", {"n": [{"exists": True}]}),
                ("even", {"even": [True]}),
                ("refuses", {"sick": [True]}),
                ("down", {"sick": [True]}),
            ]:
                await self._rule(customer, name, detail, str(connection["ConnectionArn"]))

    async def _rule(self, customer: Wire, name: str, detail: object, connection: str) -> None:
        destination = await customer.call(
            "CreateApiDestination",
            Name=name,
            ConnectionArn=connection,
            InvocationEndpoint=f"{self._receiver.url}/{name}",
            HttpMethod="POST",
        )
        pattern = msgspec.json.encode({"detail": detail}).decode()
        await customer.call("PutRule", Name=name, EventBusName=SOURCE, EventPattern=pattern)
        target: dict[str, object] = {"Id": "1", "Arn": destination["ApiDestinationArn"]}
        if name == "refuses":
            target["DeadLetterConfig"] = {"Arn": DEAD_LETTER_QUEUE}
        if name == "down":
            target["RetryPolicy"] = {"MaximumRetryAttempts": RETRIES_OF_THE_SICK}
        answer = await customer.call("PutTargets", Rule=name, EventBusName=SOURCE, Targets=[target])
        if answer["FailedEntryCount"]:
            raise WireError("PutTargets", str(answer))

    async def _come_to_rest(self) -> None:
        """Wait until nothing is unrouted or pending on the source's bus."""
        async with asyncio.timeout(PATIENCE_SECONDS), Operator(self._server.data) as operator:
            pause = SHORTEST_PAUSE_SECONDS
            while True:
                self.report.ledger = await operator.ledger(CUSTOMER, SOURCE)
                if not self.report.ledger.pending and not self.report.ledger.unrouted:
                    return
                await operator.shift_clock(SHIFT)  # what was due on the shifted clock of an earlier start
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE_SECONDS, pause * PAUSES_GROW)

    async def _look_at_dead_letters(self) -> None:
        async with Operator(self._server.data) as operator:
            for letter in await operator.dead_letters("down"):
                number = self._number_of.get(letter.event_id or "")
                if number is not None:
                    self.report.given_up.add(number)
                    if letter.message == NO_ATTEMPTS_LEFT:
                        self.report.unseen.add(number)

    async def _look_at_archive(self) -> None:
        async with Wire(self._server.url, CUSTOMER) as customer:
            found = await customer.call("DescribeArchive", ArchiveName=ARCHIVE)
        self.report.archived = msgspec.convert(found["EventCount"], int)

    def _numbers_at(self, path: str) -> Counter[int]:
        return Counter(_number(request) for request in self._receiver.requests if request.path == path)


class _Detail(msgspec.Struct):
    n: int


class _Envelope(msgspec.Struct):
    detail: _Detail


def _number(request: Received) -> int:
    return msgspec.json.decode(request.body, type=_Envelope).detail.n


class _SentToQueue(msgspec.Struct):
    MessageBody: str
    Id: str = ""


class _SentTogether(msgspec.Struct):
    Entries: list[_SentToQueue]


def _sqs(request: Received) -> Respond:
    """Answers as SQS does, as far as dead letters need it."""
    answer: dict[str, object] = {"MessageId": "1", "MD5OfMessageBody": "0"}
    if request.headers["x-amz-target"].endswith("GetQueueUrl"):
        answer = {"QueueUrl": f"http://{request.headers['host']}/"}
    elif request.headers["x-amz-target"].endswith("SendMessageBatch"):
        answer = {"Successful": [answer | {"Id": sent.Id} for sent in _sent(request)], "Failed": []}
    return Respond(body=msgspec.json.encode(answer), headers={"Content-Type": "application/x-amz-json-1.0"})


def _dead_letters(requests: Iterable[Received]) -> Iterator[int]:
    for request in requests:
        for sent in _sent(request):
            yield msgspec.json.decode(sent.MessageBody, type=_Envelope).detail.n


def _sent(request: Received) -> list[_SentToQueue]:
    """What a request sends to the queue, in one call or several together."""
    target = request.headers.get("x-amz-target", "")
    if target.endswith("SendMessageBatch"):
        return msgspec.json.decode(request.body, type=_SentTogether).Entries
    return [msgspec.json.decode(request.body, type=_SentToQueue)] if target.endswith("SendMessage") else []
