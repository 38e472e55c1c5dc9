"""Operations on the targets of a rule."""

import asyncio

import msgspec
import pytest

from partnerbus.model.delivery import NewRecord
from partnerbus.model.event import Event
from partnerbus.model.resources import RetryPolicy, Rule, Target, decode_resource, encode_resource
from tests.api.world import CUSTOMER, OTHER, PATTERN, QUEUE, REGION, Caller, World, refusal

GOOD = {"FailedEntryCount": 0, "FailedEntries": []}
LIMIT = ("LimitExceededException", "The requested resource exceeds the maximum number allowed.")


@pytest.fixture(autouse=True)
async def rule(customer: Caller) -> None:
    await customer("PutRule", Name="all", EventPattern=PATTERN)


def queue(target_id: str, **members: object) -> dict:
    return {"Id": target_id, "Arn": QUEUE, **members}


def stored(world: World) -> dict[str, Target]:
    (found,) = world.services.catalog.list(Rule, "rule:")
    return {target.id: target for target in found.targets}


async def listed(customer: Caller) -> list:
    targets: list = (await customer("ListTargetsByRule", Rule="all"))["Targets"]
    return targets


async def test_put_list_remove(customer: Caller) -> None:
    assert await customer("PutTargets", Rule="all", Targets=[queue("b"), queue("a")]) == GOOD
    assert await listed(customer) == [queue("a"), queue("b")]
    assert await customer("RemoveTargets", Rule="all", Ids=["a", "unknown"]) == GOOD
    assert await listed(customer) == [queue("b")]


@pytest.mark.parametrize(
    "members",
    [
        {"Input": '{"constant": true}'},
        {"InputPath": "$.detail"},
        {"InputTransformer": {"InputTemplate": '{"a": <a>}', "InputPathsMap": {"a": "$.detail.a"}}},
        {"InputTransformer": {"InputTemplate": '"text"'}},
        {"InputTransformer": {"InputTemplate": '"text"', "InputPathsMap": {}}},
        {"RetryPolicy": {}},
        {"RetryPolicy": {"MaximumRetryAttempts": 0}},
        {"RetryPolicy": {"MaximumEventAgeInSeconds": 60}},
        {"RetryPolicy": {"MaximumRetryAttempts": 185, "MaximumEventAgeInSeconds": 86_400}},
        {"DeadLetterConfig": {}},
        {"DeadLetterConfig": {"Arn": f"arn:aws:sqs:{REGION}:{CUSTOMER}:dead"}},
        {"SqsParameters": {}},
        {"SqsParameters": {"MessageGroupId": "one"}},
        {"RoleArn": "arn:aws:iam::111111111111:role/r"},
    ],
    ids=str,
)
async def test_a_target_comes_back_as_it_was_put(customer: Caller, members: dict) -> None:
    assert await customer("PutTargets", Rule="all", Targets=[queue("q", **members)]) == GOOD
    assert await listed(customer) == [queue("q", **members)]


def arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{CUSTOMER}:{resource}"


API = arn("execute-api", "a1b2/prod/POST/orders/*")
ECS = {
    "TaskDefinitionArn": "arn:aws:ecs:eu-central-1:111111111111:task-definition/t",
    "TaskCount": 2,
    "NetworkConfiguration": {"awsvpcConfiguration": {"Subnets": ["s"], "AssignPublicIp": "DISABLED"}},
    "CapacityProviderStrategy": [{"capacityProvider": "c", "weight": 0, "base": 1}],
    "EnableECSManagedTags": False,
    "PlacementConstraints": [{"type": "distinctInstance"}],
    "PlacementStrategy": [{"type": "spread", "field": "f"}],
    "Tags": [{"Key": "k", "Value": ""}],
}
STRUCTURES = [
    ("HttpParameters", {"PathParameterValues": ["a"], "HeaderParameters": {"X-A": "b"}}, API),
    (
        "HttpParameters",
        {"PathParameterValues": ["$.id"], "QueryStringParameters": {}},
        API,
    ),
    ("KinesisParameters", {"PartitionKeyPath": "$.id"}, arn("kinesis", "stream/s")),
    ("EcsParameters", {"TaskDefinitionArn": "t"}, arn("ecs", "cluster/c")),
    ("EcsParameters", ECS, arn("ecs", "cluster/c")),
    (
        "BatchParameters",
        {"JobDefinition": "d", "JobName": "n", "ArrayProperties": {"Size": 2}, "RetryStrategy": {}},
        arn("batch", "job-queue/q"),
    ),
    (
        "RunCommandParameters",
        {"RunCommandTargets": [{"Key": "tag:a", "Values": ["b"]}]},
        arn("ssm", "document/AWS-RunShellScript"),
    ),
    (
        "RedshiftDataParameters",
        {"Database": "d", "Sqls": ["select 1"], "WithEvent": False},
        arn("redshift", "cluster:c"),
    ),
    (
        "SageMakerPipelineParameters",
        {"PipelineParameterList": [{"Name": "n", "Value": "v"}]},
        arn("sagemaker", "pipeline/p"),
    ),
    ("SageMakerPipelineParameters", {}, arn("sagemaker", "pipeline/p")),
    (
        "AppSyncParameters",
        {"GraphQLOperation": "query { a }"},
        arn("appsync", "endpoints/graphql-api/a1"),
    ),
]


