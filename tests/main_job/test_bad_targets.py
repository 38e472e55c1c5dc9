"""Targets, templates and connections that cannot work, through a real socket: what is refused, and how.

What the documentation has refused per entry fails alone; the rest refuses the request, and nothing of it is
stored. No answer and no log line holds a secret.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from botocore.exceptions import ClientError

from tests.main_job.story import ACME, CUSTOMER, OTHER, REGION, Story, begin, run

SOURCE = "aws.partner/acme.com/orders"
RULE = {"Rule": "faulty", "EventBusName": SOURCE}
VECTORS = Path(__file__).parents[1] / "model" / "vectors"
SECRET = "open-sesame"

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def story(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Story]:
    """A server with a rule that has one good target, to which nothing is ever due."""
    folder = tmp_path_factory.mktemp("faulty")
    async with begin(folder / "data", log=folder / "log") as story:
        await story.offer(ACME, SOURCE)
        await story.rule(SOURCE, "faulty", {"source": ["nobody"]}, QUEUE)
        yield story
    log = (folder / "log").read_text("utf-8")
    assert CUSTOMER in log
    assert SECRET not in log
    assert "Traceback" not in log


def arn(service: str, resource: str, account: str = CUSTOMER) -> str:
    return f"arn:aws:{service}:{REGION}:{account}:{resource}"


QUEUE = arn("sqs", "orders")


async def targets(story: Story) -> list[Any]:
    return (await run(story.client(CUSTOMER).list_targets_by_rule, **RULE))["Targets"]


def template(text: str, **paths: str) -> dict[str, Any]:
    return {"InputTransformer": {"InputTemplate": text, "InputPathsMap": paths}}


# -- the request is refused --------------------------------------------------------------------------------

ONE_INPUT = "Only one of Input, InputPath, or InputTransformer must be provided for target bad."
TOO_MANY_PATHS = {f"n{number}": "$" for number in range(101)}


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ({"Input": "{}", "InputPath": "$"}, ONE_INPUT),
        ({"InputPath": "$", **template('"x"')}, ONE_INPUT),
        ({"Input": "no json"}, "Input for target bad is not a valid JSON text."),
        ({"Input": "{} {}"}, "Input for target bad is not a valid JSON text."),
        (template('"<x>"', y="$"), "InputTemplate for target bad contains invalid placeholder x."),
        (template("a bare sentence"), "Invalid InputTemplate for target bad."),
        (template('{"<x>": 1}', x="$"), "Invalid InputTemplate for target bad."),
        (template('"x"', **{"AWS.x": "$"}), "failed to satisfy constraint"),
        (template('"x"', **{"a b": "$"}), "failed to satisfy constraint"),
        (template('"x"', **TOO_MANY_PATHS), "less than or equal to 100"),
        (template('"x"', x="$" * 257), "less than or equal to 256"),
        (template('"' + "x" * 8_191 + '"'), "length less than or equal to 8192"),
        (template(""), "length greater than or equal to 1"),
        ({"Input": '"' + "x" * 8_191 + '"'}, "length less than or equal to 8192"),
        ({"InputPath": "$." + "x" * 255}, "length less than or equal to 256"),
        ({"InputTransformer": {}}, "Member must not be null"),
        ({"Id": ""}, "length greater than or equal to 1"),
        ({"Id": "i" * 65}, "length less than or equal to 64"),
        ({"Id": "no blank"}, r"satisfy regular expression pattern: [\.\-_A-Za-z0-9]+"),
        ({"Arn": ""}, "length greater than or equal to 1"),
        ({"Arn": "a" * 1_601}, "length less than or equal to 1600"),
        ({"RetryPolicy": {"MaximumRetryAttempts": 186}}, "value less than or equal to 185"),
        ({"RetryPolicy": {"MaximumEventAgeInSeconds": 59}}, "value greater than or equal to 60"),
        ({"RetryPolicy": {"MaximumEventAgeInSeconds": 86_401}}, "value less than or equal to 86400"),
        ({"RunCommandParameters": {"RunCommandTargets": []}}, "length greater than or equal to 1"),
        ({"EcsParameters": {}}, "Member must not be null"),
        ({"EcsParameters": {"TaskDefinitionArn": "t", "LaunchType": "MOON"}}, "satisfy enum value set"),
        ({"HttpParameters": {"HeaderParameters": {"no header": "v"}}}, "failed to satisfy constraint"),
        ({"HttpParameters": {"HeaderParameters": {"X-A": "two\r\nlines"}}}, "failed to satisfy constraint"),
    ],
    ids=lambda given: str(given)[:60],
)  # fmt: skip
async def test_a_request_that_is_malformed_changes_nothing(
    story: Story, target: dict[str, Any], sentence: str
) -> None:
    before = await targets(story)
    bad: Any = [{"Id": "new", "Arn": QUEUE}, {"Id": "bad", "Arn": QUEUE, **target}]
    with pytest.raises(ClientError) as caught:
        await run(story.client(CUSTOMER).put_targets, **RULE, Targets=bad)
    error = caught.value.response["Error"]
    assert error["Code"] == "ValidationException"
    assert sentence in error["Message"]
    assert await targets(story) == before


@pytest.mark.slow
async def test_each_template_that_the_vectors_refuse_is_refused_over_the_wire(story: Story) -> None:
    customer, before = story.client(CUSTOMER), await targets(story)
    for vector in json.loads((VECTORS / "templates.refused.json").read_text("utf-8")):
        bad: Any = [{"Id": "t1", "Arn": QUEUE, **template(vector["template"], **vector["paths"])}]
        with pytest.raises(ClientError) as caught:
            await run(customer.put_targets, **RULE, Targets=bad)
        assert caught.value.response["Error"] == {
            "Code": "ValidationException",
            "Message": vector["refusal"],
        }
    assert await targets(story) == before


# -- the entry fails ---------------------------------------------------------------------------------------

NEEDS = "{} is required for this target."
FORM = "The target's ARN is not valid: it must end in {}"


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ({"Arn": "queue"}, "The target's ARN is not valid."),
        ({"Arn": arn("dynamodb", "table/t")}, "Nothing is delivered to resources of that kind"),
        ({"Arn": arn("events", "rule/r")}, "Nothing is delivered to resources of that kind"),
        ({"Arn": arn("events", "event-bus/")}, "The target's ARN does not name an event bus."),
        ({"Arn": arn("events", f"event-bus/{SOURCE}")}, "Only its partner"),
        ({"Arn": QUEUE.replace("arn:aws:", "arn:awss:")}, "Nothing is delivered to resources of that kind"),
        ({"Arn": arn("codebuild", "project/p"), "Input": "[]"}, "The target's input is not a JSON object."),
        ({"Arn": arn("sqs", "orders.fifo")}, "A FIFO queue needs a message group id."),
        ({"DeadLetterConfig": {"Arn": arn("sqs", "dead.fifo")}}, "standard"),
        ({"DeadLetterConfig": {"Arn": arn("sns", "dead")}}, "queue"),
        ({"Arn": arn("lambda", "f")}, FORM.format("function:NAME")),
        ({"Arn": arn("kinesis", "orders")}, FORM.format("stream/NAME")),
        ({"Arn": arn("states", "execution:m:1")}, FORM.format("stateMachine:NAME")),
        ({"Arn": arn("ssm", "parameter/p")}, FORM.format("document/NAME")),
        ({"Arn": arn("logs", "orders")}, FORM.format("log-group:NAME")),
        ({"Arn": arn("ecs", "cluster/c")}, NEEDS.format("EcsParameters")),
        ({"Arn": arn("batch", "job-queue/q")}, NEEDS.format("BatchParameters")),
        ({"Arn": arn("redshift", "cluster:c")}, NEEDS.format("RedshiftDataParameters")),
        ({"Arn": arn("ssm", "document/d00")}, NEEDS.format("RunCommandParameters")),
        (
            {"Arn": arn("appsync", "endpoints/graphql-api/a1")},
            "AppSyncParameters with a GraphQLOperation is required for this target.",
        ),
        ({"Arn": arn("logs", "log-group:g"), "Input": "{}"}, "cannot be used with a log group"),
        ({"Arn": arn("logs", "log-group:g"), "InputPath": "$.detail"}, "cannot be used with a log group"),
        ({"Arn": arn("logs", "log-group:g"), **template('{"message": "m"}')}, "of a log group must be"),
        ({"Arn": arn("logs", "log-group:g"), **template('"text"')}, "of a log group must be"),
        ({"KinesisParameters": {"PartitionKeyPath": "$.id"}}, "cannot be used with this target."),
        ({"Arn": arn("events", "api-destination/none/1")}, "does not exist"),
        ({"Arn": arn("sqs", "orders", OTHER)}, "account"),
        ({"Arn": arn("lambda", "function:f", OTHER)}, "account"),
    ],
    ids=lambda given: str(given)[:60],
)  # fmt: skip
async def test_a_target_that_cannot_work_fails_alone(
    story: Story, target: dict[str, Any], sentence: str
) -> None:
    good: Any = {"Id": "1", "Arn": QUEUE, "Input": json.dumps(target)}
    bad: Any = {"Id": "bad", "Arn": QUEUE, **target}
    answer = await run(story.client(CUSTOMER).put_targets, **RULE, Targets=[bad, good])
    assert answer["FailedEntryCount"] == 1
    [failed] = answer["FailedEntries"]
    assert (failed["TargetId"], failed["ErrorCode"]) == ("bad", "ValidationException")
    assert sentence in failed["ErrorMessage"]
    assert await targets(story) == [good]


async def test_a_path_that_is_none_is_seen_when_an_event_comes(story: Story) -> None:
    """Paths are not judged when they are put (documented); the dead letter says what was wrong."""
    pattern = {"detail-type": ["pathless"]}
    await story.rule(SOURCE, "pathless", pattern, QUEUE, InputPath="$.detail['no'].path")
    await story.put(ACME, {"Source": SOURCE, "DetailType": "pathless", "Detail": "{}"})
    [dead] = await story.dead_letters(1)
    assert (dead["rule"], dead["error"]) == ("pathless", "INVALID_JSON")
    assert "InputPath" in dead["message"]


# -- connections -------------------------------------------------------------------------------------------

BASIC = {"BasicAuthParameters": {"Username": "u", "Password": SECRET}}
KEY = {"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": SECRET}}
CLIENT = {"ClientID": "id", "ClientSecret": SECRET}
WRONG = "AuthParameters must hold the parameters of AuthorizationType"


def oauth(**changed: object) -> dict[str, object]:
    whole = {"ClientParameters": CLIENT, "AuthorizationEndpoint": "https://192.0.2.1/", "HttpMethod": "POST"}
    return connection("OAUTH_CLIENT_CREDENTIALS", {"OAuthParameters": whole | changed})


def connection(kind: str, parameters: object, **more: object) -> dict[str, object]:
    return {"Name": "faulty", "AuthorizationType": kind, "AuthParameters": parameters, **more}


def basic(**changed: object) -> dict[str, object]:
    return {"BasicAuthParameters": {"Username": "u", "Password": SECRET} | changed}


def extra(place: str, key: str, value: str = SECRET, times: int = 1) -> dict[str, object]:
    return {**BASIC, "InvocationHttpParameters": {place: [{"Key": key, "Value": value}] * times}}


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        (connection("BASIC", KEY), WRONG),
        (connection("API_KEY", BASIC), WRONG),
        (connection("BASIC", {**BASIC, **KEY}), WRONG),
        (connection("BASIC", {}), WRONG),
        (connection("OAUTH_CLIENT_CREDENTIALS", BASIC), WRONG),
        (connection("MAGIC", BASIC), "enum value set: [BASIC, OAUTH_CLIENT_CREDENTIALS, API_KEY]"),
        (connection("BASIC", BASIC, Name="no blank"), "satisfy regular expression pattern"),
        (connection("BASIC", BASIC, Name="n" * 65), "length less than or equal to 64"),
        (connection("BASIC", BASIC, Description="d" * 513), "length less than or equal to 512"),
        ({"Name": "faulty", "AuthorizationType": "BASIC"}, "Member must not be null"),
        (connection("BASIC", basic(Username=None)), "Member must not be null"),
        (connection("BASIC", basic(Password=SECRET * 100)), "length less than or equal to 512"),
        (connection("BASIC", basic(Password=f"{SECRET}\r\n")), "satisfy regular expression pattern"),
        (oauth(ClientParameters={"ClientSecret": SECRET}), "Member must not be null"),
        (oauth(AuthorizationEndpoint=None), "Member must not be null"),
        (oauth(AuthorizationEndpoint="ftp://example.com/"), "Parameter AuthorizationEndpoint is not valid."),
        (oauth(AuthorizationEndpoint="http://192.0.2.1/"), "Parameter AuthorizationEndpoint is not valid."),
        (oauth(HttpMethod="HEAD"), "enum value set"),
        (connection("BASIC", extra("HeaderParameters", "no header")), "regular expression pattern"),
        (connection("BASIC", extra("HeaderParameters", "X", f"{SECRET}\n")), "regular expression pattern"),
        (connection("BASIC", extra("QueryStringParameters", "q" * 513)), "less than or equal to 512"),
        (connection("BASIC", extra("BodyParameters", "b", times=101)), "less than or equal to 100"),
    ],
    ids=lambda given: str(given)[:60],
)  # fmt: skip
async def test_a_connection_that_is_malformed_is_not_made(
    story: Story, members: dict[str, Any], sentence: str
) -> None:
    customer = story.client(CUSTOMER)
    with pytest.raises(ClientError) as caught:
        await run(customer.create_connection, **members)
    error = caught.value.response["Error"]
    assert error["Code"] == "ValidationException"
    assert sentence in error["Message"]
    assert SECRET not in error["Message"]
    assert (await run(customer.list_connections))["Connections"] == []
