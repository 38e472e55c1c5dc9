"""Operations on global endpoints, and the events that are put through them."""

import json
import re
from collections.abc import Sequence

import msgspec
import pytest

from partnerbus.model.arns import bus_arn
from partnerbus.model.delivery import Record
from partnerbus.model.resources import EndpointHealth, GlobalEndpoint
from partnerbus.store.protocol import START
from tests.api.world import CUSTOMER, OTHER, REGION, Caller, World, refusal

SECOND = "us-east-1"
HERE, THERE = bus_arn(REGION, CUSTOMER, "shop"), bus_arn(SECOND, CUSTOMER, "shop")
CHECK = "arn:aws:route53:::healthcheck/c8ef4f5e-6d5f-4d7e-8f2e-0123456789ab"
ROLE = f"arn:aws:iam::{CUSTOMER}:role/replicate"
ARN = f"arn:aws:events:{REGION}:{CUSTOMER}:endpoint/e"
BUSES = [{"EventBusArn": HERE}, {"EventBusArn": THERE}]
NOT_THERE = ("ResourceNotFoundException", "Endpoint none does not exist.")


def routing(route: str = SECOND, check: str = CHECK) -> dict:
    return {"FailoverConfig": {"Primary": {"HealthCheck": check}, "Secondary": {"Route": route}}}


def members(**changes: object) -> dict:
    given = {"Name": "e", "RoutingConfig": routing(), "EventBuses": BUSES, "RoleArn": ROLE} | changes
    return {name: value for name, value in given.items() if value is not None}


@pytest.fixture
async def customer(world: World) -> Caller:
    """The customer, with a bus in two regions."""
    for region in (REGION, SECOND):
        await world.caller(CUSTOMER, region=region)("CreateEventBus", Name="shop")
    return world.customer


# -- the resource -----------------------------------------------------------------------------------------


async def test_create_and_describe(world: World, customer: Caller) -> None:
    made = await customer("CreateEndpoint", **members(Description="both"))
    shown = {
        "Name": "e",
        "Arn": ARN,
        "RoutingConfig": routing(),
        "ReplicationConfig": {"State": "ENABLED"},
        "EventBuses": BUSES,
        "RoleArn": ROLE,
    }
    assert made == shown | {"State": "CREATING"}
    found = await customer("DescribeEndpoint", Name="e")
    assert re.fullmatch(r"[a-z0-9]{10}\.veo", found["EndpointId"])
    now = world.clock.now().timestamp()
    assert found == shown | {
        "State": "ACTIVE",
        "Description": "both",
        "EndpointId": found["EndpointId"],
        "EndpointUrl": f"https://{found['EndpointId']}.endpoint.events.amazonaws.com",
        "CreationTime": now,
        "LastModifiedTime": now,
    }
    assert await customer("ListEndpoints") == {"Endpoints": [found]}


async def test_the_order_of_the_buses_is_kept(customer: Caller) -> None:
    await customer("CreateEndpoint", **members(EventBuses=BUSES[::-1]))
    found = await customer("DescribeEndpoint", Name="e")
    assert found["EventBuses"] == BUSES[::-1]


async def test_it_is_seen_from_other_regions_by_its_home(world: World, customer: Caller) -> None:
    await customer("CreateEndpoint", **members())
    elsewhere = world.caller(CUSTOMER, region=SECOND)
    assert (await elsewhere("DescribeEndpoint", Name="e", HomeRegion=REGION))["Arn"] == ARN
    assert len((await elsewhere("ListEndpoints", HomeRegion=REGION))["Endpoints"]) == 1
    assert (await elsewhere("ListEndpoints"))["Endpoints"] == []
    assert (await refusal(elsewhere, "DescribeEndpoint", Name="e"))[0] == "ResourceNotFoundException"
    assert (await world.other("ListEndpoints"))["Endpoints"] == []


async def test_update_changes_what_is_given(world: World, customer: Caller) -> None:
    await customer("CreateEndpoint", **members(Description="both"))
    before = await customer("DescribeEndpoint", Name="e")
    await world.advance(seconds=3)
    other = CHECK[:-1] + "c"
    answer = await customer("UpdateEndpoint", Name="e", RoutingConfig=routing(check=other))
    answer = await customer("UpdateEndpoint", Name="e", ReplicationConfig={"State": "DISABLED"})
    changed = {"RoutingConfig": routing(check=other), "ReplicationConfig": {"State": "DISABLED"}}
    assert answer == {
        **{name: before[name] for name in ("Name", "Arn", "EventBuses", "RoleArn")},
        **{name: before[name] for name in ("EndpointId", "EndpointUrl")},
        **changed,
        "State": "UPDATING",
    }
    after = await customer("DescribeEndpoint", Name="e")
    assert after == before | changed | {"LastModifiedTime": before["LastModifiedTime"] + 3}


