"""Archives, replays and backtests in a real browser: watched as they go, by keyboard, by everybody."""

import json
import os
from datetime import timedelta

import pytest
from playwright.async_api import Browser

from tests.admin.world import ANN, BOB, Desk, _run
from tests.console.browser import DESKTOP, PHONE, PICTURES, Scheme, Screen, open_screen
from tests.console.keeping import (
    AGAIN_PAGE,
    KEPT,
    KEPT_PAGE,
    MINE,
    OWN_BUS,
    keep,
    keep_many,
    paid,
    start_slow_replay,
    until_ended,
)
from tests.console.test_pages import NASTY
from tests.console.visitor import visitor

pytestmark = pytest.mark.slow

BACKTEST = f"/backtest?rule={MINE}"


async def test_an_archive_is_made_and_its_events_arrive_once_more(desk: Desk, browser: Browser) -> None:
    hook = await desk.webhook(ANN, "hook")
    await desk.rule(ANN, "default", "mine", {"detail": {"status": ["paid"]}}, hook)
    await desk.put_own(ANN, {"status": "paid"})
    async with open_screen(browser, desk) as screen:
        page = screen.page
        await screen.sign_in(ANN)
        await page.click("nav >> text=Archives")
        await page.click("text=Make the first one")
        await page.fill("#field-name", "kept")
        await page.type("#field-pattern", '{"detail": {"status": ["')
        await page.wait_for_selector("#tried .refusal")
        await page.type("#field-pattern", 'paid"]}}')
        await page.wait_for_selector("#tried >> text=It matches 1 of the 1 newest events.")
        await page.click("text=Make the archive")
        await page.wait_for_selector("[role=status]:has-text('The archive is there')")
        for status in ("paid", "open", "paid"):
            await desk.put_own(ANN, {"status": status})
            await desk.clock.advance(timedelta(minutes=1))
        await page.reload()
        assert (
            await page.inner_text(".tiles >> nth=0")
            == "Events\n2\nSize\n" + await page.inner_text(".tiles dd >> nth=1") + "\nKept\nfor ever"
        )
        await page.click("text=Start a replay")
        await page.check("text=mine")
        await page.click("button:has-text('Start the replay')")
        await page.wait_for_selector("#progress .badge:has-text('completed')")
        await page.wait_for_selector("text=2 events replayed")
        bodies = [json.loads(each.body) for each in await desk.receiver.received(5, "/hook")]
        assert sorted(each.get("replay-name", "") != "" for each in bodies) == [False] * 3 + [True] * 2
        await page.click("text=Look at its events")
        await page.wait_for_selector("tr:has-text('replayed') >> nth=1")
        assert await page.locator("tbody tr").count() == 2
        assert screen.complaints == []


async def test_a_replay_is_watched_until_it_has_ended(desk: Desk, browser: Browser) -> None:
    await keep_many(desk, 40)
    async with visitor(desk, ANN) as ann, open_screen(browser, desk) as screen:
        await start_slow_replay(desk, ann)
        page = screen.page
        await screen.sign_in(ANN)
        await screen.go(AGAIN_PAGE)
        await page.wait_for_selector("#progress .badge:has-text('running')")
        await page.focus("#cancel")
        await desk.clock.advance(timedelta(seconds=3), desk.node.idle)
        await page.wait_for_function("() => document.querySelector('progress').value > 0")
        assert await page.evaluate("document.activeElement.id") == "cancel", "the focus is lost"
        await until_ended(desk)
        await page.wait_for_selector("#progress .badge:has-text('completed')")
        await page.wait_for_selector("text=40 events replayed")
        assert await page.evaluate("document.querySelector('progress').value") == 100
        assert await page.locator("[hx-trigger='every 1s'], #cancel").count() == 0
        assert screen.complaints == []


