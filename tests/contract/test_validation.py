from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from partnerbus.api.contract import Shape, StructureShape, TextShape, load_contract
from partnerbus.api.errors import ApiError
from partnerbus.api.validation import MESSAGE_CHARACTERS, Checker, check_output
from partnerbus.api.violations import ECHOED_CHARACTERS, misfits, violations
from tests.contract.shapes import JSON, breaking, example, fitting
from tests.effort import examples

CONTRACT = load_contract()
CALM = settings(
    max_examples=examples(10), suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


def refused(operation: str, members: dict[str, object]) -> ApiError:
    with pytest.raises(ApiError) as caught:
        Checker(CONTRACT[operation]).check(members)
    return caught.value


def sentence(operation: str, members: dict[str, object]) -> str:
    error = refused(operation, members)
    assert error.code == "ValidationException"
    assert error.status == 400
    return error.message


# -- every operation of the model ------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONTRACT)
def test_a_small_input_that_fits_passes(name):
    members = example(CONTRACT[name].input)
    assert isinstance(members, dict)
    Checker(CONTRACT[name]).check(members)


@pytest.mark.parametrize("name", CONTRACT)
@CALM
@given(data=st.data())
def test_generated_inputs_that_fit_pass_unchanged(name, data):
    members = data.draw(fitting(CONTRACT[name].input))
    before = dict(members)
    Checker(CONTRACT[name]).check(members)
    assert members == before


@pytest.mark.parametrize("name", CONTRACT)
def test_each_missing_member_is_named(name):
    shape = CONTRACT[name].input
    missing = [member.path for member in shape.members.values() if member.required]
    if missing:
        wanted = "; ".join(
            f"Value null at '{path}' failed to satisfy constraint: Member must not be null"
            for path in missing
        )
        plural = "s" if len(missing) > 1 else ""
        assert sentence(name, {}) == f"{len(missing)} validation error{plural} detected: {wanted}"


@pytest.mark.parametrize("name", CONTRACT)
def test_each_broken_constraint_is_named(name):
    shape = CONTRACT[name].input
    for member_name, member in shape.members.items():
        for value, constraint in breaking(member.shape):
            members = example(shape)
            assert isinstance(members, dict)
            members[member_name] = value
            said = sentence(name, members)
            assert f"at '{member.path}' failed to satisfy constraint: {constraint}" in said
            assert len(said) < MESSAGE_CHARACTERS + ECHOED_CHARACTERS + 1_000


@pytest.mark.parametrize("name", CONTRACT)
@CALM
@given(data=st.data())
def test_whatever_comes_the_two_walks_agree(name, data):
    shape = CONTRACT[name].input
    members = data.draw(st.dictionaries(st.sampled_from([*shape.members, "Other"]), JSON))
    said = [*misfits(shape, members), *violations(shape, members)]
    if said:
        refused(name, members)
    else:
        Checker(CONTRACT[name]).check(members)


# -- the service's sentences -----------------------------------------------------------------------------


def test_eleven_entries_are_printed_as_java_prints_them():
    entry = {"Source": "S", "DetailType": "T", "Detail": "D", "EventBusName": "B"}
    printed = (
        "PutEventsRequestEntry(time=null, source=S, resources=null, detailType=T, detail=D, eventBusName=B, "
        "traceHeader=null, kmsKeyIdentifier=null, internalMetadata=null)"
    )
    assert sentence("PutEvents", {"Entries": [entry] * 11}) == (
        f"1 validation error detected: Value '[{', '.join([printed] * 11)}]' at 'entries' failed to satisfy "
        "constraint: Member must have length less than or equal to 10"
    )


def test_an_instant_is_printed_as_a_java_date():
    entries = [{"Time": 1_767_323_045.5, "Resources": ["a", "b"]}] * 11
    said = sentence("PutEvents", {"Entries": entries})
    assert "(time=Fri Jan 02 03:04:05 UTC 2026, source=null, resources=[a, b], " in said


def test_for_one_member_the_pattern_comes_before_the_length():
    name = "a b" * 30
    assert sentence("DescribeRule", {"Name": name}) == (
        f"2 validation errors detected: Value '{name}' at 'name' failed to satisfy constraint: Member must "
        rf"satisfy regular expression pattern: [\.\-_A-Za-z0-9]+; Value '{name}' at 'name' failed to satisfy "
        "constraint: Member must have length less than or equal to 64"
    )


def test_a_member_of_a_list_has_a_path_that_counts_from_one():
    targets = [{"Id": "1", "Arn": "a"}, {"Id": "!", "Arn": "a"}]
    said = sentence("PutTargets", {"Rule": "r", "Targets": targets})
    assert said.startswith(
        "1 validation error detected: Value '!' at 'targets.2.member.id' failed to satisfy"
    )


def test_a_list_of_texts_is_judged_as_one_value():
    assert sentence("RemoveTargets", {"Rule": "r", "Ids": ["a", "b c"]}) == (
        "1 validation error detected: Value '[a, b c]' at 'ids' failed to satisfy constraint: Member must "
        "satisfy constraint: [Member must have length less than or equal to 64, Member must have length "
        r"greater than or equal to 1, Member must satisfy regular expression pattern: [\.\-_A-Za-z0-9]+, "
        "Member must not be null]"
    )


def test_the_keys_of_a_map_are_judged_together():
    transformer = {"InputTemplate": "x", "InputPathsMap": {"a b": "$.c"}}
    target = {"Id": "1", "Arn": "a", "InputTransformer": transformer}
    said = sentence("PutTargets", {"Rule": "r", "Targets": [target]})
    assert (
        "Value '{a b=$.c}' at 'targets.1.member.inputTransformer.inputPathsMap' failed to satisfy "
        "constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 256, "
    ) in said


def test_http_methods_are_listed_in_the_recorded_order():
    said = sentence("CreateApiDestination", {**_members("CreateApiDestination"), "HttpMethod": "BREW"})
    assert said.endswith("enum value set: [HEAD, POST, PATCH, DELETE, PUT, GET, OPTIONS]")


def test_the_recorded_pattern_of_a_connection_arn():
    said = sentence("CreateApiDestination", {**_members("CreateApiDestination"), "ConnectionArn": "x"})
    assert said.endswith(
        r"pattern: ^arn:aws([a-z]|\-)*:events:([a-z]|\d|\-)*:([0-9]{12})?:connection\/[\.\-_A-Za-z0-9]+\/"
        r"[\-A-Za-z0-9]+$"
    )


def test_null_and_unknown_members_are_dropped_at_every_depth():
    members: dict[str, object] = {
        "Rule": "r",
        "EventBusName": None,
        "Other": {"deep": [None]},
        "Targets": [{"Id": "1", "Arn": "a", "Input": None, "New": 1}],
    }
    Checker(CONTRACT["PutTargets"]).check(members)
    assert members == {"Rule": "r", "Targets": [{"Id": "1", "Arn": "a"}]}


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"Name": 1}, "NUMBER_VALUE can not be converted to a String at 'name'"),
        ({"Name": True}, "TRUE_VALUE can not be converted to a String at 'name'"),
        ({"Name": ["a"]}, "Start of list found where not expected at 'name'"),
        ({"Name": {"a": 1}}, "Start of structure or map found where not expected at 'name'"),
        ({"Name": "a", "Tags": "x"}, "STRING_VALUE can not be converted to a List at 'tags'"),
        (
            {"Name": "a", "Tags": [{"Key": 1}]},
            "NUMBER_VALUE can not be converted to a String at 'tags.1.member.key'",
        ),
    ],
)
def test_a_wrong_json_type_is_told_before_any_constraint(members, said):
    error = refused("PutRule", {**members, "Description": "x" * 600})
    assert (error.code, error.status, error.message) == ("SerializationException", 400, said)


