"""Replays: events of an archive, sent to the rules of its bus once more, beside everything that is live.

A replay is a cursor of its own with an end. One turn of it

1. reads the next few events of its window from the archive, in the order of the minutes of their `time`;
2. appends copies of them, which bear the replay's name, to a log of the replay's own. What tells a repeated
   append is made of the place in the archive, so a copy that is made again adds nothing;
3. routes that log with a `Router` of its own, to the rules that the replay is for. From here on a copy is an
   event like any other: owed, attempted, retried, perhaps a dead letter, counted in a ledger, trimmed;
4. writes down how far it is, about once a second. Whoever starts anew begins there.

**Pace.** What is live goes first. Replays take turns, one at a time on the node, and `ReplayPace` says how
large a turn is and how long nobody replays after it. A replay's next turn waits, besides, while as many
replayed events are being attempted as it may have, and while a lane that it sends to has more to do than may
begin there: so a live event finds only a few replayed ones before it, however slow its target is or whatever
its rate. But it waits no longer than `PATIENCE`: no target stops a replay.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta

import msgspec

from partnerbus.engine.catalog import Catalog
from partnerbus.engine.replay_pace import LEAST, ReplayPace
from partnerbus.engine.router import Cursor, Router, Routing
from partnerbus.kernel.errors import RevisionConflict
from partnerbus.kernel.ids import derived_id
from partnerbus.model.delivery import NewRecord, Record
from partnerbus.model.event import minute_at, minute_of, time_of
from partnerbus.model.resources import AnyResource, Archive, Replay, ReplayState, archive_key
from partnerbus.store.protocol import Place

READ_AHEAD = 256
READ_AHEAD_BYTES = 4 * 1024 * 1024

PATIENCE = timedelta(seconds=1)
PAUSE = timedelta(seconds=1)
NOTE_EVERY = timedelta(seconds=1)
NOTE_AFTER_EVENTS = 1_000

KEEP = timedelta(days=90)
"""How long a replay is shown after it was started (documented)."""

SWEEP_EVERY = timedelta(minutes=5)

MICROSECOND = timedelta(microseconds=1)


class Replays:
    """Moves every replay that has not ended. `changed` is set when anything on the node may be quiet."""

    def __init__(self, catalog: Catalog, routing: Routing, pace: ReplayPace, changed: asyncio.Event) -> None:
        self._catalog = catalog
        self._routing = routing
        self._pace = pace
        self._changed = changed
        self._news: asyncio.Queue[str] = asyncio.Queue()
        self._runs: dict[str, _Run] = {}
        self._turns = asyncio.Lock()
        self._is_running = False
        catalog.listen(self._tell)

    @property
    def is_quiet(self) -> bool:
        """Whether every replay has ended or waits for the clock, or nobody is there to move them."""
        moving = not self._news.empty() or any(not run.is_waiting for run in self._runs.values())
        return not (self._is_running and moving)

    async def run(self) -> None:
        """Until cancelled. Finds first what a process that died has left."""
        self._is_running = True
        self._runs.clear()  # of an earlier time: one that never took its first step has not left
        for replay in self._catalog.list(Replay, "replay:"):
            self._tell(replay.key, None, replay)
        try:
            async with asyncio.TaskGroup() as runs:
                while True:
                    key = await self._news.get()
                    if key not in self._runs:
                        self._runs[key] = self._run_of(key)
                        runs.create_task(self._move(key))
        finally:
            self._is_running = False
            self._changed.set()

    async def forget_old(self) -> None:
        """Remove replays that were started long ago; their names are free again."""
        before = self._routing.clock.now() - KEEP
        for replay in list(self._catalog.list(Replay, "replay:")):
            if replay.started_at <= before and not replay.is_active:
                await self._catalog.remove(replay)

    def _run_of(self, key: str) -> "_Run":
        return _Run(key, self._catalog, self._routing, self._pace, self._turns, self._changed)

    def _tell(self, key: str, _: AnyResource | None, after: AnyResource | None) -> None:
        if self._is_running and isinstance(after, Replay) and after.is_active:
            self._news.put_nowait(key)

    async def _move(self, key: str) -> None:
        try:
            await self._runs[key].to_its_end()
        finally:
            del self._runs[key]
            self._changed.set()


class _Run:
    """One replay on its way."""

    def __init__(
        self,
        key: str,
        catalog: Catalog,
        routing: Routing,
        pace: ReplayPace,
        turns: asyncio.Lock,
        changed: asyncio.Event,
    ) -> None:
        self._key = key
        self._catalog = catalog
        self._routing = routing
        self._clock = routing.clock
        self._pace = pace
        self._turns = turns
        self._changed = changed
        self._progress: _Progress | None = None
        self._lanes: frozenset[str] = frozenset()
        self._waits_while: Callable[[], bool] | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether nothing but the clock can move it on."""
        return self._waits_while is not None and self._waits_while()

    async def to_its_end(self) -> None:
        """Take turns until the replay has ended; try again, from the last note on, what fails."""
        while (replay := self._catalog.get(Replay, self._key)) is not None and replay.is_active:
            try:
                await self._move_on(replay)
            except RevisionConflict:
                await asyncio.sleep(0)  # it was cancelled meanwhile
            except Exception:
                self._routing.log.exception("replay failed, will be tried again", replay_arn=replay.arn)
                self._progress = None
                await self._pause()

    async def _move_on(self, replay: Replay) -> None:
        if self._progress is None:
            self._progress = await self._begin(replay)
            return
        async with self._turns:
            began_at = self._clock.now()
            await self._turn(replay, self._progress)
            await self._clock.sleep(self._pace.turned(self._clock.now() - began_at))
        await self._catch_up()

    async def _begin(self, replay: Replay) -> "_Progress":
        if replay.state is ReplayState.STARTING:
            running = msgspec.structs.replace(replay, state=ReplayState.RUNNING)
            await self._catalog.replace(replay, running)
        return _Progress(replay, self._routing)

    async def _turn(self, replay: Replay, progress: "_Progress") -> None:
        """Replay the next few events, or end."""
        self._lanes = await progress.route()  # what an earlier process has copied and not routed
        ending = self._ending(replay)
        if ending is not None:
            await self._end(replay, progress, *ending)
        elif (archived := await progress.read(self._pace.events)) is None:
            await self._end(replay, progress, ReplayState.COMPLETED)
        elif archived:
            await progress.copy(archived)
            self._lanes |= await progress.route()
            if progress.is_worth_noting:
                await self._catalog.replace(replay, progress.noted(replay))

    def _ending(self, replay: Replay) -> tuple[ReplayState, str | None] | None:
        """How it ends before its end, if it does."""
        if replay.state is ReplayState.CANCELLING:
            return ReplayState.CANCELLED, None
        archive = self._catalog.get(Archive, archive_key(replay.account, replay.region, replay.archive))
        if archive is None or archive.log != replay.archive_log:
            return ReplayState.FAILED, f"Archive {replay.archive} does not exist."
        if self._catalog.bus(replay.account, replay.region, replay.bus) is None:
            return ReplayState.FAILED, f"Event bus {replay.bus} does not exist."
        return None

    async def _end(
        self, replay: Replay, progress: "_Progress", state: ReplayState, reason: str | None = None
    ) -> None:
        ended = msgspec.structs.replace(
            progress.noted(replay), state=state, reason=reason, ended_at=self._clock.now()
        )
        await self._catalog.replace(replay, ended)
        self._routing.log.info("replay", replay_arn=replay.arn, state=state.value, reason=reason)

    # -- pace ------------------------------------------------------------------------------------------

    def _is_behind(self) -> bool:
        dispatcher = self._routing.dispatcher
        return dispatcher.replayed_in_flight >= self._pace.events or any(
            map(dispatcher.is_behind, self._lanes)
        )

    async def _catch_up(self) -> None:
        """Wait while there is enough to attempt."""
        if not self._is_behind():
            return
        until = self._clock.now() + PATIENCE
        self._waits_while = lambda: self._clock.now() < until and self._is_behind()
        self._changed.set()
        try:
            async with self._clock.timeout(PATIENCE):
                while self._is_behind():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            self._pace.not_taken()
        self._waits_while = None

    async def _pause(self) -> None:
        until = self._clock.now() + PAUSE
        self._waits_while = lambda: self._clock.now() < until
        self._changed.set()
        await self._clock.sleep_until(until)
        self._waits_while = None