async def test_a_changed_rule_is_backtested_and_saved(desk: Desk, browser: Browser) -> None:
    await keep(desk, 6)
    async with open_screen(browser, desk) as screen:
        page = screen.page
        await screen.sign_in(ANN)
        await page.click("nav >> text=Rules")
        await page.click("a:text-is('mine')")
        await page.click("text=Backtest")
        await page.select_option("#field-over", KEPT)
        await page.fill("#field-pattern", paid(4))
        await page.select_option("#field-input", "template")
        await page.click("summary:has-text('Template, path')")
        await page.fill("#field-text", '{"order": <n>}')
        await page.fill("#field-paths", '{"n": "$.detail.n"}')
        await page.click("text=Run the backtest")
        await page.wait_for_selector("text=3 of 6 events would fare otherwise.")
        assert await page.inner_text("tr:has-text('Events that match')") == "Events that match\t3\t1"
        await page.wait_for_selector("text=0 gained, 2 lost, 1 sent otherwise.")
        sent = page.locator("li:has(.badge:text-is('sent otherwise'))")
        assert '"detail-type": "order.placed"' in await sent.locator("pre >> nth=0").inner_text()
        assert json.loads(await sent.locator("pre >> nth=1").inner_text()) == {"order": 4}
        if os.environ.get("PARTNERBUS_PICTURES"):
            await page.evaluate("document.querySelector('#found').scrollIntoView()")
            await screen.shoot(PICTURES / "backtest.png", full=False)
        await page.click("text=Save the pattern")
        await page.wait_for_selector("[role=status]:has-text('The pattern is saved.')")
        assert json.loads(await page.input_value("#field-pattern")) == json.loads(paid(4))
        assert len(desk.receiver.requests) == 3
        assert screen.complaints == []


async def test_a_replay_is_started_by_keyboard_alone(desk: Desk, browser: Browser) -> None:
    await keep(desk, 2)
    async with open_screen(browser, desk) as screen:
        page, keys = screen.page, screen.page.keyboard
        await screen.sign_in(ANN)
        await _tab_to(screen, "a[href='/console/replays']")
        await keys.press("Enter")
        await page.wait_for_selector("h1:text-is('Replays')")
        await _tab_to(screen, "a[href='/console/replays/new']")
        await keys.press("Enter")
        await page.wait_for_selector("#field-archive")
        await _tab_to(screen, "main button")
        await keys.press("Enter")
        await page.wait_for_selector("#field-name")
        await _tab_to(screen, "#field-name")
        await keys.press("Control+a")
        await keys.type("again")
        await _tab_to(screen, "input[name=rule]")
        await keys.press("Space")
        await _tab_to(screen, "main button")
        await keys.press("Enter")
        await page.wait_for_selector("#progress .badge:has-text('completed')")
        assert await page.inner_text("h1") == "again"
        assert len(await desk.receiver.received(2, "/hook")) == 2


async def _tab_to(screen: Screen, selector: str) -> None:
    """Press the tabulator until an element has the focus, which it shows."""
    for _ in range(60):
        await screen.page.keyboard.press("Tab")
        if await screen.page.evaluate("wanted => document.activeElement.matches(wanted)", selector):
            outline = await screen.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline == "solid"
            return
    raise AssertionError(f"the keyboard does not get to {selector}")


async def test_nonsense_gets_a_sensible_page_and_runs_nothing(desk: Desk, browser: Browser) -> None:
    await furnish(desk)
    async with open_screen(browser, desk) as screen:
        page = screen.page
        await screen.sign_in(ANN)
        await screen.go("/archives/new")
        await page.fill("#field-name", NASTY[:40])
        await page.fill("#field-pattern", NASTY)
        await page.wait_for_selector("#tried .refusal")
        await page.click("text=Make the archive")
        await page.wait_for_selector("[role=alert]")
        assert await page.input_value("#field-pattern") == NASTY
        await screen.go(f"/replays/new?archive={KEPT}")
        await page.fill("#field-name", "again")
        since, until = await page.input_value("#field-since"), await page.input_value("#field-until")
        await page.fill("#field-since", until)
        await page.fill("#field-until", since)
        await page.click("button:has-text('Start the replay')")
        await page.wait_for_selector("[role=alert]:has-text('EventStartTime must be before EventEndTime')")
        assert await page.input_value("#field-since") == until
        await screen.go(BACKTEST)
        await page.fill("#field-pattern", NASTY)
        await page.click("text=Run the backtest")
        await page.wait_for_selector("[role=alert]")
        for path in PATHS:
            await screen.go(path)
            for summary in await page.query_selector_all("details:not([open]) > summary"):
                await summary.click()
            assert await page.query_selector("main img, main script") is None
        assert screen.complaints == []


