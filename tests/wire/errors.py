"""The exceptions that the model gives each operation: when one comes here, or why it never does.

A row that can happen has a call which makes it happen, in an account as `requests.furnish` leaves it.
docs/errors.md is made from this table: `python -m tests.wire.errors > docs/errors.md`.
"""

import json
import sys
from collections.abc import Callable, Mapping

import msgspec
from botocore.session import Session

from tests.wire.client import Client, Members
from tests.wire.mutations import plain
from tests.wire.requests import GOOD, bus_arn, source

MODEL = Session().get_service_model("events")

DISABLED_REGION = "ap-south-1"
"""A region that has no partner sources, on the server of these tests."""

MANAGED_BY = "events.amazonaws.com"
MANAGED_ACCOUNT = "555555555555"
"""An account on whose default bus the rule `managed` is a service's."""

Provoke = Callable[[Client], Members]


class Row(msgspec.Struct, frozen=True):
    """When an exception comes, and what makes it come; without `provoke` it never does here."""

    when: str
    provoke: Provoke | None = None


def _with(operation: str, **members: object) -> Provoke:
    """The good request with other members."""
    return lambda client: {**GOOD[operation](client), **members}


def _again(operation: str) -> Provoke:
    def provoke(client: Client) -> Members:
        client(operation, **plain(GOOD[operation](client)))
        return GOOD[operation](client)

    return provoke


def _as_managed(operation: str, **members: object) -> Provoke:
    def provoke(client: Client) -> Members:
        client.account = MANAGED_ACCOUNT
        return {**GOOD[operation](client), "EventBusName": "default", **members}

    return provoke


def _tags_of_managed(operation: str) -> Provoke:
    def provoke(client: Client) -> Members:
        client.account = MANAGED_ACCOUNT
        arn = f"arn:aws:events:{client.region}:{client.account}:rule/managed"
        return {**GOOD[operation](client), "ResourceARN": arn}

    return provoke


def _after_its_end(client: Client) -> Members:
    client("StartReplay", **GOOD["StartReplay"](client))
    client.send("CancelReplay", b'{"ReplayName":"again"}')  # refused if there was nothing to replay
    return {"ReplayName": "again"}


def _withdrawn(client: Client) -> Members:
    client("DeletePartnerEventSource", Name=source(client), Account=client.account)
    return {"Name": source(client)}


def _associate_withdrawn(client: Client) -> Members:
    name = source(client)
    client("DeletePartnerEventSource", Name=name, Account=client.account)
    return {"Name": name, "EventSourceName": name}


def _pattern(text: str, operation: str) -> Provoke:
    return lambda client: {**GOOD[operation](client), "EventPattern": text}


def _sixth_target(client: Client) -> Members:
    arn = f"arn:aws:sqs:{client.region}:{client.account}:q"
    return {"Rule": "all", "Targets": [{"Id": str(n), "Arn": arn} for n in range(6)]}


def _to_disabled_region(operation: str) -> Provoke:
    def provoke(client: Client) -> Members:
        members = GOOD[operation](client)
        if operation == "CreateEventBus":
            members = {"Name": source(client), "EventSourceName": source(client)}
        client.region = DISABLED_REGION
        return members

    return provoke


def _used_up(quota: str, operation: str) -> Provoke:
    """The quota of the account is set to nothing by the tests before the call."""
    return lambda client: {**GOOD[operation](client), QUOTA: quota}


QUOTA = "quota that is used up"
"""A member that is not sent: the tests set this quota of the account to the least it can be."""

NO_BUS = "no-such-bus"
LONG_POLICY = json.dumps({"Statement": [], "Id": "x" * 10_240})

NO_KMS = "never: keys of KMS are stored and shown, not used"
NO_LATTICE = "never: private connectivity is not supported"
ONLY_CUSTOM = "never: custom buses are in every region"

NO_SOURCE = "aws.partner/acme.com/none"
NO_CONNECTION = "arn:aws:events:us-east-1:123456789012:connection/a/b"


def _gone(operation: str, what: str, **members: object) -> tuple[str, Row]:
    """A row for what does not exist; without members the good request names it."""
    return operation, Row(f"{what} does not exist", _with(operation, **members))


