"""One good request for each operation, rich in members, and an account in which they find what they name."""

import json
from collections.abc import Callable, Mapping

from tests.wire.client import Client, Members

PATTERN = {"source": ["shop", {"prefix": "shop."}], "detail": {"n": [{"numeric": [">", 0, "<=", 5]}]}}
EVENT = {
    "version": "0",
    "id": "7e3e6a5b-6b5e-4f6d-9a1c-2b1c2d3e4f50",
    "detail-type": "order",
    "source": "shop",
    "account": "111122223333",
    "time": "2026-01-01T00:00:00Z",
    "region": "us-east-1",
    "resources": [],
    "detail": {"n": 1},
}
BASIC = {"BasicAuthParameters": {"Username": "u", "Password": "p"}}


class Inside:
    """JSON that stands in a string of the request."""

    def __init__(self, value: object) -> None:
        self.value = value


def source(client: Client, name: str = "orders") -> str:
    return f"aws.partner/acme.com/{client.account}/{name}"


def bus_arn(client: Client, name: str = "default", region: str | None = None) -> str:
    return f"arn:aws:events:{region or client.region}:{client.account}:event-bus/{name}"


def _policy(client: Client) -> Inside:
    statement = {
        "Sid": "all",
        "Effect": "Allow",
        "Principal": {"AWS": ["222222222222"]},
        "Action": "events:PutEvents",
        "Resource": bus_arn(client),
        "Condition": {"StringEquals": {"events:source": ["shop"]}},
    }
    return Inside({"Version": "2012-10-17", "Statement": [statement]})


def _targets(client: Client) -> list[Members]:
    queue = f"arn:aws:sqs:{client.region}:{client.account}:q"
    transformer = {
        "InputPathsMap": {"n": "$.detail.n", "all": "$.detail.list[*].x"},
        "InputTemplate": '{"n": <n>, "text": "<all>", "who": <aws.events.rule-arn>}',
    }
    return [
        {
            "Id": "queue",
            "Arn": queue,
            "RoleArn": f"arn:aws:iam::{client.account}:role/r",
            "InputTransformer": transformer,
            "RetryPolicy": {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 60},
            "DeadLetterConfig": {"Arn": f"{queue}-dead"},
            "SqsParameters": {"MessageGroupId": "$.detail.group"},
        },
        {"Id": "input", "Arn": queue, "Input": Inside({"a": [1, None]})},
        {"Id": "path", "Arn": queue, "InputPath": "$.detail"},
    ]


def _many_targets(client: Client) -> list[Members]:
    at = f"{client.region}:{client.account}"
    return [
        {
            "Id": "ecs",
            "Arn": f"arn:aws:ecs:{at}:cluster/c",
            "EcsParameters": {
                "TaskDefinitionArn": f"arn:aws:ecs:{at}:task-definition/t",
                "TaskCount": 2,
                "LaunchType": "FARGATE",
                "NetworkConfiguration": {
                    "awsvpcConfiguration": {"Subnets": ["s"], "AssignPublicIp": "ENABLED"}
                },
                "Tags": [{"Key": "k", "Value": "v"}],
            },
        },
        {
            "Id": "run",
            "Arn": f"arn:aws:ssm:{client.region}::document/AWS-RunShellScript",
            "RunCommandParameters": {"RunCommandTargets": [{"Key": "tag:a", "Values": ["b"]}]},
        },
        {
            "Id": "stream",
            "Arn": f"arn:aws:kinesis:{at}:stream/s",
            "KinesisParameters": {"PartitionKeyPath": "$.detail.n"},
        },
        {
            "Id": "batch",
            "Arn": f"arn:aws:batch:{at}:job-queue/q",
            "BatchParameters": {"JobDefinition": "d", "JobName": "n", "ArrayProperties": {"Size": 2}},
        },
        {
            "Id": "api",
            "Arn": f"arn:aws:execute-api:{at}:abc/prod/POST/a/*",
            "HttpParameters": {
                "PathParameterValues": ["$.detail.n"],
                "HeaderParameters": {"X-A": "b"},
                "QueryStringParameters": {"q": "$.id"},
            },
        },
    ]


def _oauth() -> Members:
    return {
        "OAuthParameters": {
            "ClientParameters": {"ClientID": "c", "ClientSecret": "s"},
            "AuthorizationEndpoint": "https://example.com/token",
            "HttpMethod": "POST",
            "OAuthHttpParameters": {
                "BodyParameters": [{"Key": "scope", "Value": "all", "IsValueSecret": False}]
            },
        },
        "InvocationHttpParameters": {
            "HeaderParameters": [{"Key": "X-A", "Value": "b", "IsValueSecret": True}],
            "QueryStringParameters": [{"Key": "q", "Value": "b"}],
        },
    }


def _entry(**more: object) -> Members:
    entry = {"DetailType": "order", "Detail": Inside({"n": 1, "text": "é"}), "Resources": ["a"]}
    return entry | {"Time": 1_767_225_600.5} | more


