"""What a kill costs: from SIGKILL of a node, or of the server that leads, until events flow again.

Numbered events are put by schedule, each until some node has taken it: when one does not, the next is asked,
as a client behind a load balancer would. They are taken, or arrive, again with the end of the longest silence
after the kill, if one was longer than half a second. All is as before when the last one was taken, or had
arrived, that was held up: that was half a second behind its schedule.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise

import msgspec

from benchmarks.goals import Figures
from benchmarks.nats_world import RULE, Cluster, Contender
from benchmarks.path_world import client, put_request
from partnerbus.testing.bench import CUSTOMER, DELIVERED, SOURCE
from partnerbus.testing.load import Connection
from partnerbus.testing.operator import Operator
from partnerbus.testing.server_process import ServerProcess
from partnerbus.testing.sink import Sink

RATE = 100
LATE_SECONDS = 0.5
BEFORE_SECONDS = 3
"""How long it flows before the kill, and how long after it at least."""

RETRY_SECONDS = 0.1
ANSWER_SECONDS = 30
PATIENCE_SECONDS = 120


class _Detail(msgspec.Struct):
    n: int


class _Envelope(msgspec.Struct):
    detail: _Detail


class Flow:
    """Events by schedule: when each was due, was taken, and arrived."""

    def __init__(self, nodes: list[str], sink: Sink) -> None:
        self._nodes = nodes
        self._sink = sink
        self._seen = 0
        self.due: list[float] = []
        self.taken: dict[int, float] = {}
        self.arrived: dict[int, float] = {}
        self.repeated = 0

    async def run(self) -> None:
        """Until cancelled; what was not taken by then is given up."""
        self._sink.arrivals.clear()
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for n in itertools.count():
                self.due.append(started + n / RATE)
                await asyncio.sleep(max(0.0, self.due[n] - time.perf_counter()))
                group.create_task(self._put(n))

    async def _put(self, n: int) -> None:
        for attempt in itertools.count(n):
            url = self._nodes[attempt % len(self._nodes)]
            if await _is_taken(url, put_request(url, 1, DELIVERED, n=n)):
                self.taken[n] = time.perf_counter()
                return
            await asyncio.sleep(RETRY_SECONDS)

    def look(self) -> bool:
        """Whether everything that was due a while ago was taken and has arrived."""
        for instant, body in self._sink.arrivals[self._seen :]:
            n = msgspec.json.decode(body, type=_Envelope).detail.n
            self.repeated += n in self.arrived
            self.arrived.setdefault(n, instant)
        self._seen = len(self._sink.arrivals)
        past = time.perf_counter() - LATE_SECONDS
        return all(n in self.taken and n in self.arrived for n, due in enumerate(self.due) if due < past)

    def pause(self, done: dict[int, float], since: float) -> "Pause":
        """What happened to the events `done` after the instant `since`."""
        after = sorted(instant - since for instant in done.values() if instant > since)
        silences = [
            (end - start, end) for start, end in pairwise([0.0, *after]) if end - start > LATE_SECONDS
        ]
        late = [instant - since for n, instant in done.items() if instant > self.due[n] + LATE_SECONDS]
        return Pause(max(silences, default=(0.0, 0.0))[1], max([0.0, *late]))


async def _is_taken(url: str, request: bytes) -> bool:
    connection = Connection(url)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await connection.open()
            try:
                answer = await connection.send(request)
            finally:
                await connection.close()
    except (OSError, EOFError, RuntimeError):  # nobody is there, it went away, or it says no
        return False
    return b"ErrorCode" not in answer


class Pause(msgspec.Struct, frozen=True):
    """Seconds from a kill until events flowed again, and until all was as before."""

    again: float
    as_before: float


class Killed(msgspec.Struct, frozen=True):
    """What became of taking events and of delivering them, and how many arrived again."""

    taken: Pause
    delivered: Pause
    repeated: int


async def kills(cluster: Cluster, nodes: Contender, sink: Sink, rounds: int) -> Figures:
    """Both kinds in turn, several rounds; the figures are the worst ones."""
    of_node, of_leader = [], []
    for _ in range(rounds):
        of_node.append(await _kill_node(nodes, sink))
        of_leader.append(await _kill_leader(cluster, nodes, sink))
    for what, found in (("the node that delivers", of_node), ("the leading server", of_leader)):
        taken, delivered = _shown([each.taken for each in found]), _shown([each.delivered for each in found])
        repeated = ", ".join(str(each.repeated) for each in found)
        print(
            f"{cluster.name}, three nodes, SIGKILL of {what}: taken {taken}; delivered {delivered}; "
            f"arrived twice: {repeated}",
            flush=True,
        )
    return {"seconds-to-publish-leader-killed": max(each.taken.again for each in of_leader)}


def _shown(pauses: Sequence[Pause]) -> str:
    again = ", ".join(f"{pause.again:.1f}" for pause in pauses)
    as_before = ", ".join(f"{pause.as_before:.1f}" for pause in pauses)
    return f"again after {again} s, all as before after {as_before} s"


async def _kill_node(nodes: Contender, sink: Sink) -> Killed:
    victim = await _delivers(nodes)
    found = await _around(nodes, sink, victim.kill)
    await victim.start()
    await nodes.rest()
    return found


async def _kill_leader(cluster: Cluster, nodes: Contender, sink: Sink) -> Killed:
    victim = await cluster.leader(nodes.store)
    found = await _around(nodes, sink, lambda: asyncio.to_thread(victim.kill))
    await asyncio.to_thread(victim.start)
    await cluster.leader(nodes.store)
    await nodes.rest()
    return found


async def _around(nodes: Contender, sink: Sink, kill: Callable[[], Awaitable[None]]) -> Killed:
    """Let events flow before and after, until nothing is held up any more."""
    flow = Flow([node.url for node in nodes.nodes], sink)
    flowing = asyncio.create_task(flow.run())
    await asyncio.sleep(BEFORE_SECONDS)
    killed_at = time.perf_counter()
    await kill()
    await asyncio.sleep(BEFORE_SECONDS)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not flow.look():  # noqa: ASYNC110 (other processes)
            await asyncio.sleep(RETRY_SECONDS)
    flowing.cancel()
    await asyncio.wait([flowing])
    return Killed(flow.pause(flow.taken, killed_at), flow.pause(flow.arrived, killed_at), flow.repeated)


async def _delivers(nodes: Contender) -> ServerProcess:
    """The node that makes the attempts at the webhook."""
    targets = client(nodes.nodes[0].url, CUSTOMER).list_targets_by_rule(Rule=RULE, EventBusName=SOURCE)
    async with Operator(nodes.nodes[0].data) as operator:
        name = await operator.deliverer(targets["Targets"][0]["Arn"])
    return next(node for node in nodes.nodes if (node.data / "node").read_text().strip() == name)
