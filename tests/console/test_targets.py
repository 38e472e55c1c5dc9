"""Connections, API destinations and webhooks on the pages: made, judged, changed, taken away."""

from datetime import timedelta
from typing import Any

from partnerbus.model.resources import FailingTarget
from partnerbus.testing.receiver import Respond
from tests.admin.test_destinations import connect
from tests.admin.world import ANN, BOB, REGION, Desk, _run
from tests.console.test_pages import NASTY
from tests.console.visitor import Seen, Visitor, until_it_says, visitor

CONNECTIONS, DESTINATIONS, WEBHOOKS = (
    f"/targets/{name}" for name in ("connections", "api-destinations", "webhooks")
)
SESAME = "open-sesame"


async def make_connection(somebody: Visitor, kind: str, **fields: str) -> Seen:
    """A connection through the form; the page that it ends on."""
    page = f"{CONNECTIONS}/new?type={kind}"
    return await somebody.submit(page, f"{CONNECTIONS}/new", type=kind, secret=SESAME, **fields)


def arn_of(page: Seen) -> str:
    """The ARN that a page tells."""
    return "arn:" + page.words.partition(" ARN arn:")[2].partition(" ")[0]


async def test_a_connection_of_each_kind_is_made_and_never_tells_its_secret(desk: Desk) -> None:
    desk.receiver.script("/token", Respond(body=b'{"access_token": "t", "expires_in": 3600}'))
    oauth = {"url": f"{desk.receiver.url}/token", "method": "POST", "user": "client-7", "scope": "write"}
    async with visitor(desk, ANN) as ann, visitor(desk, BOB) as bob:
        assert "There are no connections" in (await ann.see(CONNECTIONS)).words
        for kind, fields, words in (
            ("API_KEY", {"user": "X-Key"}, "in the header X-Key ; the key is set, and not shown"),
            ("BASIC", {"user": "ann"}, "ann ; the password is set, and not shown"),
            ("OAUTH_CLIENT_CREDENTIALS", oauth, "client-7 ; the secret is set, and not shown"),
        ):
            page = await make_connection(ann, kind, name=kind.lower(), **fields)
            assert f"The connection {kind.lower()} is made." in page.words
            assert words in page.words
            assert SESAME not in page.text
            assert (await bob.see(f"{CONNECTIONS}/connection?arn={arn_of(page)}")).status == 404
        (asked,) = await desk.receiver.received(1, "/token")
        assert b"scope=write" in asked.body
        listed = await until_it_says(ann, CONNECTIONS, "OAuth client credentials authorized")
        assert SESAME not in listed.text
        assert listed.words.count("authorized 0 now") == 3
        assert "There are no connections" in (await bob.see(CONNECTIONS)).words


async def test_a_connection_that_is_refused_says_why_and_is_mended(desk: Desk) -> None:
    refusal = Respond(status=401, body=b"unknown client")
    token = Respond(body=b'{"access_token": "t", "expires_in": 3600}')
    desk.receiver.script("/token", refusal, token)
    fields = {"url": f"{desk.receiver.url}/token", "method": "POST", "user": "nobody"}
    async with visitor(desk, ANN) as ann:
        page = await make_connection(ann, "OAUTH_CLIENT_CREDENTIALS", name="crm", **fields)
        arn = arn_of(page)
        at = f"{CONNECTIONS}/connection"
        await desk.receiver.received(1, "/token")
        page = await until_it_says(ann, f"{at}?arn={arn}", "crm deauthorized")
        assert "Nothing is sent with it. " in page.words
        assert "401" in page.words
        assert "Correct what is wrong below" in page.words
        change = {"connection": arn, "type": "OAUTH_CLIENT_CREDENTIALS", "do": "save", "user": "client-7"}
        page = await ann.submit(f"{at}?arn={arn}", at, **change)
        assert "The connection crm is changed." in page.words
        await desk.receiver.received(2, "/token")
        await until_it_says(ann, f"{at}?arn={arn}", "crm authorized")
        page = await ann.submit(f"{at}?arn={arn}", at, connection=arn, do="deauthorize")
        assert "Its secret is forgotten." in page.words
        assert "client-7" not in page.text
        refused = await ann.submit(f"{at}?arn={arn}", at, connection=arn, do="save", type="BASIC", user="a")
        assert (refused.status, "AuthParameters must hold" in refused.words) == (400, True)
        page = await ann.submit(f"{at}?arn={arn}", at, connection=arn, do="delete")
        assert "The connection crm is deleted." in page.words


