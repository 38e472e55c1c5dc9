"""The pages as they are without a browser: what they say, and to whom."""

import json
from urllib.parse import quote

import pytest

from partnerbus.testing.receiver import Respond
from tests.admin.world import ACME, ANN, BOB, ORDERS, Desk
from tests.console.visitor import Visitor, visitor

NASTY = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'{{ 7 * 7 }}"


async def make_trouble(desk: Desk, *, detail_type: str = NASTY, note: str = NASTY) -> str:
    """An event of Ann's that one target got and another refused; its id."""
    await desk.offer(ORDERS, ANN)
    good, bad = await desk.webhook(ANN, "good"), await desk.webhook(ANN, "bad")
    await desk.rule(ANN, ORDERS, "all", {"source": [ORDERS]}, good, bad)
    await desk.rule(ANN, ORDERS, "large", {"detail": {"total": [{"numeric": [">", 100]}]}}, good)
    refusal = Respond(status=400, body=NASTY.encode(), headers={"X-Nasty": NASTY})
    desk.receiver.script("/bad", refusal, Respond(status=200))
    return await desk.put(ORDERS, {"total": 30, "note": note}, detail_type=detail_type)


async def test_the_first_page_explains_what_to_do_first(desk: Desk) -> None:
    for account, words in (
        (None, "Make an account for a partner"),
        (ANN, "Ask a partner to offer a source"),
        (ACME, "No customer has been offered a source of acme.com yet."),
    ):
        async with visitor(desk, account) as somebody:
            assert words in (await somebody.see("")).words
            assert "No events are stored" in (await somebody.see("/events")).words
            assert "There are no dead letters" in (await somebody.see("/dead-letters")).words


async def test_home_says_what_fails_and_why(desk: Desk) -> None:
    async with visitor(desk, ANN) as ann:
        await make_trouble(desk)
        page = (await ann.see("")).words
        assert "1 thing needs attention webhook bad Dead letters: 1." in page
        assert "ERROR_FROM_TARGET The webhook answered with HTTP status 400." in page
        assert "Accepted 1 events" in page
        assert "Attempts in the last hour: 1 delivered, 1 failed." in page


async def test_nothing_fails_where_nothing_fails(desk: Desk) -> None:
    await desk.put_own(ANN, {})
    async with visitor(desk, ANN) as ann:
        assert "Nothing is failing." in (await ann.see("")).words


async def test_the_trace_of_an_event_tells_its_way(desk: Desk) -> None:
    event_id = await make_trouble(desk)
    async with visitor(desk, ANN) as ann:
        page = (await ann.see(f"/events/{event_id}")).words
        for words in (
            "1 of 2 rules of the bus matches: all",
            "webhook bad dead letter by the rule all",
            "400 ERROR_FROM_TARGET The webhook answered with HTTP status 400.",
            "webhook good delivered by the rule all",
            "detail.total : the value does not fit",
            "Wanted numeric > 100 ; the event has 30",
        ):
            assert words in page
        why = (await ann.see(f"/events/{event_id}/why?rule=large")).words
        assert "Why not: large" in why
        assert "It does not match." in why
        asked = await ann.submit(
            f"/events/{event_id}", f"/events/{event_id}", pattern=json.dumps({"detail": {"total": [30]}})
        )
        assert "It matches." in asked.words
        refused = await ann.submit(f"/events/{event_id}", f"/events/{event_id}", pattern="no JSON")
        assert refused.status == 400
        assert "no JSON" in refused.text


async def test_events_are_searched(desk: Desk) -> None:
    ids = [await desk.put_own(ANN, {"n": number}, detail_type=f"type {number % 2}") for number in range(4)]
    async with visitor(desk, ANN) as ann:
        page = await ann.see("/events?detail_type=type+1")
        assert [each in page.text for each in ids] == [False, True, False, True]
        page = await ann.see("/events?pattern=" + quote('{"detail": {"n": [0]}}'))
        assert [each in page.text for each in ids] == [True, False, False, False]
        assert "No stored event is like that" in (await ann.see("/events?source=nonsense")).words
        assert (await ann.see(f"/events?id={ids[0]}")).path == f"/console/events/{ids[0]}"
        for query in ("pattern=nonsense", "since=nonsense", "after=nonsense"):
            page = await ann.see(f"/events?{query}")
            assert (page.status, 'class="refusal"' in page.text) == (400, True)
        assert (await ann.see("/events/nonsense")).status == 404
        assert (await ann.see("/events/" + quote("<b>/../", safe=""))).status == 404


async def test_lists_go_on_on_the_next_page(desk: Desk) -> None:
    for number in range(51):
        await desk.put_own(ANN, {"n": number})
    async with visitor(desk, ANN) as ann:
        page = await ann.see("/events?source=own")
        assert page.text.count("?bus=") == 50
        following = page.text.partition('class="pager"><a href="/console')[2].partition('"')[0]
        assert (await ann.see(following.replace("&amp;", "&"))).text.count("?bus=") == 1