@pytest.mark.parametrize(("name", "structure", "target"), STRUCTURES)
async def test_a_structure_of_one_kind_comes_back_too(
    customer: Caller, name: str, structure: dict, target: str
) -> None:
    put = {"Id": "q", "Arn": target, name: structure}
    assert await customer("PutTargets", Rule="all", Targets=[put]) == GOOD
    assert await listed(customer) == [put]


@pytest.mark.parametrize(("name", "structure", "target"), STRUCTURES)
async def test_a_structure_of_another_kind_is_refused(
    customer: Caller, name: str, structure: dict, target: str
) -> None:
    """It could have no effect."""
    answer = await customer("PutTargets", Rule="all", Targets=[queue("q", **{name: structure})])
    [failed] = answer["FailedEntries"]
    assert failed["ErrorMessage"] == f"{name} cannot be used with this target."
    assert await listed(customer) == []


async def test_typed_structures_survive_the_registry(world: World, customer: Caller) -> None:
    put = {"Id": "q", "Arn": arn("ecs", "cluster/c"), "EcsParameters": ECS}
    assert await customer("PutTargets", Rule="all", Targets=[put]) == GOOD
    (rule,) = world.services.catalog.list(Rule, "rule:")
    again = decode_resource(encode_resource(rule))
    assert again == rule
    assert isinstance(again, Rule)
    ecs = again.targets[0].ecs
    assert ecs is not None
    assert ecs.network_configuration is not None
    assert ecs.network_configuration.awsvpc_configuration is not None
    assert ecs.network_configuration.awsvpc_configuration.subnets == ("s",)
    assert ecs.enable_ecs_managed_tags is False


def test_a_target_of_an_earlier_version_is_read() -> None:
    stored = b"""{"kind":"rule","account":"111111111111","region":"eu-central-1","bus":"default","name":"r",
        "state":"ENABLED","created_by":"111111111111","created_at":"2026-01-01T00:00:00Z","pattern":"{}",
        "targets":[{"id":"q","arn":"arn:aws:sqs:eu-central-1:111111111111:q","subscription":"s","since":4,
        "message_group_id":"g","http":{"path_values":["a"]},
        "parameters":{"SqsParameters":"{\\"MessageGroupId\\":\\"g\\"}","KinesisParameters":"{}"}}]}"""
    rule = decode_resource(stored)
    assert isinstance(rule, Rule)
    [target] = rule.targets
    assert (target.message_group_id, target.since, target.kinesis, target.ecs) == ("g", 4, None, None)


async def test_what_the_engine_reads_of_it(world: World, customer: Caller) -> None:
    await customer(
        "PutTargets",
        Rule="all",
        Targets=[
            queue(
                "q",
                RetryPolicy={"MaximumRetryAttempts": 3},
                DeadLetterConfig={"Arn": QUEUE},
                SqsParameters={"MessageGroupId": "$.id"},
                InputTransformer={"InputTemplate": "<a>", "InputPathsMap": {"a": "$.id"}},
            ),
            queue("plain"),
            {
                "Id": "api",
                "Arn": API,
                "HttpParameters": {"PathParameterValues": ["p"], "QueryStringParameters": {"q": "v"}},
            },
        ],
    )
    target, plain, api = stored(world)["q"], stored(world)["plain"], stored(world)["api"]
    assert (target.retry, plain.retry) == (RetryPolicy(max_retries=3, max_age_seconds=86_400), RetryPolicy())
    assert (target.dead_letter_arn, plain.dead_letter_arn) == (QUEUE, None)
    assert target.message_group_id == "$.id"
    assert api.http is not None
    assert (api.http.path_values, api.http.headers, api.http.query) == (("p",), {}, {"q": "v"})
    assert target.input_transformer is not None
    assert (target.input_transformer.template, target.input_transformer.paths) == ("<a>", {"a": "$.id"})


