"""Inputs from the shapes of the model that also mean something: names and ARNs that exist, sound documents.

A value that only fits its shape is nearly always refused, since it names nothing. Here most texts come from a
pool, which learns what the server's answers name.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from hypothesis import strategies as st

from partnerbus.api.contract import (
    InstantShape,
    ListShape,
    MapShape,
    NumberShape,
    Shape,
    StructureShape,
    TextShape,
    TruthShape,
)
from partnerbus.api.violations import violations
from tests.contract.shapes import breaking, fitting

Draw = Any
SOURCE = "aws.partner/acme.com/a"
OTHER_REGION = "eu-west-1"
NAMES = ("a", "a", "a", "default", SOURCE, "b")
"""Few, so that they meet; most are the first."""
LEARNED_TEXTS = 60
ONE_IN = 16
"""One text in so many is any that fits its shape; the others come from the pool."""

TOGETHER: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "CreateConnectionAuthRequestParameters": (
        ("BasicAuthParameters",),
        ("ApiKeyAuthParameters",),
        ("OAuthParameters",),
        ("BasicAuthParameters", "InvocationHttpParameters"),
    ),
    "UpdateConnectionRequest": (("AuthorizationType", "AuthParameters"), ("Description",)),
    "CreateEventBusRequest": (("EventSourceName",), ()),
    "PutEventsRequestEntry": (
        ("Source", "DetailType", "Detail"),
        ("Source", "DetailType", "Detail", "EventBusName"),
    ),
    "PutPartnerEventsRequestEntry": (("Source", "DetailType", "Detail"),),
    "PutPermissionRequest": (("StatementId", "Action", "Principal"), ("Policy",), ("EventBusName", "Policy")),
    "PutRuleRequest": (("EventPattern",), ("ScheduleExpression",), ("EventPattern", "EventBusName")),
    "RemovePermissionRequest": (("StatementId",), ("RemoveAllPermissions",)),
    "InputTransformer": (("InputPathsMap",), ()),
}
"""Members that are optional in the model, and make sense together only: for a structure, its choices."""

NEVER_GUESSED = {"NextToken"}
"""What only a server can make. Where one is given, it is followed."""


def texts_by_member(region: str, accounts: Sequence[str], url: str) -> Mapping[str, tuple[str, ...]]:
    """Texts by member, or by structure and member, where a shape does not tell what it holds.

    Nothing is sent anywhere but to `url`.
    """
    account = accounts[0]
    bus = f"arn:aws:events:{region}:{account}:event-bus/"
    return {
        "EventPattern": (
            '{"source":[{"prefix":""}]}',
            '{"detail":{"n":[{"numeric":[">",1]}]}}',
            '{"source":[{"wildcard":"a*"}]}',
            "{}",
        ),
        "ScheduleExpression": ("rate(1 hour)", "rate(2 days)", "cron(0 12 * * ? *)", "rate(0 minutes)"),
        "Input": ('{"a":1}', '"text"', "{"),
        "InputPath": ("$.detail", "$.detail.n", "detail"),
        "InputPathsMap": ("$.detail", "$.detail.n"),
        "InputTemplate": (
            '"<a> of <aws.events.rule-name>"',
            '{"a": <a>, "event": <aws.events.event.json>}',
            '"x"',
            "<b",
        ),
        "PartitionKeyPath": ("$.id", "$.detail.n"),
        "InvocationEndpoint": (f"{url}/a", f"{url}/*/b"),
        "AuthorizationEndpoint": (f"{url}/token",),
        "HomeRegion": (region, OTHER_REGION),
        "Route": (region, OTHER_REGION),
        "Account": tuple(accounts),
        "Principal": (*accounts, "*"),
        "Action": ("events:PutEvents", "events:PutRule"),
        "StatementId": ("a", "b"),
        "Key": ("team", "aws:team", "X-Größe", "X-A"),
        "TagKeys": ("team", "aws:team"),
        "KmsKeyIdentifier": ("", "alias/a", f"arn:aws:kms:{region}:{account}:key/a"),
        "Source": ("shop", SOURCE, "aws.shop"),
        "DetailType": ("order", ""),
        "Detail": ('{"n":2}', '{"n":[1.5e300,"ü"]}', "[]", "{"),
        "Policy": (policy(bus + "default"), policy(bus + "a"), "{}"),
        "Event": (event(account, region), "{}"),
        "NamePrefix": ("a", "aws.partner/acme.com/"),
        "StartReplayRequest.EventSourceArn": (f"arn:aws:events:{region}:{account}:archive/a",),
        "ReplayDestination.Arn": (bus + "default", bus + "default", bus + "a"),
        "ReplayDestination.FilterArns": (f"arn:aws:events:{region}:{account}:rule/a",),
    }


INSTANTS_BY_MEMBER: Mapping[str, tuple[int, ...]] = {
    "EventStartTime": (0, 1_767_225_600),
    "EventEndTime": (1_767_225_601, 1_767_225_600 + 7 * 24 * 60 * 60),
}
"""Windows of replays, around the beginning of 2026, when the runs begin."""


def policy(bus: str) -> str:
    statement = {
        "Sid": "s",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "events:PutEvents",
        "Resource": bus,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def event(account: str, region: str) -> str:
    head = {"id": "1", "account": account, "region": region, "time": "2026-01-01T00:00:00Z", "resources": []}
    return json.dumps({**head, "source": "shop", "detail-type": "order", "detail": {"n": 2}})


def first_arns(region: str, account: str) -> Iterator[str]:
    """ARNs of what may come to exist, and of what lies outside."""
    for kind in (
        "event-bus/default",
        "event-bus/a",
        "rule/a",
        f"event-bus/{SOURCE}",
        "archive/a",
        "endpoint/a",
        "replay/a",
    ):
        yield f"arn:aws:events:{region}:{account}:{kind}"
    yield f"arn:aws:events:{OTHER_REGION}:{account}:event-bus/default"
    yield f"arn:aws:events:{region}::event-source/{SOURCE}"
    for outside in ("sqs:{}:q", "sqs:{}:q.fifo", "lambda:{}:function:f", "kinesis:{}:stream/s"):
        yield "arn:aws:" + outside.format(f"{region}:{account}")
    yield f"arn:aws:iam::{account}:role/r"
    yield "arn:aws:route53:::healthcheck/h"


class Pool:
    """The texts that a run draws from, those of the server's answers among them."""

    def __init__(self, region: str, accounts: Sequence[str], url: str) -> None:
        self._by_member = texts_by_member(region, accounts, url)
        self._arns = [
            *first_arns(region, accounts[0]),
            f"arn:aws:events:{region}:{accounts[1]}:event-bus/default",
        ]
        self._learned: list[str] = []

    def learn(self, answer: object) -> None:
        """Keep the ARNs and endpoint ids of an answer; too many push out the oldest."""
        self._learned += [text for text in _telling_texts(answer) if text not in self._learned]
        del self._learned[:-LEARNED_TEXTS]

    def texts(self, shape: TextShape, member: str) -> list[str]:
        """Those that fit `shape` and may be meant by this member, `Structure.Member`."""
        by_member = self._by_member.get(member) or self._by_member.get(member.rpartition(".")[2])
        meant = by_member or self._meant(shape.name)
        return [text for text in meant if next(violations(shape, text), None) is None]

    def _meant(self, shape: str) -> Iterable[str]:
        if shape.endswith("OrArn"):
            return [*NAMES, *NAMES, *self._arns]
        if shape.endswith("Arn") or shape in ("EndpointId", "HealthCheck"):
            return [*self._arns, *self._learned]
        return NAMES


