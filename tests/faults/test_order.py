"""Killed again and again: a target that is ordered gets no younger event of a key before its elder has ended.

One publisher puts numbered events of a few customers through `PutPartnerEvents`, call after call, so that
numbers grow as positions do. The target takes most of them, fails some once and refuses some for good. What
it saw is then held against the promise, customer by customer, over all lives of the server.
"""

import itertools
import random
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import aiohttp
import msgspec
import pytest

from partnerbus.kernel.failpoints import VARIABLE, Failpoint
from partnerbus.testing.operator import Operator
from partnerbus.testing.receiver import Received, Receiver, Respond
from partnerbus.testing.server_process import ServerDied, ServerProcess
from partnerbus.testing.wire import Wire, WireError
from tests.cli.commands import partnerbus

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.timeout(1_200)]

CUSTOMER, PARTNER = "111122223333", "999900001111"
SOURCE = "aws.partner/acme.com/order"
OPTIONS = ("--auth", "none", "--allow-private-targets", "--log-level", "error")
KEYS = "abcdef"
FAILS_ONCE, REFUSED = 23, 29
"""One event in so many is answered 503 the first time, or 400."""

KILLS = (
    Failpoint.ADVANCE_BEFORE_COMMIT,
    Failpoint.ADVANCE_COMMITTED,
    Failpoint.CLAIM_COMMITTED,
    Failpoint.DISPATCHER_BEFORE_INVOKE,
    Failpoint.DISPATCHER_INVOKED,
    Failpoint.SETTLE_BEFORE_COMMIT,
    Failpoint.SETTLE_COMMITTED,
)
"""Where order could be lost: wherever a delivery, a claim or an end is half way to the disk."""


class Detail(msgspec.Struct):
    n: int
    customer: str


class Envelope(msgspec.Struct):
    detail: Detail


class Run:
    """One data folder, its publisher and its target."""

    def __init__(self, server: ServerProcess, receiver: Receiver) -> None:
        self.server = server
        self.receiver = receiver
        self.acknowledged: set[int] = set()
        self.attempts: list[Detail] = []
        """What the target was sent, in order."""
        self._failed: set[int] = set()
        self._numbers = itertools.count()
        self._drawn = random.Random(5)
        receiver.respond("/ordered", self._answer)

    def _answer(self, request: Received) -> Respond:
        found = msgspec.json.decode(request.body, type=Envelope).detail
        self.attempts.append(found)
        if found.n % REFUSED == 0:
            return Respond(status=400)
        if found.n % FAILS_ONCE == 0 and found.n not in self._failed:
            self._failed.add(found.n)
            return Respond(status=503)
        return Respond()

    async def prepare(self) -> None:
        """A partner source with its bus, and a rule with a target that is ordered by customer."""
        async with Wire(self.server.url, CUSTOMER) as customer, Wire(self.server.url, PARTNER) as partner:
            await partner.call("CreatePartnerEventSource", Name=SOURCE, Account=CUSTOMER)
            await customer.call("CreateEventBus", Name=SOURCE, EventSourceName=SOURCE)
            key = {"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "value"}}
            connection = await customer.call(
                "CreateConnection", Name="key", AuthorizationType="API_KEY", AuthParameters=key
            )
            destination = await customer.call(
                "CreateApiDestination",
                Name="ordered",
                ConnectionArn=connection["ConnectionArn"],
                InvocationEndpoint=f"{self.receiver.url}/ordered",
                HttpMethod="POST",
            )
            pattern = '{"detail": {"n": [{"exists": true}]}}'
            await customer.call("PutRule", Name="r", EventBusName=SOURCE, EventPattern=pattern)
            target = {"Id": "1", "Arn": destination["ApiDestinationArn"]}
            await customer.call("PutTargets", Rule="r", EventBusName=SOURCE, Targets=[target])
        done = await partnerbus(
            "target", "order", "r", "1", "--by", "$.detail.customer", "--data", str(self.server.data)
        )
        assert done.status == 0, done.err

    async def publish(self, calls: int | None = None) -> None:
        """Put events, so many times or until the server is gone."""
        with suppress(aiohttp.ClientError, OSError):
            async with Wire(self.server.url, PARTNER) as wire:
                for _ in itertools.count() if calls is None else range(calls):
                    await self._put(wire)

    async def _put(self, wire: Wire) -> None:
        details = [Detail(next(self._numbers), self._drawn.choice(KEYS)) for _ in range(5)]
        entries = [
            {"Source": SOURCE, "DetailType": "n", "Detail": msgspec.json.encode(detail).decode()}
            for detail in details
        ]
        with suppress(WireError):
            answer = await wire.call("PutPartnerEvents", Entries=entries)
            results = msgspec.convert(answer["Entries"], list[dict[str, str]])
            taken = zip(details, results, strict=True)
            self.acknowledged |= {detail.n for detail, result in taken if "EventId" in result}

    async def come_to_rest(self) -> None:
        """Wait until nothing is unrouted or pending."""
        async with Operator(self.server.data) as operator:
            while True:
                ledger = await operator.ledger(CUSTOMER, SOURCE)
                if not ledger.pending and not ledger.unrouted:
                    assert ledger.owed == ledger.accepted == ledger.delivered + ledger.dead
                    return


def out_of_order(attempts: list[Detail]) -> list[tuple[str, int, int]]:
    """Attempts of an elder that came after one of a younger: the customer, the younger, the elder."""
    youngest: dict[str, int] = defaultdict(lambda: -1)
    found = []
    for attempt in attempts:
        if attempt.n < youngest[attempt.customer]:
            found.append((attempt.customer, youngest[attempt.customer], attempt.n))
        youngest[attempt.customer] = max(youngest[attempt.customer], attempt.n)
    return found


async def test_order_survives_being_killed_wherever_it_could_be_lost(tmp_path: Path) -> None:
    chance = random.Random(6)
    async with Receiver() as receiver:
        server = ServerProcess(tmp_path / "data", *OPTIONS, log=tmp_path / "log")
        run = Run(server, receiver)
        try:
            await server.start()
            await run.prepare()
            await server.stop()
            for point in KILLS * 2:
                with suppress(ServerDied):  # what the last life left is attempted before the server is ready
                    await server.start({VARIABLE: f"{point}=kill@{chance.randint(1, 40)}"})
                    await run.publish()
                await server.wait()
            await server.start()
            await run.publish(calls=20)
            await run.come_to_rest()
            await server.stop()
        finally:
            await server.kill()
    assert out_of_order(run.attempts) == []
    assert run.acknowledged <= {attempt.n for attempt in run.attempts}
    assert len({attempt.customer for attempt in run.attempts}) == len(KEYS)
