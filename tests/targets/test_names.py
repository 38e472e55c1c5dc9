"""Host names that somebody gives: what is said of them at once."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Sequence
from ipaddress import ip_address

import pytest

from partnerbus.kernel.clock import ManualClock
from partnerbus.targets import names
from partnerbus.targets.addresses import AddressGuard
from partnerbus.targets.names import CHECK_TIMEOUT, Names, RememberedNames, Resolve, UrlCheck

URL = "https://hooks.example.com/"


@pytest.fixture
async def checks() -> AsyncIterator[list[UrlCheck]]:
    made: list[UrlCheck] = []
    yield made
    for check in made:
        await check.close()


def answering(*addresses: str) -> Resolve:
    async def resolve(_: str) -> Sequence[str]:
        return addresses

    return resolve


@pytest.mark.parametrize(
    ("addresses", "refused"),
    [
        (["8.8.8.8"], False),
        (["10.0.0.1"], True),
        (["10.0.0.1", "fd00::1", "169.254.169.254"], True),
        (["10.0.0.1", "8.8.8.8"], False),
        (["fe80::1%eth0"], True),
        ([], False),
    ],
)
async def test_a_name_of_private_addresses_is_refused(checks, addresses: list[str], refused: bool):
    check = UrlCheck(AddressGuard(), ManualClock(), answering(*addresses))
    checks.append(check)
    assert (await check.refusal(URL) is not None) is refused


async def test_what_the_url_itself_says_comes_first(checks):
    check = UrlCheck(AddressGuard(), ManualClock(), answering("8.8.8.8"))
    checks.append(check)
    assert await check.refusal("http://hooks.example.com/") == "The URL must start with https://."


async def test_a_name_that_cannot_be_resolved_in_time_is_taken(checks):
    never = asyncio.Event()

    async def hang(_: str) -> Sequence[str]:
        await never.wait()
        return []

    clock = ManualClock()
    check = UrlCheck(AddressGuard(), clock, hang)
    checks.append(check)
    asking = asyncio.create_task(check.refusal(URL))
    await clock.advance(CHECK_TIMEOUT)
    assert await asking is None


@pytest.mark.parametrize("error", [socket.gaierror(socket.EAI_AGAIN, "again"), UnicodeError("too long")])
async def test_a_resolver_that_fails_refuses_nothing(checks, error: Exception):
    async def fail(_: str) -> Sequence[str]:
        raise error

    check = UrlCheck(AddressGuard(), ManualClock(), fail)
    checks.append(check)
    assert await check.refusal(URL) is None


async def test_names_that_hang_do_not_hold_up_those_that_do_not(monkeypatch: pytest.MonkeyPatch):
    answered = threading.Event()

    def look_up(host: str) -> list[str]:
        if host.startswith("slow"):
            answered.wait()
        return ["127.0.0.1"]

    monkeypatch.setattr(names, "look_up", look_up)
    resolver = Names(None, None)
    try:
        assert await resolver.allowed("good.example")
        slow = [asyncio.create_task(resolver.allowed(f"slow-{number}.example")) for number in range(100)]
        for _ in range(3):
            async with asyncio.timeout(60):
                assert await resolver.allowed("good.example")
    finally:
        answered.set()
        await asyncio.gather(*slow)
        await resolver.close()


async def test_a_name_that_began_to_hang_is_among_the_others(monkeypatch: pytest.MonkeyPatch):
    answered, asked = threading.Event(), 0

    def look_up(host: str) -> list[str]:
        nonlocal asked
        asked += 1
        if asked > 1:
            answered.wait()
        return ["127.0.0.1"]

    monkeypatch.setattr(names, "look_up", look_up)
    resolver = Names(None, None)
    await resolver.allowed("host.example")
    assert "host.example" in resolver._proven
    hanging = asyncio.create_task(resolver.allowed("host.example"))
    await asyncio.sleep(0)
    assert "host.example" not in resolver._proven
    answered.set()
    await hanging
    assert "host.example" in resolver._proven
    await resolver.close()


async def test_the_system_is_asked(checks):
    closed, opened = UrlCheck(AddressGuard(), ManualClock()), UrlCheck(AddressGuard(True), ManualClock())
    checks += (closed, opened)
    assert await closed.refusal("https://127.0.0.1.:443/") is not None
    assert await opened.refusal("https://localhost/") is None


# -- names that are remembered -----------------------------------------------------------------------------


class Counted:
    """Answers look-ups once it may, and counts them."""

    def __init__(self, *answers: str | OSError) -> None:
        self.asked = 0
        self.may_answer = asyncio.Event()
        self._answers = list(answers)

    async def __call__(self, _: str) -> Sequence[str]:
        self.asked += 1
        await self.may_answer.wait()
        answer = self._answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return [answer]


async def test_a_name_is_looked_up_once_for_all_who_ask():
    resolve = Counted("127.0.0.1")
    remembered = RememberedNames(Names(None, resolve))
    asking = [asyncio.create_task(remembered.allowed("host.example")) for _ in range(3)]
    await asyncio.sleep(0)
    asking[0].cancel()  # the others wait for what it began
    resolve.may_answer.set()
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert found[1:] == [[ip_address("127.0.0.1")]] * 2 == [await remembered.allowed("host.example")] * 2
    assert resolve.asked == 1
    await remembered.close()


async def test_that_a_name_was_not_found_is_not_remembered():
    resolve = Counted(socket.gaierror(socket.EAI_AGAIN, "again"), "127.0.0.1")
    resolve.may_answer.set()
    remembered = RememberedNames(Names(None, resolve))
    with pytest.raises(socket.gaierror):
        await remembered.allowed("host.example")
    assert await remembered.allowed("host.example") == [ip_address("127.0.0.1")]
    await remembered.close()


async def test_a_name_is_remembered_for_a_moment_only(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(names, "NAME_SECONDS", 0.0)
    resolve = Counted("127.0.0.1", "127.0.0.2")
    resolve.may_answer.set()
    remembered = RememberedNames(Names(None, resolve))
    found = [await remembered.allowed("host.example") for _ in range(2)]
    assert found == [[ip_address("127.0.0.1")], [ip_address("127.0.0.2")]]
    await remembered.close()
