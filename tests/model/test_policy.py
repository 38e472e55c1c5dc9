"""Resource policies: what they say of a request, and what is no policy."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partnerbus.model.policy import AccessRequest, MalformedPolicy, Policy, Verdict, parse_policy

ALLOWED, DENIED, SILENT = Verdict.ALLOWED, Verdict.DENIED, Verdict.SILENT
US, THEM = "111122223333", "444455556666"
BUS = f"arn:aws:events:us-east-1:{US}:event-bus/orders"
RULE = f"arn:aws:events:us-east-1:{THEM}:rule/forward"

REQUEST = AccessRequest(
    account=THEM,
    action="events:PutEvents",
    resource=BUS,
    context={
        "events:source": ("shop.eu",),
        "events:detail-type": ("Order Placed",),
        "events:eventbusinvocation": ("true",),
        "aws:sourcearn": (RULE,),
        "aws:sourceaccount": (),
    },
)


def statement(**members: object) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": "*", "Action": "events:PutEvents", "Resource": BUS, **members}


def policy(*statements: object) -> Policy:
    found = parse_policy(json.dumps({"Version": "2012-10-17", "Statement": statements}))
    assert isinstance(found, Policy), found
    return found


def says(*statements: object) -> Verdict:
    return policy(*statements).judge(REQUEST)


@pytest.mark.parametrize(
    ("part", "applies"),
    [
        ({"Principal": "*"}, True),
        ({"Principal": {"AWS": "*"}}, True),
        ({"Principal": {"AWS": THEM}}, True),
        ({"Principal": {"AWS": [US, f"arn:aws:iam::{THEM}:root"]}}, True),
        ({"Principal": {"AWS": US}}, False),
        ({"Principal": {"AWS": f"arn:aws:iam::{US}:root"}}, False),
        ({"Principal": {"AWS": f"arn:aws:iam::{US}:user/ann"}}, False),
        ({"Principal": {"Service": "events.amazonaws.com"}}, False),
        ({"Principal": {"AWS": f"arn:aws:iam::{THEM}:user/ann"}}, None),
        ({"Principal": {"AWS": f"arn:aws:sts::{THEM}:assumed-role/r/s"}}, None),
        ({"Principal": {"AWS": [f"arn:aws:iam::{THEM}:user/ann", THEM]}}, True),
        ({"Action": "*"}, True),
        ({"Action": "events:*"}, True),
        ({"Action": "EVENTS:put*"}, True),
        ({"Action": ["events:PutRule", "events:PutEvent?"]}, True),
        ({"Action": "events:PutRule"}, False),
        ({"Action": "events:PutEventsNow"}, False),
        ({"Action": "s3:*"}, False),
        ({"Resource": "*"}, True),
        ({"Resource": f"arn:aws:events:*:{US}:event-bus/*"}, True),
        ({"Resource": [BUS + "-2", BUS]}, True),
        ({"Resource": BUS + "-2"}, False),
        ({"Resource": BUS[:-1]}, False),
        ({"Resource": BUS.upper()}, False),
        ({"Resource": BUS.replace("orders", "[o]rders")}, False),
    ],
)
def test_principals_actions_and_resources(part: dict[str, object], applies: bool | None) -> None:
    assert says(statement(**part)) is (ALLOWED if applies else SILENT)
    assert says(statement(**part, Effect="Deny")) is (SILENT if applies is False else DENIED)


@pytest.mark.parametrize(
    ("operator", "key", "wanted", "applies"),
    [
        ("StringEquals", "events:source", "shop.eu", True),
        ("StringEquals", "EVENTS:SOURCE", ["shop.us", "shop.eu"], True),
        ("StringEquals", "events:source", "Shop.eu", False),
        ("StringEquals", "events:source", "shop.*", False),
        ("StringEquals", "aws:SourceAccount", THEM, False),
        ("StringEqualsIfExists", "aws:SourceAccount", THEM, True),
        ("StringEqualsIfExists", "events:source", "other", False),
        ("StringNotEquals", "events:source", ["a", "b"], True),
        ("StringNotEquals", "events:source", ["a", "shop.eu"], False),
        ("StringNotEquals", "aws:SourceAccount", THEM, True),
        ("StringEqualsIgnoreCase", "events:source", "SHOP.EU", True),
        ("StringNotEqualsIgnoreCase", "events:source", "SHOP.EU", False),
        ("StringLike", "events:source", "shop.*", True),
        ("StringLike", "events:source", "shop.?u", True),
        ("StringLike", "events:source", "shop.?", False),
        ("StringLike", "events:source", "*", True),
        ("StringNotLike", "events:source", "shop.*", False),
        ("ArnLike", "aws:SourceArn", f"arn:aws:events:*:{THEM}:rule/*", True),
        ("ArnEquals", "aws:SourceArn", f"arn:aws:events:*:{THEM}:rule/*", True),
        ("ArnEquals", "aws:SourceArn", RULE, True),
        ("ArnLike", "aws:SourceArn", f"arn:*:{THEM}:x:y:rule/*", False),
        ("ArnLike", "events:source", "arn:*:*:*:*:*", False),
        ("ArnNotLike", "aws:SourceArn", f"arn:aws:events:*:{US}:rule/*", True),
        ("ArnNotEquals", "aws:SourceArn", RULE, False),
        ("Bool", "events:eventBusInvocation", "true", True),
        ("Bool", "events:eventBusInvocation", True, True),
        ("Bool", "events:eventBusInvocation", "False", False),
        ("Null", "aws:SourceAccount", "true", True),
        ("Null", "aws:SourceAccount", False, False),
        ("Null", "events:source", "true", False),
        ("Null", "events:source", "false", True),
        ("ForAllValues:StringEquals", "events:source", ["shop.eu", "x"], True),
        ("ForAllValues:StringEquals", "events:source", "x", False),
        ("ForAllValues:StringEquals", "aws:SourceAccount", "x", True),
        ("ForAnyValue:StringLike", "events:source", "shop*", True),
        ("ForAnyValue:StringLike", "events:source", "x*", False),
        ("ForAnyValue:StringNotEquals", "aws:SourceAccount", "x", False),
        ("StringEquals", "aws:PrincipalOrgID", "o-1", None),
        ("StringNotEquals", "aws:PrincipalOrgID", "o-1", None),
        ("StringEqualsIfExists", "aws:PrincipalOrgID", "o-1", None),
        ("ForAllValues:StringEquals", "events:detail.service", "EC2", None),
        ("Null", "aws:PrincipalOrgID", "true", None),
    ],
)
def test_conditions(operator: str, key: str, wanted: object, applies: bool | None) -> None:
    condition = {operator: {key: wanted}}
    assert says(statement(Condition=condition)) is (ALLOWED if applies else SILENT)
    denied = says(statement(Condition=condition, Effect="Deny"))
    assert denied is (SILENT if applies is False else DENIED)


def test_keys_with_several_values() -> None:
    request = AccessRequest(
        account=THEM, action="events:PutEvents", resource=BUS, context={"events:source": ("a", "b")}
    )

    def verdict(operator: str, *wanted: str) -> Verdict:
        return policy(statement(Condition={operator: {"events:source": wanted}})).judge(request)

    assert verdict("ForAllValues:StringEquals", "a", "b", "c") is ALLOWED
    assert verdict("ForAllValues:StringEquals", "a") is SILENT
    assert verdict("ForAnyValue:StringEquals", "a") is ALLOWED
    assert verdict("ForAnyValue:StringNotEquals", "a") is ALLOWED
    assert verdict("ForAllValues:StringNotEquals", "a") is SILENT


def test_every_condition_of_a_statement_has_to_hold() -> None:
    good, bad = {"events:source": "shop.eu"}, {"events:detail-type": "Other"}
    assert says(statement(Condition={"StringEquals": good})) is ALLOWED
    assert says(statement(Condition={"StringEquals": good | bad})) is SILENT
    assert says(statement(Condition={"StringEquals": good, "StringLike": bad})) is SILENT
    # what is unknown does not save what does not hold: this Deny does not apply
    unknown = {"aws:PrincipalOrgID": "o-1"}
    assert says(statement(), statement(Effect="Deny", Condition={"StringEquals": bad | unknown})) is ALLOWED


def test_an_empty_policy_says_nothing_and_one_statement_needs_no_list() -> None:
    assert says() is SILENT
    found = parse_policy(json.dumps({"Statement": statement()}))
    assert isinstance(found, Policy)
    assert found.judge(REQUEST) is ALLOWED


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ({"Effect": "Maybe"}, "Maybe"),
        ({"Principal": "everybody"}, '"*" or an object'),
        ({"Principal": {"AWS": "ann"}}, '"ann"'),
        ({"Principal": {"AWS": "arn:aws:iam::*:root"}}, '"arn:aws:iam::*:root"'),
        ({"Principal": {"Federated": "x"}}, "Federated"),
        ({"Action": []}, "length >= 1"),
        ({"Resource": 1}, "Resource"),
        ({"NotAction": "x"}, "NotAction"),
        ({"Condition": {"StringEqual": {"a": "b"}}}, '"StringEqual" is not supported'),
        ({"Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}}, '"IpAddress" is not supported'),
        ({"Condition": {"NullIfExists": {"a": "true"}}}, "NullIfExists"),
        ({"Condition": {"Null": {"a": "maybe"}}}, '"maybe"'),
        ({"Condition": {"Bool": {"a": "1"}}}, '"1"'),
        ({"Condition": {"ArnLike": {"a": "x"}}}, '"x" is no ARN'),
        ({"Condition": {"StringEquals": {"a": "${aws:username}"}}}, "variables"),
        ({"Resource": "${aws:x}"}, "variables"),
        ({"Condition": {"StringEquals": {"a": None}}}, "null"),
    ],
)
def test_what_is_no_statement(part: dict[str, object], sentence: str) -> None:
    found = parse_policy(json.dumps({"Statement": [statement(**part)]}))
    assert isinstance(found, MalformedPolicy)
    assert sentence in found.message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '"x"',
        "{}",
        '{"Statement": [1]}',
        '{"Version": "2020-01-01", "Statement": []}',
        "[" * 10_000,
        '{"Statement": ' + "[" * 10_000,
        '{"Id": "\ud800", "Statement": []}',
    ],
)
def test_what_is_no_policy(text: str) -> None:
    assert isinstance(parse_policy(text), MalformedPolicy)


def test_two_statements_with_one_sid() -> None:
    text = json.dumps({"Statement": [statement(Sid="a"), statement(Sid="a")]})
    assert parse_policy(text) == MalformedPolicy("Two statements have the same Sid.")


def test_many_wildcards_take_no_time() -> None:
    hard = statement(Condition={"StringLike": {"events:source": "*a" * 2_000 + "b"}})
    request = AccessRequest(
        account=THEM, action="events:PutEvents", resource=BUS, context={"events:source": ("a" * 5_000,)}
    )
    assert policy(hard).judge(request) is SILENT


# -- properties --------------------------------------------------------------------------------------------

principals = st.sampled_from(
    ["*", {"AWS": THEM}, {"AWS": US}, {"AWS": f"arn:aws:iam::{THEM}:user/x"}, {"Service": "s"}]
)
conditions = st.dictionaries(
    st.sampled_from(["StringEquals", "StringNotLike", "ForAllValues:StringLike", "ForAnyValue:StringEquals"]),
    st.dictionaries(
        st.sampled_from(["events:source", "aws:SourceAccount", "aws:PrincipalOrgID"]),
        st.sampled_from(["shop.eu", "*", THEM]),
        max_size=2,
    ),
    max_size=2,
)
statements = st.builds(
    lambda effect, principal, action, resource, condition: statement(
        Effect=effect, Principal=principal, Action=action, Resource=resource, Condition=condition
    ),
    st.sampled_from(["Allow", "Deny"]),
    principals,
    st.sampled_from(["events:PutEvents", "events:*", "events:PutRule"]),
    st.sampled_from(["*", BUS, BUS + "x"]),
    conditions,
)
whole = st.lists(statements, max_size=6)


@given(whole, st.data())
def test_an_explicit_deny_always_wins(others: list[dict[str, Any]], data: st.DataObject) -> None:
    deny = statement(
        Effect="Deny", Principal=data.draw(st.sampled_from(["*", {"AWS": THEM}])), Action="events:Put*"
    )
    at = data.draw(st.integers(0, len(others)))
    assert says(*others[:at], deny, *others[at:]) is DENIED


@given(whole)
def test_a_policy_says_what_its_statements_say_one_by_one(found: list[dict[str, Any]]) -> None:
    each = {says(one) for one in found}
    assert says(*found) is (DENIED if DENIED in each else ALLOWED if ALLOWED in each else SILENT)


@given(whole)
def test_what_is_unknown_never_allows_and_always_denies(found: list[dict[str, Any]]) -> None:
    unknown = {"StringLike": {"aws:PrincipalOrgID": "*"}}
    verdict = says(*(one | {"Condition": unknown} for one in found))
    applies = [one for one in found if says(one | {"Condition": {}, "Effect": "Deny"}) is DENIED]
    assert verdict is (DENIED if "Deny" in {one["Effect"] for one in applies} else SILENT)