class _Progress:
    """How far a replay is: read ahead in the archive, copied, routed. After a failure it knows too much."""

    def __init__(self, replay: Replay, routing: Routing) -> None:
        self._replay = replay
        self._store = routing.store
        self._bus_logs = routing.bus_logs
        self._clock = routing.clock
        self._router = Router(Cursor(replay.log), routing)
        first = minute_at(replay.window_start_at) if replay.minute is None else replay.minute
        self._read_to = Place(first, replay.position)
        self._ahead: deque[Record] = deque()
        self._limit = LEAST
        self._last: Record | None = None
        self._copied = 0
        self._noted_at = self._clock.now()

    async def read(self, limit: int) -> Sequence[Record] | None:
        """The next events of the window, at most `limit`, perhaps none; None at the end."""
        if not self._ahead:
            found = await self._store.read_by_minute(
                self._replay.archive_log,
                self._read_to,
                before=minute_at(self._replay.window_end_at - MICROSECOND) + 1,
                until=self._replay.until,
                limit=self._limit,
            )
            if not found:
                return None
            self._adapt(found)
            self._read_to = Place(minute_of(found[-1].event), found[-1].position)
            self._ahead.extend(record for record in found if self._is_in_window(record))
        return [self._ahead.popleft() for _ in range(min(limit, len(self._ahead)))]

    def _adapt(self, records: Sequence[Record]) -> None:
        """Let what is read ahead be bounded in bytes, roughly."""
        average = sum(len(record.event.detail) for record in records) // len(records)
        self._limit = max(1, min(READ_AHEAD, 2 * self._limit, READ_AHEAD_BYTES // max(average, 1)))

    def _is_in_window(self, record: Record) -> bool:
        return self._replay.window_start_at <= time_of(record.event) < self._replay.window_end_at

    async def copy(self, archived: Sequence[Record]) -> None:
        """Append the copies that are not there yet."""
        copies = [self._copy_of(record) for record in archived]
        stored = await self._store.append(copies, ordered=True)  # a note is on disk, and so all before it
        self._bus_logs.stored(stored, None)
        self._last = archived[-1]
        self._copied += len(archived)

    def _copy_of(self, record: Record) -> NewRecord:
        return NewRecord(
            log=self._replay.log,
            dedup_id=derived_id(record.stored_at, "replay", self._replay.log, str(record.position)),
            event=msgspec.structs.replace(record.event, replay_name=self._replay.name),
            via=record.via,
        )

    async def route(self) -> frozenset[str]:
        """Route every copy; give the lanes that they go to."""
        lanes: frozenset[str] = frozenset()
        while await self._router.step():
            lanes |= self._router.lanes
        return lanes

    @property
    def is_worth_noting(self) -> bool:
        """Whether it is time to write down how far the replay is."""
        return self._copied >= NOTE_AFTER_EVENTS or self._clock.now() >= self._noted_at + NOTE_EVERY

    def noted(self, replay: Replay) -> Replay:
        """The replay with how far it is."""
        self._copied, self._noted_at = 0, self._clock.now()
        if self._last is None:
            return replay
        return msgspec.structs.replace(
            replay,
            minute=minute_of(self._last.event),
            position=self._last.position,
            replayed_until=time_of(self._last.event),
        )
