"""PutEvents and PutPartnerEvents through the contract, on a real store."""

import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from partnerbus.api.face import Face
from partnerbus.api.operation import Call, Limits, Services
from partnerbus.api.v1.events import OPERATIONS
from partnerbus.engine.connection_secrets import ConnectionSecrets
from partnerbus.engine.sources import PartnerSources
from partnerbus.kernel.failpoints import Failpoints
from partnerbus.kernel.secrets import SecretBox
from partnerbus.kernel.telemetry import Metrics, make_log
from partnerbus.model.resources import EventBus
from tests.engine.world import ACCOUNT, REGION, World, new_target

PARTNER = "999900001111"
SOURCE = "aws.partner/acme.com/orders"
ELSEWHERE = f"arn:aws:events:{REGION}:444455556666:event-bus/orders"
DETAIL = '{"total": 1.50}'


class Caller:
    """Calls operations and gives the status and the decoded answer."""

    def __init__(self, face: Face, account: str, partner: str | None = None, region: str = REGION) -> None:
        self._face = face
        self._account = account
        self._partner = partner
        self._region = region

    async def __call__(self, operation: str, **request: object) -> tuple[int, dict[str, Any]]:
        call = Call(
            request_id="r",
            operation=operation,
            account=self._account,
            region=self._region,
            partner=self._partner,
        )
        answer = await self._face.answer(call, msgspec.json.encode(request))
        return answer.status, msgspec.json.decode(answer.body)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def face(world: World, metrics: Metrics, tmp_path: Path) -> Face:
    services = Services(
        catalog=world.catalog,
        store=world.store,
        publisher=world.engine.publisher,
        targets=world.real_targets,
        clock=world.clock,
        secrets=SecretBox.from_file(tmp_path / "key"),
        connection_secrets=ConnectionSecrets(world.catalog, None, make_log("error")),
        failpoints=Failpoints(),
        metrics=metrics,
        limits=Limits(entries_bytes=10_000),
    )
    return Face(services, OPERATIONS)


@pytest.fixture
def customer(face: Face) -> Caller:
    return Caller(face, ACCOUNT)


@pytest.fixture
def partner(face: Face) -> Caller:
    return Caller(face, PARTNER, "acme.com")


@pytest.fixture
async def bus(world: World) -> EventBus:
    bus = await world.bus()
    await world.rule(bus, new_target())
    return bus


@pytest.fixture
def sources(world: World) -> PartnerSources:
    return PartnerSources(world.catalog, world.clock, Failpoints(), timedelta(days=14))


@pytest.fixture
async def partner_bus(world: World, sources: PartnerSources) -> EventBus:
    await sources.offer(REGION, SOURCE, ACCOUNT)
    now = world.clock.now()
    bus = EventBus(
        account=ACCOUNT,
        region=REGION,
        name=SOURCE,
        log="log-partner",
        created_at=now,
        modified_at=now,
        source=SOURCE,
    )
    assert await sources.associate(bus) is None
    await world.rule(bus, new_target())
    return bus


def entry(**members: object) -> dict[str, object]:
    given = {"Source": "shop", "DetailType": "Order", "Detail": DETAIL, "EventBusName": "orders", **members}
    return {name: value for name, value in given.items() if value is not None}


def partner_entry(**members: object) -> dict[str, object]:
    return entry(**{"Source": SOURCE, "EventBusName": None, **members})


async def test_what_a_target_receives(world: World, bus: EventBus, customer: Caller) -> None:
    put = entry(Time=1_700_000_000.9, Resources=["a", "b"], Detail=' {"n" : 1.50,\n "é":"\\u00e9 x"} ')
    status, answer = await customer("PutEvents", Entries=[put])
    assert (status, answer["FailedEntryCount"]) == (200, 0)
    (result,) = answer["Entries"]
    await world.engine.idle()
    (received,) = world.targets.received
    assert received.payload.decode() == (
        f'{{"version":"0","id":"{result["EventId"]}","detail-type":"Order","source":"shop",'
        f'"account":"{ACCOUNT}","time":"2023-11-14T22:13:20Z","region":"{REGION}",'
        '"resources":["a","b"],"detail":{"n":1.50,"é":"\\u00e9 x"}}'
    )
    assert uuid.UUID(result["EventId"]).version == 4


async def test_without_a_time_it_is_now(world: World, bus: EventBus, customer: Caller) -> None:
    await customer("PutEvents", Entries=[entry()])
    await world.engine.idle()
    assert world.targets.received[0].record.event.time == "2026-01-01T00:00:00Z"


