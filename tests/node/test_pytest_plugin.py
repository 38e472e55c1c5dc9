"""The fixtures for users' own tests, used as users use them: no asyncio in sight."""

import json
from datetime import timedelta

import pytest

from partnerbus.testing.receiver import Respond

pytest_plugins = ["partnerbus.testing.pytest_plugin"]

SOURCE = "aws.partner/acme.com/tickets"


@pytest.fixture
def hook(partnerbus_server, partnerbus_client, partnerbus_partner):
    """The customer's rule on the partner's bus delivers to a receiver that is down at first."""
    url = partnerbus_server.script("/hook", *[Respond(status=503)] * 6, Respond(status=200))
    partnerbus_partner.create_partner_event_source(Name=SOURCE, Account="111122223333")
    partnerbus_client.create_event_bus(Name=SOURCE, EventSourceName=SOURCE)
    connection = partnerbus_client.create_connection(
        Name="hook",
        AuthorizationType="API_KEY",
        AuthParameters={"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "value"}},
    )
    destination = partnerbus_client.create_api_destination(
        Name="hook", ConnectionArn=connection["ConnectionArn"], InvocationEndpoint=url, HttpMethod="POST"
    )
    partnerbus_client.put_rule(Name="every", EventBusName=SOURCE, EventPattern='{"detail-type":["ticket"]}')
    target = {"Id": "hook", "Arn": destination["ApiDestinationArn"]}
    partnerbus_client.put_targets(Rule="every", EventBusName=SOURCE, Targets=[target])


def test_hours_of_retries_take_no_time(partnerbus_server, partnerbus_partner, hook):
    entry = {"Source": SOURCE, "DetailType": "ticket", "Detail": json.dumps({"number": 1})}
    put = partnerbus_partner.put_partner_events(Entries=[entry])
    partnerbus_server.received(1)
    for _ in range(6):
        partnerbus_server.advance(timedelta(hours=1))
    requests = partnerbus_server.received(7)
    assert len(requests) == 7
    last = requests[-1]
    event = json.loads(last.body)
    assert event["id"] == put["Entries"][0]["EventId"]
    assert event["detail"] == {"number": 1}


def test_each_test_has_a_server_of_its_own(partnerbus_client):
    assert [bus["Name"] for bus in partnerbus_client.list_event_buses()["EventBuses"]] == ["default"]


@pytest.mark.parametrize("run", [1, 2])
def test_one_server_may_be_clean_for_each_test(partnerbus_clean, run):
    client = partnerbus_clean.client("111122223333")
    client.create_event_bus(Name="mine")
    assert [bus["Name"] for bus in client.list_event_buses()["EventBuses"]] == ["default", "mine"]
    client.close()