def _no_arn(operation: str, resource: str) -> tuple[str, Row]:
    def provoke(client: Client) -> Members:
        arn = f"arn:aws:events:{client.region}:{client.account}:{resource}"
        return {**GOOD[operation](client), "ResourceARN": arn}

    return operation, Row("the bus or rule does not exist", provoke)


def _archive_of_no_bus(client: Client) -> Members:
    return {**GOOD["CreateArchive"](client), "EventSourceArn": bus_arn(client, NO_BUS)}


def _bus_of_no_source(_: Client) -> Members:
    return {"Name": NO_SOURCE, "EventSourceName": NO_SOURCE}


def _replay_of_no_archive(client: Client) -> Members:
    arn = f"arn:aws:events:{client.region}:{client.account}:archive/none"
    return {**GOOD["StartReplay"](client), "EventSourceArn": arn}


NOT_FOUND: Mapping[str, Row] = dict(
    [
        _gone("ActivateEventSource", "the source, or its bus,", Name=NO_SOURCE),
        _gone("CancelReplay", "the replay"),
        _gone("CreateApiDestination", "the connection", ConnectionArn=NO_CONNECTION),
        ("CreateArchive", Row("the bus does not exist", _archive_of_no_bus)),
        ("CreateConnection", Row(NO_KMS)),
        (
            "CreateEventBus",
            Row("the partner source does not exist, or is another account's", _bus_of_no_source),
        ),
        _gone("DeactivateEventSource", "the source, or its bus,", Name=NO_SOURCE),
        _gone("DeauthorizeConnection", "the connection", Name="none"),
        _gone("DeleteApiDestination", "the API destination", Name="none"),
        _gone("DeleteArchive", "the archive", ArchiveName="none"),
        _gone("DeleteConnection", "the connection", Name="none"),
        _gone("DeleteEndpoint", "the endpoint", Name="none"),
        _gone("DeleteRule", "the bus (a rule that is not there is no error)", EventBusName=NO_BUS),
        _gone("DescribeApiDestination", "the API destination", Name="none"),
        _gone("DescribeArchive", "the archive", ArchiveName="none"),
        _gone("DescribeConnection", "the connection", Name="none"),
        _gone("DescribeEndpoint", "the endpoint", Name="none"),
        _gone("DescribeEventBus", "the bus", Name=NO_BUS),
        _gone("DescribeEventSource", "the source, seen from the account,", Name=NO_SOURCE),
        ("DescribePartnerEventSource", Row("the source does not exist, or was deleted", _withdrawn)),
        _gone("DescribeReplay", "the replay"),
        _gone("DescribeRule", "the rule or the bus", Name="none"),
        _gone("DisableRule", "the rule or the bus", Name="none"),
        _gone("EnableRule", "the rule or the bus", Name="none"),
        (
            "ListArchives",
            Row("the bus does not exist", lambda client: {"EventSourceArn": bus_arn(client, NO_BUS)}),
        ),
        _gone("ListPartnerEventSourceAccounts", "the source", EventSourceName=NO_SOURCE),
        _gone("ListRuleNamesByTarget", "the bus", EventBusName=NO_BUS),
        _gone("ListRules", "the bus", EventBusName=NO_BUS),
        _no_arn("ListTagsForResource", "rule/none"),
        _gone("ListTargetsByRule", "the rule or the bus", Rule="none"),
        _gone("PutPermission", "the bus", EventBusName=NO_BUS),
        _gone("PutRule", "the bus", EventBusName=NO_BUS),
        _gone("PutTargets", "the rule or the bus", Rule="none"),
        _gone("RemovePermission", "the bus or the statement", StatementId="none"),
        _gone("RemoveTargets", "the rule or the bus", Rule="none"),
        ("StartReplay", Row("the archive or its bus does not exist", _replay_of_no_archive)),
        _no_arn("TagResource", "rule/none"),
        _no_arn("UntagResource", f"event-bus/{NO_BUS}"),
        _gone("UpdateApiDestination", "the API destination or its connection", Name="none"),
        _gone("UpdateArchive", "the archive", ArchiveName="none"),
        _gone("UpdateConnection", "the connection", Name="none"),
        _gone("UpdateEndpoint", "the endpoint", Name="none"),
        _gone("UpdateEventBus", "the bus", Name=NO_BUS),
    ]
)