async def test_pages(customer: Caller) -> None:
    for name in ("c", "a", "b", "other"):
        await customer("CreateEndpoint", **members(Name=name))
    first = await customer("ListEndpoints", MaxResults=2)
    assert [each["Name"] for each in first["Endpoints"]] == ["a", "b"]
    rest = await customer("ListEndpoints", MaxResults=2, NextToken=first["NextToken"])
    assert [each["Name"] for each in rest["Endpoints"]] == ["c", "other"]
    assert "NextToken" not in rest
    named = await customer("ListEndpoints", NamePrefix="o")
    assert [each["Name"] for each in named["Endpoints"]] == ["other"]


async def test_delete(customer: Caller) -> None:
    await customer("CreateEndpoint", **members())
    assert await customer("DeleteEndpoint", Name="e") == {}
    assert (await refusal(customer, "DescribeEndpoint", Name="e"))[0] == "ResourceNotFoundException"
    await customer("CreateEndpoint", **members())


@pytest.mark.parametrize("operation", ["DescribeEndpoint", "DeleteEndpoint", "UpdateEndpoint"])
async def test_one_that_is_not_there(customer: Caller, operation: str) -> None:
    assert await refusal(customer, operation, Name="none") == NOT_THERE


async def test_a_name_is_taken_once(customer: Caller) -> None:
    await customer("CreateEndpoint", **members())
    refused = await refusal(customer, "CreateEndpoint", **members())
    assert refused == ("ResourceAlreadyExistsException", "Endpoint e already exists.")


async def test_there_are_only_so_many(world: World, customer: Caller) -> None:
    caller = world.with_quotas(endpoints=1).customer
    await caller("CreateEndpoint", **members())
    assert (await refusal(caller, "CreateEndpoint", **members(Name="f")))[0] == "LimitExceededException"


def buses(*arns: str) -> list[dict]:
    return [{"EventBusArn": arn} for arn in arns]


REASON = "Parameter EventBuses is not valid. Reason: "


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"EventBuses": buses(HERE, THERE.replace("shop", "hop"))},
            REASON + "The names of the event buses must be the same.",
        ),
        (
            {"EventBuses": buses(HERE, HERE)},
            REASON + f"One event bus must be in {REGION}, the other in {SECOND}.",
        ),
        (
            {"RoutingConfig": routing("us-west-2")},
            REASON + f"One event bus must be in {REGION}, the other in us-west-2.",
        ),
        (
            {"EventBuses": buses(HERE.replace(CUSTOMER, OTHER), THERE.replace(CUSTOMER, OTHER))},
            REASON + "The event buses must be of this account.",
        ),
        (
            {"EventBuses": buses(HERE.replace("shop", "hop"), THERE.replace("shop", "hop"))},
            REASON + f"Event bus {HERE.replace('shop', 'hop')} does not exist.",
        ),
        (
            {"RoutingConfig": routing(REGION)},
            "Parameter RoutingConfig is not valid. Reason: The secondary Region must not be that of the "
            "endpoint.",
        ),
        (
            {"RoleArn": None},
            "Parameter RoleArn is not valid. Reason: RoleArn is required for event replication.",
        ),
    ],
)
async def test_what_could_not_take_events(customer: Caller, changes: dict, sentence: str) -> None:
    assert await refusal(customer, "CreateEndpoint", **members(**changes)) == (
        "ValidationException",
        sentence,
    )
    assert (await customer("ListEndpoints"))["Endpoints"] == []


async def test_an_update_is_checked_as_a_whole(customer: Caller) -> None:
    await customer("CreateEndpoint", **members(RoleArn=None, ReplicationConfig={"State": "DISABLED"}))
    code, _ = await refusal(customer, "UpdateEndpoint", Name="e", ReplicationConfig={"State": "ENABLED"})
    assert code == "ValidationException"
    found = await customer("DescribeEndpoint", Name="e")
    assert found["ReplicationConfig"] == {"State": "DISABLED"}


# -- events through it ------------------------------------------------------------------------------------


class Through:
    """An endpoint, and what is in the logs of its buses."""

    def __init__(self, world: World, customer: Caller, endpoint_id: str) -> None:
        self.world, self.customer, self.id = world, customer, endpoint_id

    async def put(self, bus: str = "shop", caller: Caller | None = None, **more: object) -> dict:
        entry = {"Source": "s", "DetailType": "d", "Detail": '{"n":1}', "EventBusName": bus} | more
        put = caller or self.customer
        answer = await put("PutEvents", EndpointId=self.id, Entries=[entry])
        found: dict = answer["Entries"][0]
        return found

    async def records(self, arn: str) -> Sequence[Record]:
        bus = self.world.services.catalog.bus_by_arn(arn)
        assert bus is not None
        return await self.world.services.store.read(bus.log, START)

    async def stored(self, arn: str) -> list[dict]:
        return [json.loads(record.event.encode()) for record in await self.records(arn)]

    async def set_health(self, health: EndpointHealth) -> None:
        catalog = self.world.services.catalog
        [before] = catalog.list(GlobalEndpoint, "endpoint:")
        await catalog.replace(before, msgspec.structs.replace(before, health=health))