NOT_VALID = "Parameter {0} is not valid. Reason: {0} is a required argument."
MALFORMED = ("MalformedDetail", "Detail is malformed.")


@pytest.mark.parametrize(
    ("members", "code", "message"),
    [
        ({"Source": None}, "InvalidArgument", NOT_VALID.format("Source")),
        ({"DetailType": None}, "InvalidArgument", NOT_VALID.format("DetailType")),
        ({"Detail": None}, "InvalidArgument", NOT_VALID.format("Detail")),
        ({"Source": ""}, "InvalidArgument", NOT_VALID.format("Source")),
        ({"Detail": "{"}, *MALFORMED),
        ({"Detail": "[]"}, *MALFORMED),
        ({"Detail": '"{}"'}, *MALFORMED),
        ({"Detail": "null"}, *MALFORMED),
        ({"Detail": '{"a":NaN}'}, *MALFORMED),
        ({"Detail": '{"a":01}'}, *MALFORMED),
        ({"Detail": '{"a":1}}'}, *MALFORMED),
        ({"Detail": "{'a':1}"}, *MALFORMED),
        ({"Detail": '{"a":"\\ud800"}'}, *MALFORMED),
        ({"Detail": '{"a":9223372036854775808}'}, *MALFORMED),
        ({"Detail": '{"a":[-9223372036854775809]}'}, *MALFORMED),
        ({"Detail": '{"a":' + "9" * 5_000 + "}"}, *MALFORMED),
        ({"Detail": '{"a":' + "[" * 1_000 + "]" * 1_000 + "}"}, *MALFORMED),
        ({"Detail": '{"a":' * 1_500 + "1" + "}" * 1_500}, *MALFORMED),
        (
            {"DetailType": "x" * 129},
            "InvalidArgument",
            "Parameter DetailType is not valid. Reason: DetailType is longer than 128 characters.",
        ),
        (
            {"Time": -30_610_224_001},
            "InvalidArgument",
            "Parameter Time is not valid. Reason: Time is out of range.",
        ),
        ({"Source": "aws.shop"}, "NotAuthorizedForSource", "Not authorized for the source."),
        (
            {"EventBusName": ELSEWHERE},
            "AccessDeniedException",
            f"Not authorized to put events to event bus {ELSEWHERE}.",
        ),
    ],
)
async def test_an_entry_fails_alone(
    world: World,
    bus: EventBus,
    customer: Caller,
    metrics: Metrics,
    members: dict[str, object],
    code: str,
    message: str,
) -> None:
    failed = {"ErrorCode": code, "ErrorMessage": message}
    assert await customer("PutEvents", Entries=[entry(**members)]) == (
        200,
        {"FailedEntryCount": 1, "Entries": [failed]},
    )
    status, answer = await customer("PutEvents", Entries=[entry(), entry(**members), entry()])
    assert (status, answer["FailedEntryCount"]) == (200, 1)
    first, second, third = answer["Entries"]
    assert second == failed
    assert first.keys() == third.keys() == {"EventId"}
    assert (await world.ledger(bus)).accepted == 2
    assert _counted(metrics, "PutEvents") == {"accepted": 2, "refused": 2}


@pytest.mark.parametrize(
    "detail",
    [
        '{"a":9223372036854775807,"b":-9223372036854775808}',
        '{"a":"99999999999999999999","b":1.99999999999999999999,"c":99999999999999999999e3}',
        '{"a":"' + "[" * 2_000 + '\\"' + "{" * 2_000 + '"}',
        '{"a":' + "[" * 500 + "]" * 500 + "}",
        '{"a":[' + ",".join(["{}"] * 2_000) + "]}",
        '{"a":1,"a":2}',
        '{"a":"\\ud83d\\ude00"}',
        "{}",
    ],
)
async def test_what_a_detail_may_be(world: World, bus: EventBus, customer: Caller, detail: str) -> None:
    _, answer = await customer("PutEvents", Entries=[entry(Detail=detail)])
    assert answer["FailedEntryCount"] == 0
    await world.engine.idle()
    assert world.targets.received[0].record.event.detail.decode() == detail


async def test_the_total_size_is_bounded_by_the_documented_rule(bus: EventBus, customer: Caller) -> None:
    fixed = len("shop") + len("Order") + 14 + len("résumé".encode())
    filler = 10_000 - fixed - len('{"a":""}')

    def sized(extra: int) -> dict[str, object]:
        return entry(Time=1, Resources=["résumé"], Detail='{"a":"' + "x" * (filler + extra) + '"}')

    assert (await customer("PutEvents", Entries=[sized(0)]))[0] == 200
    refused = {
        "__type": "ValidationException",
        "message": "Total size of the entries in the request is over the limit.",
    }
    assert await customer("PutEvents", Entries=[sized(1)]) == (400, refused)
    assert await customer("PutEvents", Entries=[sized(-20), entry()]) == (400, refused)