async def test_saving_a_connection_as_it_is_authorized_does_not_authorize_it_anew(desk: Desk) -> None:
    token = Respond(body=b'{"access_token": "t", "expires_in": 36000}')
    desk.receiver.script("/token", token, token)
    oauth = {"url": f"{desk.receiver.url}/token", "method": "POST", "user": "client-7"}
    at = f"{CONNECTIONS}/connection"
    async with visitor(desk, ANN) as ann:

        async def save(**fields: str) -> Any:
            await desk.advance(timedelta(seconds=1))
            given = {"connection": arn, "do": "save", "type": "OAUTH_CLIENT_CREDENTIALS"} | oauth | fields
            page = await ann.submit(f"{at}?arn={arn}", at, **given)
            assert "The connection crm is changed." in page.words
            return await _run(desk.client(ANN).describe_connection, Name="crm")

        arn = arn_of(await make_connection(ann, "OAUTH_CLIENT_CREDENTIALS", name="crm", **oauth))
        await until_it_says(ann, f"{at}?arn={arn}", "crm authorized")
        before = await _run(desk.client(ANN).describe_connection, Name="crm")
        for description in ("ours", ""):
            after = await save(description=description)
            assert (after["ConnectionState"], after.get("Description", "")) == ("AUTHORIZED", description)
            assert after["LastAuthorizedTime"] == before["LastAuthorizedTime"]
        assert len(await desk.receiver.received(1, "/token")) == 1
        await save(secret="another")
        await desk.receiver.received(2, "/token")


async def test_the_operator_makes_nothing_for_an_account_that_does_not_exist(desk: Desk) -> None:
    async with visitor(desk, None) as operator:
        for account in ("1111 2222", "555555555555"):
            page = await make_connection(operator, "API_KEY", name="shop", user="X-Key", account=account)
            assert (page.status, f"There is no account {account}." in page.words) == (404, True)
        assert "There are no connections" in (await operator.see(CONNECTIONS)).words
        page = await make_connection(operator, "API_KEY", name="shop", user="X-Key", account=ANN)
        assert "The connection shop is made." in page.words


async def test_a_refused_connection_keeps_what_was_typed_but_the_secret(desk: Desk) -> None:
    async with visitor(desk, ANN) as ann:
        page = await make_connection(ann, "BASIC", name=NASTY, user=NASTY)
        assert page.status == 400
        assert "What is secret has to be typed in again." in page.words
        assert SESAME not in page.text
        assert "<img" not in page.text


async def test_an_api_destination_is_made_used_changed_and_deleted(desk: Desk) -> None:
    async with visitor(desk, ANN) as ann, visitor(desk, BOB) as bob:
        assert "It needs a connection first" in (await ann.see(f"{DESTINATIONS}/new")).words
        connection = arn_of(await make_connection(ann, "API_KEY", name="shop", user="X-Key"))
        given = {"connection": connection, "method": "POST", "rate": "7"}
        url = f"{desk.receiver.url}/shop"
        wrong = await ann.submit(f"{DESTINATIONS}/new", f"{DESTINATIONS}/new", name="s", url="x", **given)
        assert (wrong.status, 'value="7"' in wrong.text) == (400, True)
        for rate in ("many", "0", "99999999999"):
            fields = given | {"name": "s", "url": url, "rate": rate}
            assert (await ann.submit(f"{DESTINATIONS}/new", f"{DESTINATIONS}/new", **fields)).status == 400
        page = await ann.submit(f"{DESTINATIONS}/new", f"{DESTINATIONS}/new", name="shop", url=url, **given)
        arn, at = arn_of(page), f"{DESTINATIONS}/destination"
        assert "No rule sends here yet" in page.words
        assert (await bob.see(f"{at}?arn={arn}")).status == 404
        refused = await bob.submit("", at, destination=arn, do="delete")
        assert refused.status == 404
        await desk.rule(ANN, "default", "all", {"source": ["own"]}, arn)
        await desk.put_own(ANN, {})
        (request,) = await desk.receiver.received(1, "/shop")
        assert request.headers["x-key"] == SESAME
        page = await ann.see(f"{at}?arn={arn}")
        assert "The circuit breaker is closed: whatever is due is sent. Delivered 1" in page.words
        assert "Attempts in the last hour: 1 delivered, 0 failed." in page.words
        assert f"{at}?arn=" in (await ann.see(f"/rules/rule?arn=arn:aws:events:{REGION}:{ANN}:rule/all")).text
        change = {"destination": arn, "do": "save", "connection": connection, "url": f"{url}2", "rate": "9"}
        page = await ann.submit(f"{at}?arn={arn}", at, **change)
        assert "shop is changed" in page.words
        assert f"POST {url}2" in page.words
        assert "Most requests per second 9" in page.words
        await _run(desk.client(ANN).delete_connection, Name="shop")
        page = await ann.see(f"{at}?arn={arn}")
        assert "Nothing is sent: its connection was deleted." in page.words
        page = await ann.submit(f"{at}?arn={arn}", at, destination=arn, do="delete")
        assert "There are no API destinations" in page.words