ALREADY_EXISTS: Mapping[str, Row] = {
    "CreateApiDestination": Row("the name is taken", _again("CreateApiDestination")),
    "CreateArchive": Row("the name is taken", _again("CreateArchive")),
    "CreateConnection": Row("the name is taken", _again("CreateConnection")),
    "CreateEndpoint": Row("the name is taken", _again("CreateEndpoint")),
    "CreateEventBus": Row("the name is taken", _again("CreateEventBus")),
    "CreatePartnerEventSource": Row("the name is taken, in the region", _again("CreatePartnerEventSource")),
    "DescribeArchive": Row("never: nothing is made"),
    "StartReplay": Row("the name is taken by a replay that is still kept", _again("StartReplay")),
}

LIMIT_EXCEEDED: Mapping[str, Row] = {
    "CreateApiDestination": Row(
        "quotas `api-destinations`, `api-destination-rate`",
        _used_up("api-destinations", "CreateApiDestination"),
    ),
    "CreateArchive": Row("quotas `archives`, `pattern-characters`", _used_up("archives", "CreateArchive")),
    "CreateConnection": Row("quota `connections`", _used_up("connections", "CreateConnection")),
    "CreateEndpoint": Row("quota `endpoints`", _used_up("endpoints", "CreateEndpoint")),
    "CreateEventBus": Row("quota `event-buses`", _used_up("event-buses", "CreateEventBus")),
    "CreatePartnerEventSource": Row("never: no quota of partner sources is documented"),
    "PutRule": Row(
        "quotas `rules-per-bus`, `wildcard-rules-per-bus`, `pattern-characters`",
        _used_up("rules-per-bus", "PutRule"),
    ),
    "PutTargets": Row("quota `targets-per-rule`", _sixth_target),
    "StartReplay": Row(
        "quota `active-replays`",
        lambda client: {**GOOD["StartReplay"](client), QUOTA: "active-replays"},
    ),
    "UpdateApiDestination": Row(
        "quota `api-destination-rate`",
        lambda client: {**GOOD["UpdateApiDestination"](client), QUOTA: "api-destination-rate"},
    ),
    "UpdateArchive": Row(
        "quota `pattern-characters`",
        _with("UpdateArchive", EventPattern=json.dumps({"source": ["x" * 2_048]})),
    ),
    "UpdateConnection": Row("never: no more connections are made"),
}

NO_PATTERN = "[the pattern](patterns.md) is not valid"
UNFORCED = "a service's rule, without Force"
INVALID_PATTERN = '{"source": "shop"}'