@pytest.mark.parametrize("seconds", [0, 1767323045, 1767323045.123456, 1.767e9, -1])
def test_instants_come_as_any_number(seconds):
    Checker(CONTRACT["PutEvents"]).check({"Entries": [{"Time": seconds}]})


@pytest.mark.parametrize("seconds", ["2026-01-01", True, 1e15, -1e15, 10**30])
def test_other_instants_are_refused(seconds):
    assert refused("PutEvents", {"Entries": [{"Time": seconds}]}).code == "SerializationException"


@pytest.mark.parametrize("number", [2**31, 2.0, "5", 10**40])
def test_what_is_no_32_bit_number_is_refused(number):
    assert refused("ListRules", {"Limit": number}).code == "SerializationException"


# -- secrets and size ------------------------------------------------------------------------------------


def test_a_secret_is_never_printed():
    secret = "hush\x01hush"
    members = _members("CreateConnection")
    members["AuthParameters"] = {"BasicAuthParameters": {"Username": "u", "Password": secret}}
    said = sentence("CreateConnection", members)
    path = "authParameters.basicAuthParameters.password"
    assert said.startswith(f"1 validation error detected: Value at '{path}' failed to satisfy constraint: ")
    assert "hush" not in said


def test_a_secret_inside_a_printed_structure_is_masked():
    header = {"Key": "k", "Value": "hush", "IsValueSecret": True}
    members = _members("CreateConnection")
    members["AuthParameters"] = {"InvocationHttpParameters": {"HeaderParameters": [header] * 101}}
    said = sentence("CreateConnection", members)
    assert "[ConnectionHeaderParameter(key=k, value=***, isValueSecret=true), " in said
    assert "hush" not in said


