"""What accounts do on the pages: offers, rules with targets, keys; and the live tail."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp

from partnerbus.api.admin.accounts import AccountList
from partnerbus.api.admin.sources import SharingView
from tests.admin.world import ACME, ANN, BOB, ORDERS, Desk, open_desk
from tests.console.test_pages import NASTY, make_trouble
from tests.console.visitor import Visitor, visitor

BUS = f"arn:aws:events:us-east-1:{ANN}:event-bus/{ORDERS}"
OWN_BUS = f"arn:aws:events:us-east-1:{ANN}:event-bus/default"
RULE = f"arn:aws:events:us-east-1:{ANN}:rule/mine"
RULE_PAGE = f"/rules/rule?arn={RULE}"


async def test_a_partner_offers_and_a_customer_accepts_with_one_click(desk: Desk) -> None:
    async with visitor(desk, ACME) as partner, visitor(desk, ANN) as ann, visitor(desk, BOB) as bob:
        done = await partner.submit("/sources", "/sources/offer", name=ORDERS, customer=ANN)
        assert f"{ORDERS} is offered to {ANN}." in done.words
        offered = (await ann.see("/sources")).words
        assert f"{ORDERS} pending" in offered
        assert "Accept" in offered
        assert "Offers that wait to be accepted" in (await ann.see("")).words
        assert ORDERS not in (await bob.see("/sources")).text
        fields = {"name": ORDERS, "account": ANN, "region": "us-east-1"}
        refused = await bob.submit("", "/sources/accept", **fields)
        assert refused.status == 403
        done = await ann.submit("/sources", "/sources/accept", **fields)
        assert f"{ORDERS} is accepted" in done.words
        assert f"{ORDERS} active" in (await partner.see("/sources")).words
        done = await ann.submit("/sources", "/sources/pause", **fields)
        assert f"{ORDERS} is paused." in done.words
        done = await ann.submit("/sources", "/sources/pause", ("to", "ACTIVE"), **fields)
        assert f"{ORDERS} is active." in done.words


async def test_a_partner_reads_errors_once_the_customer_shares_them(desk: Desk) -> None:
    await make_trouble(desk)
    message = "The webhook answered with HTTP status 400."
    async with visitor(desk, ACME) as partner, visitor(desk, ANN) as ann:
        page = (await partner.see("/sources")).words
        assert "1 accepted, 0 unmatched" in page
        assert "The customer does not share them." in page
        assert message not in page
        fields = {"name": ORDERS, "region": "us-east-1"}
        assert (await partner.submit("", "/sources/share", errors="yes", **fields)).status == 404
        done = await ann.submit("/sources", "/sources/share", errors="yes", **fields)
        assert "acme.com may read the errors of your targets." in done.words
        assert message in (await partner.see("/sources")).words
        answer = await desk.ask(
            "/sources/share", ANN, method="POST", body={"source": ORDERS, "errors": False}
        )
        assert not answer.read(SharingView).shares_errors
        assert message not in (await partner.see("/sources")).words


async def test_a_rule_is_made_tried_given_a_target_and_taken_away(desk: Desk) -> None:
    for number in range(4):
        await desk.put_own(ANN, {"n": number})
    hook = await desk.webhook(ANN, "hook")
    async with visitor(desk, ANN) as ann:
        assert "There are no rules" in (await ann.see("/rules")).words
        pattern = json.dumps({"detail": {"n": [{"numeric": [">", 1]}]}})
        tried = await ann.submit("/rules/new", "/rules/try", bus=OWN_BUS, pattern=pattern)
        assert "It matches 2 of the 4 newest events." in tried.words
        tried = await ann.submit("/rules/new", "/rules/try", bus=OWN_BUS, pattern="{")
        assert 'class="refusal"' in tried.text
        for wrong in ({"name": "mine", "pattern": "{"}, {"name": NASTY, "pattern": pattern}):
            refused = await ann.submit("/rules/new", "/rules/new", bus=OWN_BUS, **wrong)
            assert (refused.status, "<img" in refused.text) == (400, False)
        done = await ann.submit("/rules/new", "/rules/new", bus=OWN_BUS, name="mine", pattern=pattern)
        assert "The rule mine is there." in done.words
        done = await ann.submit(RULE_PAGE, "/rules/rule", rule=RULE, do="put-target", id="1", target=hook)
        assert "The target is there" in done.words
        refused = await ann.submit(RULE_PAGE, "/rules/rule", rule=RULE, do="put-target", id="2", target="x")
        assert refused.status == 400
        await desk.put_own(ANN, {"n": 7})
        await desk.receiver.received(1, "/hook")
        assert "mine default enabled 1 1 0 0 0" in (await ann.see("/rules")).words
        assert "webhook hook mine well 1 0 0 0" in (await ann.see("/targets")).words
        wider = json.dumps({"detail": {"n": [{"numeric": [">", 0]}]}})
        tried = await ann.submit(RULE_PAGE, "/rules/rule", rule=RULE, do="try", pattern=wider)
        assert "It matches 4 of the 5 newest events; as it is, the rule matches 3." in tried.words
        assert "1 gained, 0 lost: 3 deliveries before, 4 after. Nothing was delivered." in tried.words
        done = await ann.submit(RULE_PAGE, "/rules/rule", rule=RULE, do="save", pattern=wider)
        assert "The pattern is saved." in done.words
        done = await ann.submit(RULE_PAGE, "/rules/rule", rule=RULE, do="disable")
        assert "The rule mine is disabled." in done.words
        refused = await ann.submit(RULE_PAGE, "/rules/rule", rule=RULE, do="delete")
        assert refused.status == 400
        await ann.submit(RULE_PAGE, "/rules/rule", rule=RULE, do="remove-target", id="1")
        done = await ann.submit(RULE_PAGE, "/rules/rule", rule=RULE, do="delete")
        assert "The rule mine is deleted." in done.words
    assert len(desk.receiver.requests) == 1


async def test_rules_of_others_are_neither_shown_nor_changed(desk: Desk) -> None:
    await make_trouble(desk)
    rule = f"arn:aws:events:us-east-1:{ANN}:rule/{ORDERS}/all"
    async with visitor(desk, BOB) as bob, visitor(desk, None) as operator:
        assert (await bob.see(f"/rules/rule?arn={rule}")).status == 404
        assert (await bob.submit("", "/rules/rule", rule=rule, do="disable")).status == 404
        pattern = json.dumps({"source": ["x"]})
        refused = await bob.submit("", "/rules/new", bus=BUS, name="theirs", pattern=pattern)
        assert refused.status == 400
        tried = await bob.submit("", "/rules/try", bus=BUS, pattern=pattern)
        assert "matches 0 of the 0" in tried.words
        for path in ("/rules", "/targets", "/buses", "/sources"):
            assert ANN not in (await bob.see(path)).text
            assert ANN in (await operator.see(path)).text
        done = await operator.submit(f"/rules/rule?arn={rule}", "/rules/rule", rule=rule, do="disable")
        assert "The rule all is disabled." in done.words


async def test_accounts_and_keys_are_the_operators(desk: Desk) -> None:
    async with visitor(desk, None) as operator, visitor(desk, ANN) as ann:
        assert (await ann.see("/accounts")).status == 403
        assert (await ann.submit("", "/accounts", id="121212121212")).status == 403
        made = await operator.submit("/accounts", "/accounts", id="121212121212", partner="new.example")
        assert "A new key of 121212121212" in made.words
        secret = made.words.partition("Secret access key ")[2].partition(" ")[0]
        key = made.words.partition("Access key id ")[2].partition(" ")[0]
        assert secret not in (await operator.see("/accounts")).text
        async with Visitor(desk.node.url, desk.node.operator_token) as partner:
            assert "Partner" in (await partner.try_to_sign_in(key, secret)).words
            done = await operator.submit(
                "/accounts", "/accounts/keys/delete", account="121212121212", key=key
            )
            assert f"The key {key} is deleted" in done.words
            assert (await partner.see("")).path.startswith("/console/sign-in")
        refused = await operator.submit("/accounts", "/accounts", id="12")
        assert (refused.status, "12 digits" in refused.words) == (400, True)
        accounts = (await desk.ask("/accounts")).read(AccountList).accounts
        assert [len(each.keys) for each in accounts if each.id == "121212121212"] == [0]


async def test_the_tail_sends_what_is_stored_to_whom_it_belongs(desk: Desk) -> None:
    async with visitor(desk, ANN) as ann, ann.open("/tail/stream?detail_type=wanted") as stream:
        assert await stream.readline() == b": watching\n"
        await desk.put_own(BOB, {}, detail_type="wanted")
        await desk.put_own(ANN, {}, detail_type="other")
        event_id = await desk.put_own(ANN, {"x": NASTY}, detail_type="wanted")
        text = await first_event(stream)
        assert event_id in text
        assert "/console/events/" in text
        await ann.submit("", "/sign-out")


async def test_the_tail_refuses_what_it_cannot_read(desk: Desk) -> None:
    async with visitor(desk, ANN) as ann:
        page = await ann.see("/tail?pattern=nonsense")
        assert (page.status, 'class="refusal"' in page.text) == (400, True)
        assert (await ann.see("/tail/stream?pattern=nonsense")).status == 400


async def first_event(stream: aiohttp.StreamReader) -> str:
    while (line := await stream.readline()) != b"event: stored\n":
        assert line, "the stream has ended"
    lines = []
    while (line := await stream.readline()).strip():
        lines.append(line.decode())
    return "".join(lines)


async def test_a_node_that_stops_ends_its_streams(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        desk = await stack.enter_async_context(open_desk(tmp_path / "data"))
        async with visitor(desk, ANN) as ann, ann.open("/tail/stream") as stream:
            assert await stream.readline() == b": watching\n"
            stopping = asyncio.create_task(stack.aclose())
            rest = await stream.read()
            assert b"event:" not in rest
            await stopping


async def test_an_account_is_deleted_once_it_holds_nothing(desk: Desk) -> None:
    await desk.webhook(BOB, "hook")
    async with visitor(desk, None) as operator, visitor(desk, BOB) as bob:
        page = await operator.see(f"/accounts/account?id={BOB}")
        assert "This one still holds: the webhook hook" in page.words
        refused = await operator.submit("", "/accounts/delete", account=BOB)
        assert (refused.status, "still holds the webhook hook" in refused.words) == (400, True)
        await desk.ask("/webhooks/hook", BOB, method="DELETE")
        page = await operator.see(f"/accounts/account?id={BOB}")
        assert "With it go its key, the sessions that they opened, its default bus, and its" in page.words
        assert (await bob.submit("", "/accounts/delete", account=BOB)).status == 403
        done = await operator.submit("", "/accounts/delete", account=BOB)
        assert f"The account {BOB} is deleted" in done.words
        assert (await bob.see("")).path.startswith("/console/sign-in")
        assert (await operator.see(f"/accounts/account?id={BOB}")).status == 404


async def test_the_operator_sees_what_an_account_sees_and_changes_nothing(desk: Desk) -> None:
    await make_trouble(desk)
    await desk.put_own(BOB, {})
    rule = f"arn:aws:events:us-east-1:{ANN}:rule/{ORDERS}/all"
    async with visitor(desk, None) as operator, visitor(desk, ANN) as ann:
        assert (await ann.submit("", "/accounts/look", account=BOB)).status == 403
        assert (await operator.submit("", "/accounts/look", account="1")).status == 404
        page = await operator.submit("/accounts", "/accounts/look", account=ANN)
        assert f"You see what {ANN} sees. Nothing can be changed from here." in page.words
        for path in (
            "",
            "/events",
            "/dead-letters",
            "/rules",
            "/targets",
            "/sources",
            f"/rules/rule?arn={rule}",
        ):
            theirs, seen = await ann.see(path), await operator.see(path)
            assert seen.status == theirs.status == 200
            assert theirs.words.partition("Sign out")[2] in seen.words
            assert BOB not in seen.text
        assert (await operator.see("/accounts")).status == 403
        letter = (
            (await operator.see("/dead-letters")).text.partition('name="id" value="')[2].partition('"')[0]
        )
        for path, fields in (
            ("/dead-letters/redrive", {"id": letter}),
            ("/rules/rule", {"rule": rule, "do": "disable"}),
            ("/rules/new", {"bus": OWN_BUS, "name": "x", "pattern": "{}"}),
            ("/sources/share", {"name": ORDERS, "errors": "yes"}),
            ("/targets/webhooks", {"name": "x", "url": desk.receiver.url}),
            ("/accounts", {"id": "121212121212"}),
            ("/accounts/look", {"account": BOB}),
        ):
            refused = await operator.submit("", path, **fields)
            assert (path, refused.status) == (path, 403)
        tried = await operator.submit("", "/rules/try", bus=BUS, pattern='{"source": [{"prefix": ""}]}')
        assert "It matches 1 of the 1 newest events." in tried.words
        page = await operator.submit("", "/accounts/look-no-more")
        assert "You are the operator again" in page.words
        assert (await operator.see("/accounts")).status == 200
        done = await operator.submit("", "/rules/rule", rule=rule, do="disable")
        assert "The rule all is disabled." in done.words
    assert len(desk.receiver.requests) == 2, "something was sent again"
