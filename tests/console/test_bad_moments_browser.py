"""The console in a real browser when something is wrong: ended sessions, dead servers, failing targets."""

from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page

from partnerbus.api.admin.destinations import ConnectionList
from partnerbus.console.sessions import LIFETIME
from partnerbus.node.folder import DataFolder
from partnerbus.testing.receiver import Respond
from partnerbus.testing.server_process import ServerProcess
from tests.admin.test_destinations import connect
from tests.admin.world import ACME, ANN, BOB, ORDERS, Desk
from tests.console.browser import PHONE, Scheme, open_screen
from tests.console.test_pages import NASTY, make_trouble

pytestmark = pytest.mark.slow

SCHEMES: tuple[Scheme, ...] = ("light", "dark")


async def test_a_session_that_ends_is_said_and_nothing_is_lost(desk: Desk, browser: Browser) -> None:
    """A page where something is half typed stays as it is; after signing in again it is there again."""
    async with open_screen(browser, desk) as screen:
        await screen.sign_in(ANN)
        await screen.go("/rules/new")
        await screen.page.fill("#field-name", "half-typed")
        await desk.clock.advance(LIFETIME)
        await screen.page.wait_for_selector("#ended:visible >> text=Your session has ended.")
        assert await screen.page.input_value("#field-name") == "half-typed"
        assert not await screen.page.is_visible("#lost")
        await screen.page.click("text=Sign in to go on")
        await screen.page.wait_for_selector("[role=alert]:has-text('Your session has ended.')")
        await screen.fill_in(ANN)
        await screen.page.wait_for_url("**/console/rules/new")


async def test_a_page_that_asks_by_itself_leads_to_the_sign_in_and_back(desk: Desk, browser: Browser) -> None:
    hook = await desk.webhook(ANN, "hook")
    desk.receiver.script("/hook", *[Respond(status=503)] * 9)
    await desk.rule(ANN, "default", "all", {"source": ["own"]}, hook)
    event_id = await desk.put_own(ANN, {})
    async with open_screen(browser, desk) as screen:
        await screen.sign_in(ANN)
        await screen.go(f"/events/{event_id}")
        await desk.clock.advance(LIFETIME)
        await screen.page.wait_for_url("**/console/sign-in?ended=1&next=**")
        await screen.fill_in(ANN)
        await screen.page.wait_for_url(f"**/console/events/{event_id}")


async def test_a_network_that_is_gone_is_said_until_it_is_back(desk: Desk, browser: Browser) -> None:
    async with open_screen(browser, desk) as screen:
        await screen.sign_in(ANN)
        await screen.go("/targets")
        await screen.page.context.set_offline(True)
        await screen.page.wait_for_selector("#lost:visible >> text=The server does not answer.")
        await screen.page.context.set_offline(False)
        await screen.page.wait_for_selector("#lost", state="hidden")
        assert await screen.page.is_visible("h1:has-text('Targets')")


async def test_a_server_that_is_killed_is_missed_and_found_again(tmp_path: Path, browser: Browser) -> None:
    """Its sessions are gone with it: the page says so, and is there again after signing in."""
    data = tmp_path / "data"
    page = await browser.new_page()
    async with ServerProcess(data) as first:
        url = f"{first.url}/console/tail"
        await sign_in_as_operator(page, data, url)
        await page.fill("#field-source", "half-typed")
        await first.kill()
        await page.wait_for_selector("#lost:visible >> text=The server does not answer.")
        assert await page.input_value("#field-source") == "half-typed"
    async with ServerProcess(data, "--port", str(urlsplit(first.url).port)):
        await page.wait_for_selector("#ended:visible >> text=Your session has ended.")
        assert not await page.is_visible("#lost")
        assert await page.input_value("#field-source") == "half-typed"
        async with page.expect_response("**/tail/stream?**"):
            await sign_in_as_operator(page, data, url)
        assert not await page.is_visible("#lost, #ended")


async def sign_in_as_operator(page: Page, data: Path, url: str) -> None:
    operator = DataFolder(data).read_operator()
    assert operator is not None
    await page.goto(url)
    await page.fill("#secret", operator.token)
    await page.click("button:has-text('Sign in')")
    await page.wait_for_url(url)


async def test_retries_are_seen_as_they_happen(desk: Desk, browser: Browser) -> None:
    hook = await desk.webhook(ANN, "hook")
    desk.receiver.script("/hook", Respond(status=503, body=NASTY.encode()), Respond(status=500), Respond())
    await desk.rule(ANN, "default", "all", {"source": ["own"]}, hook)
    event_id = await desk.put_own(ANN, {})
    async with open_screen(browser, desk) as screen:
        await screen.sign_in(ANN)
        await screen.go(f"/events/{event_id}")
        await screen.page.wait_for_selector("text=The next attempt is due at")
        await screen.page.click("summary:has-text('Request and answer')")
        assert "<script>alert(1)" in await screen.page.inner_text("[aria-label='Body answered']")
        for number in (2, 3):
            await desk.advance(timedelta(minutes=20))
            await screen.page.wait_for_selector(f"#trace >> text=Attempt {number}")
            assert await screen.page.is_visible("[aria-label='Body answered'] >> nth=0"), "it was closed"
        await screen.page.wait_for_selector("#trace >> text=delivered")
        assert await screen.page.get_attribute("#trace", "hx-get") is None, (
            "it asks on although all is settled"
        )
        assert screen.complaints == []


