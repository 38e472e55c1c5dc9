"""Every member of every operation: each constraint of the model is kept, and told in the service's words.

What must be said is worked out in `expected.py` from the model as botocore reads it.
"""

import json

import pytest
from botocore.model import ListShape, MapShape, StructureShape
from botocore.session import Session

from tests.wire.client import Client
from tests.wire.expected import Place, camel, message, places, smallest, violations

MODEL = Session().get_service_model("events")
OPERATIONS = MODEL.operation_names


@pytest.fixture(params=OPERATIONS)
def operation(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def shape_of(operation: str) -> StructureShape:
    shape = MODEL.operation_model(operation).input_shape
    assert isinstance(shape, StructureShape)
    return shape


def test_each_constraint_of_each_member(client: Client, operation: str) -> None:
    for place in places(shape_of(operation)):
        for value, sentences in violations(place):
            assert sentences, (place.path, value)
            found = client.refusal(operation, **place.build(value))
            assert found == ("ValidationException", message(sentences)), (place.path, value)


def test_all_that_is_wrong_is_told_at_once_in_the_order_of_the_model(client: Client, operation: str) -> None:
    members: dict[str, object] = {}
    told: list[str] = []
    shape = shape_of(operation)
    for place in places(shape):
        name = next((each for each in shape.members if camel(each) == place.path), None)
        value, sentences = next(violations(place), (None, []))
        if name is not None and sentences:
            told += sentences
            members[name] = value
    if told:
        assert client.refusal(operation, **members) == ("ValidationException", message(told))


def test_each_member_has_its_json_type(client: Client, operation: str) -> None:
    for place in places(shape_of(operation)):
        for value, said in wrong_types(place):
            code, sentence = client.refusal(operation, **place.build(value))
            assert (code, sentence) == ("SerializationException", f"{said} at '{place.path}'"), value


def wrong_types(place: Place) -> list[tuple[object, str]]:
    """Values of other JSON types (wording recalled)."""
    shape = place.shape
    no_list, no_map = (
        "Start of list found where not expected",
        "Start of structure or map found where not expected",
    )
    if isinstance(shape, StructureShape | MapShape):
        kind = "a Map" if isinstance(shape, MapShape) else "a Structure"
        return [([], no_list), ("x", f"STRING_VALUE can not be converted to {kind}")]
    if isinstance(shape, ListShape):
        return [({}, no_map), (5, "NUMBER_VALUE can not be converted to a List")]
    if shape.type_name == "string":
        return [([], no_list), ({}, no_map), (5, "NUMBER_VALUE can not be converted to a String")]
    if shape.type_name == "boolean":
        return [("true", "STRING_VALUE can not be converted to a Boolean"), ([], no_list)]
    kind = "a Timestamp" if shape.type_name == "timestamp" else "an Integer"
    return [
        ("5", f"STRING_VALUE can not be converted to {kind}"),
        (True, f"TRUE_VALUE can not be converted to {kind}"),
        (2**63, f"NUMBER_VALUE can not be converted to {kind}"),
        ({}, no_map),
    ]


def test_null_and_unknown_members_are_as_if_they_were_not_there(client: Client, operation: str) -> None:
    """Whatever such a request is answered, it is answered the same without them."""
    shape = shape_of(operation)
    bare = smallest(shape)
    nulls = {name: None for name in shape.members if name not in shape.required_members}
    loaded = {**bare, **nulls, "Unknown": {"deep": [None, 1]}, "name ": 1}
    first, second = (client.send(operation, json.dumps(members).encode()) for members in (loaded, bare))
    assert first.json.get("__type") == second.json.get("__type") or "AlreadyExists" in second.json["__type"]
    assert first.json.get("__type") != "SerializationException"


def test_a_required_member_that_is_null_is_missing(client: Client, operation: str) -> None:
    shape = shape_of(operation)
    if shape.required_members:
        nulls = json.dumps(dict.fromkeys(shape.required_members)).encode()
        assert client.send(operation, nulls).json == client.send(operation, b"").json