async def test_others_get_nothing_and_the_same_is_there_without_javascript(
    desk: Desk, browser: Browser
) -> None:
    await furnish(desk)
    async with open_screen(browser, desk) as bob, open_screen(browser, desk, scripts=False) as ann:
        await bob.sign_in(BOB)
        for path in PATHS:
            await bob.go(path)
            said = await bob.page.inner_text("main")
            assert not any(word in said for word in (ANN, "order.placed", "4 events", "mine")), path
        await ann.sign_in(ANN)
        await ann.go(BACKTEST)
        await ann.page.select_option("#field-over", KEPT)
        await ann.page.fill("#field-pattern", paid(0))
        await ann.page.click("text=Run the backtest")
        await ann.page.wait_for_selector("text=1 of 4 events would fare otherwise.")
        await ann.go(f"/replays/new?archive={KEPT}")
        await ann.page.fill("#field-name", "again")
        await ann.page.click("button:has-text('Start the replay')")
        await ann.page.wait_for_selector("h1:has-text('again')")
        await desk.node.idle()
        await ann.page.reload()
        await ann.page.wait_for_selector("#progress .badge:has-text('completed')")


PATHS = (
    "/archives",
    f"/archives?bus={OWN_BUS}",
    "/archives/new",
    KEPT_PAGE,
    "/replays",
    "/replays/new",
    f"/replays/new?archive={KEPT}",
    f"/replays/replay?arn=arn:aws:events:us-east-1:{ANN}:replay/before",
    "/backtest",
    BACKTEST,
    f"/rules?bus={OWN_BUS}",
    f"/rules/rule?arn={MINE}",
)


async def furnish(desk: Desk) -> None:
    """An archive, a replay that has ended, and what others wrote in every field that takes it."""
    await keep(desk, 4)
    client = desk.client(ANN)
    await _run(client.update_archive, ArchiveName="kept", Description=NASTY, RetentionDays=30)
    await _run(
        client.start_replay,
        ReplayName="before",
        Description=NASTY,
        EventSourceArn=KEPT,
        EventStartTime=desk.clock.now() - timedelta(days=1),
        EventEndTime=desk.clock.now(),
        Destination={"Arn": OWN_BUS, "FilterArns": [MINE]},
    )
    await desk.node.idle()


async def test_these_pages_can_be_used_by_everybody(desk: Desk, browser: Browser) -> None:
    await furnish(desk)
    async with open_screen(browser, desk) as screen:
        page = screen.page
        await screen.sign_in(ANN)
        for path in PATHS:
            await screen.go(path)
            await judge(screen, path)
        await screen.go(BACKTEST)
        await page.fill("#field-pattern", paid(0))
        await page.select_option("#field-input", "whole")
        await page.click("text=Run the backtest")
        await page.wait_for_selector("text=Before and after")
        await judge(screen, "a result")
        await page.fill("#field-pattern", "no JSON")
        await page.click("text=Run the backtest")
        await page.wait_for_selector("[role=alert]")
        await judge(screen, "a refusal")
        assert screen.complaints == []


async def test_what_only_the_operator_sees_fits_on_a_phone(desk: Desk, browser: Browser) -> None:
    await furnish(desk)
    async with open_screen(browser, desk, size=PHONE, scheme="dark") as screen:
        await screen.sign_in(None)
        for path in PATHS:
            await screen.go(path)
            assert (path, ANN in await screen.page.inner_text("main")) == (path, True)
            width = await screen.page.evaluate("document.documentElement.scrollWidth")
            assert (path, width) == (path, PHONE[0])
        assert await screen.violations() == []
        assert screen.complaints == []


async def judge(screen: Screen, name: str) -> None:
    """Light on a desk, and dark on a phone."""
    looks: tuple[tuple[Scheme, tuple[int, int]], ...] = (("light", DESKTOP), ("dark", PHONE))
    for scheme, (width, height) in looks:
        await screen.page.emulate_media(color_scheme=scheme)
        await screen.page.set_viewport_size({"width": width, "height": height})
        assert (name, scheme, await screen.violations()) == (name, scheme, [])
        found = await screen.page.evaluate("document.documentElement.scrollWidth")
        assert (name, scheme, found) == (name, scheme, width)