def _telling_texts(answer: object, name: str = "") -> Iterator[str]:
    match answer:
        case str() if name.endswith("Arn") or name == "EndpointId":
            yield answer
        case dict():
            for key, value in answer.items():
                yield from _telling_texts(value, key)
        case list():
            for value in answer:
                yield from _telling_texts(value, name)


# -- inputs that fit -------------------------------------------------------------------------------------


@st.composite
def plausible(draw: Draw, shape: Shape, pool: Pool, member: str = "") -> Any:
    """Values of a member that fit `shape`, most texts from the pool."""
    match shape:
        case TextShape():
            return draw(_texts(shape, pool, member))
        case InstantShape():
            return draw(_instants(shape, member))
        case NumberShape() | TruthShape():
            return draw(_scalars(shape))
        case ListShape():
            least = shape.minimum or 0
            elements = plausible(shape.element, pool, member)
            return draw(st.lists(elements, min_size=least, max_size=max(least, 2)))
        case MapShape():
            keys, values = plausible(shape.key, pool), plausible(shape.value, pool, member)
            return draw(st.dictionaries(keys, values, max_size=2))
        case StructureShape():
            return {
                name: draw(plausible(shape.members[name].shape, pool, f"{shape.name}.{name}"))
                for name in draw(_members(shape))
            }


