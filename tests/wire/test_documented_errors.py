"""Each exception of the model comes when it should: `errors.py` has the table."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from partnerbus.engine.catalog import Catalog
from partnerbus.kernel.clock import SystemClock
from partnerbus.kernel.errors import RevisionConflict, StoreOverloaded
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.model.resources import Rule, RuleState
from partnerbus.node.folder import DataFolder, opened
from partnerbus.testing.bus_in_thread import BusInThread
from tests.clients.proofs import PAGE
from tests.wire.client import REGION, Client, Desk
from tests.wire.errors import (
    DISABLED_REGION,
    GENERAL,
    MANAGED_ACCOUNT,
    MANAGED_BY,
    MODEL,
    OTHERS,
    QUOTA,
    WHO_LOSES_IS_TOLD_SO,
    page,
    rows,
)
from tests.wire.mutations import plain
from tests.wire.requests import GOOD, furnish, source

pytestmark = pytest.mark.slow

PROVOKED = [
    (operation, error)
    for error, by_operation in OTHERS.items()
    for operation, row in by_operation.items()
    if row.provoke is not None
]


async def _manage(data: Path) -> None:
    rule = Rule(
        account=MANAGED_ACCOUNT,
        region=REGION,
        bus="default",
        name="managed",
        state=RuleState.ENABLED,
        created_by=MANAGED_ACCOUNT,
        created_at=datetime.now(UTC),
        pattern='{"source":["a"]}',
        managed_by=MANAGED_BY,
    )
    async with opened(DataFolder(data), SystemClock(), Failpoints()) as found:
        await found.catalog.create(rule)


@pytest.fixture(scope="module")
def bus(data: Path) -> Iterator[BusInThread]:
    """A server with a managed rule, and with partner sources in some regions only."""
    asyncio.run(_manage(data))
    with BusInThread(data, partner_regions=f"{REGION},eu-central-1") as running:
        yield running


@pytest.fixture
def furnished(client: Client, desk: Desk) -> Client:
    desk("POST", "/accounts", {"id": client.account})
    furnish(client)
    return client


def test_the_table_has_every_exception_of_the_model() -> None:
    modelled = {
        (name, shape.name)
        for name in MODEL.operation_names
        for shape in MODEL.operation_model(name).error_shapes
    }
    written = {(name, error) for error, by_name in OTHERS.items() for name in by_name}
    assert written == {(name, error) for name, error in modelled if error not in GENERAL}
    assert set(rows()) == modelled


def test_the_page_is_made_from_the_table() -> None:
    assert (PAGE.parent / "errors.md").read_text(encoding="utf-8") == page()


@pytest.mark.parametrize(("operation", "error"), PROVOKED)
def test_it_comes_when_it_should(furnished: Client, desk: Desk, operation: str, error: str) -> None:
    provoke = OTHERS[error][operation].provoke
    assert provoke is not None
    members = plain(provoke(furnished))
    quota = members.pop(QUOTA, None)
    if quota is not None:
        least = 1 if quota == "api-destination-rate" else 0
        desk("PUT", f"/accounts/{furnished.account}/quotas/{quota}", {"value": least})
    code, sentence = furnished.refusal(operation, **members)
    assert code == error, sentence
    assert sentence.endswith((".", "]")) or "\n at [" in sentence


def modelled_with(error: str) -> list[str]:
    return [
        name
        for name in MODEL.operation_names
        if any(shape.name == error for shape in MODEL.operation_model(name).error_shapes)
    ]


def arrange(client: Client, operation: str) -> None:
    """Let the good request of an operation change something."""
    match operation:
        case "ActivateEventSource":
            client("DeactivateEventSource", Name=source(client))
        case "EnableRule":
            client("DisableRule", **GOOD[operation](client))
        case "UntagResource":
            client("TagResource", **GOOD["TagResource"](client))
        case "CancelReplay":
            client("StartReplay", **GOOD["StartReplay"](client))


@pytest.mark.parametrize("operation", modelled_with("ConcurrentModificationException"))
def test_a_resource_that_always_changes(
    furnished: Client, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrange(furnished, operation)
    members = plain(GOOD[operation](furnished))

    async def conflict(*_: object) -> None:
        raise RevisionConflict

    for change in ("create", "replace", "remove"):
        monkeypatch.setattr(Catalog, change, conflict)
    code, _ = furnished.refusal(operation, **members)
    if operation == "CancelReplay" and code == "IllegalStatusException":
        return  # it had ended already
    lost = "ResourceAlreadyExistsException"
    assert code == (lost if operation in WHO_LOSES_IS_TOLD_SO else "ConcurrentModificationException")


@pytest.mark.parametrize("operation", sorted(modelled_with("ThrottlingException")))
def test_a_store_that_cannot_keep_up(
    furnished: Client, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = plain(GOOD[operation](furnished))

    async def overloaded(*_: object) -> None:
        raise StoreOverloaded

    for change in ("create", "replace", "remove"):
        monkeypatch.setattr(Catalog, change, overloaded)
    assert furnished.refusal(operation, **members) == ("ThrottlingException", "Rate exceeded")


def test_a_failure_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTNERBUS_FAILPOINTS", "edge.before_answer=error@1")
    with BusInThread(tmp_path) as failing, Client(failing.url, "111122223333") as client:
        reply = client.send("ListEventBuses", b"{}")
        assert (reply.status, reply.json["__type"]) == (500, "InternalException")
        assert client.send("ListEventBuses", b"{}").status == 200


def test_other_regions_have_partner_sources(client: Client) -> None:
    client.region = "eu-central-1"
    assert client("ListEventSources") == {"EventSources": []}
    client.region = DISABLED_REGION
    assert client.refusal("ListEventSources") == (
        "OperationDisabledException",
        f"Partner event sources are not available in {DISABLED_REGION}.",
    )
    client("CreateEventBus", Name="custom")