async def _append(world: World) -> int:
    bus = world.services.catalog.bus(CUSTOMER, REGION, "default")
    assert bus is not None
    event = Event(
        id="1",
        detail_type="t",
        source="shop",
        account=CUSTOMER,
        time="2026-01-01T00:00:00Z",
        region=REGION,
    )
    number = len(await world.stored(bus))
    (record,) = await world.services.store.append(
        [NewRecord(log=bus.log, dedup_id=number.to_bytes(16, "big"), event=event)]
    )
    return record.position


async def test_a_target_starts_at_the_head_and_keeps_its_start(world: World, customer: Caller) -> None:
    first_head = await _append(world)
    await customer("PutTargets", Rule="all", Targets=[queue("a")])
    before = stored(world)["a"]
    assert before.since == first_head
    second_head = await _append(world)
    await customer("PutTargets", Rule="all", Targets=[queue("a", Input="1"), queue("b")])
    after = stored(world)
    assert (after["a"].subscription, after["a"].since) == (before.subscription, first_head)
    assert after["a"].input == "1"
    assert after["b"].since == second_head
    assert after["b"].subscription != before.subscription
    await customer("RemoveTargets", Rule="all", Ids=["a"])
    await customer("PutTargets", Rule="all", Targets=[queue("a")])
    assert stored(world)["a"].subscription != before.subscription
    assert stored(world)["a"].since == second_head


async def test_an_ordered_target_stays_ordered(world: World, customer: Caller) -> None:
    await customer("PutTargets", Rule="all", Targets=[queue("a")])
    [rule] = world.services.catalog.list(Rule, "rule:")
    [target] = rule.targets
    ordered = msgspec.structs.replace(target, ordered_by="$.detail.customer")
    await world.services.catalog.replace(rule, msgspec.structs.replace(rule, targets=(ordered,)))
    await customer("PutTargets", Rule="all", Targets=[queue("a", Input="1")])
    assert (stored(world)["a"].input, stored(world)["a"].ordered_by) == ("1", "$.detail.customer")


async def test_sentences(customer: Caller) -> None:
    assert await refusal(
        customer, "PutTargets", Rule="all", Targets=[queue("q", Input="1", InputPath="$.id")]
    ) == (
        "ValidationException",
        "Only one of Input, InputPath, or InputTransformer must be provided for target q.",
    )
    template = {"InputTemplate": '"<b>"', "InputPathsMap": {"a": "$.id"}}
    code, message = await refusal(
        customer, "PutTargets", Rule="all", Targets=[queue("q", InputTransformer=template)]
    )
    assert code == "ValidationException"
    assert message.startswith("InputTemplate for target q contains invalid placeholder")
    for operation, members in (
        ("PutTargets", {"Targets": [queue("q")]}),
        ("RemoveTargets", {"Ids": ["q"]}),
        ("ListTargetsByRule", {}),
    ):
        assert await refusal(customer, operation, Rule="none", **members) == (
            "ResourceNotFoundException",
            "Rule none does not exist on EventBus default.",
        )
        assert await refusal(customer, operation, Rule="all", EventBusName="none", **members) == (
            "ResourceNotFoundException",
            "Event bus none does not exist.",
        )


async def test_five_targets_and_no_sixth(customer: Caller) -> None:
    await customer("PutTargets", Rule="all", Targets=[queue(str(n)) for n in range(5)])
    assert await refusal(customer, "PutTargets", Rule="all", Targets=[queue("5")]) == LIMIT
    assert await customer("PutTargets", Rule="all", Targets=[queue("4", Input="1")]) == GOOD
    assert [target["Id"] for target in await listed(customer)] == ["0", "1", "2", "3", "4"]