@st.composite
def _members(draw: Draw, shape: StructureShape) -> list[str]:
    """Which members a structure has: the required ones, some that make sense together, perhaps one more."""
    chosen = [name for name, member in shape.members.items() if member.required]
    if shape.name in TOGETHER:
        chosen += draw(st.sampled_from(TOGETHER[shape.name]))
    others = [name for name in shape.members if name not in chosen and name not in NEVER_GUESSED]
    more = draw(st.lists(st.sampled_from(others), unique=True, max_size=2)) if others else []
    return [*chosen, *more]


def _texts(shape: TextShape, pool: Pool, member: str) -> st.SearchStrategy[object]:
    meant = [] if shape.enum else pool.texts(shape, member)
    if not meant:
        return _scalars(shape)
    known = st.sampled_from(meant)
    if shape.name == "HttpsEndpoint":
        return known  # nothing is sent elsewhere
    return _mostly(known, shape)


def _instants(shape: InstantShape, member: str) -> st.SearchStrategy[object]:
    meant = INSTANTS_BY_MEMBER.get(member.rpartition(".")[2])
    return _mostly(st.sampled_from(meant), shape) if meant else _scalars(shape)


def _mostly(known: st.SearchStrategy[object], shape: Shape) -> st.SearchStrategy[object]:
    return st.integers(1, ONE_IN).flatmap(lambda number: _scalars(shape) if number == ONE_IN else known)


@cache
def _scalars(shape: Shape) -> st.SearchStrategy[object]:
    return fitting(shape)


# -- inputs that do not ----------------------------------------------------------------------------------


class Broken(NamedTuple):
    """A value with one fault, and the code that must be answered."""

    value: Any
    code: str


WRONG_TYPES: Sequence[object] = (1, "text", True, [1], {"a": 1}, 1.5)


@st.composite
def broken(draw: Draw, shape: Shape, value: Any) -> Broken | None:
    """`value`, which fits `shape`, with one fault at any depth; None if nothing in there can be wrong."""
    ways = [*missing(shape, value), *_deeper(shape, value)]
    if not ways:
        return None
    way = draw(st.sampled_from(ways))
    if isinstance(way, Broken):
        return way
    key, inner = way
    deeper = draw(broken(inner, value[key])) if draw(st.booleans()) else None
    found = deeper or draw(st.sampled_from(list(faults(inner))))
    if isinstance(value, list):
        return Broken([*value[:key], found.value, *value[key + 1 :]], found.code)
    return Broken({**value, key: found.value}, found.code)


def missing(shape: Shape, value: Any) -> Iterator[Broken]:
    """`value` without one of its required members."""
    if isinstance(shape, StructureShape):
        for name in value:
            if shape.members[name].required:
                yield Broken({other: value[other] for other in value if other != name}, "ValidationException")


def faults(shape: Shape) -> Iterator[Broken]:
    """What can stand in the place of a value of `shape`, and is wrong."""
    for wrong, _ in breaking(shape):
        yield Broken(wrong, "ValidationException")
    for wrong in WRONG_TYPES:
        if not _is_of(shape, wrong):
            yield Broken(wrong, "SerializationException")


def _deeper(shape: Shape, value: Any) -> Iterator[tuple[Any, Shape]]:
    match shape:
        case StructureShape():
            for name in value:
                yield name, shape.members[name].shape
        case ListShape():
            for at in range(len(value)):
                yield at, shape.element
        case MapShape():
            for key in value:
                yield key, shape.value


def _is_of(shape: Shape, value: object) -> bool:
    match shape:
        case TextShape():
            return isinstance(value, str)
        case TruthShape():
            return isinstance(value, bool)
        case NumberShape():
            return type(value) is int
        case InstantShape():
            return type(value) in (int, float)
        case ListShape():
            return isinstance(value, list)
        case _:
            return isinstance(value, dict)
