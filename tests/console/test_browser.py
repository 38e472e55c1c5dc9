"""The console in a real browser: what people do with it, and that nothing of others runs in it."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.async_api import Browser

from tests.admin.world import ACME, ANN, BOB, ORDERS, Desk
from tests.console.browser import DESKTOP, PHONE, PICTURES, Scheme, Screen, open_screen
from tests.console.test_pages import make_trouble

pytestmark = pytest.mark.slow


async def test_a_first_start_shows_an_explained_empty_page(desk: Desk, browser: Browser) -> None:
    async with open_screen(browser, desk) as screen:
        await screen.go("")
        await screen.page.wait_for_selector("h1:has-text('Sign in')")
        await screen.page.fill("#name", f"KEY{ANN}")
        await screen.page.fill("#secret", "wrong")
        await screen.page.press("#secret", "Enter")
        await screen.page.wait_for_selector("[role=alert]:has-text('There is no such access key')")
        await screen.sign_in(None)
        await screen.page.wait_for_selector("h2:has-text('Nothing has happened here yet')")
        assert screen.complaints == []


async def test_an_offer_is_accepted_routed_and_watched_as_it_arrives(desk: Desk, browser: Browser) -> None:
    hook = await desk.webhook(ANN, "hook")
    async with open_screen(browser, desk) as partner, open_screen(browser, desk) as ann:
        await partner.sign_in(ACME)
        await partner.page.click("nav >> text=Sources")
        await partner.page.fill("#field-name", ORDERS)
        await partner.page.fill("#field-customer", ANN)
        await partner.page.click("button:has-text('Offer')")
        await partner.page.wait_for_selector("[role=status]:has-text('is offered')")

        await ann.sign_in(ANN)
        await ann.page.click("text=all sources")
        await ann.page.click("button:has-text('Accept')")
        await ann.page.wait_for_selector("[role=status]:has-text('is accepted')")
        await desk.put(ORDERS, {"total": 250})
        await ann.page.click("nav >> text=Rules")
        await ann.page.click("text=Make the first one")
        await ann.page.select_option("#field-bus", label=ORDERS)
        await ann.page.fill("#field-name", "large")
        await ann.page.type("#field-pattern", '{"detail": {"total": [250]}}')
        await ann.page.wait_for_selector("#tried >> text=It matches 1 of the 1 newest events.")
        await ann.page.click("text=Make the rule")
        await ann.page.fill("#field-target", hook)
        await ann.page.click("text=Put target")
        await ann.page.wait_for_selector("[role=status]:has-text('The target is there')")

        async with ann.page.expect_response("**/tail/stream?**"):
            await ann.page.click("nav >> text=Live tail")
        event_id = await desk.put(ORDERS, {"total": 250})
        await ann.page.click(f"#arrivals >> text={event_id}")
        await ann.page.wait_for_selector(".timeline >> text=delivered")
        assert partner.complaints == ann.complaints == []
    assert len(await desk.receiver.received(1, "/hook")) == 1


async def test_pictures_for_the_readme(desk: Desk, browser: Browser) -> None:
    """They are made anew where PARTNERBUS_PICTURES is set; else it is enough that they can be."""
    event_id = await make_trouble(desk, detail_type="order.placed", note="2 of 3 parcels")
    for number in range(40):
        await desk.clock.advance(timedelta(seconds=61))
        await desk.put(ORDERS, {"total": number}, detail_type="order.placed")
    async with open_screen(browser, desk) as screen:
        await screen.sign_in(ANN)
        for name, path in (("home", ""), ("trace", f"/events/{event_id}")):
            await screen.go(path)
            picture = await screen.page.screenshot(animations="disabled")
            assert picture.startswith(b"\x89PNG")
            if os.environ.get("PARTNERBUS_PICTURES"):
                PICTURES.mkdir(exist_ok=True)
                (PICTURES / f"{name}.png").write_bytes(picture)


async def test_why_not_of_an_event_that_matched_nothing(desk: Desk, browser: Browser) -> None:
    await desk.offer(ORDERS, ANN)
    await desk.rule(ANN, ORDERS, "large", {"detail": {"total": [{"numeric": [">", 100]}]}})
    event_id = await desk.put(ORDERS, {"total": 30})
    async with open_screen(browser, desk) as screen:
        await screen.sign_in(ANN)
        await screen.page.click("nav >> text=Events")
        await screen.page.click(f"text={event_id}")
        await screen.page.click("section:has-text('Rules that do not match') >> text=large")
        await screen.page.wait_for_selector("text=It does not match.")
        row = await screen.page.inner_text("tr:has-text('detail.total')")
        assert "numeric > 100" in row
        assert "30" in row
        assert screen.complaints == []


async def test_a_dead_letter_is_seen_and_redriven(desk: Desk, browser: Browser) -> None:
    event_id = await make_trouble(desk)
    async with open_screen(browser, desk) as screen:
        await screen.sign_in(ANN)
        await screen.page.wait_for_selector("h2:has-text('1 thing needs attention')")
        await screen.page.click("text=look at them")
        await screen.page.check("input[name=id]")
        await screen.page.click("text=Redrive those chosen")
        await screen.page.wait_for_selector("[role=status]:has-text('1 dead letter is on the way again.')")
        await desk.receiver.received(2, "/bad")
        await desk.node.idle()
        await screen.go(f"/events/{event_id}")
        await screen.page.wait_for_selector("text=Sent again 1 time by redriving.")
        assert screen.complaints == []


async def test_nothing_that_others_wrote_runs(desk: Desk, browser: Browser) -> None:
    event_id = await make_trouble(desk)
    async with open_screen(browser, desk) as screen:
        await screen.sign_in(ANN)
        for path in await every_path(screen, event_id):
            await screen.go(path)
            for summary in await screen.page.query_selector_all("details:not([open]) > summary"):
                await summary.click()
            assert await screen.page.query_selector("main img, main script") is None
        assert screen.complaints == []


async def test_a_script_in_a_page_would_not_run(desk: Desk, browser: Browser) -> None:
    """The policy holds even if a template were wrong: an element that is put in anew does nothing."""
    async with open_screen(browser, desk) as screen:
        await screen.sign_in(ANN)
        await screen.page.evaluate(
            "() => { const made = document.createElement('script'); made.textContent = 'window.ran = 1';"
            " document.body.append(made); document.body.insertAdjacentHTML('beforeend',"
            ' \'<img src="/none" onerror="window.ran = 2">\'); }'
        )
        await screen.page.wait_for_function("() => document.images[0].complete")
        assert await screen.page.evaluate("window.ran") is None
        assert any("Content Security Policy" in each for each in screen.complaints)


async def test_pages_of_another_account_are_refused(desk: Desk, browser: Browser) -> None:
    event_id = await make_trouble(desk)
    async with open_screen(browser, desk) as screen:
        await screen.sign_in(BOB)
        await screen.go(f"/events/{event_id}")
        await screen.page.wait_for_selector("h1:has-text('Not found')")
        assert ORDERS not in await screen.page.content()


async def test_a_form_that_another_page_made_is_refused(desk: Desk, browser: Browser) -> None:
    await make_trouble(desk)
    async with open_screen(browser, desk) as screen:
        await screen.sign_in(ANN)
        await screen.go("/dead-letters")
        await screen.page.eval_on_selector_all(
            "[name=form_token]", "found => found.forEach(each => { each.value = 'another' })"
        )
        await screen.page.check("input[name=id]")
        await screen.page.click("text=Redrive those chosen")
        await screen.page.wait_for_selector("text=This form was not made by a page of this session.")
        assert len(desk.receiver.requests) == 2


async def test_all_is_there_without_javascript(desk: Desk, browser: Browser) -> None:
    event_id = await make_trouble(desk)
    async with open_screen(browser, desk, scripts=False) as screen:
        await screen.sign_in(ANN)
        for path in await every_path(screen, event_id):
            await screen.go(path)
            assert (await screen.page.inner_text("h1")).strip()
        await screen.go("/dead-letters")
        await screen.page.check("input[name=id]")
        await screen.page.click("text=Redrive those chosen")
        await screen.page.wait_for_selector("text=1 dead letter is on the way again.")


async def test_the_keyboard_is_enough(desk: Desk, browser: Browser) -> None:
    async with open_screen(browser, desk) as screen:
        await screen.go("")
        await screen.page.keyboard.type(f"KEY{ANN}")
        await screen.page.keyboard.press("Tab")
        await screen.page.keyboard.type("secret-of-" + ANN)
        await screen.page.keyboard.press("Enter")
        await screen.page.wait_for_selector("nav")
        await screen.page.keyboard.press("Tab")
        await screen.page.keyboard.press("Enter")
        assert await screen.page.evaluate("document.activeElement.id") == "content"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_every_page_can_be_used_by_everybody(
    desk: Desk, browser: Browser, scheme: Scheme, size: tuple[int, int], tmp_path: Path
) -> None:
    event_id = await make_trouble(desk)
    async with open_screen(browser, desk, size=size, scheme=scheme) as screen:
        await screen.go("")
        assert await screen.violations() == []
        await screen.sign_in(ANN)
        for path in await every_path(screen, event_id):
            await screen.go(path)
            assert (path, await screen.violations()) == (path, [])
            width = await screen.page.evaluate("document.documentElement.scrollWidth")
            assert (path, width) == (path, size[0])
        assert screen.complaints == []


async def test_a_lost_server_leaves_the_page_as_it_was(desk: Desk, browser: Browser) -> None:
    async with open_screen(browser, desk) as screen:
        await desk.put_own(ANN, {})
        await screen.sign_in(ANN)
        await screen.page.wait_for_selector("text=Nothing is failing.")
        await screen.page.route("**/*", lambda route: route.abort())
        async with screen.page.expect_event("requestfailed"):
            await screen.page.evaluate(
                "() => { htmx.ajax('GET', '/console', {target: '#pulse', select: '#pulse'}).catch(() => {}) }"
            )
        assert await screen.page.inner_text(".verdict") == "Nothing is failing."


async def every_path(screen: Screen, event_id: str) -> list[str]:
    """The pages of the navigation, and those behind them."""
    found = await screen.page.eval_on_selector_all("nav a", "links => links.map(each => each.pathname)")
    return [
        *(str(path).removeprefix("/console") for path in found),
        f"/events/{event_id}",
        f"/events/{event_id}/why?rule=large",
        "/events?pattern=nonsense",
        "/rules/new",
        f"/rules/rule?arn=arn:aws:events:us-east-1:{ANN}:rule/{ORDERS}/large",
        "/nothing",
    ]