async def test_an_endpoint_is_refused_clearly(bus: EventBus, customer: Caller) -> None:
    status, answer = await customer("PutEvents", Entries=[entry()], EndpointId="abcde.veo")
    assert (status, answer["__type"]) == (400, "ValidationException")
    assert "EndpointId" in str(answer["message"])


async def test_buses_by_name_by_arn_by_default_and_unknown(
    world: World, bus: EventBus, customer: Caller, metrics: Metrics
) -> None:
    default = world.catalog.bus(ACCOUNT, REGION, "default")
    assert default is not None
    named = [None, "orders", bus.arn, "unknown", bus.arn + "-unknown"]
    _, answer = await customer("PutEvents", Entries=[entry(EventBusName=name) for name in named])
    assert answer["FailedEntryCount"] == 0
    await world.engine.idle()
    assert (await world.ledger(default)).accepted == 1
    assert (await world.ledger(bus)).accepted == 2
    assert _counted(metrics, "PutEvents") == {"accepted": 3, "dropped": 2}


class TestPartnerEvents:
    async def test_the_customer_receives_it_as_its_own(
        self, world: World, partner_bus: EventBus, partner: Caller
    ) -> None:
        status, answer = await partner("PutPartnerEvents", Entries=[partner_entry()])
        assert (status, answer["FailedEntryCount"]) == (200, 0)
        await world.engine.idle()
        event = world.targets.received[0].record.event
        assert (event.source, event.account, event.region) == (SOURCE, ACCOUNT, REGION)

    async def test_a_pending_source_swallows(
        self,
        world: World,
        partner_bus: EventBus,
        partner: Caller,
        sources: PartnerSources,
        metrics: Metrics,
    ) -> None:
        assert await sources.deactivate(ACCOUNT, REGION, SOURCE) is None
        _, answer = await partner("PutPartnerEvents", Entries=[partner_entry()])
        assert answer["FailedEntryCount"] == 0
        assert _counted(metrics, "PutPartnerEvents") == {"dropped": 1}
        assert await sources.activate(ACCOUNT, REGION, SOURCE) is None
        await world.engine.idle()
        assert (await world.ledger(partner_bus)).accepted == 0

    async def test_what_is_checked_before_is_dropped_is_checked_too(
        self, partner: Caller, sources: PartnerSources
    ) -> None:
        await sources.offer(REGION, SOURCE, ACCOUNT)
        _, answer = await partner("PutPartnerEvents", Entries=[partner_entry(Detail="[]")])
        assert answer["FailedEntryCount"] == 1

    async def test_a_source_that_is_gone_or_another_partners_is_refused(
        self, partner_bus: EventBus, partner: Caller, face: Face, sources: PartnerSources
    ) -> None:
        stranger = Caller(face, PARTNER, "other.org")
        elsewhere = Caller(face, PARTNER, "acme.com", region="eu-west-1")
        denied = {
            "ErrorCode": "AccessDeniedException",
            "ErrorMessage": f"Not authorized for event source {SOURCE}.",
        }
        gone = {
            "ErrorCode": "ResourceNotFoundException",
            "ErrorMessage": f"Event source {SOURCE} does not exist.",
        }
        for caller, refused in ((stranger, denied), (elsewhere, gone)):
            answer = await caller("PutPartnerEvents", Entries=[partner_entry()])
            assert answer == (200, {"FailedEntryCount": 1, "Entries": [refused]})
        await sources.withdraw(REGION, SOURCE, ACCOUNT)
        answer = await partner("PutPartnerEvents", Entries=[partner_entry()])
        assert answer == (200, {"FailedEntryCount": 1, "Entries": [gone]})

    async def test_who_is_no_partner_is_refused_as_a_whole(
        self, partner_bus: EventBus, customer: Caller
    ) -> None:
        status, answer = await customer("PutPartnerEvents", Entries=[partner_entry()])
        assert (status, answer["__type"]) == (400, "AccessDeniedException")


def _counted(metrics: Metrics, operation: str) -> dict[str, int]:
    return {
        sample.labels["result"]: int(sample.value)
        for metric in metrics.entries.collect()
        for sample in metric.samples
        if sample.name.endswith("_total") and sample.labels["operation"] == operation
    }