async def test_a_lower_quota_leaves_the_targets_that_are_there(world: World, customer: Caller) -> None:
    await customer("PutTargets", Rule="all", Targets=[queue(str(n)) for n in range(3)])
    stricter = world.with_quotas(targets_per_rule=2).customer
    assert await stricter("PutTargets", Rule="all", Targets=[queue("1", Input="1")]) == GOOD
    assert await refusal(stricter, "PutTargets", Rule="all", Targets=[queue("3")]) == LIMIT


async def test_ten_entries_in_one_request(customer: Caller) -> None:
    code, _ = await refusal(customer, "PutTargets", Rule="all", Targets=[queue(str(n)) for n in range(11)])
    assert code == "ValidationException"
    code, _ = await refusal(customer, "RemoveTargets", Rule="all", Ids=[str(n) for n in range(11)])
    assert code == "ValidationException"
    await customer("RemoveTargets", Rule="all", Ids=[str(n) for n in range(10)])


async def test_a_target_that_cannot_be_served_fails_alone(customer: Caller) -> None:
    answer = await customer(
        "PutTargets",
        Rule="all",
        Targets=[
            {"Id": "table", "Arn": f"arn:aws:dynamodb:{REGION}:{CUSTOMER}:table/t"},
            {"Id": "no-arn", "Arn": "queue"},
            queue("fifo-dead", DeadLetterConfig={"Arn": f"{QUEUE}.fifo"}),
            queue("good"),
        ],
    )
    assert answer["FailedEntryCount"] == 3
    assert [entry["TargetId"] for entry in answer["FailedEntries"]] == ["table", "no-arn", "fifo-dead"]
    assert all(entry["ErrorCode"] and entry["ErrorMessage"] for entry in answer["FailedEntries"])
    assert [target["Id"] for target in await listed(customer)] == ["good"]


async def test_nobody_elses_api_destination(world: World, customer: Caller, other: Caller) -> None:
    """It would be called with its owner's credentials."""
    abroad = world.caller(CUSTOMER, "us-east-1")
    auth = {"BasicAuthParameters": {"Username": "u", "Password": "p"}}
    for caller, works in ((customer, True), (other, False), (abroad, False)):
        made = await caller("CreateConnection", Name="c", AuthorizationType="BASIC", AuthParameters=auth)
        hook = await caller(
            "CreateApiDestination",
            Name="d",
            ConnectionArn=made["ConnectionArn"],
            InvocationEndpoint="https://example.com/",
            HttpMethod="POST",
        )
        target = {"Id": "hook", "Arn": hook["ApiDestinationArn"]}
        answer = await customer("PutTargets", Rule="all", Targets=[target])
        assert (answer["FailedEntryCount"] == 0) is works


async def test_a_failed_entry_leaves_the_target_that_was_there(customer: Caller) -> None:
    await customer("PutTargets", Rule="all", Targets=[queue("q")])
    bad = {"Id": "q", "Arn": f"arn:aws:dynamodb:{REGION}:{CUSTOMER}:table/t"}
    assert (await customer("PutTargets", Rule="all", Targets=[bad]))["FailedEntryCount"] == 1
    assert await listed(customer) == [queue("q")]


async def test_the_role_of_a_foreign_bus_is_kept(world: World, customer: Caller) -> None:
    """Seen at the model, since whether a foreign bus can be put is the targets' affair."""
    bus = {"Id": "bus", "Arn": f"arn:aws:events:{REGION}:{OTHER}:event-bus/default"}
    role = "arn:aws:iam::111111111111:role/r"
    answer = await customer(
        "PutTargets", Rule="all", Targets=[{**bus, "RoleArn": role}, queue("q", RoleArn=role)]
    )
    if answer["FailedEntryCount"] == 0:
        await customer("PutTargets", Rule="all", Targets=[bus, queue("q")])
        assert stored(world)["bus"].role_arn == role
    else:
        await customer("PutTargets", Rule="all", Targets=[queue("q")])
    assert stored(world)["q"].role_arn is None


async def test_ten_changes_of_one_rule_at_once_all_get_through(customer: Caller) -> None:
    puts = [customer("PutTargets", Rule="all", Targets=[queue(str(number))]) for number in range(5)]
    removals = [customer("RemoveTargets", Rule="all", Ids=[f"old-{number}"]) for number in range(2)]
    switches = [customer(name, Name="all") for name in ("DisableRule", "EnableRule", "DisableRule")]
    await asyncio.gather(*switches, *removals, *puts)
    assert [target["Id"] for target in await listed(customer)] == ["0", "1", "2", "3", "4"]
