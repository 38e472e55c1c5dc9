"""A process with a store, to be killed. It says what was acknowledged, a line each."""

import asyncio
import sys
from pathlib import Path

from partnerbus.kernel.clock import ManualClock
from partnerbus.kernel.errors import RevisionConflict
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.store.embedded import EmbeddedStore
from partnerbus.store.protocol import LIVE, START, Store
from partnerbus.testing.store_contract.world import DELIVERED, LEASE, fill, owe

EVENTS = 24
TRIMMED = 8


async def work(store: Store) -> None:
    """Do everything once; done again, it comes to the same end."""
    await asyncio.gather(*(put(store, f"k{number}") for number in range(4)))
    for first in range(1, EVENTS, 4):
        await fill(store, 4, first=first)
        say(f"appended:{first}")
    while records := await store.read("log", await store.cursor("log", LIVE), limit=6):
        await owe(store, records)
        say(f"routed:{records[-1].event.id}")
    while claims := (await store.claim("lane", 5, LEASE)).claims:
        for claim in claims:
            await store.settle(claim, DELIVERED)
            say(f"settled:{claim.record.event.id}")
    oldest = await store.read("log", START, limit=EVENTS)
    if len(oldest) == EVENTS:
        await store.trim("log", oldest[TRIMMED].position)


async def put(store: Store, key: str) -> None:
    try:
        await store.put(key, b"v", 0)
    except RevisionConflict:
        return
    say(f"put:{key}")


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


async def main(what: str, folder: Path) -> None:
    store = await EmbeddedStore.open(folder, ManualClock(), Failpoints.from_environment())
    if what == "open":
        say("open")
        await asyncio.to_thread(sys.stdin.read)
    else:
        await work(store)
    if what == "reset":
        await store.reset(["k0"])
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
