"""The gate before a node: calls pass while it is open; who closes it is alone."""

import asyncio

from partnerbus.node.front import Gate


async def turns() -> None:
    """Let everybody do what can be done now."""
    for _ in range(10):
        await asyncio.sleep(0)


class Callers:
    """Calls that stay behind a gate until they are let out."""

    def __init__(self, gate: Gate) -> None:
        self.gate, self.inside, self.out = gate, 0, asyncio.Event()

    async def call(self) -> None:
        async with self.gate:
            self.inside += 1
            await self.out.wait()
            self.inside -= 1


async def test_who_closes_it_waits_for_those_inside_and_others_wait_outside() -> None:
    gate = Gate()
    callers = Callers(gate)
    first = [asyncio.create_task(callers.call()) for _ in range(3)]
    await turns()
    seen: list[int] = []

    async def close() -> None:
        async with gate.closed():
            seen.append(callers.inside)
            await turns()
            seen.append(callers.inside)

    closing = asyncio.create_task(close())
    await turns()
    late = asyncio.create_task(callers.call())
    await turns()
    assert (callers.inside, seen) == (3, [])
    callers.out.set()
    await asyncio.gather(*first, closing, late)
    assert seen == [0, 0]


async def test_two_close_it_one_after_the_other() -> None:
    gate, order = Gate(), list[str]()

    async def close(name: str) -> None:
        async with gate.closed():
            order.append(name)
            await turns()
            order.append(name)

    await asyncio.gather(close("a"), close("b"))
    assert order == ["a", "a", "b", "b"]
    async with gate:
        pass


async def test_it_opens_again_whatever_happens() -> None:
    gate = Gate()
    try:
        async with gate.closed():
            raise RuntimeError
    except RuntimeError:
        pass
    async with gate:
        waiting = asyncio.create_task(gate.closed().__aenter__())
        await turns()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with gate:
        pass


async def test_a_call_that_is_cut_off_is_inside_no_more() -> None:
    gate = Gate()
    callers = Callers(gate)
    call = asyncio.create_task(callers.call())
    await turns()
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    async with gate.closed():
        pass