def _endpoint(client: Client) -> Members:
    failover = {
        "Primary": {"HealthCheck": "arn:aws:route53:::healthcheck/a"},
        "Secondary": {"Route": "us-west-2"},
    }
    return {
        "Name": "global",
        "Description": "d",
        "RoutingConfig": {"FailoverConfig": failover},
        "ReplicationConfig": {"State": "DISABLED"},
        "EventBuses": [
            {"EventBusArn": bus_arn(client, region=region)} for region in (client.region, "us-west-2")
        ],
        "RoleArn": f"arn:aws:iam::{client.account}:role/r",
    }


def _archive(client: Client) -> Members:
    return {
        "ArchiveName": "kept",
        "EventSourceArn": bus_arn(client),
        "Description": "d",
        "EventPattern": Inside(PATTERN),
        "RetentionDays": 1,
    }


def _replay(client: Client) -> Members:
    filters = [f"arn:aws:events:{client.region}:{client.account}:rule/all"]
    return {
        "ReplayName": "again",
        "Description": "d",
        "EventSourceArn": f"arn:aws:events:{client.region}:{client.account}:archive/kept",
        "EventStartTime": 1_767_225_600,
        "EventEndTime": 1_767_225_660.5,
        "Destination": {"Arn": bus_arn(client), "FilterArns": filters},
    }


def _destination(client: Client) -> Members:
    return {
        "Name": "hook",
        "Description": "d",
        "ConnectionArn": client.connection_arn,
        "InvocationEndpoint": "https://example.com/a/*",
        "HttpMethod": "POST",
        "InvocationRateLimitPerSecond": 7,
    }


def _rule(_: Client) -> Members:
    return {
        "Name": "new",
        "EventPattern": Inside(PATTERN),
        "State": "DISABLED",
        "Description": "d",
        "Tags": [{"Key": "k", "Value": "v"}],
        "EventBusName": "orders",
    }


def _bus(client: Client) -> Members:
    return {
        "Description": "d",
        "KmsKeyIdentifier": "alias/a",
        "DeadLetterConfig": {"Arn": f"arn:aws:sqs:{client.region}:{client.account}:dead"},
        "LogConfig": {"IncludeDetail": "FULL", "Level": "INFO"},
    }


def _list(**members: object) -> Callable[[Client], Members]:
    return lambda _: {"Limit": 2, **members}


def _name(name: str, member: str = "Name", **more: object) -> Callable[[Client], Members]:
    return lambda _: {member: name, **more}


def _source(client: Client) -> Members:
    return {"Name": source(client)}


def _arn_of_all(client: Client) -> str:
    return f"arn:aws:events:{client.region}:{client.account}:rule/all"