def test_every_sensitive_shape_of_the_model_stays_unprinted():
    def walk(shape: Shape) -> None:
        if isinstance(shape, TextShape) and shape.sensitive:
            assert "hush" not in " ".join(violations(shape, "hush" * 100_000, "x"))
        elif isinstance(shape, StructureShape):
            for member in shape.members.values():
                walk(member.shape)

    for operation in CONTRACT.values():
        walk(operation.input)


def test_a_refusal_is_never_much_longer_than_its_cap():
    huge: dict[str, object] = {"Rule": "r", "Targets": [{"Id": "!" * 100_000} for _ in range(1_000)]}
    assert len(sentence("PutTargets", huge)) < MESSAGE_CHARACTERS + ECHOED_CHARACTERS + 1_000


def test_of_a_request_full_of_violations_only_so_many_are_looked_at():
    class Watched(dict[str, object]):
        looks = 0

        def get(self, *arguments: Any) -> Any:
            self.looks += 1
            return super().get(*arguments)

    watched = Watched()
    sentence("PutTargets", {"Rule": "r", "Targets": [watched] * 200_000})
    assert 0 < watched.looks < 10_000


# -- answers ---------------------------------------------------------------------------------------------


def test_an_answer_is_checked_against_the_model():
    describe = CONTRACT["DescribeEventBus"]
    assert check_output(describe, {"Name": "default", "CreationTime": 1}) == []
    assert check_output(describe, {"Name": 5}) == ["NUMBER_VALUE can not be converted to a String at 'name'"]
    assert check_output(describe, {"Nmae": "x"}) == ["DescribeEventBusResponse has no member 'Nmae'"]
    assert (
        "'rules.1.member.name' failed to satisfy"
        in check_output(CONTRACT["ListRules"], {"Rules": [{"Name": "a b"}]})[0]
    )
    assert check_output(CONTRACT["DeleteRule"], {}) == []
    assert check_output(CONTRACT["DeleteRule"], {"Name": "x"}) == ["DeleteRule answers without a body"]
    assert check_output(CONTRACT["DeleteArchive"], {"Name": "x"}) != []


def test_an_unknown_member_of_an_answer_is_found_at_any_depth():
    wrong = check_output(CONTRACT["ListRules"], {"Rules": [{"Name": "a", "Namee": "b"}]})
    assert wrong == ["Rule has no member 'Rules.1.Namee'"]


def _members(name: str) -> dict[str, object]:
    members = example(CONTRACT[name].input)
    assert isinstance(members, dict)
    return members