OTHERS: Mapping[str, Mapping[str, Row]] = {
    "ResourceNotFoundException": NOT_FOUND,
    "ResourceAlreadyExistsException": ALREADY_EXISTS,
    "LimitExceededException": LIMIT_EXCEEDED,
    "InvalidEventPatternException": {
        "CreateArchive": Row(NO_PATTERN, _pattern(INVALID_PATTERN, "CreateArchive")),
        "PutRule": Row(NO_PATTERN, _pattern(INVALID_PATTERN, "PutRule")),
        "StartReplay": Row("never: a replay has no pattern"),
        "TestEventPattern": Row(NO_PATTERN, _pattern(INVALID_PATTERN, "TestEventPattern")),
        "UpdateArchive": Row(NO_PATTERN, _with("UpdateArchive", EventPattern=INVALID_PATTERN)),
    },
    "InvalidStateException": {
        "ActivateEventSource": Row("the source is ACTIVE or DELETED", GOOD["ActivateEventSource"]),
        "CreateEventBus": Row("the source is not PENDING", _associate_withdrawn),
        "DeactivateEventSource": Row("the source is PENDING or DELETED", _withdrawn),
    },
    "IllegalStatusException": {
        "CancelReplay": Row("the replay has ended, or is being cancelled", _after_its_end),
    },
    "ManagedRuleException": {
        "DeleteRule": Row(UNFORCED, _as_managed("DeleteRule", Name="managed", Force=False)),
        "DisableRule": Row("a service's rule", _as_managed("DisableRule", Name="managed")),
        "EnableRule": Row("a service's rule", _as_managed("EnableRule", Name="managed")),
        "PutRule": Row("a service's rule", _as_managed("PutRule", Name="managed")),
        "PutTargets": Row("a service's rule", _as_managed("PutTargets", Rule="managed")),
        "RemoveTargets": Row(UNFORCED, _as_managed("RemoveTargets", Rule="managed")),
        "TagResource": Row("a service's rule", _tags_of_managed("TagResource")),
        "UntagResource": Row("a service's rule", _tags_of_managed("UntagResource")),
    },
    "PolicyLengthExceededException": {
        "PutPermission": Row("quota `policy-characters`", _with("PutPermission", Policy=LONG_POLICY)),
    },
    "OperationDisabledException": {
        **{
            name: Row("the region has no partner sources (`partner-regions`)", _to_disabled_region(name))
            for name in (
                "ActivateEventSource", "CreateEventBus", "CreatePartnerEventSource", "DeactivateEventSource",
                "DeletePartnerEventSource", "DescribeEventSource", "DescribePartnerEventSource",
                "ListEventSources", "ListPartnerEventSourceAccounts", "ListPartnerEventSources",
                "PutPartnerEvents",
            )
        },
        **{name: Row(ONLY_CUSTOM) for name in ("PutPermission", "RemovePermission", "UpdateEventBus")},
    },
    "AccessDeniedException": {
        "CreateConnection": Row(NO_LATTICE),
        "UpdateConnection": Row(NO_LATTICE),
    },
}  # fmt: skip
"""By exception, then by operation; those of `GENERAL` are proved for all operations at once."""

GENERAL: Mapping[str, str] = {
    "ConcurrentModificationException": "somebody else changed the resource in each of many tries",
    "InternalException": "a failure inside the server; its log has the request's id",
    "ThrottlingException": "more than the server can take; SDKs try again",
}

WHO_LOSES_IS_TOLD_SO = {
    "CreateArchive": "never: who comes second is told that it exists",
    "CreateEventBus": "never: who comes second is told that it exists",
}
"""Where ConcurrentModificationException never comes."""


def rows() -> Mapping[tuple[str, str], str]:
    """When each exception comes, by operation and exception, in the order of the model."""
    return {
        (name, shape.name): _when(name, shape.name)
        for name in MODEL.operation_names
        for shape in MODEL.operation_model(name).error_shapes
    }


def _when(operation: str, error: str) -> str:
    if error == "ConcurrentModificationException" and operation in WHO_LOSES_IS_TOLD_SO:
        return WHO_LOSES_IS_TOLD_SO[operation]
    return GENERAL[error] if error in GENERAL else OTHERS[error][operation].when


HEAD = """# Errors

Generated from the table that the tests go through (`tests/wire/errors.py`); do not edit.

When each exception of the service's model comes, or why it never does here. `InternalException` may come
from every operation: a failure inside the server, whose log has the request's id. Besides, every operation
may answer:

| exception | HTTP | when |
| --- | --- | --- |
| `ValidationException` | 400 | a member breaks a constraint of the model; or what is asked cannot be |
| `SerializationException` | 400 | the body is no JSON object, or a member has the wrong JSON type |
| `AccessDeniedException` | 400 | another account's resource, or another partner's name |
| `ThrottlingException` | 400 | more than the server can take; SDKs try again |
| `UnknownOperationException` | 404 | X-Amz-Target names no operation, or the content type is another |
| `MalformedHttpRequestException` | 400 | the body cannot be decompressed |
| `RequestEntityTooLargeException` | 413 | the body is too large |
| `MissingAuthenticationTokenException` | 403 | the request is not signed |
| `IncompleteSignatureException` | 403 | the signature has not all that it needs |
| `UnrecognizedClientException` | 403 | nobody has the access key |
| `InvalidSignatureException` | 403 | the signature is another, or too old |

| operation | exception | when |
| --- | --- | --- |
"""


def page() -> str:
    """docs/errors.md."""
    shown = ((key, when) for key, when in rows().items() if key[1] != "InternalException")
    return HEAD + "".join(f"| {name} | `{error}` | {when} |\n" for (name, error), when in shown)


if __name__ == "__main__":
    sys.stdout.write(page())