async def test_a_destination_that_is_down_says_what_its_circuit_breaker_does(desk: Desk) -> None:
    arn = await connect(desk, ANN, "down")
    desk.receiver.script("/down", *[Respond(status=503)] * 200)
    await desk.rule(ANN, "default", "all", {"source": ["own"]}, arn)
    for number in range(12):
        await desk.put_own(ANN, {"n": number})
    await desk.advance(timedelta(seconds=1))  # the rate lets seven begin in each
    async with visitor(desk, ANN) as ann, visitor(desk, None) as operator:
        page = await ann.see(f"{DESTINATIONS}/destination?arn={arn}")
        assert "The circuit breaker is open. Nothing is sent now. The probe," in page.words
        assert "says whether all goes on, is due in" in page.words
        assert "ERROR_FROM_TARGET" in page.words
        assert "down all held" in (await ann.see("/targets")).words
        assert f"down {ANN}" in (await operator.see(DESTINATIONS)).words


async def test_a_webhook_is_made_turned_over_and_deleted(desk: Desk) -> None:
    async with visitor(desk, ANN) as ann, visitor(desk, BOB) as bob:
        refused = await ann.submit(WEBHOOKS, WEBHOOKS, name=NASTY, url="x")
        assert (refused.status, "<img" in refused.text) == (400, False)
        page = await ann.submit(WEBHOOKS, WEBHOOKS, name="orders", url=f"{desk.receiver.url}/orders")
        arn = f"arn:partnerbus:webhook:{REGION}:{ANN}:orders"
        secret = page.words.partition("whsec_")[2].partition(" ")[0]
        assert len(secret) > 20
        at = f"{WEBHOOKS}/webhook"
        assert secret not in (await ann.see(f"{at}?arn={arn}")).text
        assert (await bob.see(f"{at}?arn={arn}")).status == 404
        assert (await bob.submit("", at, webhook=arn, do="delete")).status == 404
        page = await ann.submit(f"{at}?arn={arn}", at, webhook=arn, do="rotate", hours="24")
        assert "Its new secret" in page.words
        assert "ends in 1 d" in page.words
        refused = await ann.submit(f"{at}?arn={arn}", at, webhook=arn, do="rotate", hours="-1")
        assert refused.status == 400
        page = await ann.submit(f"{at}?arn={arn}", at, webhook=arn, do="delete")
        assert "There are no webhooks" in page.words


async def test_the_operator_makes_things_for_an_account(desk: Desk) -> None:
    async with visitor(desk, None) as operator:
        page = await make_connection(operator, "API_KEY", name="shop", user="X-Key")
        assert (page.status, "Say for which account." in page.words) == (400, True)
        page = await make_connection(operator, "API_KEY", name="shop", user="X-Key", account=ANN)
        assert f":{ANN}:connection/shop/" in arn_of(page)
        hook = f"{desk.receiver.url}/hook"
        page = await operator.submit(WEBHOOKS, WEBHOOKS, name="hook", url=hook, account=BOB)
        assert f"{BOB} · {REGION}" in page.words


async def test_the_operator_makes_a_rule_on_a_bus_without_events(desk: Desk) -> None:
    bus = f"arn:aws:events:{REGION}:{BOB}:event-bus/default"
    async with visitor(desk, None) as operator:
        page = await operator.see("/rules/new")
        assert f'value="{bus}"' in page.text
        done = await operator.submit(
            "/rules/new", "/rules/new", bus=bus, name="first", pattern='{"a": ["b"]}'
        )
        assert "The rule first is there." in done.words


async def test_any_target_has_a_page(desk: Desk) -> None:
    bus = f"arn:aws:events:{REGION}:{ANN}:event-bus/other"
    await _run(desk.client(ANN).create_event_bus, Name="other")
    await desk.rule(ANN, "default", "all", {"source": ["own"]}, bus)
    await desk.put_own(ANN, {})
    async with visitor(desk, ANN) as ann, visitor(desk, BOB) as bob:
        page = await ann.see(f"/targets/target?arn={bus}")
        assert "The circuit breaker is closed" in page.words
        assert "Rule that sends here: all" in page.words
        assert "No rule sends here yet" in (await bob.see(f"/targets/target?arn={bus}")).words
        assert (await ann.submit("", "/targets/enable", arn=bus)).status == 403


async def test_a_disabled_target_is_enabled_by_the_operator(desk: Desk) -> None:
    hook = await desk.webhook(ANN, "hook")
    await desk.rule(ANN, "default", "all", {"source": ["own"]}, hook)
    disabled = FailingTarget(
        account=ANN,
        region=REGION,
        arn=hook,
        rule_arn="all",
        since=desk.clock.now(),
        failures=10,
        error="TIMEOUT",
        message="It did not answer.",
        disabled_at=desk.clock.now(),
    )
    await desk.node._inside().found.catalog.create(disabled)
    page = f"{WEBHOOKS}/webhook?arn={hook}"
    async with visitor(desk, ANN) as ann, visitor(desk, None) as operator:
        assert "The operator of this server can enable it again." in (await ann.see(page)).words
        assert "hook all disabled" in (await ann.see("/targets")).words
        done = await operator.submit(page, "/targets/enable", arn=hook, account=ANN)
        assert "The target is enabled" in done.words
        assert "disabled" not in (await ann.see("/targets")).words