async def test_a_dead_letter_is_redriven_and_watched(desk: Desk, browser: Browser) -> None:
    event_id = await make_trouble(desk)
    desk.receiver.script("/bad", Respond(status=503), Respond())
    async with open_screen(browser, desk) as screen:
        await screen.sign_in(ANN)
        await screen.page.click("nav >> text=Dead letters")
        await screen.page.click("tbody a >> nth=0")
        await screen.page.wait_for_selector("text=ERROR_FROM_TARGET")
        assert "<script>alert(1)" in await screen.page.inner_text(
            "[aria-label='The beginning of the answer']"
        )
        await screen.page.click("button:has-text('Redrive')")
        await screen.page.wait_for_url(f"**/console/events/{event_id}")
        await screen.page.wait_for_selector("[role=status]:has-text('1 dead letter is on the way again.')")
        await screen.page.wait_for_selector("#trace >> text=503")
        await desk.advance(timedelta(minutes=20))
        await screen.page.wait_for_selector("#trace >> text=Sent again 1 time by redriving.")
        await screen.page.wait_for_selector("#trace:not([hx-get])")
        assert await screen.page.query_selector("main img, main script") is None
        assert screen.complaints == []


async def test_a_wrong_key_and_what_belongs_to_others(desk: Desk, browser: Browser) -> None:
    event_id = await make_trouble(desk)
    hook = f"arn:partnerbus:webhook:us-east-1:{ANN}:good"
    async with open_screen(browser, desk) as screen:
        await screen.go(f"/events/{event_id}")
        await screen.page.fill("#name", f"KEY{ANN}")
        await screen.page.fill("#secret", "secret-of-another")
        await screen.page.press("#secret", "Enter")
        await screen.page.wait_for_selector("[role=alert]:has-text('There is no such access key')")
        assert await screen.page.input_value("#secret") == ""
        await screen.fill_in(BOB)
        await screen.page.wait_for_selector("h1:has-text('Not found')")
        for path in (f"/targets/webhooks/webhook?arn={hook}", f"/targets/target?arn={hook}", "/accounts"):
            await screen.go(path)
            content = await screen.page.content()
            assert "ERROR_FROM_TARGET" not in content
            assert ORDERS not in content


async def test_a_megabyte_is_a_page_that_can_be_read(desk: Desk, browser: Browser) -> None:
    event_id = await desk.put_own(ANN, {"text": NASTY * 15_000}, detail_type=NASTY)
    async with open_screen(browser, desk, size=PHONE) as screen:
        await screen.sign_in(ANN)
        await screen.go(f"/events/{event_id}")
        await screen.page.wait_for_selector("text=Cut: the whole detail has")
        assert await screen.page.evaluate("document.documentElement.scrollWidth") == PHONE[0]
        assert await screen.page.query_selector("main img, main script") is None
        assert screen.complaints == []


async def test_pages_of_every_role_can_be_used_by_everybody(desk: Desk, browser: Browser) -> None:
    await make_trouble(desk)
    shop = await connect(desk, ANN, "shop")
    await desk.rule(ANN, "default", "own", {"source": ["own"]}, shop)
    (connection,) = (await desk.ask("/connections", ANN)).read(ConnectionList).connections
    await desk.put_own(ANN, {})
    targets = [
        "/targets/api-destinations",
        "/targets/api-destinations/new",
        f"/targets/api-destinations/destination?arn={shop}",
        "/targets/connections",
        "/targets/connections/new?type=OAUTH_CLIENT_CREDENTIALS",
        f"/targets/connections/connection?arn={connection.arn}",
        "/targets/webhooks",
        f"/targets/webhooks/webhook?arn=arn:partnerbus:webhook:us-east-1:{ANN}:bad",
    ]
    async with open_screen(browser, desk, size=PHONE) as screen:
        for account, more in (
            (None, [f"/accounts/account?id={ANN}"]),
            (ACME, []),
            (ANN, targets),
        ):
            await screen.sign_in(account)
            links = "nav a" if account != ANN else "tbody tr:first-child a"  # the other test sees Ann's nav
            await screen.go("/dead-letters")
            found = await screen.page.eval_on_selector_all(links, "all => all.map(each => each.pathname)")
            for path in (*(str(each).removeprefix("/console") for each in found), *more):
                await screen.go(path)
                for scheme in SCHEMES:
                    await screen.page.emulate_media(color_scheme=scheme)
                    assert (account, path, scheme, await screen.violations()) == (account, path, scheme, [])
                width = await screen.page.evaluate("document.documentElement.scrollWidth")
                assert (account, path, width) == (account, path, PHONE[0])
            await screen.page.click("text=Sign out")
        assert screen.complaints == []
