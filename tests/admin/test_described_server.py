"""A real server answers as its description says, whatever is asked that the description lets one ask."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from partnerbus.api.admin.face import ROUTES
from partnerbus.api.admin.openapi import describe
from partnerbus.node.folder import DataFolder, Operator
from partnerbus.testing.bus_in_thread import BusInThread

pytestmark = pytest.mark.slow

ANN = "111122223333"
SOURCE = "aws.partner/acme.com/orders"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
CALM = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "15")),
    suppress_health_check=[*HealthCheck],
    derandomize=True,
    database=None,
)

DESCRIPTION: Any = json.loads(msgspec.json.encode(describe(ROUTES)))
NOT_TRIED = {("post", "/reset")}
"""It would take the others' ground away."""

OPERATIONS = sorted(
    (method, path)
    for path, item in DESCRIPTION["paths"].items()
    for method in item
    if (method, path) not in NOT_TRIED
)


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """A server with a rule, events that matched and did not, a dead letter, an archive and a replay."""
    data: Path = tmp_path_factory.mktemp("server") / "data"
    with BusInThread(data) as bus:
        found = DataFolder(data).read_operator()
        assert found is not None
        client = bus.client(ANN)
        client.create_partner_event_source(Name=SOURCE, Account=ANN)
        client.create_event_bus(Name=SOURCE, EventSourceName=SOURCE)
        client.put_rule(Name="r", EventBusName=SOURCE, EventPattern='{"detail":{"n":[1]}}')
        queue: Any = [{"Id": "1", "Arn": f"arn:aws:events:us-east-1:{ANN}:event-bus/none"}]
        client.put_targets(Rule="r", EventBusName=SOURCE, Targets=queue)
        arn = f"arn:aws:events:us-east-1:{ANN}:event-bus/{SOURCE}"
        client.create_archive(ArchiveName="all", EventSourceArn=arn)
        client.start_replay(
            ReplayName="again",
            EventSourceArn=f"arn:aws:events:us-east-1:{ANN}:archive/all",
            EventStartTime=datetime(2000, 1, 1, tzinfo=UTC),
            EventEndTime=datetime(2000, 1, 2, tzinfo=UTC),
            Destination={"Arn": arn},
        )
        entries: Any = [{"Source": SOURCE, "DetailType": "t", "Detail": f'{{"n":{n}}}'} for n in range(3)]
        assert client.put_partner_events(Entries=entries)["FailedEntryCount"] == 0
        client.close()
        yield found


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_fits_the_description(operator: Operator, method: str, path: str) -> None:
    schema = schemathesis.openapi.from_dict(DESCRIPTION)
    schema.config.update(base_url=f"{operator.url}/_partnerbus")
    operation = schema[path][method]

    @CALM
    @given(case=operation.as_strategy())
    def ask(case: schemathesis.Case) -> None:
        response = case.call(headers={"Authorization": f"Bearer {operator.token}"}, timeout=60)
        case.validate_response(response, checks=CHECKS)

    ask()