@pytest.fixture
async def through(world: World, customer: Caller) -> Through:
    await customer("CreateEndpoint", **members())
    return Through(world, customer, (await customer("DescribeEndpoint", Name="e"))["EndpointId"])


async def test_both_buses_get_the_event(through: Through) -> None:
    put = await through.put(Resources=["r"])
    [taken], [copy] = await through.stored(HERE), await through.stored(THERE)
    assert taken["id"] == put["EventId"]
    assert (taken["region"], taken["resources"]) == (REGION, ["r"])
    assert (copy["region"], copy["resources"]) == (REGION, ["r", ARN])
    assert copy["id"] != taken["id"]
    assert taken | {"id": "", "resources": []} == copy | {"id": "", "resources": []}


async def test_no_rule_forwards_the_copy_once_more(through: Through) -> None:
    """It has come through a bus, and such events are not forwarded a second time."""
    await through.put()
    [taken], [copy] = await through.records(HERE), await through.records(THERE)
    assert (taken.via, copy.via) == (None, HERE)


async def test_while_it_is_unhealthy_the_secondary_bus_takes_them(through: Through) -> None:
    await through.set_health(EndpointHealth.UNHEALTHY)
    put = await through.put()
    [copy], [taken] = await through.stored(HERE), await through.stored(THERE)
    assert (taken["id"], taken["region"], taken["resources"]) == (put["EventId"], SECOND, [])
    assert (copy["region"], copy["resources"]) == (SECOND, [ARN])
    await through.set_health(EndpointHealth.HEALTHY)
    assert (await through.put())["EventId"] == (await through.stored(HERE))[1]["id"]


async def test_without_replication_one_bus_gets_it(through: Through) -> None:
    await through.customer("UpdateEndpoint", Name="e", ReplicationConfig={"State": "DISABLED"})
    await through.put()
    assert (len(await through.stored(HERE)), len(await through.stored(THERE))) == (1, 0)


@pytest.mark.parametrize("bus", ["shop", HERE, THERE])
async def test_the_bus_may_be_named_in_three_ways(through: Through, bus: str) -> None:
    assert "EventId" in await through.put(bus)
    assert len(await through.stored(HERE)) == 1


@pytest.mark.parametrize("bus", ["default", "hop", HERE.replace("shop", "hop")])
async def test_another_bus_is_refused(through: Through, bus: str) -> None:
    assert await through.put(bus) == {
        "ErrorCode": "InvalidArgument",
        "ErrorMessage": "Parameter EventBusName is not valid. Reason: "
        "The event bus is not that of the endpoint.",
    }
    assert await through.stored(HERE) == []


async def test_an_endpoint_is_its_owners_alone(through: Through) -> None:
    entry = {"Source": "s", "DetailType": "d", "Detail": "{}", "EventBusName": "shop"}
    for caller, wanted in ((through.world.other, through.id), (through.customer, "abcde.veo")):
        assert await refusal(caller, "PutEvents", EndpointId=wanted, Entries=[entry]) == (
            "ValidationException",
            f"Parameter EndpointId is not valid. Reason: Endpoint {wanted} does not exist.",
        )


async def test_what_a_signature_is_not_for_is_refused(through: Through) -> None:
    west = through.world.caller(CUSTOMER, signed_for=("us-*", "ap-east-1"))
    refused = await through.put(caller=west)
    assert refused == {
        "ErrorCode": "AccessDeniedException",
        "ErrorMessage": f"The request was not signed for Region {REGION}.",
    }
    await through.set_health(EndpointHealth.UNHEALTHY)
    assert "EventId" in await through.put(caller=west)


async def test_a_bus_that_is_gone_swallows_what_is_put_to_it(through: Through) -> None:
    await through.customer("DeleteEventBus", Name="shop")
    assert "EventId" in await through.put()
    assert await through.stored(THERE) == []
    await through.set_health(EndpointHealth.UNHEALTHY)
    assert "EventId" in await through.put()
    assert len(await through.stored(THERE)) == 1


async def test_a_refused_entry_is_in_neither_bus(through: Through) -> None:
    assert (await through.put(Detail="[]"))["ErrorCode"] == "MalformedDetail"
    assert (await through.put(Source="aws.x"))["ErrorCode"] == "NotAuthorizedForSource"
    assert (await through.stored(HERE), await through.stored(THERE)) == ([], [])


async def test_a_policy_that_denies_keeps_events_out(through: Through) -> None:
    deny = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "no",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "events:PutEvents",
                "Resource": THERE,
            }
        ],
    }
    there = through.world.caller(CUSTOMER, region=SECOND)
    await there("PutPermission", EventBusName="shop", Policy=json.dumps(deny))
    assert "EventId" in await through.put()
    assert await through.stored(THERE) == []
    await through.set_health(EndpointHealth.UNHEALTHY)
    assert (await through.put())["ErrorCode"] == "AccessDeniedException"
    assert len(await through.stored(HERE)) == 1
