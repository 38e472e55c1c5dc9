"""The composition root: the one place that knows every concrete class.

What is opened first is closed last: the folder with its lock, the targets, the engine, the server. So a node
that stops takes no more requests, answers those under way, lets attempts under way end, and lets go of the
folder; `operator.json` goes first of all, so that no command finds a server that is leaving.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from types import TracebackType
from typing import Self

from partnerbus.api.admin.face import AdminFace
from partnerbus.api.admin.request import AdminServices, Running
from partnerbus.api.face import Face
from partnerbus.api.operation import Limits, Services
from partnerbus.api.throttling import Throttle
from partnerbus.api.v1.operations import OPERATIONS
from partnerbus.console.app import make_console
from partnerbus.console.attempts import Attempts
from partnerbus.console.doorkeeper import Doorkeeper
from partnerbus.console.parts import ConsoleParts
from partnerbus.console.sessions import Sessions
from partnerbus.edge.app import Application, make_app
from partnerbus.edge.authenticate import AnyCalls, Authenticator, SignedCalls
from partnerbus.edge.server import Server
from partnerbus.edge.sigv4 import Verifier
from partnerbus.engine.backpressure import Bounds as BacklogBounds
from partnerbus.engine.connection_secrets import SWEEP_EVERY as COPY_EVERY
from partnerbus.engine.connection_secrets import ConnectionSecrets
from partnerbus.engine.connections import Authorizer
from partnerbus.engine.engine import Engine
from partnerbus.engine.retention import SWEEP_EVERY
from partnerbus.engine.shares import Everything, Share, Shares
from partnerbus.engine.sources import PartnerSources, expiry_sweep
from partnerbus.engine.supervisor import Sweep
from partnerbus.engine.traces import spell_traces
from partnerbus.kernel.clock import Clock, SteadyClock, SystemClock
from partnerbus.kernel.errors import StoreLocked
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.kernel.telemetry import Log, Metrics, make_log
from partnerbus.model.quotas import Quotas
from partnerbus.model.resources import ClusterNode, EventBus, Role
from partnerbus.node.folder import DataFolder, Opened, Operator, draw_token, opened, read
from partnerbus.node.front import FrontAdmin, FrontFace, FrontKeys, Gate, Inside
from partnerbus.node.open_store import store_opener
from partnerbus.node.reset import forget_everything, forget_lines, hear_of_resets
from partnerbus.node.settings import AuthMode, Settings
from partnerbus.node.target_settings import target_settings
from partnerbus.store.drafts import Drafts
from partnerbus.store.embedded import EmbeddedStore
from partnerbus.store.line_files import Bounds, LineFiles
from partnerbus.store.protocol import SharedStore
from partnerbus.targets.invoker import Invocation
from partnerbus.targets.registry import Targets, make_targets

LOCK_PATIENCE = timedelta(seconds=2)
"""How long a command, or a server that is stopping, may still hold the folder when a node starts."""

LOCK_PAUSE = timedelta(milliseconds=50)


class Node:
    """One server on one data folder: `async with Node(settings) as node: … node.url …`.

    `clock` is the node's time. Signatures are judged by the machine's, since their makers live by it.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        failpoints: Failpoints | None = None,
        log: Log | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock or SteadyClock()
        self.metrics = Metrics()
        self._failpoints = failpoints or Failpoints.from_environment()
        self._log = log or make_log(settings.log_level)
        self._lifetime = timedelta(days=settings.pending_source_days)
        self._token = draw_token()
        self._stack = AsyncExitStack()
        self._gate = Gate()
        self._now: Inside | None = None
        self._resetting: asyncio.Task[None] | None = None
        self._running: Running | None = None
        self._leaving = asyncio.Event()

    @property
    def operator_token(self) -> str:
        """What the operator shows; drawn anew for each node."""
        return self._token

    @property
    def url(self) -> str:
        """Where it listens; empty before it has started."""
        return self._running.url if self._running is not None else ""

    async def idle(self) -> None:
        """Wait until every stored event is routed and nothing is in flight or due."""
        if self._now is not None:
            await self._now.engine.idle()

    async def lost(self) -> str:
        """Wait until the store is lost to this process, which then can only end; why."""
        return await self._inside().found.store.lost()

    async def reset(self) -> None:
        """Forget everything but accounts and their keys, and go on, even if the caller goes away meanwhile.

        Calls under way are answered first, others wait; attempts under way are cut short. When this returns,
        nothing of before is delivered any more. If it raises, nobody does it later, unless the store could
        not even take that down: then the next start does.
        """
        self._resetting = asyncio.create_task(self._reset())
        await asyncio.shield(self._resetting)

    async def _reset(self) -> None:
        await self._forget(lambda found: forget_everything(found.store, found.folder.lines, self.clock))

    def _follow_reset(self) -> None:
        """Another node has forgotten everything: nothing of it stays with this one either."""
        self._resetting = asyncio.create_task(self._forget(lambda found: forget_lines(found.folder.lines)))

    async def _forget(self, forget: Callable[[Opened], Awaitable[None]]) -> None:
        async with self._gate.closed():
            if self._leaving.is_set():
                return
            before = self._inside()
            found = before.found
            try:
                await before.close(timedelta(0))
                await forget(found)
            finally:
                await self._renew(found)
        self._log.info("reset")

    async def _renew(self, found: Opened) -> None:
        """Begin anew with what the store holds now."""
        self._now = self._make_inside(await read(found.folder, found.store, found.secrets, self.clock))
        await self._now.open()

    def _inside(self) -> Inside:
        assert self._now is not None, "the node has not started"
        return self._now

    # -- life ------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving.set()
        await self._stack.aclose()
        self._log.info("stopped", url=self.url)
        self._running = None

    async def _start(self, stack: AsyncExitStack) -> None:
        found = await self._own_folder(stack)
        found.folder.forget_operator()
        if isinstance(found.store, EmbeddedStore) and found.store.damage is not None:
            self._log.error("store damaged", message=found.store.damage)
        server = self._make_server()
        server.bind()  # before anything moves: a taken port stops the start
        self._now = self._make_inside(found)
        await self._now.open()
        stack.push_async_callback(self._close)
        await stack.enter_async_context(server)
        self._running = self._describe(server.url)
        stack.callback(found.folder.forget_operator)
        found.folder.write_operator(Operator(url=server.url, token=self._token, pid=os.getpid()))
        self._log.info("started", url=server.url, auth=self.settings.auth.value, region=self.settings.region)

    async def _close(self) -> None:
        async with self._gate.closed():  # not in the middle of a reset
            await self._inside().close(self._drain)

    async def _own_folder(self, stack: AsyncExitStack) -> Opened:
        folder = DataFolder(self.settings.data)
        open_store = store_opener(self.settings, self._log)
        patience = SystemClock()
        until = patience.now() + LOCK_PATIENCE
        while True:
            try:
                return await stack.enter_async_context(
                    opened(folder, self.clock, self._failpoints, open_store)
                )
            except StoreLocked:
                if patience.now() >= until:
                    raise
            await patience.sleep(LOCK_PAUSE)

    # -- parts -----------------------------------------------------------------------------------------

    def _make_targets(self, found: Opened) -> Targets:
        wanted = target_settings(self.settings)
        return make_targets(wanted, found.catalog, found.secrets, self.clock, self._forward)

    async def _forward(self, invocation: Invocation, bus: EventBus) -> None:
        """Bus targets publish through the engine, which is made of the targets."""
        await self._inside().engine.publisher.forward(invocation, bus)

    def _make_bus_logs(self, found: Opened) -> LineFiles:
        bounds = Bounds(
            keep=timedelta(seconds=self.settings.keep_bus_logs_seconds),
            size_bytes=self.settings.max_bus_logs_bytes,
        )
        dropped = self.metrics.bus_log_records_dropped.inc
        return LineFiles(found.folder.bus_logs, self.clock, self._log, bounds, dropped)

    def _make_traces(self, found: Opened) -> LineFiles:
        bounds = Bounds(
            keep=timedelta(seconds=self.settings.keep_traces_seconds),
            size_bytes=self.settings.max_traces_bytes,
        )
        dropped = self.metrics.trace_records_dropped.inc
        return LineFiles(found.folder.traces, self.clock, self._log, bounds, dropped)

    def _make_engine(
        self,
        found: Opened,
        targets: Targets,
        bus_logs: LineFiles,
        traces: LineFiles,
        secrets: ConnectionSecrets,
    ) -> Engine:
        sources = PartnerSources(found.catalog, self.clock, self._failpoints, self._lifetime)
        hours = self.settings.disable_failing_targets_hours
        shares = self._make_shares(found)
        engine = Engine(
            store=found.store,
            catalog=found.catalog,
            targets=targets,
            clock=self.clock,
            failpoints=self._failpoints,
            metrics=self.metrics,
            log=self._log,
            shares=shares,
            sweeps=[
                shares.sweep(expiry_sweep(sources)),
                Sweep("bus logs", SWEEP_EVERY, bus_logs.sweep),
                Sweep("traces", SWEEP_EVERY, traces.sweep),
                shares.sweep(Sweep("connection secrets", COPY_EVERY, secrets.sweep)),
            ],
            parts={
                "bus logs": bus_logs.run,
                "traces": traces.run,
                "connections": Authorizer(found.catalog, targets.tokens, self.clock, self._log).run,
            },
            write_bus_log=bus_logs.put,
            trace=self.settings.trace,
            write_trace=Drafts(traces, spell_traces).put,
            disable_after=timedelta(hours=hours) if hours else None,
            keep=timedelta(seconds=self.settings.keep_events_seconds),
            bounds=BacklogBounds(
                unrouted_events=self.settings.max_unrouted_events,
                pending_deliveries=self.settings.max_pending_deliveries,
            ),
        )
        if isinstance(found.store, SharedStore):
            found.store.listen(engine)
            hear_of_resets(found.catalog, self._follow_reset)
        return engine

    def _make_shares(self, found: Opened) -> Shares:
        if not isinstance(found.store, SharedStore):
            return Everything()
        name, started_at = found.store.node, self.clock.now()
        return Share(
            found.catalog,
            SteadyClock(),  # the nodes' clocks must agree, also when one of them has a test clock
            self._log,
            lambda: ClusterNode(
                name=name, url=self.url, roles=self._roles, started_at=started_at, leased_until=started_at
            ),
            found.store.release,
        )

    @property
    def _roles(self) -> Sequence[Role]:
        return [role for role in Role if role in self.settings.role.split(",")]

    def _make_inside(self, found: Opened) -> Inside:
        targets, bus_logs = self._make_targets(found), self._make_bus_logs(found)
        traces = self._make_traces(found)
        secrets = ConnectionSecrets(found.catalog, targets.secrets_manager, self._log)
        self.metrics.connection_secrets_behind.set_function(lambda: secrets.behind)
        engine = self._make_engine(found, targets, bus_logs, traces, secrets)
        services = self._make_services(found, targets, engine, secrets)
        return Inside(
            found=found,
            targets=targets,
            bus_logs=bus_logs,
            traces=traces,
            engine=engine,
            services=services,
            face=Face(services, OPERATIONS, log=self._log),
            admin=self._make_admin(found, targets, engine, bus_logs, traces),
        )

    def _make_services(
        self, found: Opened, targets: Targets, engine: Engine, secrets: ConnectionSecrets
    ) -> Services:
        return Services(
            catalog=found.catalog,
            store=found.store,
            publisher=engine.publisher,
            targets=targets,
            clock=self.clock,
            secrets=found.secrets,
            connection_secrets=secrets,
            failpoints=self._failpoints,
            metrics=self.metrics,
            limits=Limits(
                entries_bytes=self.settings.max_entries_bytes,
                pending_source_lifetime=self._lifetime,
                partner_regions=frozenset(filter(None, self.settings.partner_regions.split(","))),
            ),
        )

    def _make_server(self) -> Server:
        app = make_app(
            face=FrontFace(self._gate, self._inside, is_edge=Role.EDGE in self._roles),
            authenticator=self._make_authenticator(),
            admin=FrontAdmin(self._gate, self._inside),
            operator_token=self._token,
            ready=lambda: self._inside().engine.trouble(),
            clock=SystemClock(),
            failpoints=self._failpoints,
            metrics=self.metrics,
            log=self._log,
            throttle=Throttle(self.clock, self._quotas_of) if self._throttles else None,
            console=self._make_console(),
            entries_bytes=self.settings.max_entries_bytes,
        )
        return Server(app, self.settings.host, self.settings.port, drain=self._drain)

    def _make_console(self) -> Application:
        keys = FrontKeys(self._inside)
        takes_their_word = self.settings.auth is AuthMode.NONE
        return make_console(
            ConsoleParts(
                admin=FrontAdmin(self._gate, self._inside),
                face=FrontFace(self._gate, self._inside, is_edge=Role.EDGE in self._roles),
                doorkeeper=Doorkeeper(
                    keys.holder, keys.is_account, self._token, takes_their_word=takes_their_word
                ),
                clock=self.clock,
                region=self.settings.region,
                leaving=self._leaving,
                log=self._log,
                url=lambda: self.url,
                sessions=Sessions(self.clock),
                attempts=Attempts(self.clock),
            )
        )

    def _quotas_of(self, account: str) -> Quotas:
        return self._inside().services.quotas_of(account)

    @property
    def _throttles(self) -> bool:
        """Whoever is believed without a signature could name another account for each call."""
        return self.settings.throttling and self.settings.auth is AuthMode.SIGV4

    def _make_authenticator(self) -> Authenticator:
        if self.settings.auth is AuthMode.NONE:
            return AnyCalls(self.settings.default_account, self.settings.region)
        skew = timedelta(seconds=self.settings.skew_seconds)
        return SignedCalls(Verifier(FrontKeys(self._inside), SystemClock(), skew), self.settings.region)

    def _make_admin(
        self, found: Opened, targets: Targets, engine: Engine, bus_logs: LineFiles, traces: LineFiles
    ) -> AdminFace:
        shiftable = self.clock if isinstance(self.clock, SystemClock) and self.settings.test_clock else None
        return AdminFace(
            AdminServices(
                accounts=found.accounts,
                catalog=found.catalog,
                store=found.store,
                clock=self.clock,
                secrets=found.secrets,
                redrive=engine.redrive,
                url_refusal=targets.url_refusal,
                bus_logs=bus_logs,
                traces=traces,
                leaving=self._leaving,
                tallies=lambda: engine.tallies,
                held=lambda: engine.held,
                running=lambda: self._running,
                shift=shiftable.shift if shiftable is not None else None,
                reset=self.reset if self.settings.allow_reset else None,
            )
        )

    @property
    def _drain(self) -> timedelta:
        return timedelta(seconds=self.settings.drain_seconds)

    def _describe(self, url: str) -> Running:
        return Running(
            url=url,
            pid=os.getpid(),
            started_at=self.clock.now(),
            auth=self.settings.auth,
            region=self.settings.region,
        )