async def test_dead_letters_are_filtered_and_sent_again(desk: Desk) -> None:
    event_id = await make_trouble(desk)
    async with visitor(desk, ANN) as ann:
        assert "No dead letter is like that" in (await ann.see("/dead-letters?rule=large")).words
        page = await ann.see("/dead-letters?rule=all")
        letter = page.text.partition('name="id" value="')[2].partition('"')[0]
        shown = await ann.see(f"/dead-letters/{letter}")
        assert "ERROR_FROM_TARGET The webhook answered with HTTP status 400." in shown.words
        nothing = await ann.submit("/dead-letters", "/dead-letters/redrive", which="chosen")
        assert (nothing.status, "Choose the dead letters" in nothing.words) == (400, True)
        done = await ann.submit("/dead-letters", "/dead-letters/redrive", ("id", letter), which="chosen")
        assert "1 dead letter is on the way again." in done.words
        await desk.node.idle()
        assert "Sent again 1 time by redriving." in (await ann.see(f"/events/{event_id}")).words
        assert "There are no dead letters" in (await ann.see("/dead-letters")).words
        assert "on the way again" not in (await ann.see("/dead-letters")).words


async def test_all_that_a_filter_picks_is_sent_again(desk: Desk) -> None:
    await make_trouble(desk)
    async with visitor(desk, ANN) as ann:
        send = "/dead-letters/redrive"
        done = await ann.submit("/dead-letters", send, which="every", rule="large")
        assert "0 dead letters are on the way again." in done.words
        done = await ann.submit("/dead-letters", send, which="every", rule="all")
        assert "1 dead letter is on the way again." in done.words


async def test_nobody_sees_what_is_anothers(desk: Desk) -> None:
    event_id = await make_trouble(desk)
    async with visitor(desk, ANN) as ann:
        page = await ann.see("/dead-letters")
        letter = page.text.partition('name="id" value="')[2].partition('"')[0]
    async with visitor(desk, BOB) as bob:
        for path in (
            f"/events/{event_id}",
            f"/events/{event_id}/why?rule=all",
            f"/events/{event_id}/detail",
            f"/dead-letters/{letter}",
        ):
            page = await bob.see(path)
            assert page.status == 404
            assert not any(word in page.text for word in (ORDERS, "total", "webhook"))
        for path in ("", "/events", "/dead-letters"):
            page = await bob.see(path)
            assert page.status == 200
            assert ORDERS not in page.text
            assert ANN not in page.text
        done = await bob.submit("", "/sign-out")
        assert done.status == 200
    async with visitor(desk, BOB) as bob:
        token = (await bob.see("")).form_token
        done = await bob.send("/dead-letters/redrive", {"form_token": token, "id": letter})
        assert "0 dead letters are on the way again." in done.words
    async with visitor(desk, ACME) as partner:
        page = await partner.see(f"/events/{event_id}")
        assert page.status == 200
        assert "webhook" not in page.words


async def test_whatever_stands_in_a_field_is_text(desk: Desk) -> None:
    event_id = await make_trouble(desk)
    async with visitor(desk, ANN) as ann:
        token = (await ann.see("/dead-letters")).text.partition('name="id" value="')[2].partition('"')[0]
        for path in (
            "",
            "/events",
            f"/events/{event_id}",
            "/dead-letters",
            f"/dead-letters/{token}",
            f"/events/{event_id}/why?rule={quote(NASTY)}",
            f"/events?source={quote(NASTY)}&pattern={quote(NASTY)}",
            f"/dead-letters?error={quote(NASTY)}",
        ):
            page = (await ann.see(path)).text
            assert not any(nasty in page for nasty in ("<script>alert", "<img", ">49<"))
        detail = await ann.see(f"/events/{event_id}/detail")
        assert detail.headers["Content-Type"].startswith("text/plain")


async def test_a_megabyte_is_cut_on_the_page_and_whole_as_text(desk: Desk) -> None:
    event_id = await desk.put_own(ANN, {"text": "x" * 1_000_000})
    async with visitor(desk, ANN) as ann:
        page = await ann.see(f"/events/{event_id}")
        assert len(page.text) < 60_000
        assert "Cut: the whole detail has 976.6 KiB." in page.words
        assert len((await ann.see(f"/events/{event_id}/detail")).text) == 1_000_011
        assert (await ann.see("/events")).status == 200


async def test_the_operator_sees_every_account(desk: Desk) -> None:
    event_id = await make_trouble(desk)
    async with visitor(desk, None) as operator:
        page = (await operator.see("")).words
        assert f"Account {ANN}" in page
        assert (await operator.see(f"/events/{event_id}")).status == 200


@pytest.mark.parametrize("path", ["/_partnerbus/status", "/consoles"])
async def test_a_session_opens_nothing_but_the_console(desk: Desk, path: str) -> None:
    async with visitor(desk, None) as operator:
        assert (await operator.see(f"/..{path}")).status in (401, 404)


async def test_nothing_is_shown_to_strangers(desk: Desk) -> None:
    event_id = await make_trouble(desk)
    async with Visitor(desk.node.url, desk.node.operator_token) as stranger:
        for path in (
            "",
            "/",
            "/events",
            f"/events/{event_id}",
            f"/events/{event_id}/detail",
            "/dead-letters",
        ):
            page = await stranger.see(path, follow=False)
            assert (page.status, page.text) == (303, "")
        page = await stranger.see("/events", follow=False, HX_Request="true")
        assert (page.status, page.headers["hx-redirect"]) == (401, "/console/sign-in")
