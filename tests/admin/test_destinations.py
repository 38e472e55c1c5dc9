"""Connections, API destinations, webhooks and buses: the operator sees every account's, each its own."""

import msgspec
import pytest

from partnerbus.api.admin import webhooks
from partnerbus.api.admin.accounts import AccountDetails
from partnerbus.api.admin.buses import BusList
from partnerbus.api.admin.destinations import ConnectionList, DestinationList
from partnerbus.api.admin.health_views import BusHealthList, SourceHealthList, TargetHealthList
from partnerbus.api.admin.webhooks import NewSecret, WebhookList
from tests.admin.world import ACME, ANN, BOB, ORDERS, REGION, Desk, _run


async def connect(desk: Desk, account: str, name: str) -> str:
    """An API destination of an account, with a connection of the same name; its ARN."""
    client = desk.client(account)
    connection = await _run(
        client.create_connection,
        Name=name,
        AuthorizationType="API_KEY",
        AuthParameters={"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "never shown"}},
    )
    made = await _run(
        client.create_api_destination,
        Name=name,
        ConnectionArn=connection["ConnectionArn"],
        InvocationEndpoint=f"{desk.receiver.url}/{name}",
        HttpMethod="POST",
        InvocationRateLimitPerSecond=7,
    )
    return str(made["ApiDestinationArn"])


async def test_destinations_are_listed_with_their_connections_and_rules(desk: Desk) -> None:
    shop = await connect(desk, ANN, "shop")
    await connect(desk, BOB, "other")
    await desk.rule(ANN, "default", "all", {"source": ["own"]}, shop, RoleArn="arn:aws:iam::1:role/x")
    answer = await desk.ask("/api-destinations", ANN)
    (found,) = answer.read(DestinationList).destinations
    assert (found.name, found.method, found.rate_per_second, found.is_active) == ("shop", "POST", 7, True)
    assert found.rules == [f"arn:aws:events:{REGION}:{ANN}:rule/all"]
    answer = await desk.ask("/connections", ANN)
    assert b"never shown" not in answer.body
    (connection,) = answer.read(ConnectionList).connections
    assert (connection.arn, connection.state.value, connection.destinations) == (
        found.connection,
        "AUTHORIZED",
        [shop],
    )
    await _run(desk.client(ANN).deauthorize_connection, Name="shop")
    (connection,) = (await desk.ask("/connections", ANN)).read(ConnectionList).connections
    assert (connection.state.value, connection.reason) == ("DEAUTHORIZED", "The connection was deauthorized.")
    assert not (await desk.ask("/api-destinations", ANN)).read(DestinationList).destinations[0].is_active
    first = (await desk.ask("/api-destinations", limit=1)).read(DestinationList)
    assert first.next is not None
    second = (await desk.ask("/api-destinations", limit=1, after=first.next)).read(DestinationList)
    assert {each.account for each in (*first.destinations, *second.destinations)} == {ANN, BOB}
    only = (await desk.ask("/connections", arn=connection.arn)).read(ConnectionList).connections
    assert [each.account for each in only] == [ANN]


async def test_an_account_has_its_own_webhooks_to_make(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    body = {"name": "orders", "url": f"{desk.receiver.url}/orders"}
    made = (await desk.ask("/webhooks", ANN, method="POST", body=body)).read(NewSecret)
    assert made.arn == f"arn:partnerbus:webhook:{REGION}:{ANN}:orders"
    assert (await desk.ask("/webhooks", BOB)).read(WebhookList).webhooks == []
    assert (await desk.ask("/webhooks/orders", BOB, method="DELETE")).status == 404
    refused = await desk.ask("/webhooks", BOB, method="POST", body=body | {"account": ANN})
    assert refused.status == 404
    rotated = await desk.ask("/webhooks/orders/rotate", ANN, method="POST", body={"keep_seconds": 60})
    assert rotated.read(NewSecret).secret != made.secret
    monkeypatch.setattr(webhooks, "WEBHOOKS_AT_MOST", 1)
    refused = await desk.ask("/webhooks", ANN, method="POST", body=body | {"name": "more"})
    assert (refused.status, "which is the most" in refused.error) == (400, True)
    assert (await desk.ask("/webhooks/orders", ANN, method="DELETE")).status == 200
    assert (await desk.ask("/webhooks")).read(WebhookList).webhooks == []


async def test_buses_are_listed_before_they_had_an_event(desk: Desk) -> None:
    own = f"arn:aws:events:{REGION}:{ANN}:event-bus/default"
    assert [each.arn for each in (await desk.ask("/buses", ANN)).read(BusList).buses] == [own]
    assert (await desk.ask("/health/buses", ANN)).read(BusHealthList).buses == []
    await desk.offer(ORDERS, ANN)
    found = (await desk.ask("/buses", ANN)).read(BusList).buses
    assert [each.name for each in found] == [ORDERS, "default"]
    (bus,) = (await desk.ask("/health/buses", ANN)).read(BusHealthList).buses
    assert (bus.name, bus.counts.accepted) == (ORDERS, 0)
    every = (await desk.ask("/buses")).read(BusList).buses
    assert {each.account for each in every} == {ANN, BOB, ACME, "999900002222"}


async def test_the_last_hour_of_one_target_is_told_where_it_is_asked_for(desk: Desk) -> None:
    await desk.offer(ORDERS, ANN)
    good, other = await desk.webhook(ANN, "good"), await desk.webhook(ANN, "other")
    await desk.rule(ANN, ORDERS, "all", {"source": [ORDERS]}, good, other)
    await desk.put(ORDERS, {})
    answer = await desk.ask("/health/targets", ANN, target=good, minutes="true")
    (target,) = answer.read(TargetHealthList).targets
    assert target.minutes is not None
    assert (target.arn, len(target.minutes), sum(each.delivered for each in target.minutes)) == (good, 60, 1)
    assert {each.minutes for each in (await desk.ask("/health/targets")).read(TargetHealthList).targets} == {
        None
    }
    (source,) = (
        (await desk.ask("/health/sources", ACME, minutes="true", account=ANN)).read(SourceHealthList).sources
    )
    assert source.minutes is not None
    assert sum(each.delivered for each in source.minutes) == 2


async def test_an_account_says_what_it_holds_until_it_holds_nothing(desk: Desk) -> None:
    await desk.webhook(BOB, "hook")
    answer = await desk.ask(f"/accounts/{BOB}")
    assert (answer.read(AccountDetails).held, b"secret-of" in answer.body) == (["the webhook hook"], False)
    assert (await desk.ask(f"/accounts/{BOB}", method="DELETE")).status == 400
    await desk.ask("/webhooks/hook", BOB, method="DELETE")
    assert (await desk.ask(f"/accounts/{BOB}")).read(AccountDetails).held == []
    assert (await desk.ask(f"/accounts/{BOB}", method="DELETE")).status == 200
    assert (await desk.ask(f"/accounts/{BOB}")).status == 404
    assert msgspec.json.decode((await desk.ask("/buses", account=BOB)).body) == {"buses": []}
