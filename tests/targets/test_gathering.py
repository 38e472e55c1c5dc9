"""Deliveries that share calls: when they do, what one call takes, and what each is told."""

import asyncio
from collections.abc import Sequence

import pytest

from partnerbus.model.reply import ACCEPTED, ErrorCode, Reply
from partnerbus.targets.gathering import CALLS_AT_ONCE, CallLimits, Gatherer

PASSING = Reply(error=ErrorCode.THROTTLING, retryable=True)
FOR_GOOD = Reply(error=ErrorCode.SDK_CLIENT_ERROR)


class Service:
    """What the calls go to: it keeps them until it is opened, and answers as it was told."""

    def __init__(self, entries: int = 10, size_bytes: int = 1_000) -> None:
        self.calls: list[list[str]] = []
        self.open = asyncio.Event()
        self.of_many: Reply | Exception | None = None
        self.refused: set[str] = set()
        self._called = asyncio.Condition()
        limits = CallLimits(entries=entries, size_bytes=size_bytes)
        self.gatherer = Gatherer(limits, self._one, self._many)

    async def called(self, count: int) -> None:
        async with self._called:
            await self._called.wait_for(lambda: len(self.calls) >= count)

    def send(self, *entries: str, key: str = "k", size: int = 1) -> list["asyncio.Task[Reply]"]:
        return [asyncio.create_task(self.gatherer.send(key, entry, size)) for entry in entries]

    async def fill(self) -> list["asyncio.Task[Reply]"]:
        """As many calls under way as there may be, each of one entry."""
        tasks: list[asyncio.Task[Reply]] = []
        for number in range(CALLS_AT_ONCE):
            tasks += self.send(f"first-{number}")
            await self.called(number + 1)
        return tasks

    async def _one(self, _: str, entry: str) -> Reply:
        await self._call([entry])
        return self._verdict(entry)

    async def _many(self, _: str, entries: Sequence[str]) -> Sequence[Reply] | Reply:
        await self._call(list(entries))
        if isinstance(self.of_many, Exception):
            raise self.of_many
        return self.of_many or [self._verdict(entry) for entry in entries]

    def _verdict(self, entry: str) -> Reply:
        return FOR_GOOD if entry in self.refused else ACCEPTED

    async def _call(self, entries: list[str]) -> None:
        async with self._called:
            self.calls.append(entries)
            self._called.notify_all()
        await self.open.wait()


async def test_while_there_is_room_each_entry_is_sent_at_once():
    service = Service()
    tasks = await service.fill()
    assert [len(call) for call in service.calls] == [1] * CALLS_AT_ONCE
    service.open.set()
    assert await asyncio.gather(*tasks) == [ACCEPTED] * CALLS_AT_ONCE


async def test_what_comes_meanwhile_goes_together_when_a_call_has_ended():
    service = Service()
    tasks = await service.fill()
    for entry in ("a", "b", "c"):
        tasks += service.send(entry)
        for _ in range(5):
            await asyncio.sleep(0)  # time enough to be sent, if there were room
    service.refused = {"b"}
    service.open.set()
    replies = await asyncio.gather(*tasks)
    assert service.calls[CALLS_AT_ONCE:] == [["a", "b", "c"]]
    assert replies[CALLS_AT_ONCE:] == [ACCEPTED, FOR_GOOD, ACCEPTED]


async def test_what_comes_at_once_goes_at_once():
    service = Service()
    service.open.set()
    await asyncio.gather(*service.send("a", "b", "c"))
    assert service.calls == [["a", "b", "c"]]


async def test_one_call_takes_so_many_entries():
    service = Service(entries=2)
    service.open.set()
    await asyncio.gather(*service.send("a", "b", "c", "d", "e"))
    assert sorted(service.calls) == [["a", "b"], ["c", "d"], ["e"]]


async def test_one_call_takes_so_many_bytes_and_a_larger_entry_goes_alone():
    service = Service(size_bytes=10)
    service.open.set()
    tasks = service.send("a", size=6) + service.send("b", size=4) + service.send("c", size=1)
    tasks += service.send("large", size=99) + service.send("d", size=1)
    assert await asyncio.gather(*tasks) == [ACCEPTED] * 5
    assert sorted(service.calls) == [["a", "b"], ["c"], ["d"], ["large"]]


async def test_targets_do_not_wait_for_each_other():
    service = Service()
    tasks = await service.fill()
    tasks += service.send("other", key="another")
    await service.called(CALLS_AT_ONCE + 1)
    assert service.calls[-1] == ["other"]
    service.open.set()
    await asyncio.gather(*tasks)


async def test_a_call_that_failed_for_now_is_everybody_s_failure():
    service = Service()
    service.open.set()
    service.of_many = PASSING
    assert await asyncio.gather(*service.send("a", "b")) == [PASSING, PASSING]
    assert len(service.calls) == 1


async def test_a_call_that_was_refused_for_good_is_made_one_by_one():
    service = Service()
    service.open.set()
    service.of_many, service.refused = FOR_GOOD, {"b"}
    assert await asyncio.gather(*service.send("a", "b", "c")) == [ACCEPTED, FOR_GOOD, ACCEPTED]
    assert service.calls == [["a", "b", "c"], ["a"], ["b"], ["c"]]


async def test_an_attempt_that_was_cut_short_is_not_sent():
    service = Service()
    tasks = await service.fill()
    gone, stays = service.send("gone", "stays")
    await asyncio.sleep(0)  # let them get in line
    gone.cancel()
    service.open.set()
    await asyncio.gather(*tasks, stays)
    assert service.calls[CALLS_AT_ONCE:] == [["stays"]]


async def test_an_error_of_ours_reaches_everybody_and_stops_nothing():
    service = Service()
    service.open.set()
    service.of_many = ZeroDivisionError()
    replies = await asyncio.gather(*service.send("a", "b"), return_exceptions=True)
    assert [type(reply) for reply in replies] == [ZeroDivisionError, ZeroDivisionError]
    service.of_many = None
    assert await asyncio.gather(*service.send("c", "d")) == [ACCEPTED, ACCEPTED]


async def test_nothing_is_remembered_of_a_target_that_is_idle():
    service = Service()
    service.open.set()
    await asyncio.gather(*service.send("a", "b"), *service.send("c", key="another"))
    await asyncio.sleep(0)
    assert service.gatherer.groups == 0


async def test_closing_ends_what_is_under_way_and_what_waits():
    service = Service()
    tasks = await service.fill()
    tasks += service.send("waiting")
    await asyncio.sleep(0)
    await service.gatherer.close()
    for task in tasks:
        with pytest.raises(asyncio.CancelledError):
            await task
