"""The engine: publisher, routers, dispatcher, schedules and sweeps, put together."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from random import random
from types import TracebackType
from typing import Self

from partnerbus.engine.admission import Admission
from partnerbus.engine.attempts import Attempts, Ended
from partnerbus.engine.backpressure import Backpressure, Bounds
from partnerbus.engine.bus_logs import BusLogs
from partnerbus.engine.catalog import Catalog
from partnerbus.engine.damage import SWEEP_EVERY as DAMAGE_SWEEP_EVERY
from partnerbus.engine.damage import Damage
from partnerbus.engine.disk_health import DiskHealth
from partnerbus.engine.dispatcher import Dispatcher
from partnerbus.engine.gates import Gates
from partnerbus.engine.lanes import Room
from partnerbus.engine.leases import Leases
from partnerbus.engine.matching import Matching
from partnerbus.engine.publish import Publisher
from partnerbus.engine.replay_pace import ReplayPace
from partnerbus.engine.replays import SWEEP_EVERY as REPLAYS_EVERY
from partnerbus.engine.replays import Replays
from partnerbus.engine.retention import KEEP_RECORDS, SWEEP_EVERY, Retention
from partnerbus.engine.router import Routers, Routing
from partnerbus.engine.schedules import Schedules
from partnerbus.engine.shares import Everything, Shares
from partnerbus.engine.supervisor import Supervisor, Sweep
from partnerbus.engine.tallies import Tallies
from partnerbus.engine.target_health import SWEEP_EVERY as FORGET_EVERY
from partnerbus.engine.target_health import TargetHealth, failing_targets
from partnerbus.engine.traces import TraceDraft, Traces
from partnerbus.kernel.clock import Clock
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.kernel.telemetry import Log, Metrics
from partnerbus.model.delivery import Claim, Redrive
from partnerbus.model.exchange import TraceLevel
from partnerbus.model.resources import ARCHIVE_LOGS, REPLAY_LOGS
from partnerbus.store.protocol import AT_ONCE, START, SharedStore, Store
from partnerbus.targets.registry import Targets

API_DESTINATION = ":api-destination/"

BOUNDS = Bounds()

LOOK_EVERY = timedelta(minutes=1)
"""How often the store is asked for lanes and logs that nobody has told of."""


class Engine:
    """Everything between a stored event and a settled delivery. Use it as an async context manager.

    `catalog` is loaded, and followed from here on; nobody else may follow it. Records are kept for `keep`.
    `sweeps`, and `parts` by name, are run besides the engine's own. Leaving the context is `drain` without
    any grace. With `disable_after`, a target that has failed for so long without a success is disabled.
    A log of which more waits than `bounds` say takes no more. `write_bus_log` gets the records of the logs of
    buses, lines without their ends, and `write_trace` what those of traces are made of, at the level `trace`,
    with about how many bytes it holds.
    """

    def __init__(
        self,
        *,
        store: Store,
        catalog: Catalog,
        targets: Targets,
        clock: Clock,
        failpoints: Failpoints,
        metrics: Metrics,
        log: Log,
        sweeps: Sequence[Sweep] = (),
        parts: Mapping[str, Callable[[], Awaitable[None]]] | None = None,
        keep: timedelta = KEEP_RECORDS,
        disable_after: timedelta | None = None,
        room: Room | None = None,
        bounds: Bounds = BOUNDS,
        shares: Shares | None = None,
        write_bus_log: Callable[[bytes], None] = lambda _line: None,
        trace: TraceLevel = TraceLevel.OFF,
        write_trace: Callable[[TraceDraft, int], None] = lambda _draft, _size: None,
        jitter: Callable[[], float] = random,
    ) -> None:
        self._store = store
        self._clock = clock
        self._shares = shares = shares or Everything()
        self._has_news = asyncio.Event()
        shares.listen(self._has_news.set)
        self._changed = asyncio.Event()
        self._supervisor = Supervisor(clock, log)
        self._matching = matching = Matching(catalog, log)
        replay_pace = ReplayPace(clock)
        leases = Leases(store, clock, log, replay_pace.saw_live)
        gates = Gates(clock, partial(_rate_of, catalog))
        bus_logs = BusLogs(catalog, clock, write_bus_log)
        traces = Traces(catalog, trace, write_trace)
        self._health = TargetHealth(
            catalog=catalog,
            clock=clock,
            metrics=metrics,
            log=log,
            disable_after=disable_after,
            changed=self._changed.set,
        )
        metrics.held_lanes.set_function(lambda: len(gates.held))
        metrics.failing_targets.set_function(lambda: sum(1 for _ in failing_targets(catalog)))
        self.tallies = Tallies(clock)
        self._dispatcher = Dispatcher(
            store=store,
            attempts=Attempts(
                store=store,
                find=matching.find,
                is_disabled=self._health.is_disabled,
                targets=targets,
                clock=clock,
                failpoints=failpoints,
                metrics=metrics,
                log=log,
                bus_logs=bus_logs,
                traces=traces,
                random=jitter,
            ),
            clock=clock,
            log=log,
            changed=self._changed.set,
            judged=self._judged,
            admission=Admission(clock, gates, room or Room(), self._changed.set, shares.delivers),
            leases=leases,
        )
        damage = Damage(catalog, clock, log)
        routing = Routing(
            store=store,
            match=matching.match,
            dispatcher=self._dispatcher,
            clock=clock,
            failpoints=failpoints,
            metrics=metrics,
            log=log,
            bus_logs=bus_logs,
            traces=traces,
            shares=shares,
            damage=None if isinstance(store, SharedStore) else damage,
        )
        self._routers = Routers(routing, self._changed.set)
        self._replays = Replays(catalog, routing, replay_pace, self._changed)
        self._backpressure = Backpressure(store, log, bounds)
        self._disk_health = DiskHealth(store)
        self.publisher = Publisher(
            store,
            self._routers.news,
            bus_logs,
            replay_pace.saw_live,
            self._backpressure,
            self._disk_health,
        )
        self._schedules = Schedules(catalog, clock, log, self._changed.set)
        self._gates = gates
        self._parts: Mapping[str, Callable[[], Awaitable[None]]] = {
            "catalog": catalog.follow,
            "routers": self._routers.run,
            "dispatcher": self._dispatcher.run,
            "leases": leases.extend,
            "target health": partial(self._health.run, self.publisher.publish),
            "replays": shares.alone("replays", self._replays.run),
            "schedules": shares.alone("schedules", partial(self._schedules.run, self.publisher.publish)),
            "shares": shares.run,
            "news": self._follow_news,
            **(parts or {}),
        }
        self._sweeps = (
            shares.sweep(Sweep("retention", SWEEP_EVERY, Retention(store, catalog, clock, log, keep).sweep)),
            Sweep("look", LOOK_EVERY, self.look),
            shares.sweep(Sweep("replays", REPLAYS_EVERY, self._replays.forget_old)),
            shares.sweep(Sweep("damage", DAMAGE_SWEEP_EVERY, damage.sweep)),
            shares.sweep(Sweep("target health", FORGET_EVERY, self._health.sweep)),
            *sweeps,
        )

    async def __aenter__(self) -> Self:
        await self.look()
        for name, run in self._parts.items():
            self._supervisor.start(name, run)
        for sweep in self._sweeps:
            self._supervisor.sweep(sweep)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.drain(timedelta(0))

    def _judged(self, claim: Claim, ended: Ended) -> None:
        self._health.judged(claim, ended)
        self.tallies.judged(claim, ended)

    def trouble(self) -> str | None:
        """Why events cannot be taken or moved now, as a sentence; None if they can."""
        if not self._supervisor.is_ready:
            return f"Not running: {', '.join(sorted(self._supervisor.down)) or 'everything'}."
        return self._disk_health.ask()

    @property
    def held(self) -> Mapping[str, datetime]:
        """The targets that circuit breakers hold, and until when."""
        return self._gates.held

    async def look(self) -> None:
        """Find what is to be routed or attempted in the store, also what nobody told of."""
        for info in await self._store.logs():
            if info.head > START:
                self.stored(info.log, info.head)
        await self._dispatcher.look()

    async def _follow_news(self) -> None:
        """Look whenever there is perhaps something that nobody told of."""
        while True:
            await self._has_news.wait()
            self._has_news.clear()
            await self.look()

    # -- what other nodes have committed (`News`) ------------------------------------------------------

    def stored(self, log: str, position: int) -> None:
        """See `News.stored`. Archives and replays are no log that has a live router."""
        if not log.startswith((ARCHIVE_LOGS, REPLAY_LOGS)):
            self._routers.news(log, position)

    def owed(self, lane: str) -> None:
        """See `News.owed`."""
        if self._shares.delivers(lane):
            self._dispatcher.owe(lane)

    def owed_again(self, subscription: str, due_at: datetime | None) -> None:
        """See `News.owed_again`."""
        found = self._matching.find(subscription)
        if found is not None and self._shares.delivers(found.lane):
            self._dispatcher.owe(found.lane, due_at)

    def redriven(self) -> None:
        """See `News.redriven`."""
        self._has_news.set()

    # -- what callers ask ------------------------------------------------------------------------------

    async def redrive(self, ids: Sequence[tuple[str, int]], how: Redrive = AT_ONCE) -> int:
        """Owe dead deliveries anew, and attempt them when they are due; give how many were dead."""
        redriven = await self._store.redrive(ids, how)
        await self._dispatcher.look()
        return redriven

    async def idle(self) -> None:
        """Wait until every stored event is routed and nothing is in flight or due.

        What waits for the clock is not due: a retry, and what is tried again after the store failed.
        """
        while not self._is_quiet:
            self._changed.clear()
            await self._changed.wait()

    @property
    def _is_quiet(self) -> bool:
        return (
            self._schedules.is_quiet
            and self._health.is_quiet
            and self._replays.is_quiet
            and self._routers.is_quiet
            and self._dispatcher.is_quiet
        )

    async def drain(self, grace: timedelta) -> None:
        """Stop routing and claiming, let attempts in flight end within `grace`, hand back the rest.

        Nothing is lost: what was handed back, or could not be, is attempted by whoever opens the store next.
        """
        await self._supervisor.stop()
        await self._shares.leave()
        await self._routers.finish()
        await self._backpressure.finish()
        await self._disk_health.finish()
        await self._dispatcher.drain(grace)


def _rate_of(catalog: Catalog, lane: str) -> int | None:
    """How many attempts a second a lane may begin: as its API destination says; others have no rate."""
    if API_DESTINATION not in lane:
        return None
    found = catalog.api_destination_by_arn(lane)
    return found.rate_per_second if found is not None else None
