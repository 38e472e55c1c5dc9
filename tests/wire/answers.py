"""What holds for every answer, and what an account shows of itself."""

import json
from typing import Any

from botocore.session import Session

from partnerbus.api.contract import load_contract
from partnerbus.api.validation import check_output
from tests.wire.client import CONTENT_TYPE, Client, Reply

MODEL = Session().get_service_model("events")
COMMON_ERRORS = {
    "AccessDeniedException": 400,
    "MalformedHttpRequestException": 400,
    "OperationNotSupportedException": 400,
    "RequestEntityTooLargeException": 413,
    "SerializationException": 400,
    "ThrottlingException": 400,
    "UnknownOperationException": 404,
    "ValidationException": 400,
}
"""What every operation may answer (documented for all, modelled for few), and the status."""

RECORDED_ERRORS = {"DeleteEventBus": {"ResourceNotFoundException"}}
RECORDED_VALUES = (":secret:events!connection/",)
"""What the service answers although its model does not say so."""

SEEN = [
    ("ListEventBuses", {}),
    ("ListEventSources", {}),
    ("ListRules", {}),
    ("ListRules", {"EventBusName": "orders"}),
    ("ListTargetsByRule", {"Rule": "all"}),
    ("ListTargetsByRule", {"Rule": "all", "EventBusName": "orders"}),
    ("ListConnections", {}),
    ("DescribeConnection", {"Name": "key"}),
    ("ListApiDestinations", {}),
    ("ListArchives", {}),
    ("ListReplays", {}),
    ("ListEndpoints", {}),
]
"""Reads that together show what an account has."""

BY_THEMSELVES = {
    "ApiDestinationState",
    "ConnectionState",
    "EventCount",
    "LastAuthorizedTime",
    "SizeBytes",
    "StateReason",
}
"""What changes in its own time: authorization endpoints are asked, and archives filled, behind the calls."""


def state(client: Client) -> list[str]:
    """What the account has, as it is shown."""
    return [json.dumps(_still(client.send(name, json.dumps(given).encode()).json)) for name, given in SEEN]


def _still(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _still(item) for name, item in value.items() if name not in BY_THEMSELVES}
    return [_still(item) for item in value] if isinstance(value, list) else value


def check(operation: str, reply: Reply) -> None:
    """An answer is one of the model, or a documented error."""
    assert len(reply.headers["x-amzn-requestid"]) == 36
    assert reply.headers["content-type"] == CONTENT_TYPE
    if reply.status != 200:
        return check_error(operation, reply)
    wrong = check_output(load_contract()[operation], reply.json)
    assert not [fault for fault in wrong if not any(value in fault for value in RECORDED_VALUES)], wrong
    return None


def check_error(operation: str, reply: Reply) -> None:
    code, message = reply.json["__type"], reply.json["message"]
    assert set(reply.json) == {"__type", "message"}
    assert reply.headers["x-amzn-errortype"] == code
    assert message.strip()
    assert "Traceback" not in message
    assert len(message) < 25_000
    modelled = {shape.name for shape in MODEL.operation_model(operation).error_shapes}
    modelled |= RECORDED_ERRORS.get(operation, set())
    if code in COMMON_ERRORS:
        assert reply.status == COMMON_ERRORS[code], (code, message)
    else:
        assert code in modelled - {"InternalException"}, (operation, code, message)
        assert reply.status == 400
