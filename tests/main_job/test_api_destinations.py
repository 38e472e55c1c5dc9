"""Changes of API destinations through boto3, while a delivery waits for its retry."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from partnerbus.testing.bus_in_thread import BusInThread
from partnerbus.testing.receiver import Respond

pytestmark = pytest.mark.slow

CUSTOMER = "111122223333"
PATTERN = '{"source": ["shop"]}'


def connect(customer: Any, name: str) -> str:
    """A connection whose requests carry its name as a key; its ARN."""
    made = customer.create_connection(
        Name=name,
        AuthorizationType="API_KEY",
        AuthParameters={"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": f"key-of-{name}"}},
    )
    return str(made["ConnectionArn"])


def test_a_waiting_delivery_goes_where_the_destination_leads_by_then(tmp_path: Path) -> None:
    with BusInThread(tmp_path) as bus:
        customer = bus.client(CUSTOMER)
        made = customer.create_api_destination(
            Name="hook",
            ConnectionArn=connect(customer, "old"),
            InvocationEndpoint=bus.script("/old", Respond(status=503)),
            HttpMethod="POST",
        )
        customer.put_rule(Name="all", EventPattern=PATTERN)
        customer.put_targets(Rule="all", Targets=[{"Id": "1", "Arn": made["ApiDestinationArn"]}])
        customer.put_events(Entries=[{"Source": "shop", "DetailType": "order", "Detail": "{}"}])
        [before] = bus.received(1)
        bus.idle()
        assert (before.path, before.method, before.headers["x-key"]) == ("/old", "POST", "key-of-old")

        answer = customer.update_api_destination(
            Name="hook",
            ConnectionArn=connect(customer, "new"),
            InvocationEndpoint=bus.script("/new", Respond()),
            HttpMethod="PUT",
        )
        assert answer["ApiDestinationArn"] == made["ApiDestinationArn"]
        assert answer["ApiDestinationState"] == "ACTIVE"
        bus.advance(timedelta(minutes=1))
        *old, after = bus.received(2)
        assert {request.path for request in old} == {"/old"}
        assert (after.path, after.method, after.headers["x-key"]) == ("/new", "PUT", "key-of-new")
        assert after.body == before.body