GOOD: Mapping[str, Callable[[Client], Members]] = {
    "ActivateEventSource": _source,
    "CancelReplay": _name("again", "ReplayName"),
    "CreateApiDestination": lambda client: _destination(client) | {"Name": "more"},
    "CreateArchive": lambda client: _archive(client) | {"ArchiveName": "more"},
    "CreateConnection": lambda _: {
        "Name": "oauth",
        "Description": "d",
        "AuthorizationType": "OAUTH_CLIENT_CREDENTIALS",
        "AuthParameters": _oauth(),
    },
    "CreateEndpoint": lambda client: _endpoint(client) | {"Name": "more"},
    "CreateEventBus": lambda client: _bus(client) | {"Name": "new", "Tags": [{"Key": "k", "Value": "v"}]},
    "CreatePartnerEventSource": lambda client: {"Name": source(client, "new"), "Account": client.account},
    "DeactivateEventSource": _source,
    "DeauthorizeConnection": _name("key"),
    "DeleteApiDestination": _name("hook"),
    "DeleteArchive": _name("kept", "ArchiveName"),
    "DeleteConnection": _name("key"),
    "DeleteEndpoint": _name("global"),
    "DeleteEventBus": _name("empty"),
    "DeletePartnerEventSource": lambda client: _source(client) | {"Account": client.account},
    "DeleteRule": _name("all", EventBusName="orders", Force=True),
    "DescribeApiDestination": _name("hook"),
    "DescribeArchive": _name("kept", "ArchiveName"),
    "DescribeConnection": _name("key"),
    "DescribeEndpoint": _name("global", HomeRegion="us-east-1"),
    "DescribeEventBus": lambda client: {"Name": bus_arn(client, "orders")},
    "DescribeEventSource": _source,
    "DescribePartnerEventSource": _source,
    "DescribeReplay": _name("again", "ReplayName"),
    "DescribeRule": _name("all", EventBusName="default"),
    "DisableRule": _name("all", EventBusName="default"),
    "EnableRule": _name("all", EventBusName="default"),
    "ListApiDestinations": _list(NamePrefix="h"),
    "ListArchives": _list(NamePrefix="k"),
    "ListConnections": _list(NamePrefix="k", ConnectionState="AUTHORIZED"),
    "ListEndpoints": lambda _: {"NamePrefix": "g", "MaxResults": 2},
    "ListEventBuses": _list(NamePrefix="o"),
    "ListEventSources": _list(NamePrefix="aws.partner/"),
    "ListPartnerEventSourceAccounts": lambda client: {"EventSourceName": source(client), "Limit": 1},
    "ListPartnerEventSources": _list(NamePrefix="aws.partner/acme.com/"),
    "ListReplays": _list(NamePrefix="a"),
    "ListRuleNamesByTarget": lambda client: {
        "TargetArn": f"arn:aws:sqs:{client.region}:{client.account}:q",
        "EventBusName": "default",
        "Limit": 2,
    },
    "ListRules": _list(NamePrefix="a", EventBusName="default"),
    "ListTagsForResource": lambda client: {"ResourceARN": _arn_of_all(client)},
    "ListTargetsByRule": _list(Rule="all", EventBusName="default"),
    "PutEvents": lambda client: {
        "Entries": [
            _entry(Source="shop", EventBusName="orders", TraceHeader="t"),
            _entry(Source="shop", EventBusName=bus_arn(client)),
        ]
    },
    "PutPartnerEvents": lambda client: {"Entries": [_entry(Source=source(client))] * 2},
    "PutPermission": lambda client: {"EventBusName": "orders", "Policy": _policy(client)},
    "PutRule": _rule,
    "PutTargets": lambda client: {"Rule": "all", "Targets": _targets(client)},
    "RemovePermission": lambda _: {"EventBusName": "default", "StatementId": "one"},
    "RemoveTargets": lambda _: {"Rule": "all", "Ids": ["first"], "Force": False},
    "StartReplay": _replay,
    "TagResource": lambda client: {
        "ResourceARN": _arn_of_all(client),
        "Tags": [{"Key": "k", "Value": "v"}, {"Key": "l", "Value": ""}],
    },
    "TestEventPattern": lambda _: {"EventPattern": Inside(PATTERN), "Event": Inside(EVENT)},
    "UntagResource": lambda client: {"ResourceARN": _arn_of_all(client), "TagKeys": ["k", "none"]},
    "UpdateApiDestination": _destination,
    "UpdateArchive": lambda _: {"ArchiveName": "kept", "Description": "e", "RetentionDays": 2},
    "UpdateConnection": lambda _: {
        "Name": "key",
        "AuthorizationType": "API_KEY",
        "AuthParameters": {"ApiKeyAuthParameters": {"ApiKeyName": "X-Key", "ApiKeyValue": "v"}},
    },
    "UpdateEndpoint": _endpoint,
    "UpdateEventBus": lambda client: _bus(client) | {"Name": "orders"},
}
"""By operation; each is taken by a server on which `furnish` was called."""

MORE_GOOD: Mapping[str, Callable[[Client], Members]] = {
    "PutPermission": lambda _: {
        "EventBusName": "orders",
        "StatementId": "two",
        "Action": "events:PutEvents",
        "Principal": "222222222222",
        "Condition": {"Type": "StringEquals", "Key": "aws:PrincipalOrgID", "Value": "o-1234567890"},
    },
    "PutRule": lambda _: {"Name": "due", "ScheduleExpression": "cron(0/5 8-17 ? * MON-FRI *)"},
    "PutTargets": lambda client: {"Rule": "all", "EventBusName": "orders", "Targets": _many_targets(client)},
    "CreateEventBus": lambda client: {
        "Name": source(client, "offered"),
        "EventSourceName": source(client, "offered"),
    },
}
"""Second ones, for operations that take two kinds of input."""


def furnish(client: Client) -> None:
    """Give an account one of each thing."""
    for name in (source(client), source(client, "offered")):
        client("CreatePartnerEventSource", Name=name, Account=client.account)
    client("CreateEventBus", Name=source(client), EventSourceName=source(client))
    client("CreateEventBus", Name="orders")
    client("CreateEventBus", Name="empty")
    for bus in ("default", "orders"):
        client("PutRule", Name="all", EventBusName=bus, EventPattern=json.dumps(PATTERN))
    queue = f"arn:aws:sqs:{client.region}:{client.account}:q"
    client("PutTargets", Rule="all", Targets=[{"Id": "first", "Arn": queue}])
    client(
        "PutPermission",
        StatementId="one",
        Action="events:PutEvents",
        Principal="222222222222",
    )
    made = client("CreateConnection", Name="key", AuthorizationType="BASIC", AuthParameters=BASIC)
    client.connection_arn = made["ConnectionArn"]
    client("CreateApiDestination", **_destination(client))
    client("CreateArchive", ArchiveName="kept", EventSourceArn=bus_arn(client))
    client("CreateEndpoint", **_endpoint(client))
